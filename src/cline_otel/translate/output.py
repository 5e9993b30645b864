"""What the translator has made and what is not taken yet: spans, log records, measurements and diagnostics."""

from __future__ import annotations

from typing import Final

from cline_otel import ids
from cline_otel.catalogue.compiled import Catalogue, LogEventDefinition
from cline_otel.events import AttributeValue, ToolCallNamed
from cline_otel.signals import Attributes, Diagnostics, LogRecord, MetricDelta, SpanRecord, StepOutput
from cline_otel.translate.conventions import with_reported_outcome
from cline_otel.translate.state import Run

SpanReference = tuple[bytes, bytes]
"""A trace's id and a span's: 16 and 8 bytes, or both empty."""

NO_SPAN: Final[SpanReference] = (b"", b"")


class Output:
    """Collects signals. Of the values that are handed in, the catalogue says which each signal carries."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._metric_attributes = catalogue.metric_attributes
        self._outputs = StepOutput()

    def take(self) -> StepOutput:
        """Everything since the last call."""
        outputs, self._outputs = self._outputs, StepOutput()
        return outputs

    @property
    def diagnostics(self) -> Diagnostics:
        """The diagnostics, to count in."""
        return self._outputs.diagnostics

    def span(self, span: SpanRecord) -> None:
        """A span that is over."""
        self._outputs.spans.append(span)

    def measure(
        self,
        metric: str,
        value: int | float,
        values: dict[str, AttributeValue],
        occurred_at_ns: int,
        span: SpanReference = NO_SPAN,
    ) -> None:
        """One measurement, and the span that it is of; of ``values``, the metric's own attributes are taken."""
        attributes = pick(self._metric_attributes[metric], values)
        self._outputs.metrics.append(MetricDelta(metric, value, attributes, occurred_at_ns, *span))

    def usage(self, values: dict[str, AttributeValue], occurred_at_ns: int, span: SpanReference = NO_SPAN) -> None:
        """Tokens and cost of one model call."""
        values = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "_OTHER", **values}
        for token_type, name in (("input", "gen_ai.usage.input_tokens"), ("output", "gen_ai.usage.output_tokens")):
            tokens = values.get(name)
            if isinstance(tokens, int):
                values["gen_ai.token.type"] = token_type
                self.measure("gen_ai.client.token.usage", tokens, values, occurred_at_ns, span)
        cost = values.get("cline.cost_usd")
        if isinstance(cost, float) and cost > 0:
            self.measure("cline.cost", cost, values, occurred_at_ns)

    def tool_used(self, event: ToolCallNamed) -> None:
        """A tool call that has no span."""
        self.measure("cline.tool.calls", 1, with_reported_outcome(event), event.occurred_at_ns)
        self.tool_approval(event)

    def tool_approval(self, event: ToolCallNamed) -> None:
        """What was decided before a tool ran, if its source says that; one that did not run then was denied."""
        if event.auto_approved is None:
            return
        decision = "auto_approved"
        if not event.auto_approved:
            decision = "denied" if event.attributes.get("cline.success") is False else "approved"
        values = {**event.attributes, "cline.approval.decision": decision}
        self.measure("cline.approvals", 1, values, event.occurred_at_ns)

    def log(
        self,
        log_event: LogEventDefinition,
        occurred_at_ns: int,
        values: dict[str, AttributeValue],
        run: Run | None,
        span_id: bytes,
        uid: str,
        source: str = "",
    ) -> None:
        """A log record; of ``values``, which it takes over, what its log event carries is taken."""
        values.update(log_event.sets)
        values["event.name"] = log_event.name
        values["log.record.uid"] = uid
        values["cline.telemetry.source"] = source or (run.owner if run is not None else "")
        severity = log_event.severity
        for name, by_value in log_event.severity_by:
            severity = by_value.get(str(values.get(name)), severity)
        body = "".join(
            [literal + (_readable(values.get(name)) if name else "") for literal, name in log_event.body_parts]
        )
        trace_id = ids.trace_id(*run.root) if run is not None else b""
        attributes = pick(log_event.carries, values)
        self._outputs.logs.append(
            LogRecord(
                occurred_at_ns, log_event.name, severity, body, attributes, trace_id, span_id if trace_id else b""
            )
        )
        for metric in log_event.counts:
            self.measure(metric, 1, values, occurred_at_ns)


def pick(names: tuple[str, ...], values: dict[str, AttributeValue]) -> Attributes:
    """Those of ``values`` that have one of the names, in the order of the names."""
    return tuple([(name, values[name]) for name in names if name in values])


def _readable(value: AttributeValue | None) -> str:
    if isinstance(value, float):
        return f"{value:.0f}"
    return "unknown" if value is None else str(value)
