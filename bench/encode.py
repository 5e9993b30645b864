"""What encoding costs per item, beside the official encoder on the same data, in one process.

Run ``python bench/encode.py``. Both sides go from records that are ready to the bytes of a request of
1,000 items; the best of several rounds counts, rounds alternate between the two.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import process_time
from typing import NamedTuple

from opentelemetry._logs import LogRecord as SdkLogRecord
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs as official_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as official_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official_spans
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.metrics import export as sdk_metrics
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context
from opentelemetry.trace import SpanKind as SdkSpanKind
from opentelemetry.trace.status import Status
from opentelemetry.trace.status import StatusCode as SdkStatusCode

from cline_otel.encode.logs import encode_logs
from cline_otel.encode.metrics import encode_metrics
from cline_otel.encode.otlp_json import to_json_line
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.encode.traces import encode_traces
from cline_otel.signals import (
    Attributes,
    LogRecord,
    MetricDefinition,
    MetricPoint,
    MetricTotal,
    Severity,
    SpanKind,
    SpanRecord,
)

ITEMS = 1_000
ROUNDS = 15
START_NS = 1_760_000_000_000_000_000
RESOURCE: Attributes = (("service.name", "cline"), ("service.instance.id", "bench"))
SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0"
BOUNDARIES = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0)


class Comparison(NamedTuple):
    """The same 1,000 items for both encoders; ``prepare`` makes them anew for a round, unmeasured."""

    name: str
    ours: Callable[[], bytes]
    official: Callable[[], bytes]
    prepare: Callable[[int], None] = lambda _round: None


def chat_attributes(index: int, distinct_strings: int) -> Attributes:
    """16 attributes of a model call: ten strings, of which some differ in every span, five integers, one double."""
    strings = [
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "anthropic"),
        ("gen_ai.request.model", "claude-sonnet-4-5"),
        ("gen_ai.response.model", "claude-sonnet-4-5"),
        ("gen_ai.output.type", "text"),
        ("cline.mode", ("act", "plan")[index % 2]),
        ("cline.telemetry.source", "plugin"),
        ("cline.version", "3.0.65"),
        ("gen_ai.conversation.id", f"session-{index if distinct_strings > 0 else index % 8}"),
        ("gen_ai.response.id", f"response-{index if distinct_strings > 1 else index % 8}"),
    ]
    return (
        *strings,
        ("gen_ai.usage.input_tokens", 9_000 + index * 7),
        ("gen_ai.usage.output_tokens", 100 + index),
        ("gen_ai.usage.cache_read.input_tokens", 4_000 + index * 3),
        ("gen_ai.usage.cache_creation.input_tokens", index % 3 * 1_000),
        ("cline.iteration", index % 20 + 1),
        ("cline.cost", index * 0.000_123),
    )


def span_comparison(name: str, distinct_strings: int) -> Comparison:
    """Chat spans with other numbers, and other ``distinct_strings``, in every span of every round."""
    resource_and_scope = ResourceAndScope(RESOURCE, "cline-otel", "0.1.0", SCHEMA_URL)
    resource = Resource(dict(RESOURCE), SCHEMA_URL)
    scope = InstrumentationScope("cline-otel", "0.1.0", SCHEMA_URL)
    spans: list[SpanRecord] = []
    sdk_spans: list[ReadableSpan] = []

    def prepare(number: int) -> None:
        spans[:] = [
            SpanRecord(
                trace_id=(index // 10 + 1).to_bytes(16, "big"),
                span_id=(index + 1).to_bytes(8, "big"),
                parent_span_id=(index // 10 + 1).to_bytes(8, "big"),
                name="chat claude-sonnet-4-5",
                kind=SpanKind.CLIENT,
                started_at_ns=START_NS + index * 1_000_000,
                ended_at_ns=START_NS + index * 1_000_000 + 2_000_000_000,
                attributes=chat_attributes(number * ITEMS + index, distinct_strings),
            )
            for index in range(ITEMS)
        ]
        sdk_spans[:] = [sdk_span(span, resource, scope) for span in spans]

    return Comparison(
        name,
        lambda: encode_traces(spans, resource_and_scope),
        lambda: official_spans(sdk_spans).SerializeToString(),
        prepare,
    )


def sdk_span(span: SpanRecord, resource: Resource, scope: InstrumentationScope) -> ReadableSpan:
    """The SDK's object for a span of ours."""
    trace_id = int.from_bytes(span.trace_id, "big")
    sampled = TraceFlags(TraceFlags.SAMPLED)
    return ReadableSpan(
        name=span.name,
        context=SpanContext(trace_id, int.from_bytes(span.span_id, "big"), False, sampled),
        parent=SpanContext(trace_id, int.from_bytes(span.parent_span_id, "big"), False, sampled),
        resource=resource,
        attributes=dict(span.attributes),
        kind=SdkSpanKind.CLIENT,
        instrumentation_scope=scope,
        status=Status(SdkStatusCode.UNSET),
        start_time=span.started_at_ns,
        end_time=span.ended_at_ns,
    )


