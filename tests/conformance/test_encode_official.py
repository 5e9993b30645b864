"""Our bytes decode to the messages that the official encoder makes of the same data."""

from __future__ import annotations

import math

import pytest
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry._logs import LogRecord as SdkLogRecord
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as official_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as official_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import Exemplar as SdkExemplar
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics import export as sdk_metrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from opentelemetry.trace import SpanKind as SdkSpanKind
from opentelemetry.trace.status import Status
from opentelemetry.trace.status import StatusCode as SdkStatusCode

from cline_otel.encode.logs import encode_logs
from cline_otel.encode.metrics import encode_metrics
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.encode.traces import encode_traces
from cline_otel.signals import (
    Attributes,
    Exemplar,
    ExponentialBuckets,
    LogRecord,
    MetricDefinition,
    MetricPoint,
    MetricTotal,
    Severity,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanRecord,
    StatusCode,
    Temporality,
)
from metric_points import points_of

SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0"
RESOURCE: Attributes = (("service.name", "cline"), ("service.instance.id", "0f"), ("process.pid", 7))
ORIGIN = ResourceAndScope(RESOURCE, "cline-otel", "1.2.3", SCHEMA_URL)
SDK_RESOURCE = Resource(dict(RESOURCE), SCHEMA_URL)
SDK_SCOPE = InstrumentationScope("cline-otel", "1.2.3", SCHEMA_URL)
SAMPLED = TraceFlags(TraceFlags.SAMPLED)

unhurried = settings(deadline=None)

texts = st.text(max_size=40) | st.sampled_from(["", "a", "é" * 200, "x" * 1024, "\x00", "\U0001f600"])
names = st.text(min_size=1, max_size=12)
values = (
    texts
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.sampled_from([0, 1, 127, 128, 16383, 16384, 2**21 - 1, 2**21, -1])
    | st.floats()
    | st.lists(texts, max_size=3).map(tuple)
)
attributes = st.dictionaries(names, values, max_size=8).map(lambda pairs: tuple(pairs.items()))
times = st.integers(0, 2**64 - 1)
trace_ids = st.binary(min_size=16, max_size=16).filter(any)
span_ids = st.binary(min_size=8, max_size=8).filter(any)

DELTA: tuple[Temporality, sdk_metrics.AggregationTemporality] = ("delta", sdk_metrics.AggregationTemporality.DELTA)
CUMULATIVE: tuple[Temporality, sdk_metrics.AggregationTemporality] = (
    "cumulative",
    sdk_metrics.AggregationTemporality.CUMULATIVE,
)

spans = st.builds(
    SpanRecord,
    trace_ids,
    span_ids,
    st.just(b"") | span_ids,
    texts,
    st.sampled_from(SpanKind),
    times,
    times,
    attributes,
    st.lists(st.builds(SpanEvent, texts, times, attributes), max_size=2).map(tuple),
    st.lists(st.builds(SpanLink, trace_ids, span_ids, attributes), max_size=2).map(tuple),
    st.sampled_from(StatusCode),
    st.just(""),
) | st.builds(
    lambda trace_id, span_id, message: SpanRecord(
        trace_id, span_id, b"", "n", SpanKind.CLIENT, 1, 2, status=StatusCode.ERROR, status_message=message
    ),
    trace_ids,
    span_ids,
    texts,
)
correlations = st.tuples(trace_ids, span_ids) | st.just((b"", b""))
logs = st.builds(
    lambda time, name, severity, body, pairs, ids: LogRecord(time, name, severity, body, pairs, *ids),
    times,
    texts,
    st.sampled_from(Severity),
    texts,
    attributes,
    correlations,
)


def canonical(message: Message) -> bytes:
    """Bytes to compare messages by: NaN is not equal to itself in a message, and is in bytes."""
    return message.SerializeToString(deterministic=True)


def parsed(message_type: type[Message], request: bytes) -> Message:
    message = message_type()
    message.ParseFromString(request)
    return message


def span_context(trace_id: bytes, span_id: bytes) -> SpanContext:
    return SpanContext(int.from_bytes(trace_id, "big"), int.from_bytes(span_id, "big"), False, SAMPLED)


