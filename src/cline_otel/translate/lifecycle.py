"""What an event of a run's owner does to the run.

Theory of operation. A run passes through these states; its model calls and tool calls live inside it:

    run         started ─▶ finished | incomplete
    model call  started ─▶ (first chunk) ─▶ finished              the plugin tells all at the end
                started ─▶ (first chunk) ─▶ ended ─▶ usage         log and OTLP tell in two records
    tool call   started ─▶ finished                                the plugin knows the name and outcome
                started ─▶ finished ─▶ named                       log and OTLP name it afterwards

A span is emitted when its last expected event is there, and never taken back. An event that proves
that an expected one will not come (the next model call, the end of the run) closes what waits. What
is still open when its run ends, or when its process is gone, is closed as incomplete.

``TRANSITIONS`` is the table: event kind to transition. Whether an event may act on a run at all is
``ownership``'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cline_otel import ids
from cline_otel.events import AttributeValue, Event
from cline_otel.signals import count
from cline_otel.translate.derive import IDENTITY, Deriver
from cline_otel.translate.state import ModelCall, Run, RunKey, State, ToolCall

_RUN_ATTRIBUTES: Final = (
    "cline.mode",
    "cline.version",
    "cline.client.name",
    "gen_ai.request.model",
    "gen_ai.provider.name",
    *IDENTITY,
)
_AGENT_NAMES: Final = {"subagent": "subagent", "teammate": "teammate"}


class Lifecycle:
    """Applies owned events to runs; finished things go to the deriver."""

    def __init__(self, state: State, deriver: Deriver) -> None:
        self.state = state
        self.deriver = deriver

    def apply(self, run: Run, event: Event) -> None:
        """One event of the run's owner."""
        if run.closed:
            count(self.deriver.outputs.tally, "late", event.source, event.name)
            return
        if not run.started_at_ns:
            self._start(run, event)
        if event.session_id and not run.session_id:
            self._join_session(run, event.session_id, event.source)
        self._hear(run, event.occurred_at_ns)
        run.process = event.process
        if not run.is_root:
            root = self.state.runs.get(run.root)
            if root is not None and not root.closed:
                self._hear(root, event.occurred_at_ns)
                self.state.touch_run(root)
        TRANSITIONS[event.kind](self, run, event)
        self.state.touch_run(run)

    def _hear(self, run: Run, occurred_at_ns: int) -> None:
        now_ns = self.state.now_ns
        run.last_at_ns = max(run.last_at_ns, occurred_at_ns)
        run.heard_at_ns = max(occurred_at_ns, now_ns) if now_ns else 0

    def _start(self, run: Run, event: Event) -> None:
        state = self.state
        run.started_at_ns = run.last_at_ns = event.occurred_at_ns
        state.open_runs.add(run.key)
        root = state.runs.get(run.root)
        if root is not None:
            run.owner = root.owner
            run.session_id = run.session_id or root.session_id
        agent = state.agent(run.agent_id)
        session_id = run.session_id or event.session_id or agent.session_id
        session = state.sessions.get(session_id)
        known: dict[str, AttributeValue] = {}
        if session is not None:
            known |= session.attributes
            mode = session.mode.get(event.source)
            if mode and run.is_root:
                known["cline.mode"] = mode
        known |= agent.attributes | event.attributes
        run.attributes = {name: known[name] for name in _RUN_ATTRIBUTES if name in known}
        if session_id and run.session_id != session_id:
            self._join_session(run, session_id, event.source)
        self.deriver.run_started(run)

    def _join_session(self, run: Run, session_id: str, source: str) -> None:
        """A run's session may be learnt late: the plugin knows it for sure with the first model call."""
        run.session_id = session_id
        agent = self.state.agent(run.agent_id)
        agent.session_id = session_id
        agent.last_at_ns = self.state.now_ns
        if not run.is_root:
            return
        session = self.state.session(session_id)
        session.last_at_ns = self.state.now_ns
        session.current_run[source] = run.key
        for name, value in session.attributes.items():
            run.attributes.setdefault(name, value)
        if session.last_root == ("", ""):
            self.deriver.measure("cline.task.started", 1, run.attributes)
        elif session.last_root != run.key:
            run.previous = session.last_root
        session.last_root = run.key

    # --- model calls ------------------------------------------------------------------------------

    def run_started(self, run: Run, event: Event) -> None:
        """Nothing more to do: ``apply`` has opened the run."""

    def model_call_started(self, run: Run, event: Event) -> None:
        """Opens the call; earlier ones that still wait will get nothing more."""
        self._flush(run)
        values = dict(event.attributes)
        told = values.pop("attempt", None)
        attempt = told if isinstance(told, int) else run.models_asked.get(event.iteration, 0) + 1
        run.models_asked = {event.iteration: attempt}
        before = run.model_calls.get(event.iteration)
        if before is not None:
            before.ended_at_ns = event.occurred_at_ns
            self._close_model_call(run, event.iteration, incomplete=True)
        run.model_calls[event.iteration] = ModelCall(event.occurred_at_ns, attempt=attempt, attributes=values)

    def first_chunk(self, run: Run, event: Event) -> None:
        """Remembers the first piece of text or reasoning."""
        call = run.model_calls.get(event.iteration)
        if call is not None and not call.first_chunk_at_ns:
            call.first_chunk_at_ns = event.occurred_at_ns

    def model_call_ended(self, run: Run, event: Event) -> None:
        """The call is over; its usage comes in a record of its own."""
        call = run.model_calls.get(event.iteration)
        if call is None:
            count(self.deriver.outputs.tally, "late", event.source, event.name)
            return
        call.ended_at_ns = event.occurred_at_ns

    def model_call_usage(self, run: Run, event: Event) -> None:
        """Tokens of the call that just ended, or, where none waits, of a subagent that has no spans here."""
        values = with_inclusive_input(event.attributes)
        for iteration, call in run.model_calls.items():
            if call.ended_at_ns:
                call.attributes |= values
                self._close_model_call(run, iteration, incomplete=False)
                return
        self.deriver.usage(values)

    def model_call_finished(self, run: Run, event: Event) -> None:
        """The plugin tells a call's end, usage and error at once."""
        values = dict(event.attributes)
        started_at_ns = values.pop("started_at_ns", 0)
        first_chunk_at_ns = values.pop("first_chunk_at_ns", 0)
        attempt = values.pop("attempt", 1)
        call = run.model_calls.get(event.iteration)
        if call is None:
            started = started_at_ns if isinstance(started_at_ns, int) and started_at_ns else event.occurred_at_ns
            call = run.model_calls[event.iteration] = ModelCall(
                started, attempt=attempt if isinstance(attempt, int) else 1
            )
        if isinstance(first_chunk_at_ns, int):
            call.first_chunk_at_ns = first_chunk_at_ns
        call.ended_at_ns = event.occurred_at_ns
        if "error" in _strings(values.get("gen_ai.response.finish_reasons")):
            values.setdefault("error.type", "_OTHER")
        call.attributes |= values
        self._close_model_call(run, event.iteration, incomplete=False)

    def _close_model_call(self, run: Run, iteration: int, *, incomplete: bool) -> None:
        call = run.model_calls.pop(iteration)
        call.ended_at_ns = max(call.ended_at_ns, call.started_at_ns)
        values = call.attributes
        run.model_call_count += 1
        run.input_tokens += _number(values.get("gen_ai.usage.input_tokens"))
        run.output_tokens += _number(values.get("gen_ai.usage.output_tokens"))
        cost = values.get("cline.cost_usd")
        run.cost_usd += cost if isinstance(cost, float) else 0.0
        for name in ("gen_ai.request.model", "gen_ai.provider.name"):
            if name in values:
                run.attributes.setdefault(name, values[name])
        if "error.type" in values:
            run.attributes["error.type"] = values["error.type"]
        self.deriver.model_call(run, iteration, call, incomplete=incomplete)

    # --- tool calls -------------------------------------------------------------------------------

    def tool_call_started(self, run: Run, event: Event) -> None:
        """Opens a tool call; its ordinal is its place among the iteration's tool starts."""
        self._flush_model_calls(run)
        values = dict(event.attributes)
        ordinal = values.pop("ordinal", None)
        if not isinstance(ordinal, int):
            ordinal = run.tools_started.get(event.iteration, 0)
        if event.iteration not in run.tools_started:
            run.tools_started = {event.iteration: 0}
        run.tools_started[event.iteration] = max(run.tools_started[event.iteration], ordinal + 1)
        run.tool_calls.append(
            ToolCall(event.iteration, ordinal, event.occurred_at_ns, call_id=event.call_id, attributes=values)
        )

    def tool_call_finished(self, run: Run, event: Event) -> None:
        """The plugin names the call it means; the others mean the one that has waited longest."""
        values = dict(event.attributes)
        ordinal = values.pop("ordinal", None)
        started_at_ns = values.pop("started_at_ns", None)
        ended_at_ns = values.pop("ended_at_ns", None)
        call = self._open_tool_call(run, event, ordinal)
        if call is None:
            if not isinstance(ordinal, int) or not isinstance(started_at_ns, int):
                count(self.deriver.outputs.tally, "late", event.source, event.name)
                return
            call = ToolCall(event.iteration, ordinal, started_at_ns, call_id=event.call_id)
            run.tool_calls.append(call)
        if isinstance(started_at_ns, int):
            call.started_at_ns = started_at_ns
        call.ended_at_ns = ended_at_ns if isinstance(ended_at_ns, int) else event.occurred_at_ns
        call.attributes |= values
        if "gen_ai.tool.name" in call.attributes:
            self._close_tool_call(run, call, incomplete=False)

    def _open_tool_call(self, run: Run, event: Event, ordinal: object) -> ToolCall | None:
        for call in run.tool_calls:
            if event.call_id:
                if call.call_id == event.call_id:
                    return call
            elif call.iteration == event.iteration and (
                ordinal == call.ordinal if ordinal is not None else not call.ended_at_ns
            ):
                return call
        return None

    def tool_call_named(self, run: Run, event: Event) -> None:
        """The name of the call that just ended, or, where none waits, a subagent's call that has no span here."""
        values = with_reported_outcome(event.attributes)
        waiting = [call for call in run.tool_calls if call.ended_at_ns]
        if waiting and event.agent_id in ("", run.agent_id):
            waiting[0].attributes |= values
            self._close_tool_call(run, waiting[0], incomplete=False)
            return
        self.deriver.measure("cline.tool.calls", 1, values)

    def _close_tool_call(self, run: Run, call: ToolCall, *, incomplete: bool) -> None:
        run.tool_calls.remove(call)
        call.ended_at_ns = max(call.ended_at_ns, call.started_at_ns)
        run.tool_call_count += 1
        self.deriver.tool_call(run, call, incomplete=incomplete)
        if call.attributes["cline.outcome"] in ("error", "rejected"):
            run.failed_tool_call_count += 1

    # --- ends ---------------------------------------------------------------------------------------

    def _flush_model_calls(self, run: Run) -> None:
        for iteration, call in list(run.model_calls.items()):
            if call.ended_at_ns:
                self._close_model_call(run, iteration, incomplete=False)

    def _flush(self, run: Run) -> None:
        """Closes what waited for a record that will not come."""
        self._flush_model_calls(run)
        for call in list(run.tool_calls):
            if call.ended_at_ns:
                self._close_tool_call(run, call, incomplete=False)

    def run_finished(self, run: Run, event: Event) -> None:
        """The run is over; a failed one took its open model call with it, an aborted one cut it short."""
        outcome = event.attributes.get("cline.outcome")
        run.attributes |= {name: event.attributes[name] for name in ("error.type",) if name in event.attributes}
        run.attributes["cline.outcome"] = outcome if outcome in ("completed", "failed", "aborted") else "completed"
        self._flush(run)
        if outcome == "failed":
            for iteration, call in list(run.model_calls.items()):
                call.ended_at_ns = event.occurred_at_ns
                call.attributes.setdefault("error.type", run.attributes.get("error.type", "_OTHER"))
                self._close_model_call(run, iteration, incomplete=False)
        self._close(run, event.occurred_at_ns)

    def close_incomplete(self, run: Run) -> None:
        """The end of this run will not be told: it ends at the last sign of life."""
        self._flush(run)
        run.attributes["cline.outcome"] = "incomplete"
        root = self.state.runs.get(run.root)
        self._close(run, max(run.last_at_ns, root.last_at_ns if root is not None else 0))

    def _close(self, run: Run, ended_at_ns: int) -> None:
        for iteration, model_call in list(run.model_calls.items()):
            model_call.ended_at_ns = ended_at_ns
            self._close_model_call(run, iteration, incomplete=True)
        for tool_call in list(run.tool_calls):
            tool_call.ended_at_ns = ended_at_ns
            self._close_tool_call(run, tool_call, incomplete=True)
        self._identify(run)
        self.deriver.run_finished(run, max(ended_at_ns, run.started_at_ns))
        run.closed = True
        run.last_at_ns = ended_at_ns
        run.forget_details()
        self.state.open_runs.discard(run.key)
        self.state.touch_run(run)

    def _identify(self, run: Run) -> None:
        """A run whose owner does not say who it works for learns it from what another source said of the agent."""
        known: dict[str, AttributeValue] = {}
        for agent_id in (run.root[0], run.agent_id):
            agent = self.state.agents.get(agent_id)
            known |= agent.attributes if agent is not None else {}
        for name in IDENTITY:
            if name in known:
                run.attributes.setdefault(name, known[name])


