"""What runs that are under way wait for, as of now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from cline_otel.translate.active_time import asks
from cline_otel.translate.state import CallState, ModelCall, Run, State

WaitsFor = Literal["model", "tool", "approval", "user", "nothing"]

WAITS: Final[tuple[WaitsFor, ...]] = ("model", "tool", "approval", "user", "nothing")


class Waiting(msgspec.Struct):
    """How many prompts wait for the same, and for how long the one has that has waited longest, in nanoseconds."""

    runs: int = 0
    longest_ns: int = 0


class OpenRun(msgspec.Struct, frozen=True):
    """A run that is under way. Times are nanoseconds since the Unix epoch.

    Attributes:
        waits_for: what it waits for; ``owner`` where it waits for a source that knows more to report it.
        since_ns: since when it does.
        tool_name: the tools that it waits for, as spans name them; empty for none.
    """

    session_id: str
    agent_id: str
    run_id: str
    agent_name: str
    waits_for: WaitsFor | Literal["owner"]
    since_ns: int
    started_at_ns: int
    tool_name: str = ""


def waiting_runs(state: State, now_ns: int, services: Mapping[str, str]) -> dict[str, dict[WaitsFor, Waiting]]:
    """Every prompt that is worked on, by its service and what it waits for; its subagents are a tool that it waits for.

    A service of its own is there as long as a run of it is remembered, so that it is told when none is open any more.

    Args:
        state: the translator's memory.
        now_ns: nanoseconds since the Unix epoch.
        services: those of the sources that have one of their own, by the source's name.
    """
    known = {services[run.owner] for run in state.runs.values() if run.owner in services}
    waiting = {service: {waits_for: Waiting() for waits_for in WAITS} for service in ("", *sorted(known))}
    for key in state.open_runs:
        run = state.runs[key]
        if run.is_root:
            waits_for, since_ns = _wait_of(run)
            of_service = waiting[services.get(run.owner, "")][waits_for]
            of_service.runs += 1
            of_service.longest_ns = max(of_service.longest_ns, now_ns - since_ns)
    return waiting


def open_runs(state: State) -> list[OpenRun]:
    """Every run that is under way, that which began first before others; those whose owner is not decided last."""
    runs = [state.runs[key] for key in state.open_runs]
    opened = [_opened(state, run) for run in sorted(runs, key=lambda run: (run.started_at_ns, run.key))]
    for key in sorted(state.awaiting_owner - state.open_runs):
        run = state.runs[key]
        since_ns = run.buffered[0].occurred_at_ns
        opened.append(OpenRun(state.session_of(run), *run.key, run.agent_name, "owner", since_ns, since_ns))
    return opened


def _opened(state: State, run: Run) -> OpenRun:
    waits_for, since_ns = _wait_of(run)
    names = {
        str(call.attributes.get("gen_ai.tool.name", "_OTHER"))
        for call in run.tool_calls
        if call.state is CallState.OPEN or call.awaits_approval
    }
    tools = sorted(names) if waits_for in ("tool", "user", "approval") else []
    return OpenRun(
        state.session_of(run), *run.key, run.agent_name, waits_for, since_ns, run.started_at_ns, ", ".join(tools)
    )


def is_awaited(call: ModelCall) -> bool:
    """Whether a model call is under way, as far as is known."""
    return call.state is CallState.OPEN and not call.is_passed


def _wait_of(run: Run) -> tuple[WaitsFor, int]:
    """What a run waits for, and since when."""
    tools = [call for call in run.tool_calls if call.state is CallState.OPEN]
    if working := [call.started_at_ns for call in tools if not asks(call)]:
        return "tool", min(working)
    if asking := [call.started_at_ns for call in tools]:
        return "user", min(asking)
    if asking := [call.started_at_ns for call in run.tool_calls if call.awaits_approval]:
        return "approval", min(asking)
    if asked := [call.started_at_ns for call in run.model_calls.values() if is_awaited(call)]:
        return "model", min(asked)
    for iteration, requested in run.tools_requested.items():
        # The answer asks for a tool that has not begun: an approval, but for the moment that Cline itself takes.
        if run.tools_started.get(iteration, 0) < requested:
            return "approval", run.last_at_ns
    return "nothing", run.last_at_ns
