"""HTTP/2 frames written by hand (RFC 9113), for what no gRPC client would send."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from waiting import patience

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1

LOGS: Final = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 0) -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header_block(headers: Iterable[tuple[str, str]]) -> bytes:
    """Literal fields that nobody has to remember (RFC 7541, section 6.2.2), with lengths below 127."""
    return b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in headers
    )


def request_headers(path: str = LOGS, **further: str) -> bytes:
    """Those of a gRPC call."""
    return header_block(
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", path),
            (":authority", "127.0.0.1"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            *further.items(),
        ]
    )


def message(body: bytes, *, is_compressed: bool = False, length: int | None = None) -> bytes:
    """A length-prefixed message of gRPC."""
    return struct.pack(">BI", is_compressed, len(body) if length is None else length) + body


class Sender:
    """A connection whose frames are written by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def send(self, *frames: bytes) -> None:
        """Writes them."""
        self.writer.write(b"".join(frames))
        await self.writer.drain()

    async def begin(self) -> None:
        """What every connection begins with; the server's limits hold once they are acknowledged."""
        await self.send(PREFACE, frame(SETTINGS))
        await self.until(SETTINGS)
        await self.send(frame(SETTINGS, b"", ACK))

    async def frames(self) -> list[tuple[int, int, bytes]]:
        """Kind, stream and payload of all that comes until the connection is closed, which has to be."""
        found = []
        try:
            async with patience():
                while True:
                    head = await self._reader.readexactly(9)
                    payload = await self._reader.readexactly(int.from_bytes(head[:3]))
                    found.append((head[3], int.from_bytes(head[5:]), payload))
        except (ConnectionError, asyncio.IncompleteReadError):
            return found

    async def until(self, kind: int) -> bytes:
        """The payload of the next frame of a kind."""
        async with patience():
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3]))
                if head[3] == kind:
                    return payload


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Sender]:
    """A sender to a port of this machine."""
    sender = Sender(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield sender
    finally:
        sender.writer.close()
