"""Active time: how long an agent worked.

An agent works while a model call or a tool call of its run is under way; where several are, the time counts once. A
tool that asks the user waits for a person and does not count. What Cline does between calls (hooks, an approval that is
awaited) does not count either, nor does a call whose end nobody reports.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from cline_otel.translate.stored import CallState, Run, ToolCall

TOOLS_THAT_ASK: Final = frozenset({"ask_question", "ask_followup_question", "plan_mode_respond"})
"""Cline's tools that wait for an answer of the user's."""

MOST_INTERVALS: Final = 64
"""How many of a run's intervals are kept apart while a call beside them is open."""


def asks(call: ToolCall) -> bool:
    """Whether a tool call waits for the user."""
    return call.attributes.get("gen_ai.tool.name") in TOOLS_THAT_ASK


def note_closed(run: Run, started_at_ns: int, ended_at_ns: int) -> None:
    """A call of a run is over and no longer among those that the run has; both are nanoseconds since the Unix epoch.

    What calls share is known when none of them is under way, so their intervals are kept until then. Of what is told
    late, that which lies before what is measured may be part of it.
    """
    if ended_at_ns > run.active_until_ns:
        run.active.append((max(started_at_ns, run.active_until_ns), ended_at_ns))
    settle(run)


def settle(run: Run) -> None:
    """A call is no longer among those that the run has; of one whose end is not known that is all there is to do."""
    if not run.active:
        return
    if (run.model_calls or run.tool_calls) and (opened := _opened(run)):
        run.active = _closed_up(_joined(run.active), opened)
        return
    for begun_ns, over_ns in _joined(run.active):
        run.active_ns += over_ns - begun_ns
        run.active_until_ns = over_ns
    run.active = []


def _opened(run: Run) -> list[int]:
    """When the calls began that are under way, in the order of time."""
    model_calls = [call.started_at_ns for call in run.model_calls.values()]
    tool_calls = [
        call.started_at_ns for call in run.tool_calls if call.state is not CallState.REQUESTED and not asks(call)
    ]
    return sorted(model_calls + tool_calls)


def _joined(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same time without overlaps, in the order of time."""
    if len(intervals) == 1:
        return intervals
    joined: list[tuple[int, int]] = []
    for started_at_ns, ended_at_ns in sorted(intervals):
        if joined and started_at_ns <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], ended_at_ns))
        else:
            joined.append((started_at_ns, ended_at_ns))
    return joined


def _closed_up(intervals: list[tuple[int, int]], opened: list[int]) -> list[tuple[int, int]]:
    """As much time in few intervals, of which each call that is open will cover as much.

    Two intervals between which no such call began are covered both or not at all when it ends, so the first one can be
    moved to where the second begins. That leaves two or three for each open call; past ``MOST_INTERVALS`` the first
    ones are moved whatever began there.

    Args:
        intervals: one or more without overlaps, in the order of time.
        opened: when the calls that are open began, in the order of time.
    """
    closed_up: list[tuple[int, int]] = []
    for started_at_ns, ended_at_ns in intervals:
        if closed_up:
            before_ns, until_ns = closed_up[-1]
            began = bisect_right(opened, before_ns)
            if began == len(opened) or opened[began] >= ended_at_ns:
                closed_up[-1] = (started_at_ns - (until_ns - before_ns), ended_at_ns)
                continue
        closed_up.append((started_at_ns, ended_at_ns))
    beyond = max(len(closed_up) - MOST_INTERVALS, 0)
    length_ns = sum(ended_at_ns - started_at_ns for started_at_ns, ended_at_ns in closed_up[:beyond])
    started_at_ns, ended_at_ns = closed_up[beyond]
    return [(started_at_ns - length_ns, ended_at_ns), *closed_up[beyond + 1 :]]
