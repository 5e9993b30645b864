"""Runs, model calls and tool calls that are over, as spans with their metrics and log records.

Which name, kind, attributes and status a span has stands in ``catalogue/spans.toml``; here is where the values
come from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from cline_otel import ids
from cline_otel.catalogue.compiled import Catalogue, SpanDefinition
from cline_otel.events import AttributeValue
from cline_otel.signals import SpanEvent, SpanLink, SpanRecord, StatusCode
from cline_otel.translate.edits import EDITING_TOOLS, measure_edit_call
from cline_otel.translate.output import Output, pick
from cline_otel.translate.stored import CallState, ModelCall, Run, ToolCall

SHORTEST_APPROVAL_NS: Final = 500_000_000
"""A wait that is shorter was for Cline itself: 1 to 49 ms (recordings), 79 ms on a machine under ninefold load.

No person reads and decides so soon, and who was not asked must not be said to have approved.
"""


class SpanBuilder:
    """Turns what the lifecycle closes into signals.

    Attributes:
        output: where they go.
    """

    def __init__(self, output: Output, catalogue: Catalogue) -> None:
        self.output = output
        self._log_events = catalogue.log_events
        self._run_span = catalogue.spans["invoke_agent"]
        self._model_call_span = catalogue.spans["chat"]
        self._tool_call_span = catalogue.spans["execute_tool"]
        self._approval_span = catalogue.spans["cline.approval"]
        self._keyed_by_ids = frozenset(name for name, source in catalogue.sources.items() if source.keys_by_ids)

    def model_call(
        self, run: Run, iteration: int, call: ModelCall, prompt: Mapping[str, AttributeValue], *, incomplete: bool
    ) -> int:
        """A model call that is over, with its metrics, and a log record if it failed.

        ``prompt`` is what is known of the prompt that it was made for.

        Its attributes get what it cost. Returns how many of its tokens have no price.
        """
        output, ended_at_ns = self.output, call.over_at_ns
        seconds = (ended_at_ns - call.started_at_ns) / 1e9
        values = call.attributes
        values["gen_ai.operation.name"] = "chat"
        values["gen_ai.request.stream"] = True
        values.setdefault("gen_ai.provider.name", run.attributes.get("gen_ai.provider.name", "_OTHER"))
        if "gen_ai.request.model" not in values and "gen_ai.request.model" in run.attributes:
            values["gen_ai.request.model"] = run.attributes["gen_ai.request.model"]
        _identify(values, run)
        values["cline.iteration"] = iteration
        if run.owner in self._keyed_by_ids:
            span_id = ids.answer_span_id(run.agent_id, run.run_id, str(values.get("cline.message.id", "")))
        else:
            span_id = ids.model_call_span_id(run.agent_id, run.run_id, iteration, call.attempt)
        span = (run.trace_id, span_id)
        if call.first_chunk_at_ns is not None and call.first_chunk_at_ns > call.started_at_ns:
            first_chunk_seconds = (call.first_chunk_at_ns - call.started_at_ns) / 1e9
            values["gen_ai.response.time_to_first_chunk"] = first_chunk_seconds
            output.measure(
                "gen_ai.client.operation.time_to_first_chunk", first_chunk_seconds, values, call.first_chunk_at_ns, span
            )
        if incomplete:
            values["cline.incomplete"] = True
        # The conventions' name for what no class is known of: whether such a call succeeded is not reported.
        measured = {"error.type": "_OTHER", **values} if incomplete else values
        output.measure("gen_ai.client.operation.duration", seconds, measured, ended_at_ns, span)
        unpriced_tokens = output.usage(values, prompt, ended_at_ns, span)
        parent = ids.run_span_id(run.agent_id, run.run_id)
        made = _span(self._model_call_span, run, span_id, parent, call.started_at_ns, ended_at_ns, values)
        output.span(made)
        if made.status is StatusCode.ERROR:
            values["cline.duration_ms"] = seconds * 1e3
            uid = ids.log_record_uid("cline.model_call.failed", span_id.hex())
            output.log(self._log_events["cline.model_call.failed"], ended_at_ns, values, run, span_id, uid)
        return unpriced_tokens

    def tool_call(self, run: Run, call: ToolCall, *, incomplete: bool, is_counted: bool) -> None:
        """A tool call that is over, with its metrics, and a log record if it failed.

        ``is_counted`` is whether another source's report of it is among the MCP calls already.
        """
        output, ended_at_ns = self.output, call.over_at_ns
        seconds = (ended_at_ns - call.started_at_ns) / 1e9
        values = call.attributes
        values["gen_ai.operation.name"] = "execute_tool"
        values.setdefault("gen_ai.tool.name", "_OTHER")
        values["gen_ai.tool.type"] = "extension" if call.is_mcp else "function"
        if call.is_mcp:
            values["mcp.method.name"] = "tools/call"
        _identify_call(values, run, call, incomplete=incomplete)
        if incomplete:
            values["cline.outcome"] = "incomplete"
            if "cline.timing" in run.attributes:
                values["cline.timing"] = run.attributes["cline.timing"]
        values.setdefault("cline.outcome", "unverified")
        is_error = self._tool_call_span.is_error(values)
        if is_error:
            values.setdefault("error.type", "_OTHER")
        else:
            values.pop("error.type", None)
        span_id = self._tool_call_span_id(run, call)
        if (is_error or not incomplete) and "cline.timing" not in values:
            span = (run.trace_id, span_id)
            output.measure("gen_ai.execute_tool.duration", seconds, values, ended_at_ns, span)
        output.measure("cline.tool.calls", 1, values, ended_at_ns)
        if call.is_mcp and not is_counted:
            output.measure("cline.feature.used", 1, {"cline.feature.kind": "mcp"}, ended_at_ns)
            output.measure("cline.mcp.calls", 1, values, ended_at_ns)
        if values["gen_ai.tool.name"] in EDITING_TOOLS:
            if "gen_ai.request.model" in run.attributes:
                values["gen_ai.request.model"] = run.attributes["gen_ai.request.model"]
            if output.measures:
                measure_edit_call(output, values, ended_at_ns)
        if is_error and values["error.type"] == "denied":
            output.measure("cline.approvals", 1, {**values, "cline.approval.decision": "denied"}, ended_at_ns)
        parent = ids.run_span_id(run.agent_id, run.run_id)
        output.span(_span(self._tool_call_span, run, span_id, parent, call.started_at_ns, ended_at_ns, values))
        if is_error:
            values["cline.duration_ms"] = seconds * 1e3
            uid = ids.log_record_uid("cline.tool_call.failed", span_id.hex())
            output.log(self._log_events["cline.tool_call.failed"], ended_at_ns, values, run, span_id, uid)

    def approval(self, run: Run, call: ToolCall, decision: str) -> None:
        """The wait until it was decided whether a requested tool call may run, if anybody was asked.

        Beside the call's span, since the call begins after it. ``decision`` is empty where it is not known. What
        Cline's files show of it are messages before and after: no duration metric has it; its answer counts with the
        call.
        """
        requested_at_ns = call.started_at_ns if call.requested_at_ns is None else call.requested_at_ns
        is_inferred = "cline.timing" in call.attributes
        is_unanswered = call.answered_at_ns is None
        until_ns = call.answered_at_ns if call.answered_at_ns is not None else call.over_at_ns
        if call.state is not CallState.REQUESTED and not is_inferred:
            until_ns = min(until_ns, call.started_at_ns)
        until_ns = max(until_ns, requested_at_ns)
        incomplete = is_unanswered and run.attributes.get("cline.outcome") == "incomplete"
        if until_ns - requested_at_ns < SHORTEST_APPROVAL_NS and not is_inferred and not incomplete:
            return
        values = {**call.attributes}
        _identify_call(values, run, call, incomplete=incomplete)
        output, span_id = self.output, ids.approval_span_id(self._tool_call_span_id(run, call))
        if decision:
            values["cline.approval.decision"] = decision
            if decision == "unanswered" or (decision == "approved" and not is_inferred):
                output.measure("cline.approvals", 1, values, until_ns)
            if not incomplete and not is_inferred:
                seconds = (until_ns - requested_at_ns) / 1e9
                output.measure("cline.approval.duration", seconds, values, until_ns, (run.trace_id, span_id))
        parent = ids.run_span_id(run.agent_id, run.run_id)
        output.span(_span(self._approval_span, run, span_id, parent, requested_at_ns, until_ns, values))

    def model_call_overdue(self, run: Run, iteration: int, call: ModelCall, at_ns: int) -> None:
        """A log record that a model call has not ended for long; its end makes the span, as ever."""
        values = {**run.attributes, **call.attributes, "cline.run.waits_for": "model"}
        span_id = b""
        if run.owner not in self._keyed_by_ids:
            span_id = ids.model_call_span_id(run.agent_id, run.run_id, iteration, call.attempt)
        self._overdue(run, iteration, values, call.started_at_ns, at_ns, span_id, str(call.attempt))

    def tool_call_overdue(self, run: Run, call: ToolCall, at_ns: int) -> None:
        """A log record that a tool call has not ended for long; its end makes the span, as ever."""
        values = {"gen_ai.tool.name": "_OTHER", **call.attributes, "cline.run.waits_for": "tool"}
        span_id = self._tool_call_span_id(run, call)
        self._overdue(run, call.iteration, values, call.started_at_ns, at_ns, span_id, span_id.hex())

    def _overdue(
        self,
        run: Run,
        iteration: int,
        values: dict[str, AttributeValue],
        started_at_ns: int,
        at_ns: int,
        span_id: bytes,
        call_key: str,
    ) -> None:
        _identify(values, run)
        values["cline.iteration"] = iteration
        values["cline.duration_ms"] = (at_ns - started_at_ns) / 1e6
        key = (run.agent_id, run.run_id, str(values["cline.run.waits_for"]), str(iteration), call_key)
        uid = ids.log_record_uid("cline.call.overdue", *key)
        span_id = span_id or ids.run_span_id(run.agent_id, run.run_id)
        self.output.log(self._log_events["cline.call.overdue"], at_ns, values, run, span_id, uid)

    def _tool_call_span_id(self, run: Run, call: ToolCall) -> bytes:
        if run.owner in self._keyed_by_ids:
            message_id = str(call.attributes.get("cline.message.id", ""))
            return ids.asked_call_span_id(run.agent_id, run.run_id, message_id, call.call_id)
        return ids.tool_call_span_id(run.agent_id, run.run_id, call.iteration, call.ordinal)

    def active_time(self, run: Run, occurred_at_ns: int) -> None:
        """How long an agent has worked since it was last measured, if at all."""
        if run.active_ns:
            if self.output.measures:
                values = {**run.attributes, "gen_ai.agent.name": run.agent_name}
                self.output.measure("cline.active.time", run.active_ns / 1e9, values, occurred_at_ns)
            run.active_ns = 0

    def run_started(self, run: Run) -> None:
        """A root run begins: a count and a log record. Subagents and teammates are counted as features in use."""
        if run.is_root:
            self.output.measure("cline.run.started", 1, run.attributes, run.started_at_ns)
        elif run.agent_name in ("subagent", "teammate"):
            feature: dict[str, AttributeValue] = {"cline.feature.kind": run.agent_name}
            self.output.measure("cline.feature.used", 1, feature, run.started_at_ns)
        values = dict(run.attributes)
        _identify(values, run)
        uid = ids.log_record_uid("cline.run.started", run.agent_id, run.run_id)
        span_id = ids.run_span_id(run.agent_id, run.run_id)
        self.output.log(self._log_events["cline.run.started"], run.started_at_ns, values, run, span_id, uid)

    def run_finished(self, run: Run, ended_at_ns: int) -> None:
        """An agent's run is over: its span, a log record and, for a root run, its counters."""
        output = self.output
        seconds = (ended_at_ns - run.started_at_ns) / 1e9
        values = run.attributes
        outcome = values["cline.outcome"]
        incomplete = outcome == "incomplete"
        values["gen_ai.operation.name"] = "invoke_agent"
        if "cline.version" in values:
            values["gen_ai.agent.version"] = values["cline.version"]
        values["cline.telemetry.source"] = run.owner
        values.setdefault("gen_ai.provider.name", "_OTHER")
        _identify(values, run)
        if not run.is_whole_task:
            values["cline.run.model_calls"] = run.model_call_count
            values["cline.run.tool_calls"] = run.tool_call_count
            values["cline.run.failed_tool_calls"] = run.failed_tool_call_count
            values["cline.run.input_tokens"] = run.input_tokens
            values["cline.run.output_tokens"] = run.output_tokens
        # A run of a journal that was written before calls could be free has an amount alone.
        if run.has_known_cost or run.cost_usd > 0:
            values["cline.cost_usd"] = run.cost_usd
        if run.is_root:
            _sum_up(values, run)
        if incomplete:
            values["cline.incomplete"] = True
        is_error = self._run_span.is_error(values)
        if is_error:
            values.setdefault("error.type", "_OTHER")
        else:
            values.pop("error.type", None)
        span_id = ids.run_span_id(run.agent_id, run.run_id)
        span = (run.trace_id, span_id)
        self.active_time(run, ended_at_ns)
        if not incomplete:
            output.measure("gen_ai.invoke_agent.duration", seconds, values, ended_at_ns, span)
        if run.is_root:
            output.measure("cline.run.completed", 1, values, ended_at_ns)
            if not incomplete:
                output.measure("cline.run.duration", seconds, values, ended_at_ns, span)
            if is_error and not run.has_failed_call:
                error: dict[str, AttributeValue] = {"cline.error.kind": "run", "error.type": values["error.type"]}
                output.measure("cline.errors", 1, error, ended_at_ns)
        output.span(
            _span(
                self._run_span,
                run,
                span_id,
                run.parent_span_id,
                run.started_at_ns,
                ended_at_ns,
                values,
                tuple(run.span_events),
                tuple(_links(run)),
            )
        )
        values["cline.duration_ms"] = seconds * 1e3
        uid = ids.log_record_uid("cline.run.finished", run.agent_id, run.run_id)
        output.log(self._log_events["cline.run.finished"], ended_at_ns, values, run, span_id, uid)


