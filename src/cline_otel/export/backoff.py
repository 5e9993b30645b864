"""How long to wait after a failure."""

from __future__ import annotations

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    """How long to wait after a failure: exponential with jitter (OTLP exporter specification, "Retry")."""

    initial_seconds: float = 1.0
    factor: float = 2.0
    maximum_seconds: float = 60.0
    jitter: float = 0.2
    hold_seconds: float = 60.0
    longest_wait_seconds: float = 3600.0
    """The most that a destination can ask for, so that no answer stops delivery for good."""

    def floored(self, failures: int, random: float, asked_seconds: float | None) -> float:
        """The wait in seconds where a destination may have asked for one: its own wish, but never less than ours.

        ``asked_seconds`` may be 0 or come from a date in the past; obeyed to the letter, that would be no wait at all.
        """
        return max(self.after(failures, random), min(asked_seconds or 0.0, self.longest_wait_seconds))

    def after(self, failures: int, random: float) -> float:
        """The wait after the ``failures``-th failure in a row (from 1), in seconds; ``random`` is in [0, 1)."""
        steps = min(failures - 1, 32)
        wait = min(self.initial_seconds * self.factor**steps, self.maximum_seconds)
        return wait * (1 + self.jitter * (2 * random - 1))
