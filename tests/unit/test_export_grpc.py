"""OTLP/gRPC against real servers on free ports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import msgspec
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2, logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2, metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from cline_otel import __version__
from cline_otel.destinations import OtlpDestination
from cline_otel.export.interface import (
    Batch,
    Delivered,
    EncodedRequest,
    ExportResult,
    Paused,
    Refused,
    Retry,
    Unreachable,
)
from cline_otel.export.otlp_grpc import OtlpGrpcExporter
from cline_otel.signals import SignalName
from waiting import PATIENCE_SECONDS, patience

Context = grpc.aio.ServicerContext


class Collector(
    trace_service_pb2_grpc.TraceServiceServicer,
    metrics_service_pb2_grpc.MetricsServiceServicer,
    logs_service_pb2_grpc.LogsServiceServicer,
):
    """The generated services, answering with ``answer``."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.answer: Callable[[Context], Any] | None = None
        self.port = 0

    async def Export(self, request: Any, context: Context) -> Any:  # noqa: N802
        self.received.append(request)
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata() or ()})
        if self.answer is not None:
            answer = self.answer(context)
            return await answer if asyncio.iscoroutine(answer) else answer
        return {
            "ExportTraceServiceRequest": trace_service_pb2.ExportTraceServiceResponse,
            "ExportMetricsServiceRequest": metrics_service_pb2.ExportMetricsServiceResponse,
            "ExportLogsServiceRequest": logs_service_pb2.ExportLogsServiceResponse,
        }[type(request).__name__]()


@asynccontextmanager
async def serving(
    collector: Collector,
    port: int = 0,
    credentials: grpc.ServerCredentials | None = None,
    options: Sequence[tuple[str, Any]] = (),
) -> AsyncIterator[int]:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), *options])
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(collector, server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(collector, server)
    address = f"127.0.0.1:{port}"
    bound = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    await server.start()
    try:
        yield bound
    finally:
        await server.stop(None)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    async with serving(collector) as port:
        collector.port = port
        yield collector


def trace_request(*names: str) -> bytes:
    message = trace_service_pb2.ExportTraceServiceRequest()
    for name in names:
        message.resource_spans.add().scope_spans.add().spans.add().name = name
    return message.SerializeToString()


def batch(*payloads: bytes) -> Batch:
    return Batch([EncodedRequest(payload, 1, number) for number, payload in enumerate(payloads)])


def destination(port: int, **settings: Any) -> OtlpDestination:
    usual = {"protocol": "grpc", "endpoint": f"127.0.0.1:{port}", "timeout_seconds": PATIENCE_SECONDS}
    return OtlpDestination(**{"signal": "traces", "insecure": True, **usual, **settings})


async def export(destination: OtlpDestination, *payloads: bytes) -> ExportResult:
    exporter = OtlpGrpcExporter(destination)
    try:
        return await exporter.export(batch(*payloads))
    finally:
        await exporter.close()


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_rows_arrive_as_one_request_with_everything_in_it(collector: Collector, compression: str) -> None:
    given = destination(collector.port, compression=compression, headers=(("x-tenant", "a"),))
    assert await export(given, trace_request("a", "b"), trace_request("c")) == Delivered()
    (request,) = collector.received
    assert [entry.scope_spans[0].spans[0].name for entry in request.resource_spans] == ["a", "b", "c"]
    assert collector.metadata[0]["x-tenant"] == "a"
    assert collector.metadata[0]["user-agent"].startswith(f"cline-otel/{__version__} ")


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        ("traces", trace_service_pb2.ExportTraceServiceRequest),
        ("metrics", metrics_service_pb2.ExportMetricsServiceRequest),
        ("logs", logs_service_pb2.ExportLogsServiceRequest),
    ],
)
async def test_each_signal_goes_to_its_own_service(collector: Collector, signal: SignalName, message: type) -> None:
    assert await export(destination(collector.port, signal=signal), b"") == Delivered()
    assert type(collector.received[0]) is message


async def test_partial_success_is_delivered_with_its_count_and_message(collector: Collector) -> None:
    answer = trace_service_pb2.ExportTraceServiceResponse()
    answer.partial_success.rejected_spans = 3
    answer.partial_success.error_message = "too old"
    collector.answer = lambda _: answer
    assert await export(destination(collector.port), b"") == Delivered(3, "too old")


def failing(code: grpc.StatusCode, trailing: Sequence[tuple[str, bytes]] = ()) -> Callable[[Context], Any]:
    async def answer(context: Context) -> Any:
        await context.abort(code, "some words", tuple(trailing))

    return answer


