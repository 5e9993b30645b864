"""OTLP requests back into the objects that OpenTelemetry SDK exporters take.

The inverse of the official encoders: encoding the result with them gives the same messages again
(``tests/unit/test_export_sdk.py`` holds that).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1 import common_pb2
from opentelemetry.proto.logs.v1 import logs_pb2
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.resource.v1 import resource_pb2
from opentelemetry.proto.trace.v1 import trace_pb2
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)
from opentelemetry.util.types import AnyValue

_KINDS: Final = {
    trace_pb2.Span.SPAN_KIND_UNSPECIFIED: SpanKind.INTERNAL,
    trace_pb2.Span.SPAN_KIND_INTERNAL: SpanKind.INTERNAL,
    trace_pb2.Span.SPAN_KIND_SERVER: SpanKind.SERVER,
    trace_pb2.Span.SPAN_KIND_CLIENT: SpanKind.CLIENT,
    trace_pb2.Span.SPAN_KIND_PRODUCER: SpanKind.PRODUCER,
    trace_pb2.Span.SPAN_KIND_CONSUMER: SpanKind.CONSUMER,
}
_TRACE_FLAGS_MASK: Final = 0xFF


def spans(request: bytes) -> list[ReadableSpan]:
    """The spans of a serialized ``ExportTraceServiceRequest``.

    Raises:
        google.protobuf.message.DecodeError: the bytes are no such message.
    """
    message = ExportTraceServiceRequest.FromString(request)
    return [
        _span(span, resource, scope)
        for resource_spans in message.resource_spans
        for resource in [_resource(resource_spans.resource, resource_spans.schema_url)]
        for scope_spans in resource_spans.scope_spans
        for scope in [_scope(scope_spans.scope, scope_spans.schema_url)]
        for span in scope_spans.spans
    ]


def log_records(request: bytes) -> list[ReadableLogRecord]:
    """The records of a serialized ``ExportLogsServiceRequest``.

    Raises:
        google.protobuf.message.DecodeError: the bytes are no such message.
    """
    message = ExportLogsServiceRequest.FromString(request)
    return [
        ReadableLogRecord(_log_record(record), resource, scope)
        for resource_logs in message.resource_logs
        for resource in [_resource(resource_logs.resource, resource_logs.schema_url)]
        for scope_logs in resource_logs.scope_logs
        for scope in [_scope(scope_logs.scope, scope_logs.schema_url)]
        for record in scope_logs.log_records
    ]


def metrics_data(request: bytes) -> MetricsData:
    """The metrics of a serialized ``ExportMetricsServiceRequest``: sums, gauges and histograms.

    Raises:
        google.protobuf.message.DecodeError: the bytes are no such message.
    """
    message = ExportMetricsServiceRequest.FromString(request)
    return MetricsData(
        [
            ResourceMetrics(
                resource=_resource(resource_metrics.resource, resource_metrics.schema_url),
                scope_metrics=[
                    ScopeMetrics(
                        scope=_scope(scope_metrics.scope, scope_metrics.schema_url),
                        metrics=[_metric(metric) for metric in scope_metrics.metrics],
                        schema_url=scope_metrics.schema_url,
                    )
                    for scope_metrics in resource_metrics.scope_metrics
                ],
                schema_url=resource_metrics.schema_url,
            )
            for resource_metrics in message.resource_metrics
        ]
    )


def _span(span: trace_pb2.Span, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    context = _context(span.trace_id, span.span_id, span.flags, span.trace_state)
    return ReadableSpan(
        name=span.name,
        context=context,
        parent=_context(span.trace_id, span.parent_span_id, span.flags, "") if span.parent_span_id else None,
        resource=resource,
        attributes=_attributes(span.attributes),
        events=[Event(event.name, _attributes(event.attributes), event.time_unix_nano) for event in span.events],
        links=[
            Link(_context(link.trace_id, link.span_id, link.flags, link.trace_state), _attributes(link.attributes))
            for link in span.links
        ],
        kind=_KINDS[span.kind],
        status=Status(StatusCode(span.status.code), span.status.message or None),
        start_time=span.start_time_unix_nano,
        end_time=span.end_time_unix_nano,
        instrumentation_scope=scope,
    )


def _log_record(record: logs_pb2.LogRecord) -> LogRecord:
    context = None
    if record.trace_id and record.span_id:
        context = set_span_in_context(NonRecordingSpan(_context(record.trace_id, record.span_id, record.flags, "")))
    return LogRecord(
        timestamp=record.time_unix_nano,
        observed_timestamp=record.observed_time_unix_nano,
        context=context,
        severity_text=record.severity_text or None,
        severity_number=SeverityNumber(record.severity_number),
        body=_value(record.body),
        attributes=_attributes(record.attributes),
        event_name=record.event_name or None,
    )


def _metric(metric: metrics_pb2.Metric) -> Metric:
    data: Sum | Gauge | Histogram | ExponentialHistogram
    if metric.HasField("exponential_histogram"):
        data = ExponentialHistogram(
            [_exponential_point(point) for point in metric.exponential_histogram.data_points],
            AggregationTemporality(metric.exponential_histogram.aggregation_temporality),
        )
    elif metric.HasField("histogram"):
        data = Histogram(
            [_histogram_point(point) for point in metric.histogram.data_points],
            AggregationTemporality(metric.histogram.aggregation_temporality),
        )
    elif metric.HasField("gauge"):
        data = Gauge([_number_point(point) for point in metric.gauge.data_points])
    else:
        data = Sum(
            [_number_point(point) for point in metric.sum.data_points],
            AggregationTemporality(metric.sum.aggregation_temporality),
            metric.sum.is_monotonic,
        )
    return Metric(metric.name, metric.description, metric.unit, data)


def _number_point(point: metrics_pb2.NumberDataPoint) -> NumberDataPoint:
    return NumberDataPoint(
        attributes=_attributes(point.attributes),
        start_time_unix_nano=point.start_time_unix_nano,
        time_unix_nano=point.time_unix_nano,
        value=point.as_int if point.HasField("as_int") else point.as_double,
        exemplars=_exemplars(point.exemplars),
    )


def _histogram_point(point: metrics_pb2.HistogramDataPoint) -> HistogramDataPoint:
    return HistogramDataPoint(
        attributes=_attributes(point.attributes),
        start_time_unix_nano=point.start_time_unix_nano,
        time_unix_nano=point.time_unix_nano,
        count=point.count,
        sum=point.sum,
        bucket_counts=list(point.bucket_counts),
        explicit_bounds=list(point.explicit_bounds),
        # Absent is not 0: exporters leave None out.
        min=point.min if point.HasField("min") else None,  # type: ignore[arg-type]
        max=point.max if point.HasField("max") else None,  # type: ignore[arg-type]
        exemplars=_exemplars(point.exemplars),
    )


def _exponential_point(point: metrics_pb2.ExponentialHistogramDataPoint) -> ExponentialHistogramDataPoint:
    return ExponentialHistogramDataPoint(
        attributes=_attributes(point.attributes),
        start_time_unix_nano=point.start_time_unix_nano,
        time_unix_nano=point.time_unix_nano,
        count=point.count,
        sum=point.sum,
        scale=point.scale,
        zero_count=point.zero_count,
        positive=Buckets(point.positive.offset, list(point.positive.bucket_counts)),
        negative=Buckets(point.negative.offset, list(point.negative.bucket_counts)),
        flags=point.flags,
        # Absent is not 0: exporters leave None out.
        min=point.min if point.HasField("min") else None,  # type: ignore[arg-type]
        max=point.max if point.HasField("max") else None,  # type: ignore[arg-type]
        exemplars=_exemplars(point.exemplars),
    )


def _exemplars(exemplars: Iterable[metrics_pb2.Exemplar]) -> list[Exemplar]:
    return [
        Exemplar(
            _attributes(exemplar.filtered_attributes),
            exemplar.as_int if exemplar.HasField("as_int") else exemplar.as_double,
            exemplar.time_unix_nano,
            int.from_bytes(exemplar.span_id, "big") or None,
            int.from_bytes(exemplar.trace_id, "big") or None,
        )
        for exemplar in exemplars
    ]


def _resource(resource: resource_pb2.Resource, schema_url: str) -> Resource:
    return Resource(_attributes(resource.attributes), schema_url or None)


def _scope(scope: common_pb2.InstrumentationScope, schema_url: str) -> InstrumentationScope:
    return InstrumentationScope(scope.name, scope.version or None, schema_url or None, _attributes(scope.attributes))


def _context(trace_id: bytes, span_id: bytes, flags: int, trace_state: str) -> SpanContext:
    return SpanContext(
        int.from_bytes(trace_id, "big"),
        int.from_bytes(span_id, "big"),
        is_remote=False,
        trace_flags=TraceFlags(flags & _TRACE_FLAGS_MASK),
        trace_state=TraceState.from_header([trace_state]) if trace_state else None,
    )


def _attributes(pairs: Iterable[common_pb2.KeyValue]) -> dict[str, AnyValue]:
    return {pair.key: _value(pair.value) for pair in pairs}


def _value(value: common_pb2.AnyValue) -> AnyValue:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return _values(value.array_value.values)
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    scalar: AnyValue = getattr(value, kind) if kind else None
    return scalar


def _values(values: Iterable[common_pb2.AnyValue]) -> Sequence[AnyValue]:
    # A tuple: the SDK's own attributes are hashable, and exporters rely on it.
    return tuple(_value(value) for value in values)
