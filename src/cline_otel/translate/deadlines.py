"""When runs are to be looked at: what that costs depends on how many are due or changed, not on how many are open."""

from __future__ import annotations

from heapq import heappop, heappush

from cline_otel.translate.state import State
from cline_otel.translate.stored import Run, RunKey


class Deadlines:
    """The open runs that changed, and the next time of each, the earliest first. Times are ns since the Unix epoch."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._changed_runs = state.follow_runs()
        self._next_ns: dict[RunKey, int] = {}
        self._by_time: list[tuple[int, RunKey]] = []

    def put(self, run: Run, at_ns: int) -> None:
        """The run is due then, or earlier if that was said before: whoever looks too early looks again."""
        key = run.key
        known_ns = self._next_ns.get(key)
        if known_ns is None or at_ns < known_ns:
            self._next_ns[key] = at_ns
            heappush(self._by_time, (at_ns, key))

    def take_due(self, now_ns: int) -> list[Run]:
        """The open runs that are due, which have no next time now, and those that changed since the last call."""
        due = self._changed_runs.take()
        while self._by_time and self._by_time[0][0] <= now_ns:
            at_ns, key = heappop(self._by_time)
            if self._next_ns.get(key) == at_ns:
                del self._next_ns[key]
                due.add(key)
        return [self._state.runs[key] for key in sorted(due & self._state.open_runs)]
