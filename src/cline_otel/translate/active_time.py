"""Active time: how long an agent worked.

An agent works while a model call or a tool call of its run is under way; where several are, the time counts once. A
tool that asks the user waits for a person and does not count. What Cline does between calls (hooks, an approval that is
awaited) does not count either.
"""

from __future__ import annotations

from typing import Final

from cline_otel.translate.state import Run, ToolCall

TOOLS_THAT_ASK: Final = frozenset({"ask_question", "ask_followup_question", "plan_mode_respond"})
"""Cline's tools that wait for an answer of the user's."""

_MOST_INTERVALS: Final = 64


def asks(call: ToolCall) -> bool:
    """Whether a tool call waits for the user."""
    return call.attributes.get("gen_ai.tool.name") in TOOLS_THAT_ASK


def note_closed(run: Run, started_at_ns: int, ended_at_ns: int) -> None:
    """A call of a run is over and no longer among those that the run has; both are nanoseconds since the Unix epoch.

    What calls share is known when none of them is under way, so their intervals are kept until then.
    """
    if run.model_calls or any(not asks(call) for call in run.tool_calls):
        run.active.append((started_at_ns, ended_at_ns))
        if len(run.active) > _MOST_INTERVALS:
            run.active = _joined(run.active)
        return
    intervals: list[tuple[int, int]] = [(started_at_ns, ended_at_ns)]
    if run.active:
        intervals = _joined([*run.active, *intervals])
        run.active = []
    for begun_ns, over_ns in intervals:
        if over_ns > run.active_until_ns:
            run.active_ns += over_ns - max(begun_ns, run.active_until_ns)
            run.active_until_ns = over_ns


def _joined(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same time without overlaps, in the order of time."""
    joined: list[tuple[int, int]] = []
    for started_at_ns, ended_at_ns in sorted(intervals):
        if joined and started_at_ns <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], ended_at_ns))
        else:
            joined.append((started_at_ns, ended_at_ns))
    return joined
