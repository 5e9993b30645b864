"""A request's body within bounds: on its size as sent, its decompressed size and memory, whatever it comes by."""

from __future__ import annotations

import zlib
from typing import Final, Literal

from cline_otel.sources.otlp.answers import Refusal, RpcCode, too_large
from cline_otel.sources.otlp.limits import MemoryBudget, ReceiverLimits

Coding = Literal["gzip", "x-gzip", "deflate"]

WINDOW_BITS: Final[dict[Coding, int]] = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""What zlib is given: the deflate coding is the zlib format (RFC 9110, section 8.4.1.2)."""


class RequestBody:
    """Takes one request's body piece by piece; give its memory back with :meth:`release`.

    Args:
        coding: how it was compressed; None if it was not.
        limits: of its sizes.
        budget: where the memory is taken from.
    """

    def __init__(self, coding: Coding | None, limits: ReceiverLimits, budget: MemoryBudget) -> None:
        self.sent_limit_bytes = limits.body_bytes if coding is None else limits.compressed_bytes
        self._coding = coding
        self._limit_bytes = limits.body_bytes
        self._budget = budget
        self._inflater = None if coding is None else zlib.decompressobj(WINDOW_BITS[coding])
        self._sent_bytes = 0
        self._body = bytearray()
        self._held_bytes = 0

    def add(self, piece: bytes) -> None:
        """Take what was sent next.

        Raises:
            Refusal: 400 not of its coding, 413 too large, 429 no memory left.
        """
        self._sent_bytes += len(piece)
        if self._sent_bytes > self.sent_limit_bytes:
            raise too_large()
        if self._inflater is None:
            self._keep(piece)
            return
        try:
            self._inflate(piece)
        except zlib.error:
            raise _not_of_its_coding() from None

    def whole(self) -> bytes:
        """All of it, decompressed, after the last piece.

        Raises:
            Refusal: 400, it is truncated.
        """
        if self._inflater is not None and not self._inflater.eof:
            raise _not_of_its_coding()
        body = bytes(self._body)
        self._body = bytearray()
        return body

    def release(self) -> None:
        """Give the memory back; to be called when the body is not needed any more, whether it was read or not."""
        self._budget.give_back(self._held_bytes)
        self._held_bytes = 0

    def _keep(self, piece: bytes) -> None:
        if len(self._body) + len(piece) > self._limit_bytes:
            raise too_large()
        self._budget.take(len(piece))
        self._held_bytes += len(piece)
        self._body += piece

    def _inflate(self, rest: bytes) -> None:
        while rest:
            assert self._inflater is not None and self._coding is not None  # noqa: S101, PT018 - tells mypy
            if self._inflater.eof:
                if self._coding == "deflate":
                    raise zlib.error("data after the end")
                # A gzip file may be several, one after the other (RFC 1952, section 2.2).
                self._inflater = zlib.decompressobj(WINDOW_BITS[self._coding])
            # One byte more than allowed is enough to know, however much it would become.
            room = self._limit_bytes - len(self._body) + 1
            self._keep(self._inflater.decompress(rest, room))
            rest = self._inflater.unused_data if self._inflater.eof else self._inflater.unconsumed_tail


def _not_of_its_coding() -> Refusal:
    message = "The request's body is not valid for its compression."
    return Refusal(400, RpcCode.INVALID_ARGUMENT, message, is_final=True)
