"""The tables of the lifecycle: every input is answered in every state, and what they say is what happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel.events import EVENT_TYPES, LifecycleEvent
from cline_otel.translate.lifecycle import RUN, Lifecycle
from cline_otel.translate.machine import Cue
from cline_otel.translate.model_calls import MODEL_CALL, ModelCalls
from cline_otel.translate.output import Output
from cline_otel.translate.spans import SpanBuilder
from cline_otel.translate.state import State
from cline_otel.translate.stored import CallState, Run, RunState
from cline_otel.translate.tool_calls import TOOL_CALL, ToolCalls
from corpus import event_of

STORED = (CallState.ABSENT, CallState.OPEN, CallState.ENDED)
STORED_OF_TOOLS = (*STORED, CallState.REQUESTED)
LIFECYCLE = {event_type.kind for event_type in LifecycleEvent.__args__}
MODEL_INPUTS = {kind for kind in LIFECYCLE if kind.startswith("model_call.")} | set(Cue)
TOOL_INPUTS = {kind for kind in LIFECYCLE if kind.startswith("tool_call.")} | set(Cue) - {Cue.RUN_FAILED}
NAMED = {"gen_ai.tool.name": "editor", "cline.outcome": "success"}


def event(kind: str, at_ns: int = 100, **attributes: Any) -> Any:
    return event_of(kind, "plugin", at_ns, kind, "s", "a", "r", 1, "c", attributes=attributes)


def open_run() -> Run:
    attributes = {"error.type": "aborted"}
    return Run("a", "r", ("a", "r"), RunState.OPEN, "plugin", "s", started_at_ns=1, attributes=attributes)


def spans() -> SpanBuilder:
    return SpanBuilder(Output(CATALOGUE), CATALOGUE)


def pairs(table: Any) -> list[Any]:
    return [pytest.param(state, given, id=f"{state}-{given}") for state, row in table.items() for given in row]


def test_every_input_is_answered_in_every_state() -> None:
    assert {state: set(row) for state, row in RUN.items()} == dict.fromkeys(RunState, LIFECYCLE)
    assert {state: set(row) for state, row in MODEL_CALL.items()} == dict.fromkeys(STORED, MODEL_INPUTS)
    assert {state: set(row) for state, row in TOOL_CALL.items()} == dict.fromkeys(STORED_OF_TOOLS, TOOL_INPUTS)


def test_every_event_is_one_of_a_run_s_life_or_the_translator_s_own() -> None:
    own = {
        "session.claimed",
        "session.announced",
        "session.untold",
        "plugins.not_loaded",
        "process.alive",
        "process.exited",
        "agent.described",
        "run.claimed",
        "records.dropped",
        "records.rewritten",
        "log_event",
        "tick",
    }
    assert EVENT_TYPES.keys() == LIFECYCLE | own


@pytest.mark.parametrize(("state", "kind"), pairs(RUN))
def test_a_run_is_then_in_the_state_that_the_table_says(state: RunState, kind: str) -> None:
    memory = State()
    lifecycle = Lifecycle(memory, spans(), CATALOGUE)
    run = memory.runs["a", "r"] = Run("a", "r", ("a", "r"), owner="plugin")
    if state is not RunState.NEW:
        lifecycle.apply(run, event("run.started", 1))
    if state is RunState.CLOSED:
        lifecycle.apply(run, event("run.finished", 2))
    lifecycle.apply(run, event(kind))
    assert (run.state,) == RUN[state][kind].to


@pytest.mark.parametrize(("state", "given"), pairs(MODEL_CALL))
def test_a_model_call_is_then_in_the_state_that_the_table_says(state: CallState, given: str) -> None:
    builder = spans()
    calls, run = ModelCalls(State(), builder), open_run()
    if state is not CallState.ABSENT:
        calls.step(run, 1, "model_call.started", 10, event("model_call.started", 10))
    if state is CallState.ENDED:
        calls.step(run, 1, "model_call.ended", 20, event("model_call.ended", 20))
    calls.step(run, 1, given, 100, event(given) if given in EVENT_TYPES else None)
    transition = MODEL_CALL[state][given]
    call = run.model_calls.get(1)
    after = call.state if call is not None else CallState.ABSENT
    made = builder.output.take().spans
    assert (after,) == tuple(CallState.ABSENT if to is CallState.CLOSED else to for to in transition.to)
    is_closed = transition.to == (CallState.CLOSED,) or "and_open" in transition.action.__name__
    assert len(made) == run.model_call_count == is_closed


def tool_run(state: CallState, calls: ToolCalls) -> Run:
    run = open_run()
    if state is CallState.REQUESTED:
        calls.step(run, None, "tool_call.requested", 10, event("tool_call.requested", 10))
    elif state is not CallState.ABSENT:
        calls.step(run, None, "tool_call.started", 10, event("tool_call.started", 10))
    if state is CallState.ENDED:
        calls.step(run, run.tool_calls[0], "tool_call.finished", 20, event("tool_call.finished", 20))
    return run


OUTCOMES: dict[CallState, Callable[[], Any]] = {
    CallState.CLOSED: lambda: event("tool_call.finished", ordinal=0, started_at_ns=5, **NAMED),
    CallState.ENDED: lambda: event("tool_call.finished", ordinal=0, started_at_ns=5),
    CallState.ABSENT: lambda: event("tool_call.finished"),
}
"""What the end of a tool call must say to lead to a state, where several can follow."""


@pytest.mark.parametrize(("state", "given"), pairs(TOOL_CALL))
def test_a_tool_call_is_then_in_one_of_the_states_that_the_table_says(state: CallState, given: str) -> None:
    transition = TOOL_CALL[state][given]
    for to in transition.to:
        builder = spans()
        calls = ToolCalls(State(), builder)
        run = tool_run(state, calls)
        call = run.tool_calls[0] if run.tool_calls else None
        if given == "tool_call.finished":
            calls.step(run, call, given, 100, OUTCOMES[to]())
        else:
            calls.step(run, call, given, 100, event(given) if given in EVENT_TYPES else None)
        after = [each.state for each in run.tool_calls]
        made = [span for span in builder.output.take().spans if span.name != "cline.approval"]
        assert after == ([] if to in (CallState.CLOSED, CallState.ABSENT) else [to])
        assert len(made) == run.tool_call_count == (to is CallState.CLOSED)


def test_an_action_says_what_it_does() -> None:
    """Its docstring is what docs/lifecycle.md says of it."""
    for table in (RUN, MODEL_CALL, TOOL_CALL):
        for row in table.values():  # type: ignore[attr-defined]
            for transition in row.values():
                text = transition.action.__doc__
                assert text, transition
                assert "\n" not in text, transition
                assert not text.endswith("."), transition
