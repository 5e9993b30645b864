"""What a destination answers means to us what it means to the official exporters, but for what is named here.

Each answer is given to the official exporter and to ours. The table holds both sides; docs/delivery.md says why they
differ. What they send again we do, what they count as delivered we do unless nothing can have been taken, and what
they give up we keep: it waits, or is tried by itself until others were taken and it was not.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk.trace.export import SpanExportResult

from cline_otel.destinations import OtlpDestination
from cline_otel.export.interface import Batch, Delivered, EncodedRequest, ExportResult, Paused, Refused, Retry
from cline_otel.export.otlp_grpc import OtlpGrpcExporter
from cline_otel.export.otlp_http import OtlpHttpExporter
from loopback_server import LoopbackServer
from waiting import PATIENCE_SECONDS

BATCH: Final = Batch([EncodedRequest(b"", 1, 1)])

HTTP: Final = {
    200: ("delivered", "delivered"),
    202: ("delivered", "delivered"),
    204: ("delivered", "delivered"),
    304: ("delivered", "held"),
    400: ("given up", "smaller"),
    401: ("given up", "held"),
    403: ("given up", "held"),
    404: ("given up", "held"),
    405: ("given up", "held"),
    408: ("given up", "again"),
    413: ("given up", "smaller"),
    415: ("given up", "held"),
    422: ("given up", "smaller"),
    429: ("again", "again"),
    500: ("given up", "smaller"),
    501: ("given up", "held"),
    502: ("again", "again"),
    503: ("again", "again"),
    504: ("again", "again"),
    507: ("given up", "smaller"),
}
"""By status: what the official exporter does, and what we do."""

GRPC: Final = {
    "CANCELLED": ("again", "again"),
    "UNKNOWN": ("given up", "smaller"),
    "INVALID_ARGUMENT": ("given up", "smaller"),
    "DEADLINE_EXCEEDED": ("again", "again"),
    "NOT_FOUND": ("given up", "held"),
    "ALREADY_EXISTS": ("given up", "smaller"),
    "PERMISSION_DENIED": ("given up", "held"),
    "RESOURCE_EXHAUSTED": ("again", "smaller"),
    "FAILED_PRECONDITION": ("given up", "smaller"),
    "ABORTED": ("again", "again"),
    "OUT_OF_RANGE": ("again", "again"),
    "UNIMPLEMENTED": ("given up", "held"),
    "INTERNAL": ("given up", "smaller"),
    "UNAVAILABLE": ("again", "again"),
    "DATA_LOSS": ("again", "again"),
    "UNAUTHENTICATED": ("given up", "held"),
}
"""The same by code."""


class NoMoreThanOnce:
    """In place of what the official exporters wait by: it notes the wait, and says that they are being shut down."""

    def __init__(self) -> None:
        self.waits_seconds: list[float] = []

    def is_set(self) -> bool:
        return False

    def set(self) -> None:
        """Nothing: nobody waits."""

    def wait(self, seconds: float) -> bool:
        self.waits_seconds.append(seconds)
        return True


def meaning_to_them(result: SpanExportResult, waited: NoMoreThanOnce) -> str:
    if result is SpanExportResult.SUCCESS:
        return "delivered"
    return "again" if waited.waits_seconds else "given up"


def meaning_to_us(result: ExportResult) -> str:
    return {Delivered: "delivered", Retry: "again", Paused: "held", Refused: "smaller"}[type(result)]


def sent_by_them_over_http(url: str) -> tuple[str, NoMoreThanOnce]:
    exporter: Any = HttpSpanExporter(endpoint=f"{url}/v1/traces", timeout=PATIENCE_SECONDS)
    exporter._client._shutdown_event = waited = NoMoreThanOnce()
    return meaning_to_them(exporter.export([]), waited), waited


async def sent_by_us(exporter: OtlpHttpExporter | OtlpGrpcExporter) -> ExportResult:
    try:
        return await exporter.export(BATCH)
    finally:
        await exporter.close()


def over_http(url: str) -> OtlpHttpExporter:
    return OtlpHttpExporter(
        OtlpDestination(
            signal="traces", protocol="http/protobuf", endpoint=f"{url}/v1/traces", timeout_seconds=PATIENCE_SECONDS
        )
    )


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.mark.parametrize("status", HTTP)
async def test_a_status_means_what_the_table_says(status: int) -> None:
    with LoopbackServer(lambda request: (status, b"")) as server:
        server.listen()
        theirs, _ = sent_by_them_over_http(server.url)
        ours = await sent_by_us(over_http(server.url))
    assert (theirs, meaning_to_us(ours)) == HTTP[status]


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"{}", b"", b"\x0a\x02\x08\x01"])
async def test_a_success_is_delivered_whatever_its_body_says(body: bytes) -> None:
    with LoopbackServer(lambda request: (200, body, {"Content-Type": "application/x-protobuf"})) as server:
        server.listen()
        theirs, _ = sent_by_them_over_http(server.url)
        ours = await sent_by_us(over_http(server.url))
    assert (theirs, meaning_to_us(ours)) == ("delivered", "delivered")


@pytest.mark.parametrize("given", ["7", "0.5", "0", "-1"])
async def test_the_wait_that_is_asked_for_is_read_as_they_read_it(given: str) -> None:
    with LoopbackServer(lambda request: (503, b"", {"Retry-After": given})) as server:
        server.listen()
        _, waited = sent_by_them_over_http(server.url)
        ours = await sent_by_us(over_http(server.url))
    assert isinstance(ours, Retry)
    assert waited.waits_seconds == [ours.after_seconds] == [max(float(given), 0.0)]


@contextmanager
def answering(code: str) -> Iterator[str]:
    """A server of gRPC with one answer."""

    def answer(_: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(grpc.StatusCode[code], "")

    handler = grpc.unary_unary_rpc_method_handler(answer)
    with ThreadPoolExecutor(2) as threads:
        server = grpc.server(threads, options=[("grpc.so_reuseport", 0)])
        service = "opentelemetry.proto.collector.trace.v1.TraceService"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"Export": handler}),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


@pytest.mark.parametrize("code", GRPC)
async def test_a_code_means_what_the_table_says(code: str) -> None:
    with answering(code) as address:
        exporter: Any = GrpcSpanExporter(endpoint=address, insecure=True, timeout=PATIENCE_SECONDS)
        exporter._shutdown_in_progress = waited = NoMoreThanOnce()
        theirs = meaning_to_them(exporter.export([]), waited)
        exporter.shutdown()
        ours = await sent_by_us(
            OtlpGrpcExporter(
                OtlpDestination(
                    signal="traces", protocol="grpc", endpoint=address, timeout_seconds=PATIENCE_SECONDS, insecure=True
                )
            )
        )
    assert (theirs, meaning_to_us(ours)) == GRPC[code]


def test_all_codes_but_that_of_success_are_in_the_table() -> None:
    assert set(GRPC) == {code.name for code in grpc.StatusCode} - {"OK"}


def test_nothing_that_they_keep_is_lost_here() -> None:
    for theirs, ours in [*HTTP.values(), *GRPC.values()]:
        assert ours != "delivered" or theirs == "delivered"
        assert theirs != "again" or ours in ("again", "smaller")


def test_where_an_answer_means_something_else_to_us_the_documents_say_so() -> None:
    page = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text(encoding="utf-8")
    rows = page.partition("## Where we differ from the official Python exporters")[2]
    differing = {str(key) for key, (theirs, ours) in {**HTTP, **GRPC}.items() if theirs != ours}
    assert differing == {key for key in map(str, {**HTTP, **GRPC}) if f"`{key}`" in rows}
