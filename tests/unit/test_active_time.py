"""Active time is the time in which some call was under way, whatever overlaps and in whatever order calls end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cline_otel.translate.active_time import note_closed
from cline_otel.translate.state import Run, ToolCall

INTERVALS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 20)), max_size=90)


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


def test_while_a_call_is_open_the_memory_of_those_beside_it_stays_small() -> None:
    run = run_of()
    run.tool_calls = [ToolCall(1, 0, 0)]
    for start in range(1_000):
        note_closed(run, 2 * start, 2 * start + 2)
    assert len(run.active) <= 64
    run.tool_calls = []
    note_closed(run, 0, 2_000)
    assert (run.active_ns, run.active) == (2_000, [])


def test_what_is_told_late_is_not_counted_twice() -> None:
    run = run_of()
    for interval in ((0, 10), (4, 8), (5, 12)):
        note_closed(run, *interval)
    assert run.active_ns == 12
