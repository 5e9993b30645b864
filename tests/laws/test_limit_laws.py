"""Limits of time: what lies exactly at one is still within it, a nanosecond later is beyond."""

from __future__ import annotations

from typing import Final

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel.events import Event, tick
from cline_otel.signals import StepOutput
from cline_otel.translate.step import Translator
from corpus import HOUR_NS, SECOND_NS, event_of

START_NS: Final = 1_790_000_000 * SECOND_NS
SAME_MOMENT_NS: Final = 2 * SECOND_NS
"""How far apart two sources' times of one fact are at most."""

MEMORY_NS: Final = 30 * 24 * HOUR_NS
"""How long sessions, agents and runs are remembered without a sign of life."""

at_and_beyond: Final = pytest.mark.parametrize("beyond_ns", [0, 1], ids=["at the limit", "a nanosecond later"])


def checkpoint(source: str, occurred_at_ns: int) -> Event:
    attributes = {"cline.checkpoint.outcome": "stash"}
    return event_of("log_event", source, occurred_at_ns, "checkpoint.snapshot", "s", attributes=attributes)


@at_and_beyond
@pytest.mark.parametrize("second_is_earlier", [False, True])
def test_two_sources_tell_one_fact_up_to_two_seconds_apart(beyond_ns: int, second_is_earlier: bool) -> None:
    apart_ns = SAME_MOMENT_NS + beyond_ns
    second_ns = START_NS - apart_ns if second_is_earlier else START_NS + apart_ns
    translator = Translator(CATALOGUE)
    for step in (tick(START_NS), checkpoint("cline-log", START_NS), checkpoint("otlp", second_ns)):
        translator.step(step)
    assert len(translator.take().logs) == 1 + beyond_ns


def test_observations_that_are_ten_minutes_old_are_looked_for_once_a_minute() -> None:
    translator = Translator(CATALOGUE)
    for step in (tick(START_NS), checkpoint("cline-log", START_NS)):
        translator.step(step)
    look_ns = START_NS + 600 * SECOND_NS
    kept = []
    for now_ns in (look_ns, look_ns + 60 * SECOND_NS - 1, look_ns + 60 * SECOND_NS):
        translator.step(tick(now_ns))
        kept.append(len(translator.state.observations))
    assert kept == [1, 1, 0]


def run(agent_id: str, occurred_at_ns: int, session_id: str = "") -> list[Event]:
    return [
        event_of(kind, "plugin", occurred_at_ns, kind, session_id, agent_id, "run_1", process="p")
        for kind in ("run.started", "run.finished")
    ]


def after(waited_ns: int, first: list[Event], then: list[Event]) -> StepOutput:
    """What comes of ``then``, so long after ``first``, with what is too old forgotten in between."""
    translator = Translator(CATALOGUE)
    for step in (tick(START_NS), *first, tick(START_NS + waited_ns)):
        translator.step(step)
    translator.forget()
    translator.take()
    for step in then:
        translator.step(step)
    return translator.take()


def of(kind: str, occurred_at_ns: int, run_id: str = "run_1", session_id: str = "s") -> Event:
    return event_of(kind, "plugin", occurred_at_ns, kind, session_id, "a", run_id, process="p")


LATER_NS: Final = START_NS + 12 * HOUR_NS
SIGNS_OF_LIFE: Final = {
    "a run starts": (of("run.started", START_NS), of("run.started", LATER_NS, "run_2")),
    "a run learns its session": (of("run.started", START_NS, session_id=""), of("model_call.started", LATER_NS)),
    "a process claims it": (of("session.claimed", START_NS), of("session.claimed", LATER_NS)),
    "it is described": (of("agent.described", START_NS), of("agent.described", LATER_NS)),
}


@at_and_beyond
@pytest.mark.parametrize("sign", SIGNS_OF_LIFE)
def test_an_agent_and_a_session_are_remembered_for_thirty_days_after_their_last_sign_of_life(
    sign: str, beyond_ns: int
) -> None:
    first, second = SIGNS_OF_LIFE[sign]
    translator = Translator(CATALOGUE)
    for step in (tick(START_NS), first, tick(LATER_NS), second, tick(LATER_NS + MEMORY_NS + beyond_ns)):
        translator.step(step)
    translator.forget()
    is_agent, is_session = sign != "a process claims it", sign != "it is described"
    assert list(translator.state.agents) == (["a"] if is_agent and not beyond_ns else [])
    assert list(translator.state.sessions) == (["s"] if is_session and not beyond_ns else [])


def test_where_the_plugin_has_claimed_a_session_the_log_waits_a_minute_for_it() -> None:
    translator = Translator(CATALOGUE)
    start = event_of("run.started", "cline-log", START_NS, "agent.run-started", "s", "a", "run_1")
    for step in (tick(START_NS), of("session.claimed", START_NS), start):
        translator.step(step)
    owners = []
    for waited_ns in (60 * SECOND_NS - 1, 60 * SECOND_NS):
        translator.step(tick(START_NS + waited_ns))
        owners.append(translator.state.runs["a", "run_1"].owner)
    assert owners == ["", "cline-log"]


@at_and_beyond
def test_an_agent_is_remembered_for_thirty_days(beyond_ns: int) -> None:
    described = event_of("agent.described", "cline-log", START_NS, "task.agent_created", "session_1", "a")
    outputs = after(MEMORY_NS + beyond_ns, [described], run("a", START_NS + MEMORY_NS + beyond_ns))
    (span,) = outputs.spans
    assert dict(span.attributes).get("gen_ai.conversation.id") == ("session_1" if not beyond_ns else None)


@at_and_beyond
def test_a_run_that_is_over_is_remembered_for_thirty_days(beyond_ns: int) -> None:
    outputs = after(MEMORY_NS + beyond_ns, run("a", START_NS), run("a", START_NS))
    assert len(outputs.spans) == beyond_ns


@at_and_beyond
def test_a_session_is_remembered_for_thirty_days(beyond_ns: int) -> None:
    later_ns = START_NS + MEMORY_NS + beyond_ns
    outputs = after(MEMORY_NS + beyond_ns, run("a", START_NS, "s"), run("b", later_ns, "s"))
    tasks = sum(delta.value for delta in outputs.metrics if delta.metric == "cline.task.started")
    assert tasks == beyond_ns
