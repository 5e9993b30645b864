"""What the OTLP/HTTP receiver answers: bodies as the OTLP specification 1.x has them, in the request's encoding.

Texts are fixed sentences of ours; nothing of a payload is ever repeated in an answer.
"""

from __future__ import annotations

import math
from enum import IntEnum
from typing import Final, Literal

import msgspec
from aiohttp import web

from cline_otel.sources.interface import ReceiveResult

ContentType = Literal["json", "protobuf"]
"""The two encodings of OTLP/HTTP (OTLP specification 1.x, "OTLP/HTTP Request")."""

MEDIA_TYPES: Final[dict[str, ContentType]] = {"application/json": "json", "application/x-protobuf": "protobuf"}
_MEDIA_TYPE_OF: Final = {content_type: media_type for media_type, content_type in MEDIA_TYPES.items()}


class RpcCode(IntEnum):
    """Those of ``google.rpc.Code`` that are used."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class Refusal(Exception):  # noqa: N818 - an answer, not a defect
    """A request that is answered with a 4xx or 5xx status.

    Attributes:
        status: the HTTP status.
        code: the code of the Status body.
        message: its message, a fixed sentence.
        headers: headers to add.
        is_final: the connection is closed, because the rest of the request is not wanted.
    """

    def __init__(
        self, status: int, code: RpcCode, message: str, headers: dict[str, str] | None = None, is_final: bool = False
    ) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.is_final = is_final


def retry_later(status: int, message: str, retry_after_seconds: float) -> Refusal:
    """429 or 503 with Retry-After, which counts in whole seconds (RFC 9110, section 10.2.3)."""
    code = RpcCode.RESOURCE_EXHAUSTED if status == 429 else RpcCode.UNAVAILABLE
    return Refusal(status, code, message, {"Retry-After": str(max(1, math.ceil(retry_after_seconds)))})


def success(result: ReceiveResult, content_type: ContentType) -> web.Response:
    """200 with an ExportLogsServiceResponse; ``partial_success`` is set only if there is something to report."""
    is_partial = result.rejected > 0 or result.message != ""
    if content_type == "json":
        # ProtoJSON writes 64 bit integers as strings.
        partial = {"rejectedLogRecords": str(result.rejected), "errorMessage": result.message}
        body = msgspec.json.encode({"partialSuccess": partial} if is_partial else {})
    else:
        partial_body = _varint_field(1, result.rejected) + _bytes_field(2, result.message.encode())
        body = _bytes_field(1, partial_body) if is_partial else b""
    return web.Response(body=body, content_type=_MEDIA_TYPE_OF[content_type])


def accepted_and_dropped(content_type: ContentType) -> web.Response:
    """200 with the empty response of any signal."""
    return success(ReceiveResult(0), content_type)


def refused(refusal: Refusal, content_type: ContentType) -> web.Response:
    """The refusal with a ``google.rpc.Status`` as its body."""
    if content_type == "json":
        body = msgspec.json.encode({"code": int(refusal.code), "message": refusal.message})
    else:
        body = _varint_field(1, refusal.code) + _bytes_field(2, refusal.message.encode())
    response = web.Response(
        status=refusal.status, body=body, content_type=_MEDIA_TYPE_OF[content_type], headers=refusal.headers
    )
    if refusal.is_final:
        response.force_close()
    return response


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value) if value else b""


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value if value else b""


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
