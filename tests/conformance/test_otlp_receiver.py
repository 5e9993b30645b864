"""The receiver against the OTLP specification 1.x, measured with the official messages and exporters."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor

from cline_otel.sources.intake import Busy, Unavailable
from cline_otel.sources.interface import AddressInUse, MalformedPayload, ReceiveResult, ReceiverRefused
from cline_otel.sources.otlp.http_receiver import OtlpHttpReceiver
from receiving import Pipeline

JSON, PROTOBUF = "application/json", "application/x-protobuf"
BOTH = pytest.mark.parametrize("media_type", [JSON, PROTOBUF])


@pytest.fixture
def pipeline() -> Pipeline:
    return Pipeline()


@pytest.fixture
async def receiver(pipeline: Pipeline) -> AsyncIterator[OtlpHttpReceiver]:
    receiver = OtlpHttpReceiver(pipeline, "otlp", port=0)
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest.fixture
async def client(receiver: OtlpHttpReceiver) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(receiver.endpoint, auto_decompress=False) as session:
        yield session


def read_status(body: bytes, media_type: str) -> Status:
    return json_format.Parse(body, Status()) if media_type == JSON else Status.FromString(body)


def read_response(body: bytes, media_type: str) -> ExportLogsServiceResponse:
    response = ExportLogsServiceResponse()
    return json_format.Parse(body, response) if media_type == JSON else ExportLogsServiceResponse.FromString(body)


async def post(
    client: aiohttp.ClientSession, path: str, body: bytes, media_type: str, **headers: str
) -> tuple[aiohttp.ClientResponse, bytes]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with client.post(path, data=body, headers={"Content-Type": media_type, **named}) as response:
        return response, await response.read()


@BOTH
async def test_success_is_an_empty_response_in_the_encoding_of_the_request(
    client: aiohttp.ClientSession, pipeline: Pipeline, media_type: str
) -> None:
    response, body = await post(client, "/v1/logs", b"payload", media_type)
    assert (response.status, response.content_type) == (200, media_type)
    assert not read_response(body, media_type).HasField("partial_success")
    assert pipeline.taken == [(b"payload", "json" if media_type == JSON else "protobuf")]


@BOTH
@pytest.mark.parametrize(("rejected", "message"), [(3, "three were too long"), (2**40, ""), (0, "a warning: ü")])
async def test_partial_success_tells_what_was_rejected_and_why(
    client: aiohttp.ClientSession, pipeline: Pipeline, media_type: str, rejected: int, message: str
) -> None:
    pipeline.answer = lambda: ReceiveResult(5, rejected, message)
    response, body = await post(client, "/v1/logs", b"payload", media_type)
    partial = read_response(body, media_type).partial_success
    assert (response.status, partial.rejected_log_records, partial.error_message) == (200, rejected, message)


async def test_nothing_is_acknowledged_before_it_is_committed(
    client: aiohttp.ClientSession, pipeline: Pipeline
) -> None:
    pipeline.commit.clear()
    request = asyncio.create_task(post(client, "/v1/logs", b"payload", JSON))
    await pipeline.reached.wait()
    # Another connection is served meanwhile, so the answer had every chance to come.
    other, _ = await post(client, "/v1/metrics", b"{}", JSON)
    assert (other.status, request.done()) == (200, False)
    pipeline.commit.set()
    response, _ = await request
    assert response.status == 200


@BOTH
async def test_a_malformed_payload_is_400_with_a_status_that_repeats_nothing_of_it(
    client: aiohttp.ClientSession, pipeline: Pipeline, media_type: str
) -> None:
    pipeline.fail_with(MalformedPayload("near 'a secret'"))
    response, body = await post(client, "/v1/logs", b"a secret", media_type)
    assert (response.status, response.content_type) == (400, media_type)
    status = read_status(body, media_type)
    assert status.code == 3
    assert "not a valid" in status.message
    assert b"secret" not in body


@BOTH
@pytest.mark.parametrize(
    ("error", "status", "code", "retry_after"),
    [(Busy(2.1), 429, 8, "3"), (Busy(0), 429, 8, "1"), (Unavailable(7), 503, 14, "7"), (KeyError("x"), 503, 14, "5")],
)
async def test_pressure_and_failure_ask_to_retry_later(
    client: aiohttp.ClientSession,
    pipeline: Pipeline,
    media_type: str,
    error: Exception,
    status: int,
    code: int,
    retry_after: str,
) -> None:
    pipeline.fail_with(error)
    for path in ("/v1/logs", "/v1/metrics"):
        response, body = await post(client, path, b"", media_type)
        assert (response.status, response.headers["Retry-After"]) == (status, retry_after)
        assert read_status(body, media_type).code == code


async def test_a_defect_of_the_pipeline_is_reported_without_its_text(pipeline: Pipeline) -> None:
    reports: list[str] = []
    receiver = OtlpHttpReceiver(pipeline, "otlp", port=0, report=reports.append)
    await receiver.start()
    pipeline.fail_with(KeyError("near 'a secret'"))
    async with aiohttp.ClientSession(receiver.endpoint) as client:
        response, body = await post(client, "/v1/logs", b"a secret", JSON)
    assert response.status == 503
    assert b"secret" not in body
    assert reports == [f"the OTLP receiver at {receiver.endpoint} failed on a request: KeyError"]
    assert receiver.refusals == {503: 1}
    await receiver.stop(0)


@pytest.mark.parametrize(
    ("coding", "compress"),
    [
        ("gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("x-gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("identity", bytes),
        ("gzip", lambda body: gzip.compress(body[:5]) + gzip.compress(body[5:])),
    ],
)
async def test_compressed_bodies_are_handed_over_decompressed(
    client: aiohttp.ClientSession, pipeline: Pipeline, coding: str, compress: Callable[[bytes], bytes]
) -> None:
    body = b"a payload that is compressed " * 10_000
    response, _ = await post(client, "/v1/logs", compress(body), PROTOBUF, Content_Encoding=coding)
    assert response.status == 200
    assert pipeline.taken == [(body, "protobuf")]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/JSONP"])
async def test_another_content_type_is_415(
    client: aiohttp.ClientSession, pipeline: Pipeline, content_type: str
) -> None:
    response, body = await post(client, "/v1/logs", b"x", content_type)
    assert response.status == 415
    assert read_status(body, JSON).code == 3
    assert pipeline.taken == []


async def test_a_content_type_may_have_parameters(client: aiohttp.ClientSession, pipeline: Pipeline) -> None:
    response, _ = await post(client, "/v1/logs", b"x", "Application/JSON; charset=utf-8")
    assert (response.status, response.content_type) == (200, JSON)


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress"])
async def test_an_unknown_content_encoding_is_415_and_names_the_known(
    client: aiohttp.ClientSession, pipeline: Pipeline, coding: str
) -> None:
    response, _ = await post(client, "/v1/logs", b"x", JSON, Content_Encoding=coding)
    assert (response.status, response.headers["Accept-Encoding"]) == (415, "gzip, deflate")
    assert pipeline.taken == []


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["/v1/logs", "/v1/metrics", "/v1/traces"])
async def test_another_method_is_405(client: aiohttp.ClientSession, method: str, path: str) -> None:
    async with client.request(method, path) as response:
        assert (response.status, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/", "/v1/logs/", "/v1/profiles", "/v1/logs%00", "/V1/LOGS"])
async def test_another_path_is_404(client: aiohttp.ClientSession, receiver: OtlpHttpReceiver, path: str) -> None:
    response, _ = await post(client, path, b"x", JSON)
    assert response.status == 404
    assert receiver.refusals == {404: 1}


@BOTH
@pytest.mark.parametrize(
    ("signal", "response_type"),
    [("metrics", ExportMetricsServiceResponse), ("traces", ExportTraceServiceResponse)],
)
@pytest.mark.parametrize("body", [b"", b"{}", b"\x0a\x02\x12\x00", b"garbage", b"[" * 9_999])
async def test_requests_of_metrics_and_traces_are_accepted_counted_and_dropped_whatever_is_in_them(
    client: aiohttp.ClientSession,
    pipeline: Pipeline,
    media_type: str,
    signal: str,
    response_type: Callable[[], Message],
    body: bytes,
) -> None:
    response, answer = await post(client, f"/v1/{signal}", body, media_type)
    assert (response.status, response.content_type) == (200, media_type)
    empty = response_type()
    if media_type == JSON:
        json_format.Parse(answer, empty)
    else:
        empty.ParseFromString(answer)
    assert not empty.ListFields()
    assert (pipeline.unsupported, pipeline.taken) == ([signal], [])


async def test_a_connection_serves_many_requests(client: aiohttp.ClientSession, pipeline: Pipeline) -> None:
    for number in range(5):
        response, _ = await post(client, "/v1/logs", b"%d" % number, JSON)
        assert response.status == 200
        assert response.headers.get("Connection", "keep-alive") == "keep-alive"
    assert len(pipeline.taken) == 5


@pytest.mark.parametrize("compression", [Compression.NoCompression, Compression.Gzip, Compression.Deflate])
async def test_the_official_exporter_delivers(
    receiver: OtlpHttpReceiver, pipeline: Pipeline, compression: Compression
) -> None:
    def export() -> None:
        provider = LoggerProvider()
        exporter = OTLPLogExporter(endpoint=f"{receiver.endpoint}/v1/logs", compression=compression)
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        provider.get_logger("a scope").emit(body="a log record")
        provider.shutdown()

    await asyncio.to_thread(export)
    ((body, content_type),) = pipeline.taken
    request = ExportLogsServiceRequest.FromString(body)
    assert content_type == "protobuf"
    assert request.resource_logs[0].scope_logs[0].log_records[0].body.string_value == "a log record"


async def test_a_port_in_use_is_refused_with_the_address_and_the_remedy(
    receiver: OtlpHttpReceiver, pipeline: Pipeline
) -> None:
    second = OtlpHttpReceiver(pipeline, "otlp", port=receiver.port)
    expected = (
        rf"the OTLP/HTTP receiver cannot listen on 127\.0\.0\.1:{receiver.port}: the address is in use; "
        r".*choose another port with CLINE_OTEL_BRIDGE_LISTEN,"
    )
    with pytest.raises(AddressInUse, match=expected):
        await second.start()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "198.51.100.7"])
async def test_without_a_token_it_refuses_to_listen_for_others(pipeline: Pipeline, host: str) -> None:
    with pytest.raises(ReceiverRefused, match="no bearer token is set; set CLINE_OTEL_BRIDGE_LISTEN_TOKEN"):
        await OtlpHttpReceiver(pipeline, "otlp", host=host, port=0).start()


@pytest.mark.parametrize(
    ("host", "token", "reason"),
    [
        ("198.51.100.7", "token", "this machine does not have that address"),
        ("no-such-host.invalid", "token", "the name is not known"),
        ("127.0.0.1", " ", "its bearer token is empty"),
    ],
)
async def test_an_address_that_cannot_be_used_is_refused_with_the_reason(
    pipeline: Pipeline, host: str, token: str, reason: str
) -> None:
    with pytest.raises(ReceiverRefused, match=reason):
        await OtlpHttpReceiver(pipeline, "otlp", host=host, port=0, bearer_token=token).start()


async def test_localhost_listens_on_one_port_and_reports_it(pipeline: Pipeline) -> None:
    receiver = OtlpHttpReceiver(pipeline, "otlp", host="localhost", port=0)
    await receiver.start()
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{receiver.endpoint}/v1/logs", data=b"{}", headers={"Content-Type": JSON}) as response,
    ):
        assert response.status == 200
    assert receiver.endpoint == f"http://localhost:{receiver.port}"
    await receiver.stop()


async def test_on_stop_a_request_in_progress_is_finished(client: aiohttp.ClientSession, pipeline: Pipeline) -> None:
    receiver = OtlpHttpReceiver(pipeline, "otlp", port=0)
    await receiver.start()
    pipeline.commit.clear()
    async with aiohttp.ClientSession(receiver.endpoint) as session:
        request = asyncio.create_task(post(session, "/v1/logs", b"payload", JSON))
        await pipeline.reached.wait()
        stopping = asyncio.create_task(receiver.stop(grace_seconds=30))
        await asyncio.sleep(0)
        pipeline.commit.set()
        response, _ = await request
        assert response.status == 200
        await stopping
        with pytest.raises(aiohttp.ClientConnectionError):
            await post(session, "/v1/logs", b"payload", JSON)