def sdk_span(span: SpanRecord) -> ReadableSpan:
    return ReadableSpan(
        name=span.name,
        context=span_context(span.trace_id, span.span_id),
        parent=span_context(span.trace_id, span.parent_span_id) if span.parent_span_id else None,
        resource=SDK_RESOURCE,
        attributes=dict(span.attributes),
        events=[Event(event.name, dict(event.attributes), event.occurred_at_ns) for event in span.events],
        links=[Link(span_context(link.trace_id, link.span_id), dict(link.attributes)) for link in span.links],
        kind=SdkSpanKind[span.kind.name],
        instrumentation_scope=SDK_SCOPE,
        status=Status(SdkStatusCode[span.status.name], span.status_message or None),
        start_time=span.started_at_ns,
        end_time=span.ended_at_ns,
    )


def sdk_log(record: LogRecord, observed_at_ns: int | None = None) -> ReadableLogRecord:
    context = span_context(record.trace_id, record.span_id)
    sdk_record = SdkLogRecord(
        timestamp=record.occurred_at_ns,
        observed_timestamp=record.occurred_at_ns if observed_at_ns is None else observed_at_ns,
        context=set_span_in_context(NonRecordingSpan(context)) if record.trace_id else None,
        severity_text=record.severity.name,
        severity_number=SeverityNumber(record.severity.value),
        body=record.body,
        attributes=dict(record.attributes),
        event_name=record.event_name,
    )
    return ReadableLogRecord(sdk_record, SDK_RESOURCE, SDK_SCOPE)


@unhurried
@given(st.lists(spans, max_size=3))
def test_spans_decode_to_the_official_encoders_messages(records: list[SpanRecord]) -> None:
    ours = parsed(ExportTraceServiceRequest, encode_traces(records, ORIGIN))
    assert canonical(ours) == canonical(official_spans([sdk_span(span) for span in records]))


@unhurried
@given(st.lists(logs, max_size=3), st.none() | times)
def test_log_records_decode_to_the_official_encoders_messages(
    records: list[LogRecord], observed_at_ns: int | None
) -> None:
    ours = parsed(ExportLogsServiceRequest, encode_logs(records, ORIGIN, observed_at_ns))
    assert canonical(ours) == canonical(official_logs([sdk_log(record, observed_at_ns) for record in records]))


@pytest.mark.parametrize(
    "resource_and_scope",
    [
        (RESOURCE, "", "", ""),
        ((), "cline-otel", "", ""),
        ((), "", "", SCHEMA_URL),
        ((("a", True), ("b", ("x", "")), ("c", 1.5), ("d", "x" * 200)), "s" * 200, "v", "u" * 200),
    ],
)
def test_an_origin_with_or_without_its_parts_is_as_the_official_encoder_has_it(
    resource_and_scope: tuple[Attributes, str, str, str],
) -> None:
    resource, name, version, schema_url = resource_and_scope
    span = SpanRecord(b"t" * 16, b"s" * 8, b"", "chat", SpanKind.CLIENT, 1, 2)
    official = sdk_span(span)
    official._resource = Resource(dict(resource), schema_url)
    official._instrumentation_scope = InstrumentationScope(name, version, schema_url)
    ours = parsed(ExportTraceServiceRequest, encode_traces([span], ResourceAndScope(*resource_and_scope)))
    assert canonical(ours) == canonical(official_spans([official]))


