"""SDK exporters get objects that mean exactly what our bytes say."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.metrics.export import MetricExporter, MetricExportResult, MetricsData
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from cline_otel.destinations import SdkDestination
from cline_otel.export import sdk_objects
from cline_otel.export.exporters import Exporters
from cline_otel.export.interface import Batch, Delivered, EncodedRequest, ExporterError, Refused, Retry
from cline_otel.export.sdk import SdkExporter
from cline_otel.signals import SignalName
from waiting import PATIENCE_SECONDS

# What the official encoder sets on every span and link: "is the context remote" is known, and it is not.
CONTEXT_FLAGS = 0x100


def add_attributes(holder: Any) -> None:
    for key, value in (("text", "a"), ("number", 7), ("real", 0.5), ("yes", True)):
        pair = holder.attributes.add(key=key)
        kind = {str: "string_value", int: "int_value", float: "double_value", bool: "bool_value"}[type(value)]
        setattr(pair.value, kind, value)
    array = holder.attributes.add(key="list").value.array_value
    array.values.add(string_value="x")
    array.values.add(string_value="y")


def add_origin(resource_entry: Any, scope_entry: Any) -> None:
    add_attributes(resource_entry.resource)
    resource_entry.schema_url = "https://opentelemetry.io/schemas/1.41.0"
    scope_entry.scope.name = "cline-otel"
    scope_entry.scope.version = "1.2.3"
    scope_entry.schema_url = "https://opentelemetry.io/schemas/1.41.0"


def traces() -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    resource_spans = message.resource_spans.add()
    scope_spans = resource_spans.scope_spans.add()
    add_origin(resource_spans, scope_spans)
    for number, kind in enumerate((1, 2, 3, 4, 5)):
        span = scope_spans.spans.add()
        span.trace_id = bytes(range(16))
        span.span_id = bytes(range(number, number + 8))
        span.parent_span_id = b"\x07" * 8 if number else b""
        span.name = f"span {number}"
        span.kind = kind  # type: ignore[assignment]
        span.start_time_unix_nano = 1_700_000_000_000_000_000
        span.end_time_unix_nano = 1_700_000_000_000_000_001
        span.status.code = number % 3  # type: ignore[assignment]
        span.status.message = "why" if number % 3 == 2 else ""
        span.flags = CONTEXT_FLAGS
        add_attributes(span)
        event = span.events.add(name="event", time_unix_nano=5)
        add_attributes(event)
        link = span.links.add(trace_id=b"\x01" * 16, span_id=b"\x02" * 8, flags=CONTEXT_FLAGS)
        add_attributes(link)
    return message


def logs() -> ExportLogsServiceRequest:
    message = ExportLogsServiceRequest()
    resource_logs = message.resource_logs.add()
    scope_logs = resource_logs.scope_logs.add()
    add_origin(resource_logs, scope_logs)
    for number, severity in enumerate((5, 9, 13, 17)):
        record = scope_logs.log_records.add()
        record.time_unix_nano = 1_700_000_000_000_000_000
        record.observed_time_unix_nano = 1_700_000_000_000_000_009
        record.severity_number = severity  # type: ignore[assignment]
        record.severity_text = "INFO"
        record.body.string_value = "run started"
        record.event_name = "cline.run.started"
        if number % 2:
            record.trace_id = b"\x01" * 16
            record.span_id = b"\x02" * 8
            record.flags = 1
        add_attributes(record)
    return message


def metrics() -> ExportMetricsServiceRequest:
    message = ExportMetricsServiceRequest()
    resource_metrics = message.resource_metrics.add()
    scope_metrics = resource_metrics.scope_metrics.add()
    add_origin(resource_metrics, scope_metrics)
    counter = scope_metrics.metrics.add(name="cline.run.started", description="runs", unit="{run}")
    counter.sum.aggregation_temporality = 2  # type: ignore[assignment]
    counter.sum.is_monotonic = True
    for value in ({"as_int": 7}, {"as_int": 0}, {"as_double": 0.25}):
        point = counter.sum.data_points.add(start_time_unix_nano=1, time_unix_nano=2, **value)  # type: ignore[arg-type]
        add_attributes(point)
    gauge = scope_metrics.metrics.add(name="gauge", unit="s")
    add_attributes(gauge.gauge.data_points.add(time_unix_nano=2, as_double=1.5))
    histogram = scope_metrics.metrics.add(name="duration", unit="s")
    histogram.histogram.aggregation_temporality = 2  # type: ignore[assignment]
    for limits in ({}, {"min": 0.0, "max": 3.0}):
        bucketed = histogram.histogram.data_points.add(
            start_time_unix_nano=1,
            time_unix_nano=2,
            count=3,
            sum=4.5,
            bucket_counts=[1, 2, 0],
            explicit_bounds=[1.0, 2.0],
            **limits,
        )
        add_attributes(bucketed)
        bucketed.exemplars.add(time_unix_nano=2, as_double=1.5, span_id=b"\x02" * 8, trace_id=b"\x01" * 16)
    exponential = scope_metrics.metrics.add(name="tokens", unit="{token}").exponential_histogram
    exponential.aggregation_temporality = 1  # type: ignore[assignment]
    spread = exponential.data_points.add(
        start_time_unix_nano=1, time_unix_nano=2, count=4, sum=70.5, scale=-1, zero_count=1
    )
    spread.positive.offset = -2
    spread.positive.bucket_counts.extend([1, 0, 2])
    add_attributes(spread)
    return message


@pytest.mark.parametrize(
    ("message", "there_and_back"),
    [
        (traces(), lambda payload: encode_spans(sdk_objects.spans(payload))),
        (logs(), lambda payload: encode_logs(sdk_objects.log_records(payload))),
        (metrics(), lambda payload: encode_metrics(sdk_objects.metrics_data(payload))),
    ],
    ids=["traces", "logs", "metrics"],
)
def test_what_the_official_encoder_makes_of_our_objects_is_what_we_had(message: Message, there_and_back: Any) -> None:
    assert there_and_back(message.SerializeToString()) == message


class InMemoryMetricExporter(MetricExporter):
    def __init__(self) -> None:
        super().__init__()
        self.exported: list[MetricsData] = []

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> MetricExportResult:
        self.exported.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        return True

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        pass


def batch(*payloads: bytes) -> Batch:
    return Batch([EncodedRequest(payload, 1, number) for number, payload in enumerate(payloads)])


async def test_spans_reach_an_sdk_exporter() -> None:
    span_exporter = InMemorySpanExporter()
    exporter = SdkExporter(SdkDestination("traces", "memory"), span_exporter)
    payload = traces().SerializeToString()
    assert await exporter.export(batch(payload, payload)) == Delivered()
    assert [span.name for span in span_exporter.get_finished_spans()] == [f"span {number}" for number in range(5)] * 2
    assert span_exporter.get_finished_spans()[1].parent is not None
    await exporter.close()
    assert await exporter.export(batch(payload)) == Retry("exporter 'memory' reported failure")


async def test_log_records_and_metrics_reach_their_sdk_exporters() -> None:
    log_exporter = InMemoryLogRecordExporter()
    exporter = SdkExporter(SdkDestination("logs", "memory"), log_exporter)
    assert await exporter.export(batch(logs().SerializeToString())) == Delivered()
    assert [record.log_record.event_name for record in log_exporter.get_finished_logs()] == ["cline.run.started"] * 4
    metric_exporter = InMemoryMetricExporter()
    exporter = SdkExporter(SdkDestination("metrics", "memory"), metric_exporter)
    assert await exporter.export(batch(metrics().SerializeToString())) == Delivered()
    (exported,) = metric_exporter.exported
    assert exported.resource_metrics[0].scope_metrics[0].metrics[0].name == "cline.run.started"


@pytest.mark.parametrize(("signal", "message"), [("traces", traces()), ("logs", logs()), ("metrics", metrics())])
async def test_the_console_exporters_of_the_sdk_print_what_they_get(
    signal: SignalName, message: Message, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exporters = Exporters({signal: [SdkDestination(signal, "console")]})
    (exporter,) = exporters._exporters[signal]
    assert isinstance(exporter, SdkExporter)
    # The exporters bind stdout when their module is imported, which is before the test captures it.
    monkeypatch.setattr(exporter._exporter, "out", sys.stdout)
    assert await exporter.export(batch(message.SerializeToString())) == Delivered()
    printed = capsys.readouterr().out
    expected = {"traces": "span 4", "logs": "cline.run.started", "metrics": "cline.run.started"}[signal]
    assert expected in printed
    json.JSONDecoder().raw_decode(printed)
    await exporters.close()


class Failing:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def export(self, _: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def shutdown(self) -> None:
        raise OSError


@pytest.mark.parametrize("answer", [SpanExportResult.FAILURE, None, ValueError("with a secret in it")])
async def test_an_exporter_that_fails_in_any_way_is_tried_again(answer: Any) -> None:
    exporter = SdkExporter(SdkDestination("traces", "failing"), Failing(answer))
    result = await exporter.export(batch(b""))
    assert isinstance(result, Retry)
    assert "secret" not in result.reason
    await exporter.close()


async def test_bytes_that_are_no_request_are_refused() -> None:
    exporter = SdkExporter(SdkDestination("traces", "memory"), InMemorySpanExporter())
    assert isinstance(await exporter.export(batch(b"\xff\xff\xff")), Refused)


async def test_a_blocking_exporter_does_not_block_the_event_loop() -> None:
    entered, release = threading.Event(), threading.Event()

    class Blocking(Failing):
        def export(self, _: Any) -> Any:
            entered.set()
            release.wait(PATIENCE_SECONDS)
            return SpanExportResult.SUCCESS

    exporter = SdkExporter(SdkDestination("traces", "blocking"), Blocking(None))
    sending = asyncio.create_task(exporter.export(batch(b"")))
    while not entered.is_set():  # noqa: ASYNC110
        await asyncio.sleep(0)
    release.set()
    assert await sending == Delivered()


@pytest.fixture
def installed_exporters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with exporters of its own, as far as entry points can tell."""
    (tmp_path / "example_exporters.py").write_text(
        "class Good:\n"
        "    def export(self, spans): return type('R', (), {'name': 'SUCCESS'})\n"
        "    def shutdown(self): pass\n"
        "class Broken:\n"
        "    def __init__(self): raise RuntimeError('needs a setting')\n"
        "class Pulled:\n"
        "    def collect(self): pass\n"
    )
    information = tmp_path / "example_exporters-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: example-exporters\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[opentelemetry_traces_exporter]\n"
        "good = example_exporters:Good\nbroken = example_exporters:Broken\npulled = example_exporters:Pulled\n"
        "missing = example_exporters:Missing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("example_exporters", None)


@pytest.mark.usefixtures("installed_exporters")
async def test_an_exporter_is_found_by_its_entry_point() -> None:
    exporters = Exporters({"traces": [SdkDestination("traces", "good")]})
    exporter = exporters.of_outbox("traces")
    assert exporter is not None
    assert await exporter.export(batch(traces().SerializeToString())) == Delivered()
    assert exporters.describe() == [
        "traces: the OpenTelemetry SDK exporter 'good'",
        "metrics: not exported",
        "logs: not exported",
    ]
    await exporters.close()


@pytest.mark.usefixtures("installed_exporters")
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere", "no exporter 'nowhere' is installed"),
        ("broken", r"cannot be started \(RuntimeError\)"),
        ("missing", r"cannot be started \(AttributeError\)"),
        ("pulled", "is a pull exporter"),
    ],
)
def test_an_exporter_that_cannot_be_used_is_refused_by_name_with_a_remedy(name: str, says: str) -> None:
    with pytest.raises(ExporterError, match=f"^OTEL_TRACES_EXPORTER: .*{says}"):
        Exporters({"traces": [SdkDestination("traces", name)]})
