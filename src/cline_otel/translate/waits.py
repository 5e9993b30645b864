"""What runs that are under way wait for, as of now."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from cline_otel.translate.active_time import asks
from cline_otel.translate.state import CallState, ModelCall, Run, State

WaitsFor = Literal["model", "tool", "user", "nothing"]

WAITS: Final[tuple[WaitsFor, ...]] = ("model", "tool", "user", "nothing")


class Waiting(msgspec.Struct):
    """How many prompts wait for the same, and for how long the one has that has waited longest, in nanoseconds."""

    runs: int = 0
    longest_ns: int = 0


def waiting_runs(state: State, now_ns: int) -> dict[WaitsFor, Waiting]:
    """Every prompt that is worked on, by what it waits for; its subagents are a tool that it waits for."""
    waiting = {waits_for: Waiting() for waits_for in WAITS}
    for key in state.open_runs:
        run = state.runs[key]
        if run.is_root:
            waits_for, since_ns = _wait_of(run)
            waiting[waits_for].runs += 1
            waiting[waits_for].longest_ns = max(waiting[waits_for].longest_ns, now_ns - since_ns)
    return waiting


def _is_awaited(call: ModelCall) -> bool:
    return call.state is CallState.OPEN and not call.is_passed


def _wait_of(run: Run) -> tuple[WaitsFor, int]:
    """What a run waits for, and since when."""
    tools = [call for call in run.tool_calls if call.state is CallState.OPEN]
    if working := [call.started_at_ns for call in tools if not asks(call)]:
        return "tool", min(working)
    if asking := [
        call.started_at_ns for call in run.tool_calls if call.state is CallState.OPEN or call.awaits_approval
    ]:
        return "user", min(asking)
    if asked := [call.started_at_ns for call in run.model_calls.values() if _is_awaited(call)]:
        return "model", min(asked)
    for iteration, requested in run.tools_requested.items():
        # The answer asks for a tool that has not begun: an approval, but for the moment that Cline itself takes.
        if run.tools_started.get(iteration, 0) < requested:
            return "user", run.last_at_ns
    return "nothing", run.last_at_ns
