"""The receiver against senders that mean harm or are broken."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import partial

import pytest

from cline_otel.sources.interface import Payload, ReceiveResult
from cline_otel.sources.otlp.http_receiver import OtlpHttpReceiver
from cline_otel.sources.otlp.limits import ReceiverLimits
from waiting import patience

zipped = partial(gzip.compress, mtime=0)

_LIMITS = ReceiverLimits(
    compressed_bytes=10_000, body_bytes=40_000, held_bytes=100_000, connections=4, linger_seconds=0.05
)


class Pipeline:
    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.reached = asyncio.Event()
        self.commit = asyncio.Event()
        self.commit.set()

    async def receive(self, payload: Payload) -> ReceiveResult:
        self.taken += payload.parts
        self.reached.set()
        await self.commit.wait()
        return ReceiveResult(1)

    async def count_unsupported(self, source: str, signal: str) -> None:
        raise AssertionError("not sent here")


class Sender:
    """A connection whose bytes are written by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, content: bytes) -> None:
        self.writer.write(content)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        async with patience():
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            return int(first.split()[1]), headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def status(self) -> int:
        return (await self.answer())[0]

    async def is_cut(self) -> bool:
        try:
            async with patience():
                return await self.reader.read() == b""
        except ConnectionError:
            return True


Listen = Callable[..., Awaitable[OtlpHttpReceiver]]
ConnectTo = Callable[[OtlpHttpReceiver], Awaitable[Sender]]


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
async def listen(pipeline: Pipeline) -> AsyncIterator[Listen]:
    receivers: list[OtlpHttpReceiver] = []

    async def start(
        limits: ReceiverLimits = _LIMITS, report: Callable[[str], None] = lambda line: None
    ) -> OtlpHttpReceiver:
        receiver = OtlpHttpReceiver(pipeline, "otlp", port=0, limits=limits, report=report)
        await receiver.start()
        receivers.append(receiver)
        return receiver

    yield start
    for receiver in receivers:
        await receiver.stop(0)


@pytest.fixture
async def connect() -> AsyncIterator[ConnectTo]:
    senders: list[Sender] = []

    async def open_connection(receiver: OtlpHttpReceiver) -> Sender:
        sender = Sender(*await asyncio.open_connection("127.0.0.1", receiver.port))
        senders.append(sender)
        return sender

    yield open_connection
    for sender in senders:
        sender.writer.close()


def request(body: bytes = b"{}", *headers: str, host: str = "127.0.0.1", length: int | None = None) -> bytes:
    lines = ["POST /v1/logs HTTP/1.1", f"Host: {host}", "Content-Type: application/json", *headers]
    if not any(header.lower().startswith("transfer-encoding") for header in headers):
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


async def served(connect: ConnectTo, receiver: OtlpHttpReceiver) -> Sender:
    """The first new connection that is; one that is turned away, or too slow, may be cut before the answer is read."""
    async with patience():
        while True:
            sender = await connect(receiver)
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await sender.send(request())
                if await sender.status() == 200:
                    return sender


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
async def test_a_decompression_bomb_is_cut_before_it_is_inflated(
    listen: Listen, connect: ConnectTo, pipeline: Pipeline, coding: str
) -> None:
    receiver = await listen(ReceiverLimits(body_bytes=100_000))
    compress = gzip.compress if coding == "gzip" else zlib.compress
    bomb = compress(bytes(50_000_000), 9)
    assert len(bomb) < ReceiverLimits().compressed_bytes
    sender = await connect(receiver)
    tracemalloc.start()
    await sender.send(request(bomb, f"Content-Encoding: {coding}"))
    assert await sender.status() == 413
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 10_000_000
    assert pipeline.taken == []
    assert receiver._budget.held_bytes == 0


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"x" * 40_000, (), 200),
        (b"x" * 40_001, (), 413),
        (zipped(b"x" * 40_000), ("Content-Encoding: gzip",), 200),
        (zipped(b"x" * 40_001), ("Content-Encoding: gzip",), 413),
        (b"\x1f\x8b" + bytes(10_000), ("Content-Encoding: gzip",), 413),
    ],
)
async def test_the_limits_hold_for_the_body_as_sent_and_as_decompressed(
    listen: Listen, connect: ConnectTo, body: bytes, headers: tuple[str, ...], status: int
) -> None:
    sender = await connect(await listen())
    await sender.send(request(body, *headers))
    assert await sender.status() == status


