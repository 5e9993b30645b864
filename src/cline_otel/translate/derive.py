"""Finished runs, model calls and tool calls as spans, log records and metric deltas.

Which names a span carries is listed here, in order; what they mean and who may see them is in the
catalogue, and a test holds the two together.
"""

from __future__ import annotations

from typing import Final

from cline_otel import ids
from cline_otel.catalogue.load import Catalogue, Fact
from cline_otel.events import AttributeValue
from cline_otel.signals import (
    Attributes,
    LogRecord,
    MetricDelta,
    Outputs,
    SpanKind,
    SpanLink,
    SpanRecord,
    StatusCode,
)
from cline_otel.translate.state import ModelCall, Run, RunKey, ToolCall

IDENTITY: Final = (
    "user.hash",
    "user.id",
    "cline.device.hash",
    "cline.device.id",
    "cline.organization.hash",
    "cline.organization.id",
    "cline.organization.name",
)
"""Who an agent works for, as far as the user lets it leave. Not every source says it."""

RUN_SPAN: Final = (
    "gen_ai.operation.name",
    "gen_ai.agent.name",
    "gen_ai.agent.id",
    "gen_ai.conversation.id",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "cline.run.id",
    "cline.mode",
    "cline.outcome",
    "error.type",
    "cline.incomplete",
    "cline.run.model_calls",
    "cline.run.tool_calls",
    "cline.run.failed_tool_calls",
    "cline.run.input_tokens",
    "cline.run.output_tokens",
    "cline.cost_usd",
    "cline.client.name",
    "cline.version",
    "cline.telemetry.source",
    *IDENTITY,
)
MODEL_CALL_SPAN: Final = (
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.request.model",
    "gen_ai.agent.name",
    "gen_ai.agent.id",
    "gen_ai.conversation.id",
    "gen_ai.response.id",
    "gen_ai.response.finish_reasons",
    "gen_ai.response.time_to_first_chunk",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.reasoning.output_tokens",
    "cline.cost_usd",
    "cline.run.id",
    "cline.iteration",
    "cline.message_count",
    "error.type",
    "cline.incomplete",
)
TOOL_CALL_SPAN: Final = (
    "gen_ai.operation.name",
    "gen_ai.tool.name",
    "cline.tool.hash",
    "gen_ai.tool.type",
    "gen_ai.tool.call.id",
    "gen_ai.agent.name",
    "gen_ai.agent.id",
    "gen_ai.conversation.id",
    "mcp.method.name",
    "cline.outcome",
    "error.type",
    "process.exit.code",
    "cline.run.id",
    "cline.iteration",
    "cline.tool.input_bytes",
    "cline.tool.output_bytes",
    "cline.incomplete",
)

_FAILED: Final = frozenset({"error", "rejected"})


def _pick(names: tuple[str, ...], values: dict[str, AttributeValue]) -> Attributes:
    return tuple([(name, values[name]) for name in names if name in values])