def log_comparison() -> Comparison:
    """Log records of five attributes, one of them different in each."""
    resource_and_scope = ResourceAndScope(RESOURCE, "cline-otel", "0.1.0", SCHEMA_URL)
    resource = Resource(dict(RESOURCE), SCHEMA_URL)
    scope = InstrumentationScope("cline-otel", "0.1.0", SCHEMA_URL)
    records = [
        LogRecord(
            occurred_at_ns=START_NS + index,
            event_name="cline.tool.failed",
            severity=Severity.WARN,
            body=f"Tool read_file failed after {index} ms.",
            attributes=(
                ("event.name", "cline.tool.failed"),
                ("log.record.uid", f"{index:032x}"),
                ("gen_ai.tool.name", "read_file"),
                ("error.type", "tool_error"),
                ("cline.iteration", index % 20 + 1),
            ),
            trace_id=(index // 10 + 1).to_bytes(16, "big"),
            span_id=(index + 1).to_bytes(8, "big"),
        )
        for index in range(ITEMS)
    ]
    sdk_records = []
    for record in records:
        span_context = SpanContext(
            int.from_bytes(record.trace_id, "big"),
            int.from_bytes(record.span_id, "big"),
            False,
            TraceFlags(TraceFlags.SAMPLED),
        )
        sdk_record = SdkLogRecord(
            timestamp=record.occurred_at_ns,
            observed_timestamp=record.occurred_at_ns,
            context=set_span_in_context(NonRecordingSpan(span_context)),
            severity_text="WARN",
            severity_number=SeverityNumber.WARN,
            body=record.body,
            attributes=dict(record.attributes),
            event_name=record.event_name,
        )
        sdk_records.append(ReadableLogRecord(sdk_record, resource, scope))
    return Comparison(
        "log record, 5 attributes",
        lambda: encode_logs(records, resource_and_scope),
        lambda: official_logs(sdk_records).SerializeToString(),
    )


def histogram_comparison() -> Comparison:
    """Histogram series of four attributes and twelve bounds."""
    resource_and_scope = ResourceAndScope(RESOURCE, "cline-otel", "0.1.0", SCHEMA_URL)
    definition = MetricDefinition(
        "gen_ai.client.token.usage", "histogram", "{token}", "Tokens used.", boundaries=BOUNDARIES
    )
    totals = [
        MetricTotal(
            definition.name,
            (
                ("gen_ai.operation.name", "chat"),
                ("gen_ai.provider.name", "anthropic"),
                ("gen_ai.request.model", f"model-{index}"),
                ("gen_ai.token.type", "input"),
            ),
            sum=float(index),
            count=index,
            bucket_counts=[index + offset for offset in range(len(BOUNDARIES) + 1)],
        )
        for index in range(ITEMS)
    ]
    points = [
        sdk_metrics.HistogramDataPoint(
            attributes=dict(total.attributes),
            start_time_unix_nano=START_NS,
            time_unix_nano=START_NS + 1,
            count=total.count,
            sum=total.sum,
            bucket_counts=total.bucket_counts,
            explicit_bounds=BOUNDARIES,
            min=0.0,
            max=0.0,
        )
        for total in totals
    ]
    scope_metrics = sdk_metrics.ScopeMetrics(
        InstrumentationScope("cline-otel", "0.1.0", SCHEMA_URL),
        [
            sdk_metrics.Metric(
                definition.name,
                definition.description,
                definition.unit,
                sdk_metrics.Histogram(points, sdk_metrics.AggregationTemporality.CUMULATIVE),
            )
        ],
        SCHEMA_URL,
    )
    resource = Resource(dict(RESOURCE), SCHEMA_URL)
    data = sdk_metrics.MetricsData([sdk_metrics.ResourceMetrics(resource, [scope_metrics], SCHEMA_URL)])
    definitions = {definition.name: definition}
    points_of_totals = [MetricPoint(total, START_NS, START_NS + 1) for total in totals]
    return Comparison(
        "histogram series, 12 bounds",
        lambda: encode_metrics(points_of_totals, definitions, resource_and_scope, "cumulative"),
        lambda: official_metrics(data).SerializeToString(),
    )


def seconds(work: Callable[[], bytes]) -> float:
    """CPU seconds that one call takes, the garbage collector aside."""
    gc.collect()
    gc.disable()
    started = process_time()
    work()
    elapsed = process_time() - started
    gc.enable()
    return elapsed


def main() -> None:
    """Print a line for each comparison: µs per item for both, and how many times faster ours is."""
    comparisons = [
        span_comparison("chat span, 16 attributes", 0),
        span_comparison("the same, 2 strings always new", 2),
        log_comparison(),
        histogram_comparison(),
    ]
    print(f"{'µs per item':<34}{'ours':>8}{'official':>10}{'times':>8}")
    for comparison in comparisons:
        ours, official = [], []
        for number in range(ROUNDS):
            comparison.prepare(number)
            ours.append(seconds(comparison.ours))
            official.append(seconds(comparison.official))
        per_item = min(ours) / ITEMS * 1e6
        per_item_official = min(official) / ITEMS * 1e6
        print(f"{comparison.name:<34}{per_item:>8.2f}{per_item_official:>10.2f}{per_item_official / per_item:>8.1f}")
    request = comparisons[0].ours()
    per_item = min(seconds(lambda: to_json_line("traces", request)) for _ in range(ROUNDS)) / ITEMS * 1e6
    print(f"{'chat span, bytes to OTLP JSON':<34}{per_item:>8.2f}")


if __name__ == "__main__":
    main()
