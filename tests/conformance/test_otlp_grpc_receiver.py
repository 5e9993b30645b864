"""The gRPC receiver against the OTLP specification 1.x, measured with the official services and exporters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from google.rpc.code_pb2 import UNAVAILABLE, Code
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

from cline_otel.export.otlp_grpc import retry_info_seconds
from cline_otel.signals import GRPC_METHODS, SignalName
from cline_otel.sources.intake import Busy, Unavailable
from cline_otel.sources.interface import AddressInUse, MalformedPayload, ReceiveResult, ReceiverRefused
from cline_otel.sources.otlp.grpc_receiver import OtlpGrpcReceiver
from cline_otel.sources.otlp.http_receiver import OtlpHttpReceiver
from receiving import Pipeline

COMPRESSIONS = [grpc.Compression.NoCompression, grpc.Compression.Gzip]


class Client:
    """Calls ``Export`` with bytes, and gets bytes."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def export(
        self,
        body: bytes,
        signal: SignalName = "logs",
        compression: grpc.Compression = grpc.Compression.NoCompression,
        **metadata: str,
    ) -> bytes:
        return await self._channel.unary_unary(GRPC_METHODS[signal])(
            body, compression=compression, metadata=tuple(metadata.items())
        )

    async def refusal(self, body: bytes, signal: SignalName = "logs", **metadata: str) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await self.export(body, signal, **metadata)
        return raised.value


def connected_to(receiver: OtlpGrpcReceiver) -> grpc.aio.Channel:
    # A pool of its own: by default channels of a process share a connection.
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    return grpc.aio.insecure_channel(f"127.0.0.1:{receiver.port}", options=options)


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
async def receiver(pipeline: Pipeline) -> AsyncIterator[OtlpGrpcReceiver]:
    receiver = OtlpGrpcReceiver(pipeline, "otlp", port=0)
    await receiver.start()
    yield receiver
    await receiver.stop(0)


@pytest.fixture
async def client(receiver: OtlpGrpcReceiver) -> AsyncIterator[Client]:
    async with connected_to(receiver) as channel:
        yield Client(channel)


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("body", [b"payload", b"", b"a payload that is compressed " * 10_000])
async def test_success_is_an_empty_response(
    client: Client, pipeline: Pipeline, body: bytes, compression: grpc.Compression
) -> None:
    assert await client.export(body, compression=compression) == b""
    assert pipeline.taken == [(body, "protobuf")]


@pytest.mark.parametrize(("rejected", "message"), [(3, "three were too long"), (2**40, ""), (0, "a warning: ü")])
async def test_partial_success_tells_what_was_rejected_and_why(
    client: Client, pipeline: Pipeline, rejected: int, message: str
) -> None:
    pipeline.answer = lambda: ReceiveResult(5, rejected, message)
    partial = ExportLogsServiceResponse.FromString(await client.export(b"payload")).partial_success
    assert (partial.rejected_log_records, partial.error_message) == (rejected, message)


async def test_nothing_is_acknowledged_before_it_is_committed(client: Client, pipeline: Pipeline) -> None:
    pipeline.commit.clear()
    request = asyncio.create_task(client.export(b"payload"))
    await pipeline.reached.wait()
    # Another call is answered meanwhile, so the answer had every chance to come.
    await client.export(b"", "metrics")
    assert not request.done()
    pipeline.commit.set()
    assert await request == b""


async def test_a_malformed_payload_is_an_invalid_argument_and_nothing_of_it_is_repeated(
    client: Client, pipeline: Pipeline
) -> None:
    pipeline.fail_with(MalformedPayload("near 'a secret'"))
    refusal = await client.refusal(b"a secret")
    assert (refusal.code(), retry_info_seconds(refusal)) == (grpc.StatusCode.INVALID_ARGUMENT, None)
    assert refusal.details() == "The body is not a valid request of log records."