def test_spans_and_logs_are_flagged_as_the_sdk_flags_what_it_records() -> None:
    """Not built by hand here: a real tracer and logger make a parent, a linked child and a log record within it."""
    span_exporter, log_exporter = InMemorySpanExporter(), InMemoryLogRecordExporter()
    tracer_provider = TracerProvider(resource=SDK_RESOURCE)
    tracer_provider.add_span_processor(SimpleSpanProcessor(span_exporter))
    logger_provider = LoggerProvider(resource=SDK_RESOURCE, shutdown_on_exit=False)
    logger_provider.add_log_record_processor(SimpleLogRecordProcessor(log_exporter))
    tracer = tracer_provider.get_tracer("cline-otel", "1.2.3", schema_url=SCHEMA_URL)
    logger = logger_provider.get_logger("cline-otel", "1.2.3", schema_url=SCHEMA_URL)
    with tracer.start_as_current_span("earlier") as earlier:
        pass
    with (
        tracer.start_as_current_span("invoke_agent", links=[Link(earlier.get_span_context())]) as parent,
        tracer.start_as_current_span("chat") as child,
    ):
        info = SeverityNumber.INFO
        logger.emit(timestamp=5, observed_timestamp=5, severity_number=info, severity_text="INFO", body="")

    def ids(span: object) -> tuple[bytes, bytes]:
        context = span.get_span_context()  # type: ignore[attr-defined]
        return context.trace_id.to_bytes(16, "big"), context.span_id.to_bytes(8, "big")

    def record(span: ReadableSpan, parent_span_id: bytes, links: tuple[SpanLink, ...]) -> SpanRecord:
        started, ended = span.start_time or 0, span.end_time or 0
        return SpanRecord(*ids(span), parent_span_id, span.name, SpanKind.INTERNAL, started, ended, links=links)

    first, second, third = span_exporter.get_finished_spans()
    ours = [
        record(first, b"", ()),
        record(second, ids(parent)[1], ()),
        record(third, b"", (SpanLink(*ids(earlier)),)),
    ]
    assert canonical(parsed(ExportTraceServiceRequest, encode_traces(ours, ORIGIN))) == canonical(
        official_spans([first, second, third])
    )
    official = official_logs(log_exporter.get_finished_logs())
    # The SDK's trace ids are random and marked so (W3C Trace Context level 2); ours are hashes and are not.
    official.resource_logs[0].scope_logs[0].log_records[0].flags &= TraceFlags.SAMPLED
    log = LogRecord(5, "", Severity.INFO, "", (), *ids(child))
    assert canonical(parsed(ExportLogsServiceRequest, encode_logs([log], ORIGIN))) == canonical(official)


def sum_metric(definition: MetricDefinition, totals: list[MetricTotal]) -> sdk_metrics.Metric:
    points = [
        sdk_metrics.NumberDataPoint(
            attributes=dict(total.attributes),
            start_time_unix_nano=10,
            time_unix_nano=20,
            value=int(total.sum) if definition.value_type == "int" else float(total.sum),
        )
        for total in totals
    ]
    data = sdk_metrics.Sum(points, sdk_metrics.AggregationTemporality.CUMULATIVE, is_monotonic=True)
    return sdk_metrics.Metric(definition.name, definition.description, definition.unit, data)


def histogram_metric(definition: MetricDefinition, totals: list[MetricTotal]) -> sdk_metrics.Metric:
    points = [
        sdk_metrics.HistogramDataPoint(
            attributes=dict(total.attributes),
            start_time_unix_nano=10,
            time_unix_nano=20,
            count=total.count,
            sum=total.sum,
            bucket_counts=total.bucket_counts,
            explicit_bounds=definition.boundaries,
            min=None,  # type: ignore[arg-type]
            max=None,  # type: ignore[arg-type]
        )
        for total in totals
    ]
    data = sdk_metrics.Histogram(points, sdk_metrics.AggregationTemporality.CUMULATIVE)
    return sdk_metrics.Metric(definition.name, definition.description, definition.unit, data)


def official_request(metrics: list[sdk_metrics.Metric]) -> Message:
    scope_metrics = sdk_metrics.ScopeMetrics(SDK_SCOPE, metrics, SCHEMA_URL)
    return official_metrics(
        sdk_metrics.MetricsData([sdk_metrics.ResourceMetrics(SDK_RESOURCE, [scope_metrics], SCHEMA_URL)])
    )


