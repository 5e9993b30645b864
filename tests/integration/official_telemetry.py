"""Telemetry made by the official SDK and serialised by the official encoder, all three signals."""

from __future__ import annotations

from typing import Any

from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from .comparison import ExportRequest
from .transport import Signal

ORDINARY: dict[str, Any] = {
    "gen_ai.request.model": "anthropic/claude-sonnet-4-20250514",
    "gen_ai.conversation.id": "01JQ3W8ZK4N0T5V6X7Y8Z9ABCD",
    "gen_ai.usage.input_tokens": 9000,
    "cline.cost": 0.0125,
    "cline.incomplete": True,
    "gen_ai.response.finish_reasons": ("stop", "tool_calls"),
}
"""Values of every type that looks like what the bridge sends and must pass unchanged."""


def official_requests(
    attributes: dict[str, Any] = ORDINARY, body: str = "Run finished", resource: dict[str, Any] | None = None
) -> dict[Signal, ExportRequest]:
    """One request per signal, with ``attributes`` wherever the signal can carry attributes."""
    origin = Resource({"service.name": "cline", "service.instance.id": "a1b2c3d4", **(resource or {})})
    return {
        "traces": _traces(origin, attributes),
        "metrics": _metrics(origin, attributes),
        "logs": _logs(origin, attributes, body),
    }


def _traces(origin: Resource, attributes: dict[str, Any]) -> ExportRequest:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=origin, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("cline-otel", "0.1.0", "https://opentelemetry.io/schemas/1.41.0")
    with tracer.start_as_current_span("invoke_agent cline", kind=SpanKind.INTERNAL, attributes=attributes) as root:
        root.add_event("cline.mode.switched", attributes)
        with tracer.start_as_current_span(
            "chat claude", kind=SpanKind.CLIENT, links=[Link(root.get_span_context(), {"cline.link": "previous"})]
        ) as chat:
            chat.set_status(Status(StatusCode.ERROR, "rate_limit"))
    provider.shutdown()
    return encode_spans(exporter.get_finished_spans())


def _metrics(origin: Resource, attributes: dict[str, Any]) -> ExportRequest:
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], resource=origin, shutdown_on_exit=False)
    meter = provider.get_meter("cline-otel", "0.1.0", "https://opentelemetry.io/schemas/1.41.0")
    meter.create_counter("cline.cost", "{USD}", "What the model calls cost").add(0.5, attributes)
    meter.create_counter("cline.tool.calls", "{call}").add(3, attributes)
    meter.create_histogram("cline.run.duration", "s", explicit_bucket_boundaries_advisory=[1, 5]).record(
        3.2, attributes
    )
    data = reader.get_metrics_data()
    provider.shutdown()
    assert data is not None
    return encode_metrics(data)


def _logs(origin: Resource, attributes: dict[str, Any], body: str) -> ExportRequest:
    exporter = InMemoryLogRecordExporter()  # type: ignore[no-untyped-call]
    provider = LoggerProvider(resource=origin, shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    provider.get_logger("cline-otel", "0.1.0", "https://opentelemetry.io/schemas/1.41.0").emit(
        timestamp=1_764_000_000_000_000_001,
        observed_timestamp=1_764_000_000_000_000_002,
        severity_number=SeverityNumber.WARN,
        severity_text="WARN",
        body=body,
        event_name="cline.run.finished",
        attributes=attributes,
    )
    records = exporter.get_finished_logs()
    provider.shutdown()
    return encode_logs(records)
