"""The gRPC receiver against senders that mean harm or are broken."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final

import pytest

from cline_otel.sources.otlp.grpc_receiver import OtlpGrpcReceiver
from cline_otel.sources.otlp.limits import ReceiverLimits
from http2_sender import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    Sender,
    connected,
    frame,
    header_block,
    message,
    request_headers,
)
from receiving import Pipeline
from waiting import patience

zipped = partial(gzip.compress, mtime=0)

OK, INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED = 0, 3, 4, 8

_LIMITS: Final = ReceiverLimits(
    compressed_bytes=10_000, body_bytes=40_000, held_bytes=100_000, connections=4, idle_seconds=3600
)

Listen = Callable[..., Awaitable[OtlpGrpcReceiver]]


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
async def listen(pipeline: Pipeline) -> AsyncIterator[Listen]:
    receivers: list[OtlpGrpcReceiver] = []

    async def start(
        limits: ReceiverLimits = _LIMITS, report: Callable[[str], None] = lambda line: None
    ) -> OtlpGrpcReceiver:
        receiver = OtlpGrpcReceiver(pipeline, "otlp", port=0, limits=limits, report=report)
        await receiver.start()
        receivers.append(receiver)
        return receiver

    yield start
    for receiver in receivers:
        await receiver.stop(0)


def call(body: bytes, stream: int = 1, *, is_compressed: bool = False) -> Iterable[bytes]:
    """The frames of one whole call."""
    encoding = {"grpc-encoding": "gzip"} if is_compressed else {}
    data = message(body, is_compressed=is_compressed)
    yield frame(HEADERS, request_headers(**encoding), END_HEADERS, stream)
    pieces = [data[start : start + 16_384] for start in range(0, len(data), 16_384)]
    for piece in pieces[:-1]:
        yield frame(DATA, piece, 0, stream)
    yield frame(DATA, pieces[-1], END_STREAM, stream)


async def status(sender: Sender) -> int:
    """The gRPC status of the connection's first call, which is not abbreviated as those of later ones may be."""
    async with patience():
        while True:
            headers = await sender.until(HEADERS)
            _, _, rest = headers.partition(b"grpc-status")
            if rest:
                return int(rest[1 : 1 + rest[0]])


async def served(receiver: OtlpGrpcReceiver) -> None:
    """Waits until a new connection is served; one too many is cut."""
    async with patience():
        while True:
            async with connected(receiver.port) as sender:
                with suppress(ConnectionError, asyncio.IncompleteReadError):
                    await sender.begin()
                    await sender.send(*call(b"next"))
                    if await status(sender) == OK:
                        return


@pytest.mark.parametrize(
    ("body", "is_compressed", "expected"),
    [
        (b"x" * 40_000, False, OK),
        (b"x" * 40_001, False, RESOURCE_EXHAUSTED),
        (zipped(b"x" * 40_000), True, OK),
        (zipped(b"x" * 40_001), True, RESOURCE_EXHAUSTED),
        (b"\x1f\x8b" + bytes(10_000), True, RESOURCE_EXHAUSTED),
        (zipped(b"x" * 5_000)[:-1], True, INVALID_ARGUMENT),
        (zipped(b"x" * 5_000)[:20], True, INVALID_ARGUMENT),
        (zipped(b"x" * 5_000) + b"garbage behind it", True, INVALID_ARGUMENT),
        (zipped(b"x" * 5_000)[:-8] + bytes(8), True, INVALID_ARGUMENT),
    ],
    ids=[
        *("as large as may be", "too large", "as large as may be once inflated", "too large once inflated"),
        *("no gzip", "without its last byte", "cut off", "something behind it", "another checksum"),
    ],
)
async def test_the_limits_hold_for_the_body_as_sent_and_as_decompressed(
    listen: Listen, pipeline: Pipeline, body: bytes, is_compressed: bool, expected: int
) -> None:
    receiver = await listen()
    async with connected(receiver.port) as sender:
        await sender.begin()
        await sender.send(*call(body, is_compressed=is_compressed))
        assert await status(sender) == expected
    assert len(pipeline.taken) == (expected == OK)
    assert receiver._budget.held_bytes == 0


