"""No answer makes the bridge ask more often than its own backoff does, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo

from cline_otel.destinations import OtlpDestination
from cline_otel.export.delivery_loop import DeliveryLoop
from cline_otel.export.exporters import Exporters
from cline_otel.journal import Commit, Journal, OutboxItem
from loopback_server import Answer, HttpRequest, LoopbackServer
from virtual_time import VirtualTime
from waiting import PATIENCE_SECONDS

REFUSALS = 12
OURS = [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60]


async def deliver(destination: OtlpDestination, path: Path, time: VirtualTime) -> None:
    """Sends one span until it is taken."""
    exporters = Exporters({"traces": [destination]})
    exporter = exporters.of_outbox("traces")
    assert exporter is not None
    with Journal.open(path) as journal:
        journal.commit(Commit(outbox=[OutboxItem("traces", b"\n\x00", 1)]))
        loop = DeliveryLoop("traces", journal, exporter, sleep=time.sleep, clock=time.clock, random=lambda: 0.5)
        assert await loop.drain(PATIENCE_SECONDS * 3600)
        assert journal.status().signals["traces"].delivered_items == 1
    await exporters.close()


def waits(asked_at: Sequence[float]) -> list[float]:
    """Between one request and the next, in seconds."""
    return [round(after - before, 6) for before, after in pairwise(asked_at)]


@pytest.mark.parametrize(
    "retry_after", ["0", "-7", "0.001", "Thu, 01 Jan 1970 00:00:00 GMT", "soon"], ids=lambda value: value[:5]
)
async def test_no_retry_after_makes_a_wait_shorter_than_ours(retry_after: str, tmp_path: Path) -> None:
    time, asked_at = VirtualTime(), list[float]()

    def answer(_: HttpRequest) -> Answer:
        asked_at.append(time.now)
        return (429, b"", {"Retry-After": retry_after}) if len(asked_at) <= REFUSALS else (200, b"")

    with LoopbackServer(answer).listen() as server:
        url = f"{server.url}/v1/traces"
        destination = OtlpDestination(signal="traces", protocol="http/protobuf", endpoint=url)
        await deliver(destination, tmp_path / "journal.db", time)
    assert waits(asked_at) == OURS


@asynccontextmanager
async def grpc_server(handle: Any) -> AsyncIterator[int]:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(handle)
    service = "opentelemetry.proto.collector.trace.v1.TraceService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(None)


@pytest.mark.parametrize("delay", [Duration(), Duration(nanos=1), Duration(seconds=-5)], ids=["none", "1 ns", "past"])
async def test_no_retry_info_makes_a_wait_shorter_than_ours(delay: Duration, tmp_path: Path) -> None:
    time, asked_at = VirtualTime(), list[float]()
    info = RetryInfo(retry_delay=delay).SerializeToString()

    async def handle(_: bytes, context: Any) -> bytes:
        asked_at.append(time.now)
        if len(asked_at) <= REFUSALS:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "", (("google.rpc.retryinfo-bin", info),))
        return b""

    async with grpc_server(handle) as port:
        destination = OtlpDestination(signal="traces", protocol="grpc", endpoint=f"127.0.0.1:{port}", insecure=True)
        await deliver(destination, tmp_path / "journal.db", time)
    assert waits(asked_at) == OURS
