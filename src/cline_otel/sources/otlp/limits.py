"""What senders may use of the OTLP receivers."""

from __future__ import annotations

import msgspec

from cline_otel.sources.otlp.answers import retry_later


class ReceiverLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a sender may use.

    Attributes:
        compressed_bytes: the size of a compressed body as sent.
        body_bytes: the size of a body when decompressed, or sent without compression.
        held_bytes: all bodies that are being received or committed at once.
        connections: open connections.
        header_seconds: from the first byte of a request to the end of its headers; over gRPC, to the end of what a
            connection begins with, and headers end while it is not idle.
        body_seconds: from there to the end of its body.
        idle_seconds: between two requests of one connection.
        write_seconds: for which an answer may wait for a sender that does not read.
        linger_seconds: for which the rest of a refused body is thrown away, so that its sender sees the answer.
    """

    compressed_bytes: int = 4 * 1024 * 1024
    body_bytes: int = 8 * 1024 * 1024
    held_bytes: int = 64 * 1024 * 1024
    connections: int = 64
    header_seconds: float = 10
    body_seconds: float = 30
    idle_seconds: float = 75
    write_seconds: float = 10
    linger_seconds: float = 2


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
