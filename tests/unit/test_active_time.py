"""Active time is the time in which some call was under way, whatever overlaps and in whatever order calls end."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.events import Event, tick
from cline_otel.translate.active_time import MOST_INTERVALS, note_closed, settle
from cline_otel.translate.stored import Run, ToolCall
from corpus import SECOND_NS, event_of, translate

START_NS: Final = 1_790_000_000 * SECOND_NS

INTERVALS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=90)


def told(kind: str, seconds: int, iteration: int = 0, **fields: Any) -> Event:
    attributes = {name.replace("__", "."): value for name, value in fields.items()}
    at_ns = START_NS + seconds * SECOND_NS
    return event_of(kind, "plugin", at_ns, kind, "s", "a", "r", iteration, "", "p", attributes)


def run_of() -> Run:
    return Run("agent", "run", ("agent", "run"))


def active_ns(intervals: list[tuple[int, int]], asking: ToolCall | None = None) -> int:
    """What is measured of calls with these starts and lengths, each of which ends when it does."""
    run = run_of()
    calls = [
        ToolCall(1, ordinal, start, ended_at_ns=start + length) for ordinal, (start, length) in enumerate(intervals)
    ]
    by_end = sorted(calls, key=lambda call: (call.ended_at_ns or 0, call.started_at_ns))
    for call in by_end:
        ended_at_ns = call.ended_at_ns or 0
        others = [each for each in calls if each not in by_end[: by_end.index(call) + 1]]
        run.tool_calls = [each for each in others if each.started_at_ns <= ended_at_ns]
        run.tool_calls += [asking] if asking is not None else []
        note_closed(run, call.started_at_ns, ended_at_ns)
    return run.active_ns


@given(INTERVALS)
def test_it_is_the_length_of_the_union_of_all_calls(intervals: list[tuple[int, int]]) -> None:
    union = {moment for start, length in intervals for moment in range(start, start + length)}
    assert active_ns(intervals) == len(union)


@given(INTERVALS)
def test_a_tool_that_asks_the_user_holds_nothing_up(intervals: list[tuple[int, int]]) -> None:
    asking = ToolCall(1, 99, 0, attributes={"gen_ai.tool.name": "ask_question"})
    assert active_ns(intervals, asking) == active_ns(intervals)


def run_with_an_open_call(gaps: bool, count: int = 10_000) -> Run:
    """Beside it, calls of 1 ns each, with or without as much between them."""
    run = run_of()
    run.tool_calls = [ToolCall(1, 0, 0)]
    for number in range(count):
        start = number * (1 + gaps)
        note_closed(run, start, start + 1)
    return run


@pytest.mark.parametrize("gaps", [False, True])
def test_while_a_call_is_open_the_memory_of_those_beside_it_stays_small(gaps: bool) -> None:
    run = run_with_an_open_call(gaps)
    assert len(run.active) <= MOST_INTERVALS
    run.tool_calls = []
    note_closed(run, 0, 30_000)
    assert (run.active_ns, run.active) == (30_000, [])


@pytest.mark.parametrize("gaps", [False, True])
def test_a_call_whose_end_is_lost_adds_nothing_and_takes_nothing_from_those_beside_it(gaps: bool) -> None:
    run = run_with_an_open_call(gaps)
    run.tool_calls = []
    settle(run)
    assert (run.active_ns, run.active) == (10_000, [])


def test_memory_stays_small_however_many_calls_are_open_and_no_time_is_counted_twice() -> None:
    run = run_of()
    for number in range(1_000):
        run.tool_calls.append(ToolCall(1, number, 10 * number + 5))
        note_closed(run, 10 * number, 10 * number + 6)
        assert len(run.active) <= MOST_INTERVALS == 64
    run.tool_calls = []
    settle(run)
    assert run.active_ns == 6_000


@given(INTERVALS, st.sets(st.integers(0, 89)))
def test_it_is_the_union_of_the_calls_whose_ends_are_told(intervals: list[tuple[int, int]], lost: set[int]) -> None:
    intervals = intervals[:30]
    run = run_of()
    calls = [ToolCall(1, number, start, ended_at_ns=start + length) for number, (start, length) in enumerate(intervals)]
    for call in sorted(calls, key=lambda call: (call.over_at_ns, call.started_at_ns)):
        run.tool_calls = [
            each
            for each in calls
            if each.started_at_ns <= call.over_at_ns
            and (each.ordinal in lost or (each.over_at_ns, each.started_at_ns, each.ordinal) > (
                call.over_at_ns, call.started_at_ns, call.ordinal
            ))
        ]  # fmt: skip
        if call.ordinal not in lost:
            note_closed(run, call.started_at_ns, call.over_at_ns)
    run.tool_calls = []
    settle(run)
    told = [interval for number, interval in enumerate(intervals) if number not in lost]
    assert run.active_ns == len({moment for start, length in told for moment in range(start, start + length)})


@pytest.mark.parametrize("lost", ["model_call", "tool_call"])
@pytest.mark.parametrize("outcome", ["completed", "failed"])
def test_a_run_one_of_whose_calls_has_no_end_was_active_as_long_as_the_others_took(lost: str, outcome: str) -> None:
    """A run of 6,000 s with 16 s of calls."""
    steps = [told("run.started", 0)]
    for iteration in range(1, 9):
        second = iteration * 700
        steps.append(told("model_call.started", second, iteration=iteration))
        if iteration > 1 or lost != "model_call":
            steps.append(told("model_call.finished", second + 1, iteration=iteration))
        steps.append(told("tool_call.started", second + 1, iteration=iteration, ordinal=0))
        if iteration > 1 or lost != "tool_call":
            named = {"gen_ai__tool__name": "editor", "cline__outcome": "success"}
            steps.append(told("tool_call.finished", second + 2, iteration=iteration, ordinal=0, **named))
    steps.append(told("run.finished", 6_000, cline__outcome=outcome))
    outputs = translate([tick(START_NS), *steps])
    assert sum(each.value for each in outputs.metrics if each.metric == "cline.active.time") == 15
    (cut,) = [span for span in outputs.spans if ("cline.incomplete", True) in span.attributes]
    assert cut.name.startswith("chat" if lost == "model_call" else "execute_tool")


def test_a_model_call_is_active_until_its_run_is_aborted() -> None:
    steps = [
        told("run.started", 0),
        told("model_call.started", 2, iteration=1),
        told("run.finished", 9, cline__outcome="aborted"),
    ]
    outputs = translate([tick(START_NS), *steps])
    assert [each.value for each in outputs.metrics if each.metric == "cline.active.time"] == [7]


def test_what_is_told_late_is_not_counted_twice() -> None:
    run = run_of()
    for interval in ((0, 10), (4, 8), (5, 12)):
        note_closed(run, *interval)
    assert run.active_ns == 12
