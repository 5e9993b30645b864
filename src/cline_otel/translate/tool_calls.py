"""The tool calls of a run: what each input does to a call, and ``TOOL_CALL``, the table that says which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, cast

from cline_otel.events import LifecycleEvent, ToolCallFinished, ToolCallNamed, ToolCallRequested, ToolCallStarted
from cline_otel.signals import count
from cline_otel.translate import failures
from cline_otel.translate.active_time import asks, note_closed, settle
from cline_otel.translate.conventions import with_reported_outcome
from cline_otel.translate.edits import EDITING_TOOLS
from cline_otel.translate.machine import Cue, Transition
from cline_otel.translate.mcp_calls import was_counted
from cline_otel.translate.spans import SpanBuilder
from cline_otel.translate.state import State
from cline_otel.translate.stored import CallState, Run, ToolCall


class ToolCallInput(NamedTuple):
    """What an action has to do with; ``event`` is None for a cue. Times are nanoseconds since the Unix epoch.

    An action that the table gives to an absent call does not look at ``call``.
    """

    run: Run
    call: ToolCall
    at_ns: int
    event: LifecycleEvent | None


class ToolCalls:
    """Takes tool calls through their states; those that are over go to the span builder."""

    def __init__(self, state: State, spans: SpanBuilder) -> None:
        self._state = state
        self._spans = spans

    def step(
        self, run: Run, call: ToolCall | None, given: str, at_ns: int, event: LifecycleEvent | None = None
    ) -> None:
        """An input for a call: the kind of ``event``, or a cue."""
        state = CallState.ABSENT if call is None else call.state
        TOOL_CALL[state][given].action(self, ToolCallInput(run, cast(ToolCall, call), at_ns, event))

    def step_all(self, run: Run, cue: Cue, at_ns: int) -> None:
        """A cue for every call of a run."""
        for call in list(run.tool_calls):
            self.step(run, call, cue, at_ns)

    def step_new(self, run: Run, event: ToolCallRequested | ToolCallStarted) -> None:
        """A start is that of the call that was requested, else of another one.

        Cline asks about one call of an answer after the other, and starts none before all are decided. So this decides
        about those that were requested before.
        """
        decided_at_ns = event.occurred_at_ns
        if isinstance(event, ToolCallRequested):
            # The hooks of the next call run before it is requested: about as long as those of the first one did.
            decided_at_ns -= run.hooks_ns
        for call in run.tool_calls:
            if call.awaits_approval and call.requested_at_ns is not None:
                call.answered_at_ns = max(decided_at_ns, call.requested_at_ns)
        self.step(run, _requested(run, event), event.kind, event.occurred_at_ns, event)

    def step_meant(self, run: Run, event: ToolCallFinished) -> None:
        """The plugin names the call that finished; of the others it is the one that has waited longest."""
        self.step(run, _meant(run, event), event.kind, event.occurred_at_ns, event)

    def step_ended(self, run: Run, event: ToolCallNamed) -> None:
        """A name is that of the call that has ended; without one it is a subagent's, which has no span here."""
        ended = (call for call in run.tool_calls if call.state is CallState.ENDED)
        call = next(ended, None) if event.agent_id in ("", run.agent_id) else None
        self.step(run, call, event.kind, event.occurred_at_ns, event)

    # --- actions ----------------------------------------------------------------------------------

    def request(self, given: ToolCallInput) -> None:
        """remembers when Cline asked whether the call may run"""
        run, event, at_ns = given.run, cast(ToolCallRequested, given.event), given.at_ns
        before = sum(call.state is CallState.REQUESTED for call in run.tool_calls)
        if not before:
            run.hooks_ns = max(at_ns - run.answered_at_ns, 0) if run.answered_at_ns else 0
        ordinal = run.tools_started.get(event.iteration, 0) + before
        run.tool_calls.append(
            ToolCall(
                event.iteration,
                ordinal,
                at_ns,
                CallState.REQUESTED,
                call_id=event.call_id,
                attributes=dict(event.attributes),
                requested_at_ns=at_ns,
            )
        )

    def note_request(self, given: ToolCallInput) -> None:
        """remembers when the user was asked about a call whose wait is a part of it"""
        if given.call.requested_at_ns is None:
            given.call.requested_at_ns = given.at_ns
            given.call.attributes |= cast(ToolCallRequested, given.event).attributes

    def start(self, given: ToolCallInput) -> None:
        """opens the call: it may run, or it is reported at once that it may not"""
        call, event = given.call, cast(ToolCallStarted, given.event)
        call.ordinal = _placed(given.run, event)
        call.started_at_ns = given.at_ns
        call.attributes |= event.attributes
        call.state = CallState.OPEN

    def finish_requested(self, given: ToolCallInput) -> None:
        """as if it were open, if the event says which call it was and when it began; else counts it as late"""
        call, event = given.call, cast(ToolCallFinished, given.event)
        if event.ordinal is None or event.started_at_ns is None:
            given.run.tool_calls.remove(call)
            count(self._spans.output.diagnostics, "late", event.source, event.name)
            return
        call.ordinal = event.ordinal
        if call.answered_at_ns is None:
            call.answered_at_ns = event.started_at_ns
        self.finish(given)

    def forget(self, given: ToolCallInput) -> None:
        """forgets the call: what became of it will not be reported"""
        given.run.tool_calls.remove(given.call)

    def leave_unanswered(self, given: ToolCallInput) -> None:
        """tells how long the user was asked, without an answer; the call never began"""
        run, call = given.run, given.call
        run.tool_calls.remove(call)
        call.ended_at_ns = given.at_ns
        self._spans.approval(run, call, "unanswered" if call.answered_at_ns is None else "")

    def open(self, given: ToolCallInput) -> None:
        """opens the call; its ordinal is its place among the iteration's tool starts"""
        event = cast(ToolCallStarted, given.event)
        ordinal = _placed(given.run, event)
        given.run.tool_calls.append(
            ToolCall(event.iteration, ordinal, given.at_ns, call_id=event.call_id, attributes=dict(event.attributes))
        )

    def finish_unseen(self, given: ToolCallInput) -> None:
        """as if it were open, if the event says which call it was and when it began; else counts it as late"""
        event = cast(ToolCallFinished, given.event)
        if event.ordinal is None or event.started_at_ns is None:
            count(self._spans.output.diagnostics, "late", event.source, event.name)
            return
        call = ToolCall(event.iteration, event.ordinal, event.started_at_ns, call_id=event.call_id)
        given.run.tool_calls.append(call)
        self.finish(ToolCallInput(given.run, call, given.at_ns, event))

    def finish(self, given: ToolCallInput) -> None:
        """closes the call if its name is known; else remembers the end and waits for the name"""
        call, event = given.call, cast(ToolCallFinished, given.event)
        given.run.note_call(event.call_id)
        if event.started_at_ns is not None:
            call.started_at_ns = event.started_at_ns
        call.ended_at_ns = given.at_ns if event.ended_at_ns is None else event.ended_at_ns
        if event.is_mcp is not None:
            call.is_mcp = event.is_mcp
        if event.answered_at_ns is not None:
            call.answered_at_ns = event.answered_at_ns
        call.attributes |= event.attributes
        call.state = CallState.ENDED
        self._spans.output.tool_answered(event)
        if "gen_ai.tool.name" in call.attributes:
            self.complete(given)

    def name(self, given: ToolCallInput) -> None:
        """closes the call with its name"""
        event = cast(ToolCallNamed, given.event)
        given.call.attributes |= with_reported_outcome(event)
        self.complete(given)
        self._spans.output.tool_approved(event)

    def measure(self, given: ToolCallInput) -> None:
        """counts a call that has no span here"""
        event = cast(ToolCallNamed, given.event)
        self._spans.output.tool_used(event)
        if given.run.is_whole_task:
            self._spans.output.tool_decided(event)
        else:
            self._spans.output.tool_approved(event)
        self._count_for_prompt(given.run)

    def complete(self, given: ToolCallInput) -> None:
        """closes the call; nothing more is expected"""
        run, call = given.run, given.call
        run.tool_calls.remove(call)
        if not asks(call):
            note_closed(run, call.started_at_ns, call.over_at_ns)
        self._close(given, incomplete=False)

    def cut_with_run(self, given: ToolCallInput) -> None:
        """closes the call as incomplete, with why the run ended"""
        run, call = given.run, given.call
        call.ended_at_ns = given.at_ns
        call.attributes.setdefault("error.type", run.attributes["error.type"])
        run.tool_calls.remove(call)
        if not asks(call):
            note_closed(run, call.started_at_ns, call.over_at_ns)
        self._close(given, incomplete=True)

    def cut(self, given: ToolCallInput) -> None:
        """closes the call as incomplete: its end will not be reported"""
        given.call.ended_at_ns = given.at_ns
        given.run.tool_calls.remove(given.call)
        settle(given.run)
        self._close(given, incomplete=True)

    def go_on(self, given: ToolCallInput) -> None:
        """nothing: it says nothing of this call"""

    def _close(self, given: ToolCallInput, *, incomplete: bool) -> None:
        run, call = given.run, given.call
        run.tool_call_count += 1
        self._count_for_prompt(run)
        is_counted = call.is_mcp and was_counted(self._state, run, call)
        self._spans.tool_call(run, call, incomplete=incomplete, is_counted=is_counted)
        error_type = call.attributes.get("error.type")
        if error_type is not None:
            kind = "edit" if call.attributes["gen_ai.tool.name"] in EDITING_TOOLS else "call"
            failures.tell(self._state, kind, call.over_at_ns, self._state.session_of(run), {}, call.call_id)
        if error_type == "aborted":
            run.has_failed_call = True
            run.attributes["error.type"] = "aborted"
        if call.requested_at_ns is not None:
            self._spans.approval(run, call, _decision_on(call))
        if call.attributes["cline.outcome"] in ("error", "rejected"):
            run.failed_tool_call_count += 1

    def _count_for_prompt(self, run: Run) -> None:
        root = self._state.open_root(run)
        if root is not None:
            root.prompt_tool_call_count += 1


