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
from typing import Any, Final, cast

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.catalogue.values import OTHER
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
from cline_otel.translate.process_ends import FOLLOWED_WITHIN_NS, PROCESS_ENDS
from cline_otel.translate.runs import Runs
from cline_otel.translate.spans import SpanBuilder
from cline_otel.translate.state import State
from cline_otel.translate.stored import Run, RunState
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
        """The end of an open run will not be reported, and nobody knows why: it ends at the last sign of life.

        One that was being aborted is known to have been.
        """
        if _was_being_aborted(run):
            self.close_cut_short(run, "aborted", "aborted")
            return
        run.attributes["cline.outcome"] = "incomplete"
        self._close(run, self._begin_to_close(run))

    def close_cut_short(self, run: Run, outcome: str, error_type: str) -> None:
        """The process that an open run was in is over, and with it the run and its calls: at the last sign of life.

        The second Ctrl-C ends Cline while it aborts the run by the first, which it can then not tell.
        """
        if _was_being_aborted(run):
            outcome = error_type = "aborted"
        run.attributes["cline.outcome"] = outcome
        run.attributes["error.type"] = error_type
        ended_at_ns = self._begin_to_close(run)
        self._model_calls.step_all(run, Cue.RUN_CUT_SHORT, ended_at_ns)
        self._tool_calls.step_all(run, Cue.RUN_CUT_SHORT, ended_at_ns)
        self._close(run, ended_at_ns)

    def expect_follower(self, run: Run, terminated_at_ns: int) -> None:
        """Cline ended the process that the run was in, and with it the run unless another one goes on with it."""
        run.terminated_at_ns = terminated_at_ns
        self._state.terminated_runs.add(run.key)
        self.see(run, terminated_at_ns)

    def follow(self, run: Run, occurred_at_ns: int) -> None:
        """Another process tells of a run whose process was ended; if that is too late the run is closed."""
        if occurred_at_ns - cast(int, run.terminated_at_ns) > FOLLOWED_WITHIN_NS:
            self._close_terminated(run)
        else:
            run.terminated_at_ns = None
            self._state.terminated_runs.discard(run.key)

    def close_unfollowed(self, now_ns: int) -> None:
        """Closes the runs whose process was ended, and which no other goes on with in time."""
        for key in sorted(self._state.terminated_runs):
            run = self._state.runs[key]
            if run.seen_at_ns is None:
                run.seen_at_ns = now_ns
                self._state.touch_run(run)
            if now_ns - run.seen_at_ns > FOLLOWED_WITHIN_NS:
                self._close_terminated(run)

    def close_terminated(self) -> None:
        """Closes every run whose process was ended."""
        for key in sorted(self._state.terminated_runs):
            self._close_terminated(self._state.runs[key])

    def _close_terminated(self, run: Run) -> None:
        end = PROCESS_ENDS["terminated"]
        self._state.terminated_runs.discard(run.key)
        run.terminated_at_ns = None
        self.close_cut_short(run, end.outcome, end.error_type)

    def see(self, run: Run, occurred_at_ns: int) -> None:
        """The run gave a sign of life."""
        self._runs.see(run, occurred_at_ns)
        self._state.touch_run(run)

    def _begin_to_close(self, run: Run) -> int:
        """What comes next is the owner's, though it has not told it; when the run gave its last sign of life."""
        root = self._state.root_of(run)
        self._spans.output.turn_to(root.owner)
        return max(run.last_at_ns, root.last_at_ns)

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
        """closes the run and its calls: a failed one took its open model call along, one cut short all of them"""
        self._runs.note(run, event)
        outcome = event.attributes.get("cline.outcome")
        run.attributes["cline.outcome"] = outcome if outcome in _OUTCOMES else "completed"
        if outcome == "failed" and not run.has_failed_call:
            error_type = event.attributes.get("error.type", OTHER)
            if error_type == OTHER:
                owner = self._state.root_of(run).owner
                error_type = run.told_error(owner, run.started_at_ns, event.occurred_at_ns) or OTHER
            run.attributes["error.type"] = error_type
        if outcome == "failed":
            self._model_calls.step_all(run, Cue.RUN_FAILED, event.occurred_at_ns)
        elif outcome == "aborted" or (outcome == "incomplete" and "error.type" in event.attributes):
            run.attributes["error.type"] = event.attributes.get("error.type", "aborted")
            self._model_calls.step_all(run, Cue.RUN_CUT_SHORT, event.occurred_at_ns)
            self._tool_calls.step_all(run, Cue.RUN_CUT_SHORT, event.occurred_at_ns)
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


def _was_being_aborted(run: Run) -> bool:
    return run.has_failed_call and run.attributes["error.type"] == "aborted"


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
"""What every event of its owner does to a run in every state.

Besides, ``close_cut_short`` closes an open one whose process is over, and ``close_incomplete`` one that fell silent.
"""
