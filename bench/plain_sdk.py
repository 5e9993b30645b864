"""What a straightforward bridge on the OpenTelemetry SDK does with the same events, as the measure.

It decodes requests with the official messages and calls start_span, end, counters, histograms and the logger; the
SDK's own processors batch, and the official exporters encode and send. It keeps nothing durably, hides nothing, knows
one source and no restart. ``python -m bench.plain_sdk`` serves it over HTTP: it prints its port, and takes everything
else from the variables that the SDK knows.
"""

from __future__ import annotations

import gzip
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

_COMMON = (
    "cline_type",
    "platform",
    "platform_version",
    "os_type",
    "os_version",
    "session_origin",
    "distinct_id",
    "device_id",
)


def decode(body: bytes) -> list[tuple[str, int, dict[str, Any]]]:
    """Name, time and attributes of each record, by the official messages."""
    request = ExportLogsServiceRequest()
    request.ParseFromString(body)
    return [
        (
            record.body.string_value,
            record.time_unix_nano,
            {
                pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value")
                for pair in record.attributes
            },
        )
        for resource in request.resource_logs
        for scope in resource.scope_logs
        for record in scope.log_records
    ]


class PlainSdkBridge:
    """Requests in; what the exporters' variables say is where it goes."""

    def __init__(self) -> None:
        resource = Resource.create({"service.name": "cline"})
        tracers = TracerProvider(resource=resource)
        tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        loggers = LoggerProvider(resource=resource)
        loggers.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        reader = PeriodicExportingMetricReader(OTLPMetricExporter())
        meter = MeterProvider(resource=resource, metric_readers=[reader]).get_meter("plain")
        self._tracer, self._logger = tracers.get_tracer("plain"), loggers.get_logger("plain")
        self._tokens = meter.create_histogram("gen_ai.client.token.usage", "{token}")
        self._duration = meter.create_histogram("gen_ai.client.operation.duration", "s")
        self._first_chunk = meter.create_histogram("gen_ai.client.operation.time_to_first_chunk", "s")
        self._tool_duration = meter.create_histogram("gen_ai.execute_tool.duration", "s")
        self._run_duration = meter.create_histogram("gen_ai.invoke_agent.duration", "s")
        self._cost = meter.create_counter("cline.cost", "{USD}")
        self._tool_calls = meter.create_counter("cline.tool.calls", "{call}")
        self._runs_started = meter.create_counter("cline.run.started", "{run}")
        self._runs_completed = meter.create_counter("cline.run.completed", "{run}")
        self._runs: dict[str, tuple[Any, int]] = {}
        self._chats: dict[str, tuple[Any, int, int]] = {}
        self._tools: dict[str, list[tuple[Any, int, int]]] = {}

    def take(self, body: bytes) -> None:
        """Decodes one request and translates it by SDK calls."""
        for name, time_ns, attributes in decode(body):
            self._event(name, time_ns, attributes)

    def _event(self, name: str, time_ns: int, a: dict[str, Any]) -> None:
        agent = a.get("agentId", "")
        if name == "agent.run-started":
            span = self._tracer.start_span("invoke_agent cline", start_time=time_ns)
            span.set_attributes(
                {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.id": agent, "cline.run.id": a["runId"]}
            )
            self._runs[agent] = (span, time_ns)
            self._runs_started.add(1, {"cline.mode": "act"})
            self._emit("cline.run.started", time_ns, a)
        elif name == "task.provider_request_started":
            span = self._start(agent, f"chat {a.get('model')}", trace.SpanKind.CLIENT, time_ns)
            self._chats[agent] = (span, time_ns, 0)
        elif name == "task.first_chunk_received":
            if agent in self._chats:
                span, started, _ = self._chats[agent]
                self._first_chunk.record((time_ns - started) / 1e9, _model(a))
                span.set_attribute("gen_ai.response.time_to_first_chunk", (time_ns - started) / 1e9)
        elif name == "agent.usage-updated":
            if agent in self._chats:
                span, started, _ = self._chats[agent]
                self._chats[agent] = (span, started, time_ns)
        elif name == "task.tokens":
            self._usage(agent, a)
        elif name == "agent.tool-started":
            self._tools.setdefault(agent, []).append(
                (self._start(agent, "execute_tool", trace.SpanKind.INTERNAL, time_ns), time_ns, 0)
            )
        elif name == "agent.tool-finished":
            open_tools = self._tools.get(agent, [])
            for index, (span, started, ended) in enumerate(open_tools):
                if not ended:
                    open_tools[index] = (span, started, time_ns)
                    break
        elif name == "task.tool_used":
            self._tool(agent, a)
        elif name in ("agent.run-finished", "agent.run-failed"):
            for open_span, _, _ in (*self._tools.pop(agent, ()), *filter(None, [self._chats.pop(agent, None)])):
                open_span.end(time_ns)
            if agent not in self._runs:
                return
            span, started = self._runs.pop(agent)
            span.set_attributes({"cline.outcome": a["status"], "cline.telemetry.source": "otlp"})
            span.end(time_ns)
            self._runs_completed.add(1, {"cline.outcome": a["status"], "cline.mode": "act"})
            self._run_duration.record((time_ns - started) / 1e9, {"gen_ai.operation.name": "invoke_agent"})
            self._emit("cline.run.finished", time_ns, a)
        elif not name.startswith(("agent.", "task.provider", "task.conversation", "task.agent_created", "hooks.disc")):
            self._emit(name, time_ns, a)

    def _start(self, agent: str, name: str, kind: trace.SpanKind, time_ns: int) -> Any:
        parent = self._runs.get(agent)
        context = trace.set_span_in_context(parent[0]) if parent else None
        return self._tracer.start_span(name, context, kind, start_time=time_ns)

    def _usage(self, agent: str, a: dict[str, Any]) -> None:
        inclusive = a.get("tokensIn", 0) + a.get("cacheReadTokens", 0) + a.get("cacheWriteTokens", 0)
        model = _model(a)
        self._tokens.record(inclusive, {**model, "gen_ai.token.type": "input"})
        self._tokens.record(a.get("tokensOut", 0), {**model, "gen_ai.token.type": "output"})
        if "totalCost" in a:
            self._cost.add(a["totalCost"], {k: v for k, v in model.items() if k != "gen_ai.operation.name"})
        chat = self._chats.get(agent)
        if chat and chat[2]:
            span, started, ended = self._chats.pop(agent)
            span.set_attributes(
                {
                    **model,
                    "gen_ai.agent.id": agent,
                    "gen_ai.conversation.id": a.get("ulid", ""),
                    "gen_ai.agent.name": "cline",
                    "gen_ai.usage.input_tokens": inclusive,
                    "gen_ai.usage.output_tokens": a.get("tokensOut", 0),
                    "gen_ai.usage.cache_read.input_tokens": a.get("cacheReadTokens", 0),
                    "gen_ai.usage.cache_creation.input_tokens": a.get("cacheWriteTokens", 0),
                    "cline.cost_usd": a.get("totalCost", 0.0),
                }
            )
            span.end(ended)
            self._duration.record((ended - started) / 1e9, model)

    def _tool(self, agent: str, a: dict[str, Any]) -> None:
        self._tool_calls.add(1, {"gen_ai.tool.name": a["tool"], "cline.outcome": "unverified"})
        open_tools = self._tools.get(agent, [])
        if open_tools and open_tools[0][2]:
            span, started, ended = open_tools.pop(0)
            span.update_name(f"execute_tool {a['tool']}")
            span.set_attributes(
                {
                    "gen_ai.operation.name": "execute_tool",
                    "gen_ai.tool.name": a["tool"],
                    "gen_ai.tool.type": "function",
                    "gen_ai.agent.id": agent,
                    "gen_ai.conversation.id": a.get("ulid", ""),
                    "cline.outcome": "unverified",
                }
            )
            span.end(ended)
            self._tool_duration.record((ended - started) / 1e9, {"gen_ai.tool.name": a["tool"]})

    def _emit(self, name: str, time_ns: int, a: dict[str, Any]) -> None:
        attributes = {key: value for key, value in a.items() if key not in _COMMON}
        self._logger.emit(
            timestamp=time_ns,
            severity_number=SeverityNumber.INFO,
            severity_text="INFO",
            body=name,
            event_name=name,
            attributes=attributes,
        )


def _model(a: dict[str, Any]) -> dict[str, Any]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": a.get("provider", ""),
        "gen_ai.request.model": a.get("model", ""),
    }


def main() -> None:
    """Serves one bridge on a port of its own, until it is ended."""
    bridge = PlainSdkBridge()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            bridge.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