CODES = {
    Retry: ["CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"],
    Paused: ["UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED", "NOT_FOUND"],
    Refused: ["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "INTERNAL", "UNKNOWN", "ALREADY_EXISTS", "FAILED_PRECONDITION"],
}


def test_every_code_of_grpc_has_its_outcome() -> None:
    assert {name for names in CODES.values() for name in names} == {code.name for code in grpc.StatusCode} - {"OK"}


@pytest.mark.parametrize(("code", "kind"), [(code, kind) for kind, codes in CODES.items() for code in codes])
async def test_every_code_leads_to_its_outcome(collector: Collector, code: str, kind: type) -> None:
    collector.answer = failing(grpc.StatusCode[code])
    result = await export(destination(collector.port), b"")
    assert type(result) is kind
    assert not isinstance(result, Delivered)
    assert code in result.reason
    assert "some words" in result.reason
    assert len(collector.received) == 1
    if isinstance(result, Paused):
        assert "OTEL_EXPORTER_OTLP" in result.remedy


def retry_info(seconds: int, nanos: int) -> RetryInfo:
    return RetryInfo(retry_delay=Duration(seconds=seconds, nanos=nanos))


def in_status_details(info: RetryInfo) -> tuple[str, bytes]:
    packed = AnyMessage()
    packed.Pack(info)
    return "grpc-status-details-bin", Status(code=8, details=[AnyMessage(), packed]).SerializeToString()


@pytest.mark.parametrize("code", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE])
@pytest.mark.parametrize(
    "trailing",
    [
        in_status_details(retry_info(7, 500_000_000)),
        ("google.rpc.retryinfo-bin", retry_info(7, 500_000_000).SerializeToString()),
    ],
    ids=["status details", "by itself"],
)
async def test_retry_info_is_passed_on_and_makes_exhaustion_retryable(
    collector: Collector, code: grpc.StatusCode, trailing: tuple[str, bytes]
) -> None:
    collector.answer = failing(code, [trailing])
    result = await export(destination(collector.port), b"")
    assert isinstance(result, Retry)
    assert result.after_seconds == 7.5


@pytest.mark.parametrize("key", ["grpc-status-details-bin", "google.rpc.retryinfo-bin"])
async def test_broken_retry_info_is_no_retry_info(collector: Collector, key: str) -> None:
    collector.answer = failing(grpc.StatusCode.UNAVAILABLE, [(key, b"\xff\xff\xff")])
    result = await export(destination(collector.port), b"")
    assert isinstance(result, Retry)
    assert result.after_seconds is None


async def test_a_request_too_large_for_the_server_can_be_split() -> None:
    collector = Collector()
    async with serving(collector, options=[("grpc.max_receive_message_length", 1000)]) as port:
        exporter = OtlpGrpcExporter(destination(port))
        result = await exporter.export(batch(trace_request("x" * 600), trace_request("y" * 600)))
        assert isinstance(result, Refused)
        assert result.grounds == "content"
        assert await exporter.export(batch(trace_request("x" * 600))) == Delivered()
        await exporter.close()


async def test_a_proxy_of_grpc_is_asked_and_named_without_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    for name in ("grpc_proxy", "http_proxy", "no_grpc_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("https_proxy", f"http://somebody:pass@127.0.0.1:{port}")
    given = msgspec.structs.replace(destination(4317), endpoint="collector.invalid:4317")
    async with server, patience():
        exporter = OtlpGrpcExporter(given)
        try:
            result = await exporter.export(Batch([EncodedRequest(b"", 1, 1)]))
        finally:
            await exporter.close()
    assert asked[0].startswith(b"CONNECT collector.invalid:4317 ")
    assert isinstance(result, Unreachable)
    for shown in (exporter.description, result.reason):
        assert f"by the proxy http://127.0.0.1:{port}" in shown
        assert "somebody" not in shown


async def test_a_server_that_does_not_answer_is_left_after_the_timeout(collector: Collector) -> None:
    released = asyncio.Event()

    async def stall(_: Context) -> Any:
        await released.wait()
        return trace_service_pb2.ExportTraceServiceResponse()

    collector.answer = stall
    result = await export(destination(collector.port, timeout_seconds=0.05), b"")
    released.set()
    assert isinstance(result, Retry)
    assert "DEADLINE_EXCEEDED" in result.reason


async def test_a_server_that_is_away_and_comes_back_gets_the_data() -> None:
    collector = Collector()
    async with serving(collector) as port:
        exporter = OtlpGrpcExporter(destination(port))
        assert await exporter.export(batch(trace_request("a"))) == Delivered()
    assert isinstance(await exporter.export(batch(b"")), Unreachable)
    async with serving(collector, port):
        async with patience():
            # The channel takes a moment to see that the server is back; the delivery loop waits in between.
            while isinstance(await exporter.export(batch(trace_request("b"))), Retry | Unreachable):
                pass
        await exporter.close()
    assert [request.resource_spans[0].scope_spans[0].spans[0].name for request in collector.received] == ["a", "b"]
