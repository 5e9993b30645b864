"""What several sources report without a common id, matched by its time (docs/adr/0002)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from typing import Final

from cline_otel.translate.state import State
from cline_otel.translate.stored import Observation

SAME_MOMENT_NS: Final = 2_000_000_000
"""Times of one event differ by 0 to 13 ms between log and OTLP; a plugin's mode comes up to 500 ms later."""

REMEMBERED_NS: Final = 600_000_000_000
"""How long an observation waits for another source's, by the bridge's clock: OTLP comes seconds after the log."""

MOST_OBSERVATIONS: Final = 256
"""Of one event with the same attributes in a session; beyond it the oldest are no longer matched."""


def was_observed(state: State, key: str, source: str, occurred_at_ns: int) -> bool:
    """Whether another source has reported it; remembers the observation either way.

    A report is matched to the nearest observation of the same ``key`` that its source has not made yet.
    """
    observations = state.observations.setdefault(key, [])
    state.touch("log_event", key)
    if not observations:
        # The first of its kind, as most are.
        observations.append(Observation(occurred_at_ns, state.now_ns, [source], 1))
        return False
    first = bisect_left(observations, occurred_at_ns - SAME_MOMENT_NS, key=_occurred_at_ns)
    nearest: Observation | None = None
    for observation in observations[first:]:
        distance_ns = abs(observation.occurred_at_ns - occurred_at_ns)
        if distance_ns > SAME_MOMENT_NS:
            break
        if source not in observation.seen_from and (
            nearest is None or distance_ns < abs(nearest.occurred_at_ns - occurred_at_ns)
        ):
            nearest = observation
    if nearest is None:
        number = number_at(observations, occurred_at_ns) + 1
        insort(observations, Observation(occurred_at_ns, state.now_ns, [source], number), key=_occurred_at_ns)
        del observations[:-MOST_OBSERVATIONS]
        return False
    nearest.seen_at_ns = state.now_ns
    nearest.seen_from.append(source)
    return True


def number_at(observations: list[Observation], occurred_at_ns: int) -> int:
    """The number of the last observation of that very moment, those among them that are forgotten; 0 for none."""
    first = bisect_left(observations, occurred_at_ns, key=_occurred_at_ns)
    last = bisect_right(observations, occurred_at_ns, lo=first, key=_occurred_at_ns)
    return max(last - first, observations[last - 1].number) if last > first else 0


def _occurred_at_ns(observation: Observation) -> int:
    return observation.occurred_at_ns