def with_inclusive_input(attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
    """The log's three disjoint token counts as the conventions' inclusive one (captures: 2000 + 4000 + 3000)."""
    values = dict(attributes)
    uncached = values.pop("uncached_input_tokens", None)
    if isinstance(uncached, int):
        cached = _number(values.get("gen_ai.usage.cache_read.input_tokens"))
        written = _number(values.get("gen_ai.usage.cache_creation.input_tokens"))
        values["gen_ai.usage.input_tokens"] = uncached + cached + written
    return values


def with_reported_outcome(attributes: dict[str, AttributeValue]) -> dict[str, AttributeValue]:
    """``success`` is false only for thrown and rejected calls; true says nothing of the real outcome."""
    values = dict(attributes)
    values["cline.outcome"] = "error" if values.pop("cline.success", None) is False else "unverified"
    return values


def agent_name(kind: object) -> str:
    """``gen_ai.agent.name`` from the plugin's agent kind."""
    return _AGENT_NAMES.get(str(kind), "cline")


def _strings(value: AttributeValue | None) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _number(value: AttributeValue | None) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


Transition = Callable[[Lifecycle, Run, Event], None]

TRANSITIONS: Final[dict[str, Transition]] = {
    "run.started": Lifecycle.run_started,
    "model_call.started": Lifecycle.model_call_started,
    "model_call.first_chunk": Lifecycle.first_chunk,
    "model_call.ended": Lifecycle.model_call_ended,
    "model_call.usage": Lifecycle.model_call_usage,
    "model_call.finished": Lifecycle.model_call_finished,
    "tool_call.started": Lifecycle.tool_call_started,
    "tool_call.finished": Lifecycle.tool_call_finished,
    "tool_call.named": Lifecycle.tool_call_named,
    "run.finished": Lifecycle.run_finished,
}


def parent_key(event: Event, state: State) -> RunKey | None:
    """The run that a plugin's run.started says it belongs to, or None for a root run."""
    parent_agent_id = event.attributes.get("parent_agent_id")
    if not isinstance(parent_agent_id, str) or parent_agent_id == "_OTHER":
        return None
    parent_run_id = event.attributes.get("parent_run_id")
    if not isinstance(parent_run_id, str) or parent_run_id == "_OTHER":
        agent = state.agents.get(parent_agent_id)
        parent_run_id = agent.current_run.get(event.source, "") if agent is not None else ""
    return (parent_agent_id, parent_run_id) if (parent_agent_id, parent_run_id) in state.runs else None


def parent_span_id(parent: RunKey, event: Event) -> bytes:
    """The tool call that spawned a run, or the parent's run if the plugin did not see which call it was."""
    iteration = event.attributes.get("parent_iteration")
    ordinal = event.attributes.get("parent_ordinal")
    if isinstance(iteration, int) and isinstance(ordinal, int):
        return ids.tool_call_span_id(*parent, iteration, ordinal)
    return ids.run_span_id(*parent)