@unhurried
@given(attributes, st.integers(-(2**63), 2**63 - 1), st.floats(), st.integers(0, 2**40))
def test_counters_decode_to_the_official_encoders_messages(
    series: Attributes, integer: int, double: float, whole: int
) -> None:
    definitions = {
        "calls": MetricDefinition("calls", "counter", "{call}", "Calls.", "int"),
        "cost": MetricDefinition("cost", "counter", "{USD}", "", "double"),
        "spent": MetricDefinition("spent", "counter", "", "An int where a double is said.", "double"),
    }
    totals = [
        MetricTotal("spent", series, whole),
        MetricTotal("cost", series, double),
        MetricTotal("calls", series, integer),
    ]
    by_name = {total.metric: total for total in totals}
    ours = parsed(
        ExportMetricsServiceRequest, encode_metrics(points_of(totals, 10, 20), definitions, ORIGIN, "cumulative")
    )
    official = [sum_metric(definition, [by_name[name]]) for name, definition in definitions.items()]
    assert canonical(ours) == canonical(official_request(official))


@unhurried
@given(attributes, st.integers(-(2**63), 2**63 - 1), st.floats(), st.sampled_from(["delta", "cumulative"]))
def test_gauges_decode_to_the_official_encoders_messages(
    series: Attributes, integer: int, double: float, temporality: Temporality
) -> None:
    definitions = {
        "open": MetricDefinition("open", "gauge", "{run}", "Open.", "int"),
        "wait": MetricDefinition("wait", "gauge", "s", "How long."),
    }
    values = {"open": integer, "wait": double}
    points = [MetricPoint(MetricTotal(name, series, value), 0, 20) for name, value in values.items()]
    official = [
        sdk_metrics.Metric(
            name,
            definitions[name].description,
            definitions[name].unit,
            sdk_metrics.Gauge(
                [
                    sdk_metrics.NumberDataPoint(
                        attributes=dict(series), start_time_unix_nano=0, time_unix_nano=20, value=value
                    )
                ]
            ),
        )
        for name, value in values.items()
    ]
    ours = parsed(ExportMetricsServiceRequest, encode_metrics(points, definitions, ORIGIN, temporality))
    assert canonical(ours) == canonical(official_request(official))


@unhurried
@given(attributes, st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20), st.floats())
def test_histograms_decode_to_the_official_encoders_messages(
    series: Attributes, counts: list[int], total: float
) -> None:
    boundaries = tuple(math.ldexp(1.0, exponent) for exponent in range(len(counts) - 1))
    definition = MetricDefinition("duration", "histogram", "s", "How long.", boundaries=boundaries)
    totals = [MetricTotal("duration", series, total, sum(counts) % 2**64, counts)]
    ours = parsed(
        ExportMetricsServiceRequest,
        encode_metrics(points_of(totals, 10, 20), {"duration": definition}, ORIGIN, "cumulative"),
    )
    assert canonical(ours) == canonical(official_request([histogram_metric(definition, totals)]))


def test_exemplars_of_explicit_buckets_decode_to_the_official_encoders_messages() -> None:
    definition = MetricDefinition("duration", "histogram", "s", "How long.", boundaries=(1.0,))
    total = MetricTotal("duration", (), 2.5, 1, [0, 1])
    exemplars = (Exemplar(15, 2.5, b"t" * 16, b"s" * 8), Exemplar(16, 3.5, b"u" * 16, b"r" * 8))
    ours = parsed(
        ExportMetricsServiceRequest,
        encode_metrics([MetricPoint(total, 10, 20, exemplars)], {"duration": definition}, ORIGIN, "cumulative"),
    )
    official = histogram_metric(definition, [total])
    (point,) = official.data.data_points
    point.exemplars.extend(  # type: ignore[union-attr]
        SdkExemplar(
            {},
            each.value,
            each.occurred_at_ns,
            int.from_bytes(each.span_id, "big"),
            int.from_bytes(each.trace_id, "big"),
        )
        for each in exemplars
    )
    assert canonical(ours) == canonical(official_request([official]))


