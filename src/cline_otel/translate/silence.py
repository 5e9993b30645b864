"""Runs that are under way and had no sign of life for long."""

from __future__ import annotations

from typing import Final

from cline_otel.translate.deadlines import Deadlines
from cline_otel.translate.state import State
from cline_otel.translate.stored import Run

SILENCE_NS: Final = 24 * 3_600_000_000_000
"""A run without a sign of life for this long is closed as incomplete."""


class Silence:
    """Looks at the runs that changed, and at those that may have been silent for long by now."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._deadlines = Deadlines(state)

    def look(self, now_ns: int) -> list[Run]:
        """The runs that were silent for ``SILENCE_NS``, as it is ``now_ns``; one that was seen later was seen now."""
        silent: list[Run] = []
        for run in self._deadlines.take_due(now_ns):
            if run.seen_at_ns is None or run.seen_at_ns > now_ns:
                run.seen_at_ns = now_ns
                self._state.touch_run(run)
            root = self._state.root_of(run)
            seen_at_ns = max(run.seen_at_ns, min(root.seen_at_ns or 0, now_ns))
            if now_ns - seen_at_ns > SILENCE_NS:
                silent.append(run)
            else:
                self._deadlines.put(run, seen_at_ns + SILENCE_NS + 1)
        return silent
