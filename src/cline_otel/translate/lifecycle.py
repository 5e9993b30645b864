"""What an event of a run's owner does to the run, its model calls and its tool calls.

Theory of operation. Three state machines, a table each, which say for every state and every input what
happens and which state follows:

    RUN         new ─▶ open ─▶ closed
    MODEL_CALL  absent ─▶ open ─▶ closed                  the plugin reports all at the end
                absent ─▶ open ─▶ ended ─▶ closed         log and OTLP report the usage afterwards
    TOOL_CALL   absent ─▶ requested ─▶ open ─▶ closed     the plugin knows the name, the outcome and the approval
                absent ─▶ open ─▶ ended ─▶ closed         log and OTLP name it afterwards

Inputs are the kinds of events, and what an event means for a call that it does not name (``Cue``). A span
is emitted when its last expected event is there, and never taken back. What proves that an expected event
will not come (the next model call, the end of the run) closes what waits. What is still open when its run
ends, or when its process is gone, is closed as incomplete. A closed call is forgotten: what still comes
for it finds it absent.

Whether an event may act on a run at all is the business of ``ownership``. docs/lifecycle.md draws the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.events import (
    LifecycleEvent,
    ModelCallEnded,
    ModelCallFinished,
    ModelCallFirstChunk,
    ModelCallStarted,
    ModelCallUsage,
    RunFinished,
    RunStarted,
    ToolCallFinished,
    ToolCallNamed,
    ToolCallRequested,
    ToolCallStarted,
)
from cline_otel.signals import count
from cline_otel.translate.machine import Cue, Transition
from cline_otel.translate.model_calls import ModelCalls
from cline_otel.translate.runs import Runs
from cline_otel.translate.spans import SpanBuilder
from cline_otel.translate.state import Run, RunState, State
from cline_otel.translate.tool_calls import ToolCalls


class Lifecycle:
    """Applies owned events to runs; what is over goes to the span builder."""

    def __init__(self, state: State, spans: SpanBuilder, catalogue: Catalogue) -> None:
        self._state = state
        self._spans = spans
        self._runs = Runs(state, spans, catalogue)
        self._model_calls = ModelCalls(state, spans)
        self._tool_calls = ToolCalls(state, spans)

    def apply(self, run: Run, event: LifecycleEvent) -> None:
        """One event of the run's owner."""
        RUN[run.state][event.kind].action(self, run, event)

    def close_incomplete(self, run: Run) -> None:
        """The end of an open run will not be reported: it ends at the last sign of life."""
        run.attributes["cline.outcome"] = "incomplete"
        root = self._state.runs.get(run.root, run)
        self._spans.output.turn_to(root.owner)
        self._close(run, max(run.last_at_ns, root.last_at_ns))

    # --- actions of the run -----------------------------------------------------------------------

    def begin(self, run: Run, event: LifecycleEvent) -> None:
        """opens the run, whatever the event is, which then acts on it"""
        self._runs.start(run, event)
        self.go_on(run, event)

    def go_on(self, run: Run, event: LifecycleEvent) -> None:
        """acts on the run's calls"""
        self._runs.note(run, event)
        _ROUTES[type(event)](self, run, event)
        self._state.touch_run(run)

    def begin_and_finish(self, run: Run, event: LifecycleEvent) -> None:
        """opens the run and closes it: nothing else of it was seen"""
        self._runs.start(run, event)
        self.finish(run, event)

    def finish(self, run: Run, event: LifecycleEvent) -> None:
        """closes the run and its calls: a failed one took its open model call with it, an aborted one cut it short"""
        self._runs.note(run, event)
        outcome = event.attributes.get("cline.outcome")
        if "error.type" in event.attributes:
            run.attributes["error.type"] = event.attributes["error.type"]
        run.attributes["cline.outcome"] = outcome if outcome in _OUTCOMES else "completed"
        if outcome in _ENDED_WITH_A_CALL:
            self._model_calls.step_all(run, _ENDED_WITH_A_CALL[outcome], event.occurred_at_ns)
        self._close(run, event.occurred_at_ns)

    def count_late(self, run: Run, event: LifecycleEvent) -> None:
        """counts it as late"""
        count(self._spans.output.diagnostics, "late", event.source, event.name)

    def _close(self, run: Run, ended_at_ns: int) -> None:
        self._model_calls.step_all(run, Cue.RUN_OVER, ended_at_ns)
        self._tool_calls.step_all(run, Cue.RUN_OVER, ended_at_ns)
        self._runs.close(run, ended_at_ns)

    # --- whose the event is -----------------------------------------------------------------------

    def _to_none(self, run: Run, event: RunStarted) -> None:
        """The start of a run says nothing of its calls."""

    def _to_new_model_call(self, run: Run, event: ModelCallStarted) -> None:
        self._model_calls.step_all(run, Cue.MOVED_ON, event.occurred_at_ns, but=event.iteration)
        self._tool_calls.step_all(run, Cue.MOVED_ON, event.occurred_at_ns)
        self._to_model_call(run, event)

    def _to_model_call(
        self, run: Run, event: ModelCallStarted | ModelCallFirstChunk | ModelCallEnded | ModelCallFinished
    ) -> None:
        self._model_calls.step(run, event.iteration, event.kind, event.occurred_at_ns, event)

    def _to_ended_model_call(self, run: Run, event: ModelCallUsage) -> None:
        self._model_calls.step_ended(run, event)

    def _to_new_tool_call(self, run: Run, event: ToolCallRequested | ToolCallStarted) -> None:
        """A tool follows the answer of the model call; other tools may run beside it."""
        self._model_calls.step_all(run, Cue.MOVED_ON, event.occurred_at_ns)
        self._tool_calls.step_new(run, event)

    def _to_tool_call(self, run: Run, event: ToolCallFinished) -> None:
        self._tool_calls.step_meant(run, event)

    def _to_ended_tool_call(self, run: Run, event: ToolCallNamed) -> None:
        self._tool_calls.step_ended(run, event)