@unhurried
@given(
    attributes,
    st.lists(st.integers(0, 2**63), max_size=20),
    st.integers(-10, 20),
    st.integers(-(2**31), 2**31 - 1),
    st.floats(allow_nan=False),
    st.sampled_from([DELTA, CUMULATIVE]),
)
def test_exponential_histograms_and_exemplars_decode_to_the_official_encoders_messages(
    series: Attributes,
    counts: list[int],
    scale: int,
    offset: int,
    total: float,
    temporality: tuple[Temporality, sdk_metrics.AggregationTemporality],
) -> None:
    definition = MetricDefinition("duration", "histogram", "s", "How long.", boundaries=(1.0,))
    count = sum(counts) % 2**64
    exemplar = Exemplar(15, 2.5, b"t" * 16, b"s" * 8)
    buckets = ExponentialBuckets(scale, 3, offset if counts else 0, counts)
    point = MetricPoint(MetricTotal("duration", series, total, count, [], 10, buckets), 10, 20, (exemplar,))
    ours = parsed(
        ExportMetricsServiceRequest, encode_metrics([point], {"duration": definition}, ORIGIN, temporality[0])
    )
    official = sdk_metrics.ExponentialHistogramDataPoint(
        attributes=dict(series),
        start_time_unix_nano=10,
        time_unix_nano=20,
        count=count,
        sum=total,
        scale=scale,
        zero_count=3,
        positive=sdk_metrics.Buckets(offset if counts else 0, counts),
        negative=sdk_metrics.Buckets(0, []),
        flags=0,
        min=None,  # type: ignore[arg-type]
        max=None,  # type: ignore[arg-type]
        exemplars=[SdkExemplar({}, 2.5, 15, int.from_bytes(b"s" * 8, "big"), int.from_bytes(b"t" * 16, "big"))],
    )
    data = sdk_metrics.ExponentialHistogram([official], temporality[1])
    message = official_request([sdk_metrics.Metric("duration", "How long.", "s", data)])
    if not counts:
        # An empty message there and none here mean the same.
        for metric in message.resource_metrics[0].scope_metrics[0].metrics:
            metric.exponential_histogram.data_points[0].ClearField("positive")
    message.resource_metrics[0].scope_metrics[0].metrics[0].exponential_histogram.data_points[0].ClearField("negative")
    assert canonical(ours) == canonical(message)


def test_what_a_real_meter_collects_decodes_alike_but_for_least_and_greatest() -> None:
    reader = sdk_metrics.InMemoryMetricReader()
    meter = MeterProvider([reader], SDK_RESOURCE, shutdown_on_exit=False).get_meter(
        "cline-otel", "1.2.3", schema_url=SCHEMA_URL
    )
    meter.create_counter("calls", "{call}", "Calls.").add(3, {"tool": "read"})
    histogram = meter.create_histogram("duration", "s", "How long.", explicit_bucket_boundaries_advisory=[1.0, 5.0])
    for value in (0.5, 1.0, 7.0):
        histogram.record(value)
    data = reader.get_metrics_data()
    assert data is not None
    official = official_metrics(data)
    started_at_ns = now_ns = 0
    for metric in official.resource_metrics[0].scope_metrics[0].metrics:
        for point in (*metric.sum.data_points, *metric.histogram.data_points):
            started_at_ns, now_ns = point.start_time_unix_nano, point.time_unix_nano
    for metric in official.resource_metrics[0].scope_metrics[0].metrics:
        for point in (*metric.sum.data_points, *metric.histogram.data_points):
            point.start_time_unix_nano, point.time_unix_nano = started_at_ns, now_ns
        for point in metric.histogram.data_points:
            point.ClearField("min")
            point.ClearField("max")
    definitions = {
        "calls": MetricDefinition("calls", "counter", "{call}", "Calls.", "int"),
        "duration": MetricDefinition("duration", "histogram", "s", "How long.", boundaries=(1.0, 5.0)),
    }
    totals = [MetricTotal("calls", (("tool", "read"),), 3), MetricTotal("duration", (), 8.5, 3, [2, 0, 1])]
    ours = parsed(
        ExportMetricsServiceRequest,
        encode_metrics(points_of(totals, started_at_ns, now_ns), definitions, ORIGIN, "cumulative"),
    )
    assert canonical(ours) == canonical(official)


def test_nothing_to_send_is_an_empty_request_as_with_the_official_encoder() -> None:
    assert encode_traces([], ORIGIN) == official_spans([]).SerializeToString() == b""
    assert encode_logs([], ORIGIN) == official_logs([]).SerializeToString() == b""
    empty = official_metrics(sdk_metrics.MetricsData([])).SerializeToString()
    assert encode_metrics([], {}, ORIGIN, "cumulative") == empty == b""