class Deriver:
    """Turns what the lifecycle closes into signals, appended to ``outputs``."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._metric_attributes = catalogue.metric_attributes
        self._run_span, self._model_call_span, self._tool_call_span = (
            tuple(name for name in names if name not in catalogue.excluded)
            for names in (RUN_SPAN, MODEL_CALL_SPAN, TOOL_CALL_SPAN)
        )
        self.outputs = Outputs()

    def measure(self, metric: str, value: int | float, values: dict[str, AttributeValue]) -> None:
        """One measurement; of ``values``, the metric's own attributes are taken."""
        self.outputs.metrics.append(MetricDelta(metric, value, _pick(self._metric_attributes[metric], values)))

    def usage(self, values: dict[str, AttributeValue]) -> None:
        """Tokens and cost of one model call."""
        values = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "_OTHER", **values}
        for token_type, name in (("input", "gen_ai.usage.input_tokens"), ("output", "gen_ai.usage.output_tokens")):
            tokens = values.get(name)
            if isinstance(tokens, int):
                values["gen_ai.token.type"] = token_type
                self.measure("gen_ai.client.token.usage", tokens, values)
        cost = values.get("cline.cost_usd")
        if isinstance(cost, float) and cost > 0:
            self.measure("cline.cost", cost, values)

    def model_call(self, run: Run, iteration: int, call: ModelCall, *, incomplete: bool) -> None:
        """A model call that is over: a CLIENT span, its metrics, and a log record if it failed."""
        seconds = (call.ended_at_ns - call.started_at_ns) / 1e9
        values = call.attributes
        values["gen_ai.operation.name"] = "chat"
        values.setdefault("gen_ai.provider.name", run.attributes.get("gen_ai.provider.name", "_OTHER"))
        if "gen_ai.request.model" not in values and "gen_ai.request.model" in run.attributes:
            values["gen_ai.request.model"] = run.attributes["gen_ai.request.model"]
        self._identify(values, run)
        values["cline.iteration"] = iteration
        if call.first_chunk_at_ns > call.started_at_ns:
            first_chunk_seconds = (call.first_chunk_at_ns - call.started_at_ns) / 1e9
            values["gen_ai.response.time_to_first_chunk"] = first_chunk_seconds
            self.measure("gen_ai.client.operation.time_to_first_chunk", first_chunk_seconds, values)
        if incomplete:
            values["cline.incomplete"] = True
        else:
            self.measure("gen_ai.client.operation.duration", seconds, values)
        self.usage(values)
        span_id = ids.model_call_span_id(run.agent_id, run.run_id, iteration, call.attempt)
        failed = "error.type" in values
        self.outputs.spans.append(
            SpanRecord(
                ids.trace_id(*run.root),
                span_id,
                ids.run_span_id(run.agent_id, run.run_id),
                f"chat {values.get('gen_ai.request.model', '_OTHER')}",
                SpanKind.CLIENT,
                call.started_at_ns,
                call.ended_at_ns,
                _pick(self._model_call_span, values),
                status=StatusCode.ERROR if failed else StatusCode.UNSET,
            )
        )
        if failed:
            values["cline.duration_ms"] = seconds * 1e3
            uid = ids.log_record_uid("cline.model_call.failed", span_id.hex())
            self.log(self._catalogue.facts["cline.model_call.failed"], call.ended_at_ns, values, run, span_id, uid)

    def tool_call(self, run: Run, call: ToolCall, *, incomplete: bool) -> None:
        """A tool call that is over: an INTERNAL span, its metrics, and a log record if it failed."""
        seconds = (call.ended_at_ns - call.started_at_ns) / 1e9
        values = call.attributes
        values["gen_ai.operation.name"] = "execute_tool"
        values.setdefault("gen_ai.tool.name", "_OTHER")
        is_mcp = values.pop("is_mcp", False) is True
        values["gen_ai.tool.type"] = "extension" if is_mcp else "function"
        if is_mcp:
            values["mcp.method.name"] = "tools/call"
        self._identify(values, run)
        values["cline.iteration"] = call.iteration
        if call.call_id:
            values["gen_ai.tool.call.id"] = call.call_id
        if incomplete:
            values["cline.incomplete"] = True
            values["cline.outcome"] = "incomplete"
        failed = values.setdefault("cline.outcome", "unverified") in _FAILED
        if failed:
            values.setdefault("error.type", "_OTHER")
        else:
            values.pop("error.type", None)
        if not incomplete:
            self.measure("gen_ai.execute_tool.duration", seconds, values)
        self.measure("cline.tool.calls", 1, values)
        if is_mcp:
            self.measure("cline.feature.used", 1, {"cline.feature.kind": "mcp"})
        span_id = ids.tool_call_span_id(run.agent_id, run.run_id, call.iteration, call.ordinal)
        self.outputs.spans.append(
            SpanRecord(
                ids.trace_id(*run.root),
                span_id,
                ids.run_span_id(run.agent_id, run.run_id),
                f"execute_tool {values['gen_ai.tool.name']}",
                SpanKind.INTERNAL,
                call.started_at_ns,
                call.ended_at_ns,
                _pick(self._tool_call_span, values),
                status=StatusCode.ERROR if failed else StatusCode.UNSET,
            )
        )
        if failed:
            values["cline.duration_ms"] = seconds * 1e3
            uid = ids.log_record_uid("cline.tool_call.failed", span_id.hex())
            self.log(self._catalogue.facts["cline.tool_call.failed"], call.ended_at_ns, values, run, span_id, uid)

    def run_started(self, run: Run) -> None:
        """A root run begins: a count and a log record. Subagents and teammates are counted when they end."""
        if run.is_root:
            self.measure("cline.run.started", 1, run.attributes)
        elif run.agent_name in ("subagent", "teammate"):
            self.measure("cline.feature.used", 1, {"cline.feature.kind": run.agent_name})
        values = dict(run.attributes)
        self._identify(values, run)
        uid = ids.log_record_uid("cline.run.started", run.agent_id, run.run_id)
        fact = self._catalogue.facts["cline.run.started"]
        self.log(fact, run.started_at_ns, values, run, ids.run_span_id(run.agent_id, run.run_id), uid)

    def run_finished(self, run: Run, ended_at_ns: int) -> None:
        """An agent's run is over: an INTERNAL span, a log record and, for a root run, its counters."""
        seconds = (ended_at_ns - run.started_at_ns) / 1e9
        values = run.attributes
        outcome = values["cline.outcome"]
        incomplete = outcome == "incomplete"
        values["gen_ai.operation.name"] = "invoke_agent"
        values["cline.telemetry.source"] = run.owner
        values.setdefault("gen_ai.provider.name", "_OTHER")
        self._identify(values, run)
        values["cline.run.model_calls"] = run.model_call_count
        values["cline.run.tool_calls"] = run.tool_call_count
        values["cline.run.failed_tool_calls"] = run.failed_tool_call_count
        values["cline.run.input_tokens"] = run.input_tokens
        values["cline.run.output_tokens"] = run.output_tokens
        if run.cost_usd > 0:
            values["cline.cost_usd"] = run.cost_usd
        if incomplete:
            values["cline.incomplete"] = True
        if outcome == "failed":
            values.setdefault("error.type", "_OTHER")
        else:
            values.pop("error.type", None)
        if not incomplete:
            self.measure("gen_ai.invoke_agent.duration", seconds, values)
        if run.is_root:
            self.measure("cline.run.completed", 1, values)
            if not incomplete:
                self.measure("cline.run.duration", seconds, values)
            if outcome == "failed":
                self.measure("cline.errors", 1, {"cline.error.kind": "run", "error.type": values["error.type"]})
        span_id = ids.run_span_id(run.agent_id, run.run_id)
        links = () if run.previous == ("", "") else (_link(run.previous),)
        self.outputs.spans.append(
            SpanRecord(
                ids.trace_id(*run.root),
                span_id,
                run.parent_span_id,
                f"invoke_agent {run.agent_name}",
                SpanKind.INTERNAL,
                run.started_at_ns,
                ended_at_ns,
                _pick(self._run_span, values),
                tuple(run.span_events),
                links,
                StatusCode.ERROR if outcome == "failed" else StatusCode.UNSET,
            )
        )
        values["cline.duration_ms"] = seconds * 1e3
        uid = ids.log_record_uid("cline.run.finished", run.agent_id, run.run_id)
        self.log(self._catalogue.facts["cline.run.finished"], ended_at_ns, values, run, span_id, uid)

    def _identify(self, values: dict[str, AttributeValue], run: Run) -> None:
        values["gen_ai.agent.name"] = run.agent_name
        values["gen_ai.agent.id"] = run.agent_id
        values["cline.run.id"] = run.run_id
        if run.session_id:
            values["gen_ai.conversation.id"] = run.session_id

    def log(
        self,
        fact: Fact,
        occurred_at_ns: int,
        values: dict[str, AttributeValue],
        run: Run | None,
        span_id: bytes,
        uid: str,
        source: str = "",
    ) -> None:
        """A log record of a fact; of ``values``, which it takes over, what the fact carries is taken."""
        values.update(fact.sets)
        values["event.name"] = fact.name
        values["log.record.uid"] = uid
        values["cline.telemetry.source"] = source or (run.owner if run is not None else "")
        severity = fact.severity
        for name, by_value in fact.severity_by:
            severity = by_value.get(str(values.get(name)), severity)
        body = "".join([literal + (_readable(values.get(name)) if name else "") for literal, name in fact.body_parts])
        trace_id = ids.trace_id(*run.root) if run is not None else b""
        attributes = _pick(fact.carries, values)
        self.outputs.logs.append(
            LogRecord(occurred_at_ns, fact.name, severity, body, attributes, trace_id, span_id if trace_id else b"")
        )
        if fact.counts:
            self.measure(fact.counts, 1, values)


def _link(key: RunKey) -> SpanLink:
    return SpanLink(ids.trace_id(*key), ids.run_span_id(*key))


def _readable(value: AttributeValue | None) -> str:
    if isinstance(value, float):
        return f"{value:.0f}"
    return "unknown" if value is None else str(value)