_ROUTES: Final[Mapping[type[LifecycleEvent], Callable[[Lifecycle, Run, Any], None]]] = {
    RunStarted: Lifecycle._to_none,
    ModelCallStarted: Lifecycle._to_new_model_call,
    ModelCallFirstChunk: Lifecycle._to_model_call,
    ModelCallEnded: Lifecycle._to_model_call,
    ModelCallUsage: Lifecycle._to_ended_model_call,
    ModelCallFinished: Lifecycle._to_model_call,
    ToolCallRequested: Lifecycle._to_new_tool_call,
    ToolCallStarted: Lifecycle._to_new_tool_call,
    ToolCallFinished: Lifecycle._to_tool_call,
    ToolCallNamed: Lifecycle._to_ended_tool_call,
}
"""To which of a run's calls an event that does not end the run goes."""

_OUTCOMES: Final = frozenset({"completed", "failed", "aborted", "incomplete"})
"""How a run may end. Incomplete: its source knows that it is over, and not how it went."""

_ENDED_WITH_A_CALL: Final = {"failed": Cue.RUN_FAILED, "aborted": Cue.RUN_ABORTED}
"""By outcome of a run, what it means for the model call that is open then."""

_To = Transition[RunState, Callable[[Lifecycle, Run, LifecycleEvent], None]]
_CALL_EVENTS: Final = [event_type.kind for event_type in _ROUTES]

RUN: Final[Mapping[RunState, Mapping[str, _To]]] = {
    RunState.NEW: {
        **dict.fromkeys(_CALL_EVENTS, _To((RunState.OPEN,), Lifecycle.begin)),
        RunFinished.kind: _To((RunState.CLOSED,), Lifecycle.begin_and_finish),
    },
    RunState.OPEN: {
        **dict.fromkeys(_CALL_EVENTS, _To((RunState.OPEN,), Lifecycle.go_on)),
        RunFinished.kind: _To((RunState.CLOSED,), Lifecycle.finish),
    },
    RunState.CLOSED: {
        **dict.fromkeys(_CALL_EVENTS, _To((RunState.CLOSED,), Lifecycle.count_late)),
        RunFinished.kind: _To((RunState.CLOSED,), Lifecycle.count_late),
    },
}
"""What every event of its owner does to a run in every state. Besides, ``close_incomplete`` closes an open one."""