def _span(
    definition: SpanDefinition,
    run: Run,
    span_id: bytes,
    parent_span_id: bytes,
    started_at_ns: int,
    ended_at_ns: int,
    values: dict[str, AttributeValue],
    events: tuple[SpanEvent, ...] = (),
    links: tuple[SpanLink, ...] = (),
) -> SpanRecord:
    if run.agent_number:
        values = {**values, "gen_ai.agent.name": f"{run.agent_name} {run.agent_number}"}
    is_error = definition.is_error(values)
    return SpanRecord(
        run.trace_id,
        span_id,
        parent_span_id,
        definition.name_of(values),
        definition.kind,
        started_at_ns,
        ended_at_ns,
        pick(definition.attributes, values),
        events,
        links,
        StatusCode.ERROR if is_error else StatusCode.UNSET,
        definition.error_message_of(values) if is_error else "",
    )


def _sum_up(values: dict[str, AttributeValue], root: Run) -> None:
    """All that was done for a prompt, by the agent that it was given to and by those that work for it."""
    if not root.is_whole_task:
        values["cline.prompt.model_calls"] = root.prompt_model_call_count
    values["cline.prompt.tool_calls"] = root.prompt_tool_call_count
    values["cline.prompt.input_tokens"] = root.prompt_input_tokens
    values["cline.prompt.output_tokens"] = root.prompt_output_tokens
    if root.prompt_cost_usd is not None:
        values["cline.prompt.cost_usd"] = root.prompt_cost_usd
    if root.prompt_unpriced_tokens:
        values["cline.prompt.unpriced_tokens"] = root.prompt_unpriced_tokens


def _identify(values: dict[str, AttributeValue], run: Run) -> None:
    values["gen_ai.agent.name"] = run.agent_name
    values["cline.agent.id"] = run.agent_id
    values["cline.run.id"] = run.run_id
    if run.session_id:
        values["gen_ai.conversation.id"] = run.session_id


def _identify_call(values: dict[str, AttributeValue], run: Run, call: ToolCall, *, incomplete: bool) -> None:
    _identify(values, run)
    values["cline.iteration"] = call.iteration
    if call.call_id:
        values["gen_ai.tool.call.id"] = call.call_id
    if incomplete:
        values["cline.incomplete"] = True


def _links(run: Run) -> Iterator[SpanLink]:
    """To the session's run before it, and to the span of somebody else in which Cline was started."""
    if run.previous is not None:
        yield SpanLink(run.previous_trace_id or ids.trace_id(*run.previous), ids.run_span_id(*run.previous))
    if run.remote_link is not None:
        yield SpanLink(*run.remote_link)
