"""Journal, delivery loop, exporter and a real server together: what is committed arrives, whatever the server does."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cline_otel.destinations import OtlpDestination, OtlpProtocol
from cline_otel.export.backoff import Backoff
from cline_otel.export.delivery_loop import BatchLimits, DeliveryLoop
from cline_otel.export.exporters import Exporters
from cline_otel.journal import Commit, Journal, OutboxItem
from waiting import PATIENCE_SECONDS, eventually

PROTOCOLS: list[OtlpProtocol] = ["http/protobuf", "http/json", "grpc"]
QUICK = Backoff(initial_seconds=0.01, maximum_seconds=0.02, hold_seconds=0.01)


class Collector:
    """Takes spans over HTTP or gRPC, except those whose name it was told to refuse."""

    def __init__(self, protocol: OtlpProtocol) -> None:
        self.protocol = protocol
        self.port = free_port()
        self.names: list[str] = []
        self.refuses: set[str] = set()
        self.requests = 0

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        if self.protocol == "grpc":
            server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
            handler = grpc.unary_unary_rpc_method_handler(self._call)
            service = "opentelemetry.proto.collector.trace.v1.TraceService"
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
            server.add_insecure_port(f"127.0.0.1:{self.port}")
            await server.start()
            try:
                yield
            finally:
                await server.stop(None)
            return
        runner = web.ServerRunner(web.Server(self._post))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield
        finally:
            await runner.cleanup()

    def destination(self) -> OtlpDestination:
        address = f"127.0.0.1:{self.port}"
        is_grpc = self.protocol == "grpc"
        return OtlpDestination(
            signal="traces",
            protocol=self.protocol,
            endpoint=address if is_grpc else f"http://{address}/v1/traces",
            compression="gzip",
            insecure=True,
        )

    async def _call(self, payload: bytes, context: grpc.aio.ServicerContext) -> bytes:
        names = span_names(ExportTraceServiceRequest.FromString(payload))
        if not self._take(names):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no")
        return b""

    async def _post(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.content_type == "application/json":
            decoded = await request.json()
            names = [
                span["name"]
                for resource in decoded["resourceSpans"]
                for scope in resource["scopeSpans"]
                for span in scope["spans"]
            ]
        else:
            names = span_names(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(status=200 if self._take(names) else 400)

    def _take(self, names: list[str]) -> bool:
        self.requests += 1
        if self.refuses.intersection(names):
            return False
        self.names += names
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def span_names(message: ExportTraceServiceRequest) -> list[str]:
    return [span.name for entry in message.resource_spans for scope in entry.scope_spans for span in scope.spans]


def span(name: str) -> OutboxItem:
    message = ExportTraceServiceRequest()
    added = message.resource_spans.add().scope_spans.add().spans.add()
    added.name = name
    added.trace_id = b"\x01" * 16
    added.span_id = b"\x02" * 8
    return OutboxItem("traces", message.SerializeToString(), 1)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as journal:
        yield journal


@pytest.fixture(params=PROTOCOLS)
def collector(request: pytest.FixtureRequest) -> Collector:
    return Collector(request.param)


def loop_of(journal: Journal, exporters: Exporters, **more: Any) -> DeliveryLoop:
    exporter = exporters.of_outbox("traces")
    assert exporter is not None
    return DeliveryLoop("traces", journal, exporter, backoff=QUICK, linger_seconds=0, **more)


async def until_empty(journal: Journal) -> None:
    await eventually(lambda: not journal.pending("traces", limit_bytes=1, limit_rows=1))


async def test_nothing_is_lost_or_doubled_while_the_server_goes_away_and_comes_back(
    journal: Journal, collector: Collector
) -> None:
    exporters = Exporters({"traces": [collector.destination()]})
    loop = loop_of(journal, exporters)
    loop.start()
    expected: list[str] = []
    for outage in range(3):
        names = [f"{outage}/{number}" for number in range(5)]
        expected += names
        for name in names:
            journal.commit(Commit(outbox=[span(name)]))
            loop.notify()
        await eventually(lambda: journal.status().signals["traces"].last_error)
        async with collector.up():
            await until_empty(journal)
    assert await loop.drain(PATIENCE_SECONDS)
    await exporters.close()
    assert sorted(collector.names) == expected
    status = journal.status().signals["traces"]
    assert (status.delivered_items, status.refused_items, status.last_error) == (15, 0, "")


async def test_one_bad_row_among_many_is_found_and_the_rest_arrives(journal: Journal, collector: Collector) -> None:
    names = [str(number) for number in range(64)]
    journal.commit(Commit(outbox=[span(name) for name in names]))
    collector.refuses = {"40"}
    exporters = Exporters({"traces": [collector.destination()]})
    async with collector.up():
        assert await loop_of(journal, exporters).drain(PATIENCE_SECONDS)
        await exporters.close()
    assert sorted(collector.names) == sorted(name for name in names if name != "40")
    assert collector.requests <= 1 + 4 * 6, "a search from both ends, not a walk"
    status = journal.status().signals["traces"]
    assert (status.delivered_items, status.refused_items, status.dead_letter_rows) == (63, 1, 1)


async def test_a_backlog_travels_in_requests_of_bounded_size(journal: Journal, collector: Collector) -> None:
    names = [f"{number:04}" for number in range(300)]
    journal.commit(Commit(outbox=[span(name) for name in names]))
    exporters = Exporters({"traces": [collector.destination()]})
    async with collector.up():
        assert await loop_of(journal, exporters, limits=BatchLimits(rows=100)).drain(PATIENCE_SECONDS)
        await exporters.close()
    assert collector.names == names
    assert collector.requests == 3
