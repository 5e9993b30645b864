"""Reading a request's body within bounds: on its size as sent, its decompressed size, time and memory."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from cline_otel.sources.otlp.answers import Refusal, RpcCode, retry_later

_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""What zlib is given: the deflate coding is the zlib format (RFC 9110, section 8.4.1.2)."""


class MemoryBudget:
    """How many bytes of request bodies are held at once, by all connections together."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.held_bytes = 0

    def take(self, count: int) -> None:
        """Hold so many bytes more.

        Raises:
            Refusal: 429, that is more than may be held; nothing was taken.
        """
        if self.held_bytes + count > self.limit_bytes:
            refusal = retry_later(429, "Too many requests are in progress.", 1)
            refusal.is_final = True
            raise refusal
        self.held_bytes += count

    def give_back(self, count: int) -> None:
        """Hold so many bytes less."""
        self.held_bytes -= count


class BodyReader:
    """Reads one request's body; give its memory back with :meth:`release`.

    Args:
        compressed_limit_bytes: the most that may be sent compressed.
        limit_bytes: the most that it may be when decompressed, or sent without compression.
        budget: where the memory is taken from.
    """

    def __init__(self, compressed_limit_bytes: int, limit_bytes: int, budget: MemoryBudget) -> None:
        self._compressed_limit_bytes = compressed_limit_bytes
        self._limit_bytes = limit_bytes
        self._budget = budget
        self._body = bytearray()
        self._held_bytes = 0

    async def read(self, request: web.BaseRequest, timeout_seconds: float) -> bytes:
        """Receive and decompress the body.

        Raises:
            Refusal: 400 not what its headers say, 408 too slow, 413 too large, 415 an unknown
                Content-Encoding, 417 an unknown expectation, 429 no memory left.
            ConnectionError: the sender went away.
        """
        coding = _coding(request)
        sent_limit_bytes = self._limit_bytes if coding is None else self._compressed_limit_bytes
        if request.content_length is not None and request.content_length > sent_limit_bytes:
            raise _too_large()
        await _answer_expectation(request)
        try:
            async with asyncio.timeout(timeout_seconds):
                if coding is None:
                    async for piece in _pieces(request, sent_limit_bytes):
                        self._add(piece)
                else:
                    await self._decompress(request, coding, sent_limit_bytes)
        except TimeoutError:
            message = "The request's body came too slowly."
            raise Refusal(408, RpcCode.DEADLINE_EXCEEDED, message, is_final=True) from None
        except zlib.error:
            message = "The request's body is not valid for its Content-Encoding."
            raise Refusal(400, RpcCode.INVALID_ARGUMENT, message, is_final=True) from None
        except RequestPayloadError:
            message = "The request's body is not valid for its Transfer-Encoding."
            raise Refusal(400, RpcCode.INVALID_ARGUMENT, message, is_final=True) from None
        body = bytes(self._body)
        self._body = bytearray()
        return body

    def release(self) -> None:
        """Give the memory back; to be called when the body is not needed any more, whether it was read or not."""
        self._budget.give_back(self._held_bytes)
        self._held_bytes = 0

    def _add(self, piece: bytes) -> None:
        if len(self._body) + len(piece) > self._limit_bytes:
            raise _too_large()
        self._budget.take(len(piece))
        self._held_bytes += len(piece)
        self._body += piece

    async def _decompress(self, request: web.BaseRequest, coding: str, sent_limit_bytes: int) -> None:
        inflater = zlib.decompressobj(_WINDOW_BITS[coding])
        async for piece in _pieces(request, sent_limit_bytes):
            rest = piece
            while rest:
                if inflater.eof:
                    if coding == "deflate":
                        raise zlib.error("data after the end")
                    # A gzip file may be several, one after the other (RFC 1952, section 2.2).
                    inflater = zlib.decompressobj(_WINDOW_BITS[coding])
                # One byte more than allowed is enough to know, however much it would become.
                room = self._limit_bytes - len(self._body) + 1
                self._add(inflater.decompress(rest, room))
                rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        if not inflater.eof:
            raise zlib.error("truncated")


def _too_large() -> Refusal:
    return Refusal(413, RpcCode.INVALID_ARGUMENT, "The request's body is too large.", is_final=True)


def _coding(request: web.BaseRequest) -> str | None:
    codings = [value.strip().lower() for value in ",".join(request.headers.getall("Content-Encoding", [])).split(",")]
    codings = [value for value in codings if value not in ("", "identity")]
    if not codings:
        return None
    if len(codings) == 1 and codings[0] in _WINDOW_BITS:
        return codings[0]
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


async def _pieces(request: web.BaseRequest, limit_bytes: int) -> AsyncIterator[bytes]:
    received = 0
    async for piece in request.content.iter_any():
        received += len(piece)
        if received > limit_bytes:
            raise _too_large()
        yield piece