async def test_a_body_in_chunks_is_cut_at_the_limit(listen: Listen, connect: ConnectTo, pipeline: Pipeline) -> None:
    sender = await connect(await listen())
    await sender.send(request(b"", "Transfer-Encoding: chunked"))
    for _ in range(5):
        await sender.send(b"2710\r\n" + b"x" * 10_000 + b"\r\n")
    assert await sender.status() == 413
    assert pipeline.taken == []


async def test_an_announced_size_above_the_limit_is_refused_before_it_is_sent(
    listen: Listen, connect: ConnectTo
) -> None:
    sender = await connect(await listen())
    await sender.send(request(b"", "Expect: 100-continue", length=10**12))
    assert await sender.status() == 413


async def test_a_sender_that_asks_first_is_told_to_go_on(
    listen: Listen, connect: ConnectTo, pipeline: Pipeline
) -> None:
    sender = await connect(await listen())
    await sender.send(request(b"", "Expect: 100-continue", length=7))
    assert await sender.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    await sender.send(b"payload")
    assert await sender.status() == 200
    assert pipeline.taken == [b"payload"]
    await sender.send(request(b"", "Expect: a-miracle", length=7))
    assert await sender.status() == 417


@pytest.mark.parametrize(
    "body",
    [
        zipped(b"x" * 5_000)[:-1],
        zipped(b"x" * 5_000)[:20],
        b"",
        b"not gzip at all",
        zipped(b"x" * 5_000) + b"garbage behind it",
        zipped(b"x" * 5_000)[:-8] + bytes(8),
    ],
)
async def test_a_truncated_or_broken_gzip_is_400(
    listen: Listen, connect: ConnectTo, pipeline: Pipeline, body: bytes
) -> None:
    sender = await connect(await listen())
    await sender.send(request(body, "Content-Encoding: gzip"))
    status, headers, answer = await sender.answer()
    assert (status, headers["content-type"]) == (400, "application/json")
    assert json.loads(answer)["code"] == 3
    assert pipeline.taken == []


async def test_data_behind_a_deflate_body_is_400(listen: Listen, connect: ConnectTo) -> None:
    sender = await connect(await listen())
    await sender.send(request(zlib.compress(b"x") + zlib.compress(b"y"), "Content-Encoding: deflate"))
    assert await sender.status() == 400


@pytest.mark.parametrize("sent", [b"", b"P", b"POST /v1/logs HTTP/1.1\r\nHost: 127.0.0.1\r\n"])
async def test_headers_that_do_not_come_to_an_end_are_cut(listen: Listen, connect: ConnectTo, sent: bytes) -> None:
    sender = await connect(await listen(ReceiverLimits(header_seconds=0.05, idle_seconds=3600)))
    await sender.send(sent)
    assert await sender.is_cut()


async def test_headers_that_trickle_in_are_cut_also_on_a_connection_that_served_before(
    listen: Listen, connect: ConnectTo
) -> None:
    sender = await served(connect, await listen(ReceiverLimits(header_seconds=0.3, idle_seconds=3600)))

    async def trickle() -> None:
        for byte in request(b"", *(f"X-{number}: y" for number in range(50))):
            await sender.send(bytes([byte]))
            await asyncio.sleep(0.01)

    trickling = asyncio.create_task(trickle())
    assert await sender.is_cut()
    trickling.cancel()


async def test_an_idle_connection_is_closed(listen: Listen, connect: ConnectTo) -> None:
    sender = await served(connect, await listen(ReceiverLimits(idle_seconds=0.3)))
    assert await sender.is_cut()


async def test_a_body_that_trickles_in_is_408_and_cut(listen: Listen, connect: ConnectTo, pipeline: Pipeline) -> None:
    receiver = await listen(ReceiverLimits(body_seconds=0.05, linger_seconds=0.05))
    sender = await connect(receiver)
    await sender.send(request(b"half", length=8))
    status, headers, _ = await sender.answer()
    assert (status, headers["connection"]) == (408, "close")
    assert await sender.is_cut()
    assert (pipeline.taken, receiver._budget.held_bytes) == ([], 0)