def _placed(run: Run, event: ToolCallStarted) -> int:
    """The ordinal of a call that starts: its place among the iteration's tool starts, where its source has none."""
    run.note_call(event.call_id)
    iteration, ordinal = event.iteration, event.ordinal
    if ordinal is None:
        ordinal = run.tools_started.get(iteration, 0)
    run.tools_started = {iteration: max(run.tools_started.get(iteration, ordinal), ordinal + 1)}
    return ordinal


def _requested(run: Run, event: ToolCallRequested | ToolCallStarted) -> ToolCall | None:
    """The call that starts now and was requested before; or the open one about which the user is asked."""
    state = CallState.REQUESTED if isinstance(event, ToolCallStarted) else CallState.OPEN
    same = (call for call in run.tool_calls if call.state is state and call.iteration == event.iteration)
    return next((call for call in same if call.call_id == event.call_id), None)


def _decision_on(call: ToolCall) -> str:
    """What was decided of a call that began: Cline reports one that was denied as one that ends at once."""
    if call.attributes.get("error.type") == "denied":
        return "denied"
    return "unanswered" if call.answered_at_ns is None else "approved"


def _meant(run: Run, event: ToolCallFinished) -> ToolCall | None:
    for call in run.tool_calls:
        if event.call_id:
            if call.call_id == event.call_id:
                return call
        elif call.iteration == event.iteration and (
            call.ordinal == event.ordinal if event.ordinal is not None else call.state is CallState.OPEN
        ):
            return call
    return None