_BOMB: Final = """
import asyncio, resource, sys
from cline_otel.sources.otlp.grpc_receiver import OtlpGrpcReceiver
from receiving import Pipeline

async def main():
    receiver = OtlpGrpcReceiver(Pipeline(), "otlp", port=0)
    await receiver.start()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(receiver.port, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    await receiver.stop(0)
    print((after - before) * (1 if sys.platform == "darwin" else 1024))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such measure")
async def test_a_decompression_bomb_is_cut_before_it_is_inflated() -> None:
    bomb = zipped(bytes(10_000_000)) * 100
    assert len(bomb) < ReceiverLimits().compressed_bytes
    environment = {"PYTHONPATH": ":".join(sys.path)}
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _BOMB, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    assert program.stdout is not None
    assert program.stdin is not None
    port = int(await program.stdout.readline())
    async with connected(port) as sender:
        await sender.begin()
        await sender.send(*call(bomb, is_compressed=True))
        assert await status(sender) == RESOURCE_EXHAUSTED
    program.stdin.write(b"\n")
    grown_bytes = int(await program.stdout.readline())
    await program.wait()
    assert grown_bytes < 50_000_000


async def test_a_message_that_does_not_come_to_an_end_is_cut(listen: Listen, pipeline: Pipeline) -> None:
    receiver = await listen(ReceiverLimits(body_seconds=0.05))
    half = frame(DATA, message(b"half", length=8), 0, 1)
    for data in (b"", half):
        async with connected(receiver.port) as sender:
            await sender.begin()
            await sender.send(frame(HEADERS, request_headers(), END_HEADERS, 1), data)
            assert await status(sender) == DEADLINE_EXCEEDED
    assert (pipeline.taken, receiver._budget.held_bytes) == ([], 0)


@pytest.mark.parametrize("data", [b"", message(b"half", length=8), b"\x00\x00"])
async def test_half_a_message_with_an_end_is_no_request(listen: Listen, pipeline: Pipeline, data: bytes) -> None:
    receiver = await listen()
    async with connected(receiver.port) as sender:
        await sender.begin()
        await sender.send(frame(HEADERS, request_headers(), END_HEADERS, 1), frame(DATA, data, END_STREAM, 1))
        assert await status(sender) != OK
    await served(receiver)
    assert set(pipeline.taken) == {(b"next", "protobuf")}


async def test_an_announced_size_above_the_limit_is_refused_before_it_is_sent(listen: Listen) -> None:
    receiver = await listen()
    async with connected(receiver.port) as sender:
        await sender.begin()
        begun = frame(DATA, message(b"x", length=2**32 - 1), 0, 1)
        await sender.send(frame(HEADERS, request_headers(), END_HEADERS, 1), begun)
        assert await status(sender) == RESOURCE_EXHAUSTED


@pytest.mark.parametrize("sent", [b"", PREFACE[:9], PREFACE])
async def test_a_connection_that_does_not_begin_is_cut(listen: Listen, sent: bytes) -> None:
    receiver = await listen(ReceiverLimits(header_seconds=0.05, idle_seconds=3600))
    async with connected(receiver.port) as sender:
        await sender.send(sent)
        assert GOAWAY in [kind for kind, _, _ in await sender.frames()]


@pytest.mark.parametrize("begun", [b"", frame(HEADERS, request_headers()[:20], 0, 1)])
async def test_an_idle_connection_is_closed_also_within_headers(listen: Listen, begun: bytes) -> None:
    receiver = await listen(ReceiverLimits(idle_seconds=0.2))
    async with connected(receiver.port) as sender:
        await sender.begin()
        await sender.send(begun)
        assert GOAWAY in [kind for kind, _, _ in await sender.frames()]


async def test_a_sender_that_does_not_read_is_cut(listen: Listen) -> None:
    receiver = await listen(ReceiverLimits(write_seconds=0.2, idle_seconds=3600))
    async with connected(receiver.port) as sender:
        await sender.begin()
        # Its answer to a ping never comes, as if nobody read.
        kinds = [kind for kind, _, _ in await sender.frames()]
    assert PING in kinds
    assert kinds[-1] == GOAWAY


async def test_a_flood_of_metadata_is_refused(listen: Listen, pipeline: Pipeline) -> None:
    receiver = await listen()
    async with connected(receiver.port) as sender:
        await sender.begin()
        flood = [frame(HEADERS, request_headers(), 0, 1)]
        flood += [frame(CONTINUATION, header_block([(f"x{number}", "y" * 100)]), 0, 1) for number in range(2_000)]
        flood += [frame(CONTINUATION, b"", END_HEADERS, 1), frame(DATA, message(b"x"), END_STREAM, 1)]
        with suppress(ConnectionError):
            await sender.send(*flood)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            assert await status(sender) != OK
    await served(receiver)
    assert set(pipeline.taken) == {(b"next", "protobuf")}


@pytest.mark.parametrize(
    "sent",
    [
        b"POST /v1/logs HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 6\r\n\r\nsecret",
        b"nonsense with a secret\r\n\r\n",
        PREFACE + frame(SETTINGS) + b"secret" * 100,
        PREFACE + frame(SETTINGS) + frame(DATA, b"secret", 0, 7),
        PREFACE + frame(SETTINGS) + frame(HEADERS, b"\xff" * 40 + b"secret", END_HEADERS, 1),
        PREFACE + frame(SETTINGS) + frame(HEADERS, request_headers(**{"grpc-encoding": "secret"}), END_HEADERS, 1),
    ],
)
async def test_what_is_no_grpc_is_cut_or_refused_and_written_nowhere(
    listen: Listen, pipeline: Pipeline, sent: bytes, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    receiver = await listen(ReceiverLimits(body_seconds=0.05, idle_seconds=0.2, header_seconds=0.2))
    async with connected(receiver.port) as sender:
        await sender.send(sent)
        await sender.frames()
    await served(receiver)
    assert set(pipeline.taken) == {(b"next", "protobuf")}
    assert "secret" not in f"{caplog.text} {capfd.readouterr()}"


async def test_connections_beyond_the_limit_are_cut_until_one_closes(listen: Listen) -> None:
    receiver = await listen()
    async with connected(receiver.port) as first, connected(receiver.port) as second, connected(receiver.port) as third:
        async with connected(receiver.port) as fourth:
            for sender in (first, second, third, fourth):
                await sender.begin()
                await sender.send(*call(b"payload"))
                assert await status(sender) == OK
            async with connected(receiver.port) as fifth:
                with suppress(ConnectionError, asyncio.IncompleteReadError):
                    await fifth.begin()
                    await fifth.send(*call(b"payload"))
                assert HEADERS not in [kind for kind, _, _ in await fifth.frames()]
        await served(receiver)


async def test_many_connections_are_served_one_after_the_other(listen: Listen, pipeline: Pipeline) -> None:
    receiver = await listen()
    for _ in range(100):
        await served(receiver)
    assert pipeline.taken == [(b"next", "protobuf")] * 100


async def test_bodies_held_at_once_are_bounded(listen: Listen, pipeline: Pipeline) -> None:
    receiver = await listen()
    pipeline.commit.clear()
    async with connected(receiver.port) as first, connected(receiver.port) as second:
        for holder in (first, second):
            await holder.begin()
            pipeline.reached.clear()
            await holder.send(*call(b"x" * 40_000))
            await pipeline.reached.wait()
        async with connected(receiver.port) as sender:
            await sender.begin()
            await sender.send(*call(b"x" * 40_000))
            assert await status(sender) == RESOURCE_EXHAUSTED
        pipeline.commit.set()
        assert [await status(first), await status(second)] == [OK, OK]
    await served(receiver)
    assert receiver._budget.held_bytes == 0


async def test_a_sender_that_goes_away_leaves_nothing_behind(listen: Listen, pipeline: Pipeline) -> None:
    reports: list[str] = []
    receiver = await listen(report=reports.append)
    for _ in range(20):
        async with connected(receiver.port) as sender:
            with suppress(ConnectionError):
                await sender.begin()
                begun = frame(DATA, message(b"half", length=8), 0, 1)
                await sender.send(frame(HEADERS, request_headers(), END_HEADERS, 1), begun)
    await served(receiver)
    assert (set(pipeline.taken), receiver._budget.held_bytes, reports) == ({(b"next", "protobuf")}, 0, [])


async def test_a_request_that_hangs_does_not_keep_the_receiver_from_stopping(
    listen: Listen, pipeline: Pipeline
) -> None:
    receiver = await listen()
    pipeline.commit.clear()
    async with connected(receiver.port) as sender:
        await sender.begin()
        await sender.send(*call(b"payload"))
        await pipeline.reached.wait()
        await receiver.stop(0)
        await sender.frames()
