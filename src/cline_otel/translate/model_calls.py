"""The model calls of a run: what each input does to a call, and ``MODEL_CALL``, the table that says which."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, cast

from cline_otel.catalogue.values import OTHER
from cline_otel.events import AttributeValue, LifecycleEvent, ModelCallFinished, ModelCallStarted, ModelCallUsage
from cline_otel.signals import count
from cline_otel.translate import failures
from cline_otel.translate.active_time import note_closed, settle
from cline_otel.translate.conventions import number, with_inclusive_input
from cline_otel.translate.machine import Cue, Transition
from cline_otel.translate.spans import SpanBuilder
from cline_otel.translate.state import State
from cline_otel.translate.stored import CallState, ModelCall, Run


class ModelCallInput(NamedTuple):
    """What an action has to do with; ``event`` is None for a cue. Times are nanoseconds since the Unix epoch.

    An action that the table gives to an absent call does not look at ``call``.
    """

    run: Run
    iteration: int
    call: ModelCall
    at_ns: int
    event: LifecycleEvent | None


class ModelCalls:
    """Takes model calls through their states; those that are over go to the span builder."""

    def __init__(self, state: State, spans: SpanBuilder) -> None:
        self._state = state
        self._spans = spans

    def step(self, run: Run, iteration: int, given: str, at_ns: int, event: LifecycleEvent | None = None) -> None:
        """An input for the call of an iteration: the kind of ``event``, or a cue."""
        call = run.model_calls.get(iteration)
        state = CallState.ABSENT if call is None else call.state
        MODEL_CALL[state][given].action(self, ModelCallInput(run, iteration, cast(ModelCall, call), at_ns, event))

    def step_all(self, run: Run, cue: Cue, at_ns: int, *, but: int | None = None) -> None:
        """A cue for every call of a run, except that of the iteration ``but``."""
        for iteration in list(run.model_calls):
            if iteration != but:
                self.step(run, iteration, cue, at_ns)

    def step_ended(self, run: Run, event: ModelCallUsage) -> None:
        """Usage is that of the call that has ended; without one it is a subagent's, which has no span here."""
        ended = (iteration for iteration, call in run.model_calls.items() if call.state is CallState.ENDED)
        self.step(run, next(ended, event.iteration), event.kind, event.occurred_at_ns, event)

    # --- actions ----------------------------------------------------------------------------------

    def open(self, given: ModelCallInput) -> None:
        """opens the call; the same iteration once more is another attempt"""
        run, event = given.run, cast(ModelCallStarted, given.event)
        attempt = self._number(run, given.iteration, event.attempt)
        run.has_failed_call = False
        run.model_calls[given.iteration] = ModelCall(given.at_ns, attempt=attempt, attributes=dict(event.attributes))

    def cut_and_open(self, given: ModelCallInput) -> None:
        """Cline asks again: closes the first attempt as incomplete, with its error if that was told; opens another"""
        owner = self._state.root_of(given.run).owner
        error_type = given.run.told_error(owner, given.call.started_at_ns, given.at_ns)
        if error_type is not None:
            given.call.attributes["error.type"] = error_type
        self.cut(given)
        self.open(given)

    def complete_and_open(self, given: ModelCallInput) -> None:
        """Cline asks again: closes the first attempt without its usage and opens another"""
        self.complete(given)
        self.open(given)

    def note_first_chunk(self, given: ModelCallInput) -> None:
        """remembers when the first chunk came"""
        if given.call.first_chunk_at_ns is None:
            given.call.first_chunk_at_ns = given.at_ns

    def pass_by(self, given: ModelCallInput) -> None:
        """remembers that the agent went on: it was over by then, should its end not be reported"""
        if given.call.ended_at_ns is None:
            given.call.ended_at_ns = given.at_ns

    def end(self, given: ModelCallInput) -> None:
        """remembers the end; the usage comes in an event of its own"""
        given.call.ended_at_ns = given.at_ns
        given.call.state = CallState.ENDED

    def complete_with_usage(self, given: ModelCallInput) -> None:
        """closes the call with its usage"""
        given.call.attributes |= with_inclusive_input(cast(ModelCallUsage, given.event))
        self.complete(given)

    def measure_usage(self, given: ModelCallInput) -> None:
        """counts the tokens of a call that has no span here; those of several calls are no call"""
        event = cast(ModelCallUsage, given.event)
        values = with_inclusive_input(event)
        unpriced_tokens = self._spans.output.usage(values, self._prompt(given.run), event.occurred_at_ns)
        self._count_for_prompt(given.run, values, unpriced_tokens, calls=0 if event.is_sum else 1)

    def finish_unseen(self, given: ModelCallInput) -> None:
        """closes a call whose start was not seen: the end says when it began, else it is as long as nothing"""
        event = cast(ModelCallFinished, given.event)
        attempt = self._number(given.run, given.iteration, event.attempt)
        call = given.run.model_calls[given.iteration] = ModelCall(
            given.at_ns if event.started_at_ns is None else event.started_at_ns, attempt=attempt
        )
        self.finish(ModelCallInput(given.run, given.iteration, call, given.at_ns, event))

    def finish(self, given: ModelCallInput) -> None:
        """closes the call with its usage or its error"""
        call, event = given.call, cast(ModelCallFinished, given.event)
        if event.requested_tool_calls is not None:
            given.run.tools_requested = {given.iteration: event.requested_tool_calls}
        given.run.answered_at_ns = given.at_ns
        call.first_chunk_at_ns = event.first_chunk_at_ns
        call.ended_at_ns = given.at_ns
        call.attributes |= event.attributes
        reasons = event.attributes.get("gen_ai.response.finish_reasons")
        if isinstance(reasons, tuple) and "error" in reasons and "error.type" not in event.attributes:
            call.attributes["error.type"] = "_OTHER"
        self.complete(given)

    def fail(self, given: ModelCallInput) -> None:
        """closes the call with the run's error: the failed run took it along, unless the agent had gone on before"""
        if given.call.is_passed:
            self.cut(given)
            return
        given.call.ended_at_ns = given.at_ns
        given.call.attributes.setdefault("error.type", given.run.attributes.get("error.type", "_OTHER"))
        self.complete(given)

    def cut_with_run(self, given: ModelCallInput) -> None:
        """closes the call as incomplete, with why the run ended, unless the agent had gone on before"""
        if given.call.is_passed:
            self.cut(given)
            return
        given.call.ended_at_ns = given.at_ns
        given.call.attributes.setdefault("error.type", given.run.attributes["error.type"])
        self._close_ended(given, incomplete=True)

    def complete(self, given: ModelCallInput) -> None:
        """closes the call; nothing more is expected"""
        self._close_ended(given, incomplete=False)

    def cut(self, given: ModelCallInput) -> None:
        """closes the call as incomplete: its end will not be reported"""
        if given.call.ended_at_ns is None:
            given.call.ended_at_ns = given.at_ns
        del given.run.model_calls[given.iteration]
        settle(given.run)
        self._close(given, incomplete=True)

    def go_on(self, given: ModelCallInput) -> None:
        """nothing: it says nothing of this call"""

    def count_late(self, given: ModelCallInput) -> None:
        """counts it as late: the call is closed or was never seen"""
        event = cast(LifecycleEvent, given.event)
        count(self._spans.output.diagnostics, "late", event.source, event.name)

    def _number(self, run: Run, iteration: int, told: int | None) -> int:
        """Which attempt of its iteration a call is: the next, or a later one where its process has told so."""
        attempt = max(told or 1, run.model_attempts.get(iteration, 0) + 1)
        run.model_attempts = {iteration: attempt}
        return attempt

    def _close_ended(self, given: ModelCallInput, *, incomplete: bool) -> None:
        """It is known when the call was over, so the agent was active until then."""
        del given.run.model_calls[given.iteration]
        note_closed(given.run, given.call.started_at_ns, given.call.over_at_ns)
        self._close(given, incomplete=incomplete)

    def _close(self, given: ModelCallInput, *, incomplete: bool) -> None:
        run, call = given.run, given.call
        self._spans.active_time(run, call.over_at_ns)
        values = call.attributes
        run.model_call_count += 1
        run.input_tokens += number(values.get("gen_ai.usage.input_tokens"))
        run.output_tokens += number(values.get("gen_ai.usage.output_tokens"))
        for name in ("gen_ai.request.model", "gen_ai.provider.name"):
            if name in values:
                run.attributes.setdefault(name, values[name])
        if values.get("error.type") == OTHER:
            told = run.told_error(self._state.root_of(run).owner, call.started_at_ns, call.over_at_ns)
            values["error.type"] = told or OTHER
        run.has_failed_call = "error.type" in values
        if run.has_failed_call:
            run.attributes["error.type"] = values["error.type"]
        unpriced_tokens = self._spans.model_call(run, given.iteration, call, self._prompt(run), incomplete=incomplete)
        if run.has_failed_call:
            failures.tell(self._state, "model_call", call.over_at_ns, self._state.session_of(run), values)
        cost = values.get("cline.cost_usd")
        if isinstance(cost, float):
            run.cost_usd += cost
            run.has_known_cost = True
        self._count_for_prompt(run, values, unpriced_tokens)

    def _prompt(self, run: Run) -> Mapping[str, AttributeValue]:
        """What is known of the prompt that a run works for, which its root run has."""
        root = self._state.runs.get(run.root)
        return root.attributes if root is not None else {}

    def _count_for_prompt(
        self, run: Run, values: Mapping[str, AttributeValue], unpriced_tokens: int, calls: int = 1
    ) -> None:
        root = self._state.open_root(run)
        if root is not None:
            root.count_usage(values, unpriced_tokens, calls)


