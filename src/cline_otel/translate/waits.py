"""What runs that are under way wait for, as of now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from heapq import heapify, heappop, heappush
from typing import Final, Literal

import msgspec

from cline_otel.translate.active_time import asks
from cline_otel.translate.state import State
from cline_otel.translate.stored import CallState, ModelCall, Run, RunKey

WaitsFor = Literal["model", "tool", "approval", "user", "nothing"]

WAITS: Final[tuple[WaitsFor, ...]] = ("model", "tool", "approval", "user", "nothing")

_SPARE: Final = 64
"""Entries that are out of date and need not be removed yet."""


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


class Waits:
    """What every prompt that is worked on waits for; its subagents are a tool that it waits for.

    Asked again, it looks at the runs alone that changed since.

    Args:
        state: the translator's memory.
        services: those of the sources that have one of their own, by the source's name.
    """

    def __init__(self, state: State, services: Mapping[str, str]) -> None:
        self._state = state
        self._services = services
        self._changed_runs = state.follow_runs()
        self._service_of: dict[RunKey, str] = {}
        self._runs_of: Counter[str] = Counter()
        self._since: dict[tuple[str, WaitsFor], _Since] = {}
        self._wait_of: dict[RunKey, _Since] = {}

    def by_service(self, now_ns: int) -> dict[str, dict[WaitsFor, Waiting]]:
        """How many there are as it is ``now_ns``, in nanoseconds since the Unix epoch, and for how long.

        A service of its own is there as long as a run of it is remembered, so that it is told when none is open any
        more.
        """
        for key in self._changed_runs.take():
            self._note(key, self._state.runs.get(key))
        waiting = {service: {each: Waiting() for each in WAITS} for service in ("", *sorted(self._runs_of))}
        for (service, waits_for), since in self._since.items():
            if since.runs:
                waiting[service][waits_for] = Waiting(len(since.runs), max(now_ns - since.first_ns(), 0))
        return waiting

    def _note(self, key: RunKey, run: Run | None) -> None:
        service = "" if run is None else self._services.get(run.owner, "")
        if before := self._service_of.pop(key, ""):
            self._runs_of -= Counter([before])
        if service:
            self._service_of[key] = service
            self._runs_of[service] += 1
        if (was := self._wait_of.pop(key, None)) is not None:
            del was.runs[key]
        if run is not None and run.is_root and key in self._state.open_runs:
            waits_for, since_ns = _wait_of(run)
            since = self._wait_of[key] = self._since.setdefault((service, waits_for), _Since())
            since.put(key, since_ns)


class _Since:
    """Since when those wait that wait for the same.

    Attributes:
        runs: since when each does, nanoseconds since the Unix epoch.
    """

    def __init__(self) -> None:
        self.runs: dict[RunKey, int] = {}
        self._by_time: list[tuple[int, RunKey]] = []

    def put(self, key: RunKey, since_ns: int) -> None:
        """A run that waits since then."""
        self.runs[key] = since_ns
        heappush(self._by_time, (since_ns, key))
        if len(self._by_time) > 2 * len(self.runs) + _SPARE:
            self._by_time = [(since_ns, key) for key, since_ns in self.runs.items()]
            heapify(self._by_time)

    def first_ns(self) -> int:
        """Since when that one does which has waited longest; there must be one."""
        while self.runs.get(self._by_time[0][1]) != self._by_time[0][0]:
            heappop(self._by_time)
        return self._by_time[0][0]


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