@pytest.mark.parametrize(
    ("error", "code", "retry_after_seconds"),
    [
        (Busy(2.1), grpc.StatusCode.RESOURCE_EXHAUSTED, 2.1),
        (Busy(0), grpc.StatusCode.RESOURCE_EXHAUSTED, 1),
        (Unavailable(7), grpc.StatusCode.UNAVAILABLE, 7),
        (KeyError("x"), grpc.StatusCode.UNAVAILABLE, 5),
    ],
)
@pytest.mark.parametrize("signal", ["logs", "metrics"])
async def test_pressure_and_failure_ask_to_retry_later(
    client: Client,
    pipeline: Pipeline,
    signal: SignalName,
    error: Exception,
    code: grpc.StatusCode,
    retry_after_seconds: float,
) -> None:
    pipeline.fail_with(error)
    refusal = await client.refusal(b"", signal)
    assert (refusal.code(), retry_info_seconds(refusal)) == (code, retry_after_seconds)
    (details,) = [value for key, value in refusal.trailing_metadata() or () if key == "grpc-status-details-bin"]
    assert isinstance(details, bytes)
    status = Status.FromString(details)
    assert (Code.Name(status.code), status.message) == (code.name, refusal.details())


async def test_a_defect_of_the_pipeline_is_reported_without_its_text(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    reports: list[str] = []
    receiver = OtlpGrpcReceiver(pipeline, "otlp", port=0, report=reports.append)
    await receiver.start()
    pipeline.fail_with(KeyError("near 'a secret'"))
    async with connected_to(receiver) as channel:
        refusal = await Client(channel).refusal(b"a secret")
    assert "secret" not in f"{refusal} {caplog.text}"
    assert reports == [f"the OTLP receiver at {receiver.endpoint} failed on a request: KeyError"]
    assert receiver.refusals == {UNAVAILABLE: 1}
    await receiver.stop(0)


@pytest.mark.parametrize(
    ("signal", "response_type"), [("metrics", ExportMetricsServiceResponse), ("traces", ExportTraceServiceResponse)]
)
@pytest.mark.parametrize("body", [b"", b"\x0a\x02\x12\x00", b"garbage", b"[" * 9_999])
async def test_requests_of_metrics_and_traces_are_accepted_counted_and_dropped_whatever_is_in_them(
    client: Client,
    pipeline: Pipeline,
    signal: SignalName,
    response_type: type[ExportMetricsServiceResponse],
    body: bytes,
) -> None:
    assert not response_type.FromString(await client.export(body, signal)).ListFields()
    assert (pipeline.unsupported, pipeline.taken) == ([signal], [])


@pytest.mark.parametrize(
    "method",
    [
        "/opentelemetry.proto.collector.logs.v1.LogsService/Import",
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
        "/v1/logs",
        "/",
    ],
)
async def test_another_method_is_unimplemented(receiver: OtlpGrpcReceiver, pipeline: Pipeline, method: str) -> None:
    async with connected_to(receiver) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await channel.unary_unary(method)(b"payload")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert pipeline.taken == []


async def test_deflate_is_unimplemented_and_gzip_is_named(receiver: OtlpGrpcReceiver, pipeline: Pipeline) -> None:
    async with connected_to(receiver) as channel:
        call = channel.unary_unary(GRPC_METHODS["logs"])(b"payload", compression=grpc.Compression.Deflate)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert pipeline.taken == []


@pytest.mark.parametrize(
    ("authorization", "is_let_in"),
    [
        ("Bearer right", True),
        ("bearer right", True),
        ("Bearer wrong", False),
        ("Bearer", False),
        ("Basic right", False),
        ("right", False),
        (None, False),
    ],
)
@pytest.mark.parametrize("signal", ["logs", "metrics"])
async def test_with_a_token_every_request_must_carry_it(
    pipeline: Pipeline, signal: SignalName, authorization: str | None, is_let_in: bool
) -> None:
    receiver = OtlpGrpcReceiver(pipeline, "otlp", port=0, bearer_token="right")
    await receiver.start()
    metadata = {} if authorization is None else {"authorization": authorization}
    async with connected_to(receiver) as channel:
        if is_let_in:
            await Client(channel).export(b"", signal, **metadata)
        else:
            refusal = await Client(channel).refusal(b"", signal, **metadata)
            assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED
    assert len(pipeline.taken + pipeline.unsupported) == is_let_in
    await receiver.stop(0)


async def test_two_authorizations_and_an_origin_are_refused(receiver: OtlpGrpcReceiver, pipeline: Pipeline) -> None:
    async with connected_to(receiver) as channel:
        for metadata, code in (
            ((("authorization", "Bearer a"), ("authorization", "Bearer a")), grpc.StatusCode.INVALID_ARGUMENT),
            ((("origin", "http://127.0.0.1"),), grpc.StatusCode.PERMISSION_DENIED),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await channel.unary_unary(GRPC_METHODS["logs"])(b"", metadata=metadata)
            assert raised.value.code() is code
    assert pipeline.taken == []


@pytest.mark.parametrize("compression", COMPRESSIONS)
async def test_the_official_exporter_delivers(
    receiver: OtlpGrpcReceiver, pipeline: Pipeline, compression: grpc.Compression
) -> None:
    def export() -> None:
        provider = LoggerProvider()
        exporter = OTLPLogExporter(endpoint=receiver.endpoint, compression=compression)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        provider.get_logger("a scope").emit(body="a log record")
        provider.shutdown()

    await asyncio.to_thread(export)
    ((body, content_type),) = pipeline.taken
    request = ExportLogsServiceRequest.FromString(body)
    assert content_type == "protobuf"
    assert request.resource_logs[0].scope_logs[0].log_records[0].body.string_value == "a log record"


@pytest.mark.parametrize("other", [OtlpGrpcReceiver, OtlpHttpReceiver])
async def test_a_port_in_use_is_refused_with_the_address_and_the_remedy(
    pipeline: Pipeline, other: type[OtlpGrpcReceiver | OtlpHttpReceiver]
) -> None:
    first = other(pipeline, "otlp", port=0)
    await first.start()
    second = OtlpGrpcReceiver(pipeline, "otlp", port=first.port)
    expected = (
        rf"the OTLP/gRPC receiver cannot listen on 127\.0\.0\.1:{first.port}: the address is in use; "
        r".*choose another port with CLINE_OTEL_BRIDGE_LISTEN_GRPC,"
    )
    with pytest.raises(AddressInUse, match=expected):
        await second.start()
    await first.stop(0)
    # Nothing of the first is in the way of the second.
    await second.start()
    await second.stop(0)


@pytest.mark.parametrize(
    ("host", "token", "reason"),
    [
        ("0.0.0.0", None, "no bearer token is set; set CLINE_OTEL_BRIDGE_LISTEN_TOKEN"),
        ("::", None, "no bearer token is set"),
        ("198.51.100.7", None, "no bearer token is set"),
        ("198.51.100.7", "token", "this machine does not have that address"),
        ("no-such-host.invalid", "token", "the name is not known"),
        ("127.0.0.1", " ", "its bearer token is empty"),
    ],
)
async def test_an_address_that_cannot_be_used_is_refused_with_the_reason(
    pipeline: Pipeline, host: str, token: str | None, reason: str
) -> None:
    with pytest.raises(ReceiverRefused, match=reason):
        await OtlpGrpcReceiver(pipeline, "otlp", host=host, port=0, bearer_token=token).start()


async def test_localhost_listens_on_one_port_and_reports_it(pipeline: Pipeline) -> None:
    receiver = OtlpGrpcReceiver(pipeline, "otlp", host="localhost", port=0)
    await receiver.start()
    assert receiver.endpoint == f"http://localhost:{receiver.port}"
    async with connected_to(receiver) as channel:
        assert await Client(channel).export(b"payload") == b""
    await receiver.stop(0)


async def test_on_stop_a_request_in_progress_is_finished(pipeline: Pipeline) -> None:
    receiver = OtlpGrpcReceiver(pipeline, "otlp", port=0)
    await receiver.start()
    pipeline.commit.clear()
    async with connected_to(receiver) as channel:
        request = asyncio.create_task(Client(channel).export(b"payload"))
        await pipeline.reached.wait()
        stopping = asyncio.create_task(receiver.stop(grace_seconds=30))
        await asyncio.sleep(0)
        pipeline.commit.set()
        assert await request == b""
        await stopping
        refusal = await Client(channel).refusal(b"payload")
        assert refusal.code() is grpc.StatusCode.UNAVAILABLE
