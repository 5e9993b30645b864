"""What the translator has made and what is not taken yet: spans, log records, measurements and diagnostics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cline_otel.catalogue.compiled import Catalogue, LogEventDefinition
from cline_otel.events import AttributeValue, ToolCallFinished, ToolCallNamed
from cline_otel.prices.table import Tokens
from cline_otel.signals import Attributes, Diagnostics, LogRecord, MetricDelta, SpanRecord, StepOutput
from cline_otel.translate.conventions import with_reported_outcome
from cline_otel.translate.costs import COST_BASES, TOKEN_TYPES, add_cost, disjoint_tokens
from cline_otel.translate.stored import PROMPT_ATTRIBUTES, Run, Session

SpanReference = tuple[bytes, bytes]
"""A trace's id and a span's: 16 and 8 bytes, or both empty."""

NO_SPAN: Final[SpanReference] = (b"", b"")


class Output:
    """Collects signals. Of the values that are handed in, the catalogue says which each signal carries.

    Where nobody wants measurements (``measures``), none are made: most of what a call becomes are such. What is of a
    service of its own is collected apart, so that nobody else's need be looked at for it.

    Attributes:
        measures: whether it makes any.
    """

    def __init__(self, catalogue: Catalogue, *, measures: bool = True) -> None:
        self.measures = measures
        self._metric_attributes = catalogue.metric_attributes
        self._prices = catalogue.prices
        # Most of what a call's usage becomes has the same attributes, so they are picked once for all of it.
        self._usage_attributes = catalogue.metric_attributes["gen_ai.client.token.usage"]
        self._usage_types = tuple(
            (name, pick(self._usage_attributes, {"gen_ai.token.type": each}))
            for each, name in (("input", "gen_ai.usage.input_tokens"), ("output", "gen_ai.usage.output_tokens"))
        )
        self._model_attributes = catalogue.metric_attributes["cline.tokens.unpriced"]
        self._token_types = tuple(
            pick(catalogue.metric_attributes["cline.tokens"], {"cline.token.type": each}) for each in TOKEN_TYPES
        )
        self._cost_bases: dict[AttributeValue, Attributes] = {
            each: pick(catalogue.metric_attributes["cline.cost"], {"cline.cost.basis": each}) for each in COST_BASES
        }
        self._tokens_of_prompt, self._cost_of_prompt = (
            tuple(each for each in catalogue.metric_attributes[metric] if each in PROMPT_ATTRIBUTES)
            for metric in ("cline.tokens", "cline.cost")
        )
        self._leaves_cost = "cline.cost_usd" not in catalogue.excluded
        self._services = catalogue.services
        self._service = ""
        self._outputs = StepOutput()
        self._by_service = {"": self._outputs}

    def take(self) -> StepOutput:
        """Everything since the last call."""
        made, self._service, self._outputs = self._by_service, "", StepOutput()
        self._by_service = {"": self._outputs}
        outputs = made.pop("")
        for service, of_service in made.items():
            outputs.add(of_service, service)
        return outputs

    def turn_to(self, source: str) -> None:
        """What comes next is of a run that this source owns, or of no run and reported by it."""
        service = self._services.get(source, "")
        if service != self._service:
            self._service = service
            self._outputs = self._by_service.setdefault(service, StepOutput())

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
        if self.measures:
            attributes = pick(self._metric_attributes[metric], values)
            self._outputs.metrics.append(MetricDelta(metric, value, attributes, occurred_at_ns, *span))

    def usage(
        self,
        values: dict[str, AttributeValue],
        prompt: Mapping[str, AttributeValue],
        occurred_at_ns: int,
        span: SpanReference = NO_SPAN,
    ) -> int:
        """Tokens and cost of one model call; ``values`` gets what it cost. Returns how many tokens have no price.

        ``prompt`` is what is known of the prompt that the call was made for.
        """
        counted = disjoint_tokens(values)
        # Without the amount that Cline reports, a computed one would pass for the only one.
        unpriced_tokens = add_cost(values, counted, self._prices, occurred_at_ns) if self._leaves_cost else 0
        if self.measures:
            self._measure_usage(values, prompt, occurred_at_ns, span, counted, unpriced_tokens)
        return unpriced_tokens

    def _measure_usage(
        self,
        values: Mapping[str, AttributeValue],
        prompt: Mapping[str, AttributeValue],
        occurred_at_ns: int,
        span: SpanReference,
        counted: Tokens,
        unpriced_tokens: int,
    ) -> None:
        measured = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "_OTHER", **values}
        metrics = self._outputs.metrics
        usage = pick(self._usage_attributes, measured)
        for name, of_type in self._usage_types:
            tokens = values.get(name)
            if isinstance(tokens, int):
                metrics.append(MetricDelta("gen_ai.client.token.usage", tokens, usage + of_type, occurred_at_ns, *span))
        model = pick(self._model_attributes, measured)
        of_tokens = pick(self._tokens_of_prompt, prompt)
        for place, used in enumerate(counted):
            if used:
                attributes = model + self._token_types[place] + of_tokens
                metrics.append(MetricDelta("cline.tokens", used, attributes, occurred_at_ns))
        if unpriced_tokens:
            metrics.append(MetricDelta("cline.tokens.unpriced", unpriced_tokens, model, occurred_at_ns))
        cost, computed = values.get("cline.cost_usd"), values.get("cline.cost.computed_usd")
        if isinstance(cost, float):
            basis = self._cost_bases[values["cline.cost.basis"]]
            of_cost = basis + pick(self._cost_of_prompt, prompt)
            metrics.append(MetricDelta("cline.cost", cost, model + of_cost, occurred_at_ns))
        if isinstance(computed, float):
            metrics.append(MetricDelta("cline.cost.computed", computed, model, occurred_at_ns))

    def session(self, session: Session, occurred_at_ns: int) -> None:
        """A session is there; it counts once."""
        if session.is_new:
            session.is_counted = True
            self.measure("cline.sessions", 1, {}, occurred_at_ns)

    def tool_used(self, event: ToolCallNamed) -> None:
        """A tool call that has no span."""
        self.measure("cline.tool.calls", 1, with_reported_outcome(event), event.occurred_at_ns)

    def tool_decided(self, event: ToolCallNamed) -> None:
        """What was decided of a tool call of classic Cline, whose ``success`` is whether the tool may run.

        It says so when that is decided, not when the tool has run (``captureToolUsage`` in its tool handlers).
        """
        self._approval(event, "denied" if event.attributes.get("cline.success") is False else "approved")

    def tool_approved(self, event: ToolCallNamed) -> None:
        """What was decided of a tool call of a run, whose ``success`` is how it ended.

        Whether one that failed was denied, or approved and threw, cannot be told.
        """
        if event.auto_approved or event.attributes.get("cline.success") is True:
            self._approval(event, "approved")

    def tool_answered(self, event: ToolCallFinished) -> None:
        """What was decided of a tool call whose end says so; one that was denied counts with its span."""
        if event.attributes.get("error.type") != "denied":
            self._approval(event, "approved")

    def _approval(self, event: ToolCallNamed | ToolCallFinished, decision: str) -> None:
        if event.auto_approved is None:
            return
        values = {**event.attributes, "cline.approval.decision": "auto_approved" if event.auto_approved else decision}
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
        *,
        is_counted: bool = False,
    ) -> None:
        """A log record; of ``values``, which it takes over, what its log event carries is taken.

        ``is_counted`` is whether what it counts is counted elsewhere.
        """
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
        trace_id = run.trace_id if run is not None else b""
        attributes = pick(log_event.carries, values)
        self._outputs.logs.append(
            LogRecord(
                occurred_at_ns, log_event.name, severity, body, attributes, trace_id, span_id if trace_id else b""
            )
        )
        for metric in () if is_counted else log_event.counts:
            self.measure(metric, 1, values, occurred_at_ns)


def pick(names: tuple[str, ...], values: Mapping[str, AttributeValue]) -> Attributes:
    """Those of ``values`` that have one of the names, in the order of the names."""
    return tuple([(name, values[name]) for name in names if name in values])


def _readable(value: AttributeValue | None) -> str:
    if isinstance(value, float):
        return f"{value:.0f}"
    return "unknown" if value is None else str(value)
