"""The receiver against senders that do not read its answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from cline_otel.sources.interface import Payload, ReceiveResult
from cline_otel.sources.otlp.http_receiver import OtlpHttpReceiver
from cline_otel.sources.otlp.limits import ReceiverLimits
from waiting import patience

REQUEST = b"POST /v1/logs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
ENOUGH = 2_000
"""Requests whose answers do not fit into the system's buffers, which both sides made small."""


class Pipeline:
    async def receive(self, payload: Payload) -> ReceiveResult:
        return ReceiveResult(1)

    async def count_unsupported(self, source: str, signal: str) -> None:
        raise AssertionError("not sent here")


@asynccontextmanager
async def listening(connections: int, write_seconds: float) -> AsyncIterator[OtlpHttpReceiver]:
    limits = ReceiverLimits(connections=connections, write_seconds=write_seconds, idle_seconds=3600)
    receiver = OtlpHttpReceiver(Pipeline(), "otlp", port=0, limits=limits)
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop(0)


@asynccontextmanager
async def asking(receiver: OtlpHttpReceiver) -> AsyncIterator[socket.socket]:
    """A connection on which many requests are sent, and nothing is read unless the test does."""
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        connection.setblocking(False)
        await loop.sock_connect(connection, ("127.0.0.1", receiver.port))
        sending = asyncio.create_task(loop.sock_sendall(connection, REQUEST * ENOUGH))
        try:
            yield connection
        finally:
            sending.cancel()
            await asyncio.wait({sending})


async def is_served(receiver: OtlpHttpReceiver) -> bool:
    reader, writer = await asyncio.open_connection("127.0.0.1", receiver.port)
    try:
        writer.write(REQUEST)
        return b" 200 " in await reader.readline()
    except ConnectionError:
        return False
    finally:
        writer.close()


async def until_served(receiver: OtlpHttpReceiver) -> None:
    async with patience():
        while not await is_served(receiver):
            pass


async def test_senders_that_never_read_their_answers_are_cut_and_make_room() -> None:
    async with listening(connections=2, write_seconds=0.2) as receiver, asking(receiver), asking(receiver):
        await until_served(receiver)


async def test_a_sender_that_reads_late_gets_every_answer() -> None:
    loop = asyncio.get_running_loop()
    async with listening(connections=1, write_seconds=3600) as receiver, asking(receiver) as connection:
        answers = b""
        async with patience():
            while answers.count(b"HTTP/1.1 200 OK") < ENOUGH or not answers.endswith(b"\r\n\r\n{}"):
                received = await loop.sock_recv(connection, 65_536)
                assert received
                answers += received
    assert answers.count(b"HTTP/1.1 200 OK") == ENOUGH
