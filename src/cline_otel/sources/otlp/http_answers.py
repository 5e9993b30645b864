"""The answers of the OTLP/HTTP receiver, in the encoding of the request."""

from __future__ import annotations

import math
from typing import Final

from aiohttp import web

from cline_otel.sources.interface import ReceiveResult
from cline_otel.sources.otlp.answers import ContentType, Refusal, status_body, success_body

MEDIA_TYPES: Final[dict[str, ContentType]] = {"application/json": "json", "application/x-protobuf": "protobuf"}
_MEDIA_TYPE_OF: Final = {content_type: media_type for media_type, content_type in MEDIA_TYPES.items()}


def success(result: ReceiveResult, content_type: ContentType) -> web.Response:
    """200 with the response of the signal's service."""
    return web.Response(body=success_body(result, content_type), content_type=_MEDIA_TYPE_OF[content_type])


def refused(refusal: Refusal, content_type: ContentType) -> web.Response:
    """The refusal with a ``google.rpc.Status`` as its body."""
    headers = dict(refusal.headers)
    if refusal.retry_after_seconds is not None:
        # It counts in whole seconds (RFC 9110, section 10.2.3).
        headers["Retry-After"] = str(max(1, math.ceil(refusal.retry_after_seconds)))
    response = web.Response(
        status=refusal.status,
        body=status_body(refusal, content_type),
        content_type=_MEDIA_TYPE_OF[content_type],
        headers=headers,
    )
    if refusal.is_final:
        response.force_close()
    return response