_To = Transition[CallState, Callable[[ToolCalls, ToolCallInput], None]]
_ABSENT_, _REQUESTED, _OPEN = CallState.ABSENT, CallState.REQUESTED, CallState.OPEN
_ENDED, _CLOSED = CallState.ENDED, CallState.CLOSED

TOOL_CALL: Final[Mapping[CallState, Mapping[str, _To]]] = {
    CallState.ABSENT: {
        "tool_call.requested": _To((_REQUESTED,), ToolCalls.request),
        "tool_call.started": _To((_OPEN,), ToolCalls.open),
        "tool_call.finished": _To((_CLOSED, _ENDED, _ABSENT_), ToolCalls.finish_unseen),
        "tool_call.named": _To((_ABSENT_,), ToolCalls.measure),
        Cue.MOVED_ON: _To((_ABSENT_,), ToolCalls.go_on),
        Cue.RUN_CUT_SHORT: _To((_ABSENT_,), ToolCalls.go_on),
        Cue.RUN_OVER: _To((_ABSENT_,), ToolCalls.go_on),
    },
    CallState.REQUESTED: {
        "tool_call.requested": _To((_REQUESTED,), ToolCalls.go_on),
        "tool_call.started": _To((_OPEN,), ToolCalls.start),
        "tool_call.finished": _To((_CLOSED, _ENDED, _ABSENT_), ToolCalls.finish_requested),
        "tool_call.named": _To((_REQUESTED,), ToolCalls.measure),
        Cue.MOVED_ON: _To((_ABSENT_,), ToolCalls.forget),
        Cue.RUN_CUT_SHORT: _To((_ABSENT_,), ToolCalls.leave_unanswered),
        Cue.RUN_OVER: _To((_ABSENT_,), ToolCalls.leave_unanswered),
    },
    CallState.OPEN: {
        "tool_call.requested": _To((_OPEN,), ToolCalls.note_request),
        "tool_call.started": _To((_OPEN,), ToolCalls.go_on),
        "tool_call.finished": _To((_CLOSED, _ENDED), ToolCalls.finish),
        "tool_call.named": _To((_OPEN,), ToolCalls.measure),
        Cue.MOVED_ON: _To((_OPEN,), ToolCalls.go_on),
        Cue.RUN_CUT_SHORT: _To((_CLOSED,), ToolCalls.cut_with_run),
        Cue.RUN_OVER: _To((_CLOSED,), ToolCalls.cut),
    },
    CallState.ENDED: {
        "tool_call.requested": _To((_ENDED,), ToolCalls.go_on),
        "tool_call.started": _To((_ENDED,), ToolCalls.go_on),
        "tool_call.finished": _To((_CLOSED, _ENDED), ToolCalls.finish),
        "tool_call.named": _To((_CLOSED,), ToolCalls.name),
        Cue.MOVED_ON: _To((_CLOSED,), ToolCalls.complete),
        Cue.RUN_CUT_SHORT: _To((_CLOSED,), ToolCalls.complete),
        Cue.RUN_OVER: _To((_CLOSED,), ToolCalls.complete),
    },
}
"""What every input does to a tool call in every state. A closed call is forgotten, so it is absent again.

Every start is that of a requested call or of another one; what the table says of one in another state is that nothing
happens to it.
"""
