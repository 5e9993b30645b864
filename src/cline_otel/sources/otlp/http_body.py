"""Reading the body of an HTTP request, within the bounds on its size, memory and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from cline_otel.sources.otlp.answers import Refusal, RpcCode, too_large
from cline_otel.sources.otlp.limits import MemoryBudget, ReceiverLimits
from cline_otel.sources.otlp.request_body import WINDOW_BITS, Coding, RequestBody


@asynccontextmanager
async def body_of(request: web.BaseRequest, limits: ReceiverLimits, budget: MemoryBudget) -> AsyncIterator[bytes]:
    """The request's body, received and decompressed; its memory is taken from the budget until the block ends.

    Raises:
        Refusal: 400 not what its headers say, 408 too slow, 413 too large, 415 an unknown
            Content-Encoding, 417 an unknown expectation, 429 no memory left.
        ConnectionError: the sender went away.
    """
    body = RequestBody(_coding(request), limits, budget)
    try:
        if request.content_length is not None and request.content_length > body.sent_limit_bytes:
            raise too_large()
        await _answer_expectation(request)
        try:
            async with asyncio.timeout(limits.body_seconds):
                async for piece in request.content.iter_any():
                    body.add(piece)
        except TimeoutError:
            message = "The request's body came too slowly."
            raise Refusal(408, RpcCode.DEADLINE_EXCEEDED, message, is_final=True) from None
        except RequestPayloadError:
            message = "The request's body is not valid for its Transfer-Encoding."
            raise Refusal(400, RpcCode.INVALID_ARGUMENT, message, is_final=True) from None
        yield body.whole()
    finally:
        body.release()


def _coding(request: web.BaseRequest) -> Coding | None:
    named = [value.strip().lower() for value in ",".join(request.headers.getall("Content-Encoding", [])).split(",")]
    named = [value for value in named if value not in ("", "identity")]
    if not named:
        return None
    for coding in WINDOW_BITS:
        if named == [coding]:
            return coding
    message = "Content-Encoding must be gzip, deflate or identity."
    raise Refusal(415, RpcCode.INVALID_ARGUMENT, message, {"Accept-Encoding": "gzip, deflate"}, is_final=True)


async def _answer_expectation(request: web.BaseRequest) -> None:
    expectation = request.headers.get("Expect", "").strip().lower()
    if expectation == "":
        return
    if expectation != "100-continue":
        raise Refusal(417, RpcCode.INVALID_ARGUMENT, "The expectation is not known.", is_final=True)
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # What was sent so far is not part of the response that follows.
    request.writer.output_size = 0