_To = Transition[CallState, Callable[[ModelCalls, ModelCallInput], None]]
_ABSENT_, _OPEN, _ENDED, _CLOSED = CallState.ABSENT, CallState.OPEN, CallState.ENDED, CallState.CLOSED

MODEL_CALL: Final[Mapping[CallState, Mapping[str, _To]]] = {
    CallState.ABSENT: {
        "model_call.started": _To((_OPEN,), ModelCalls.open),
        "model_call.first_chunk": _To((_ABSENT_,), ModelCalls.go_on),
        "model_call.ended": _To((_ABSENT_,), ModelCalls.count_late),
        "model_call.usage": _To((_ABSENT_,), ModelCalls.measure_usage),
        "model_call.finished": _To((_CLOSED,), ModelCalls.finish_unseen),
        Cue.MOVED_ON: _To((_ABSENT_,), ModelCalls.go_on),
        Cue.RUN_FAILED: _To((_ABSENT_,), ModelCalls.go_on),
        Cue.RUN_CUT_SHORT: _To((_ABSENT_,), ModelCalls.go_on),
        Cue.RUN_OVER: _To((_ABSENT_,), ModelCalls.go_on),
    },
    CallState.OPEN: {
        "model_call.started": _To((_OPEN,), ModelCalls.cut_and_open),
        "model_call.first_chunk": _To((_OPEN,), ModelCalls.note_first_chunk),
        "model_call.ended": _To((_ENDED,), ModelCalls.end),
        "model_call.usage": _To((_OPEN,), ModelCalls.measure_usage),
        "model_call.finished": _To((_CLOSED,), ModelCalls.finish),
        Cue.MOVED_ON: _To((_OPEN,), ModelCalls.pass_by),
        Cue.RUN_FAILED: _To((_CLOSED,), ModelCalls.fail),
        Cue.RUN_CUT_SHORT: _To((_CLOSED,), ModelCalls.cut_with_run),
        Cue.RUN_OVER: _To((_CLOSED,), ModelCalls.cut),
    },
    CallState.ENDED: {
        "model_call.started": _To((_OPEN,), ModelCalls.complete_and_open),
        "model_call.first_chunk": _To((_ENDED,), ModelCalls.note_first_chunk),
        "model_call.ended": _To((_ENDED,), ModelCalls.end),
        "model_call.usage": _To((_CLOSED,), ModelCalls.complete_with_usage),
        "model_call.finished": _To((_CLOSED,), ModelCalls.finish),
        Cue.MOVED_ON: _To((_CLOSED,), ModelCalls.complete),
        Cue.RUN_FAILED: _To((_CLOSED,), ModelCalls.complete),
        Cue.RUN_CUT_SHORT: _To((_CLOSED,), ModelCalls.complete),
        Cue.RUN_OVER: _To((_CLOSED,), ModelCalls.complete),
    },
}
"""What every input does to a model call in every state. A closed call is forgotten, so it is absent again."""
