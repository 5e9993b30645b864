"""When runs are to be looked at again: what that costs depends on how many are due, not on how many there are."""

from __future__ import annotations

from heapq import heappop, heappush

from cline_otel.translate.state import RunKey


class Deadlines:
    """The next time of each run, the earliest first. Times are nanoseconds since the Unix epoch."""

    def __init__(self) -> None:
        self._next_ns: dict[RunKey, int] = {}
        self._by_time: list[tuple[int, RunKey]] = []

    def put(self, key: RunKey, at_ns: int) -> None:
        """The run is due then, or earlier if that was said before: whoever looks too early looks again."""
        known_ns = self._next_ns.get(key)
        if known_ns is None or at_ns < known_ns:
            self._next_ns[key] = at_ns
            heappush(self._by_time, (at_ns, key))

    def take_due(self, now_ns: int) -> set[RunKey]:
        """The runs that are due, which have no next time now."""
        due: set[RunKey] = set()
        while self._by_time and self._by_time[0][0] <= now_ns:
            at_ns, key = heappop(self._by_time)
            if self._next_ns.get(key) == at_ns:
                del self._next_ns[key]
                due.add(key)
        return due