@pytest.mark.parametrize("go_away", ["abort", "close"])
async def test_a_sender_that_goes_away_within_its_body_leaves_nothing_behind(
    listen: Listen, connect: ConnectTo, pipeline: Pipeline, go_away: str
) -> None:
    reports: list[str] = []
    receiver = await listen(report=reports.append)
    for _ in range(20):
        sender = await connect(receiver)
        await sender.send(request(b"half", length=8))
        getattr(sender.writer.transport, go_away)()
    # Those that are gone are noticed one after the other; until then there is no room.
    await served(connect, receiver)
    assert (pipeline.taken, receiver._budget.held_bytes) == ([b"{}"], 0)
    assert reports == []


async def test_a_sender_that_goes_away_before_the_answer_is_committed_all_the_same(
    listen: Listen, connect: ConnectTo, pipeline: Pipeline
) -> None:
    receiver = await listen()
    pipeline.commit.clear()
    sender = await connect(receiver)
    await sender.send(request(b"payload"))
    await pipeline.reached.wait()
    sender.writer.transport.abort()
    pipeline.commit.set()
    other = await connect(receiver)
    await other.send(request(b"next"))
    assert await other.status() == 200
    assert pipeline.taken == [b"payload", b"next"]


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense with a secret\r\n\r\n",
        b"POST /v1/logs HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"secret" * 2_000 + b"\r\n\r\n",
        b"POST /" + b"secret" * 2_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        request(b"", *(f"X-{number}: secret" for number in range(1_000))),
        request(b"secret", "Transfer-Encoding: chunked"),
        request(b"secret", "Content-Length: -1"),
        request(b"secret", "Content-Length: 6", "Content-Length: 7"),
        request(b"0\r\n\r\n", "Transfer-Encoding: chunked", "Content-Length: 5"),
        b"POST /v1/logs HTTP/1.1\r\nHost: 127.0.0.1\r\nX\x00: secret\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_400_without_repeating_any_of_it(
    listen: Listen, connect: ConnectTo, pipeline: Pipeline, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    sender = await connect(await listen())
    await sender.send(sent)
    status, headers, body = await sender.answer()
    assert (status, headers["content-type"]) == (400, "application/json")
    assert json.loads(body)["code"] == 3
    assert b"secret" not in body
    assert "secret" not in caplog.text
    assert pipeline.taken == []


async def test_connections_beyond_the_limit_are_turned_away_until_one_closes(
    listen: Listen, connect: ConnectTo
) -> None:
    receiver = await listen()
    senders = [await connect(receiver) for _ in range(4)]
    for sender in senders:
        await sender.send(request())
        assert await sender.status() == 200
    turned_away = await connect(receiver)
    status, headers, body = await turned_away.answer()
    assert (status, headers["retry-after"], json.loads(body)["code"]) == (503, "1", 14)
    senders[0].writer.close()
    await served(connect, receiver)


async def test_bodies_held_at_once_are_bounded(listen: Listen, connect: ConnectTo, pipeline: Pipeline) -> None:
    receiver = await listen()
    pipeline.commit.clear()
    holders = [await connect(receiver) for _ in range(2)]
    for holder in holders:
        pipeline.reached.clear()
        await holder.send(request(b"x" * 40_000))
        await pipeline.reached.wait()
    sender = await connect(receiver)
    await sender.send(request(b"x" * 40_000))
    status, headers, _ = await sender.answer()
    assert (status, headers["retry-after"]) == (429, "1")
    pipeline.commit.set()
    for holder in holders:
        assert await holder.status() == 200
    sender = await connect(receiver)
    await sender.send(request(b"x" * 40_000))
    assert await sender.status() == 200
    assert receiver._budget.held_bytes == 0


async def test_a_request_that_hangs_does_not_keep_the_receiver_from_stopping(
    listen: Listen, connect: ConnectTo, pipeline: Pipeline
) -> None:
    receiver = await listen()
    pipeline.commit.clear()
    sender = await connect(receiver)
    await sender.send(request())
    await pipeline.reached.wait()
    await receiver.stop(0)
    assert await sender.is_cut()
