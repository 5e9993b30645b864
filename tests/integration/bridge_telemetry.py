"""Telemetry as the translator makes it, serialised by the bridge's own encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cline_otel import ids
from cline_otel.encode.logs import encode_logs
from cline_otel.encode.metrics import encode_metrics
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.encode.traces import encode_traces
from cline_otel.signals import (
    Attributes,
    LogRecord,
    MetricDefinition,
    MetricTotal,
    Severity,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanRecord,
    StatusCode,
)
from metric_points import points_of

from .comparison import ExportRequest
from .transport import Signal

ORIGIN: Final = ResourceAndScope(
    (("service.name", "cline"), ("service.instance.id", "a1b2c3d4")),
    "cline-otel",
    "0.1.0",
    "https://opentelemetry.io/schemas/1.41.0",
)
STARTED_AT_NS: Final = 1_764_000_000_000_000_000
SECOND_NS: Final = 1_000_000_000

ATTRIBUTES: Final[Attributes] = (
    ("gen_ai.request.model", "claude-sonnet-4"),
    ("gen_ai.usage.input_tokens", 9_007_199_254_740_993),
    ("cline.cost", 0.0125),
    ("cline.incomplete", True),
    ("gen_ai.response.finish_reasons", ("stop", "tool_calls")),
    ("cline.text", "Größe 🧭 \u2028 \x07 \" \\"),
)  # fmt: skip

METRICS: Final = {
    definition.name: definition
    for definition in (
        MetricDefinition("cline.tool.calls", "counter", "{call}", "Tool calls", "int"),
        MetricDefinition("cline.cost", "counter", "{USD}", "What the model calls cost"),
        MetricDefinition("cline.run.duration", "histogram", "s", "How long runs take", boundaries=(1.0, 5.0)),
    )
}

_REQUESTS: Final[dict[Signal, type[Message]]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}


def run_spans(number: int, calls: int = 2) -> list[SpanRecord]:
    """A run's root span and its model calls."""
    agent, run = "agent-1", f"run-{number}"
    trace_id, root_id = ids.trace_id(agent, run), ids.run_span_id(agent, run)
    at_ns = STARTED_AT_NS + number * 60 * SECOND_NS
    chats = [
        SpanRecord(
            trace_id,
            ids.model_call_span_id(agent, run, iteration),
            root_id,
            "chat claude-sonnet-4",
            SpanKind.CLIENT,
            at_ns + iteration * SECOND_NS,
            at_ns + (iteration + 1) * SECOND_NS,
            ATTRIBUTES,
            status=StatusCode.ERROR,
        )
        for iteration in range(1, calls + 1)
    ]
    root = SpanRecord(
        trace_id,
        root_id,
        b"",
        "invoke_agent cline",
        SpanKind.INTERNAL,
        at_ns,
        at_ns + 30 * SECOND_NS,
        ATTRIBUTES,
        (SpanEvent("cline.mode.switched", at_ns + 1, ATTRIBUTES),),
        (SpanLink(ids.trace_id(agent, "before"), ids.run_span_id(agent, "before"), (("cline.link", "previous"),)),),
    )
    return [*chats, root]


def run_logs(number: int) -> list[LogRecord]:
    """A run's log records: one within its trace, one without."""
    agent, run = "agent-1", f"run-{number}"
    at_ns = STARTED_AT_NS + number * 60 * SECOND_NS
    inside = LogRecord(
        at_ns, "cline.run.finished", Severity.WARN, "Run finished", (*ATTRIBUTES, ("cline.number", number)),
        ids.trace_id(agent, run), ids.run_span_id(agent, run),
    )  # fmt: skip
    outside = LogRecord(at_ns + 1, "cline.checkpoint", Severity.INFO, f"Checkpoint {number}")
    return [inside, outside]


def totals(runs: int) -> list[MetricTotal]:
    """The cumulative totals after ``runs`` runs."""
    mode = (("cline.mode", "act"),)
    return [
        MetricTotal("cline.tool.calls", (*mode, ("gen_ai.tool.name", "read_files")), 3 * runs),
        MetricTotal("cline.tool.calls", (*mode, ("gen_ai.tool.name", "_OTHER")), runs),
        MetricTotal("cline.cost", mode, 0.25 * runs),
        MetricTotal("cline.run.duration", mode, 3.5 * runs, runs, [0, runs, 0]),
    ]


def encoded_run(signal: Signal, number: int) -> bytes:
    """One export request of run ``number``, or the totals after that many runs."""
    if signal == "traces":
        return encode_traces(run_spans(number), ORIGIN)
    if signal == "logs":
        return encode_logs(run_logs(number), ORIGIN)
    now_ns = STARTED_AT_NS + number * 60 * SECOND_NS
    return encode_metrics(points_of(totals(number), STARTED_AT_NS, now_ns), METRICS, ORIGIN, "cumulative")


def parsed(signal: Signal, payloads: Sequence[bytes]) -> list[ExportRequest]:
    """The official messages that ``payloads`` are."""
    return [_REQUESTS[signal].FromString(payload) for payload in payloads]  # type: ignore[misc]
