"""Times that upstream says, held against what time it is, or against each other. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import msgspec

from cline_otel.events import EVENT_TYPES, Event, steering_fields
from cline_otel.signals import Diagnostics, count

MOST_AHEAD_NS: Final = 24 * 3_600 * 10**9
"""How far a time may be ahead of ours: a machine's clock may be of another zone, and that of a record of next year is
wrong."""

_LONGEST_PAUSE_BEFORE_ONE_NS: Final = 30 * MOST_AHEAD_NS
_LONGEST_PAUSE_NS: Final = 3_650 * MOST_AHEAD_NS
"""After how long a single record is no sign of life, and after how long several are none: Cline is younger."""

_FURTHER_TIMES: Final = {
    each: tuple(name for name in steering_fields(each) if name.endswith("_at_ns")) for each in EVENT_TYPES.values()
}


def without_future(events: Sequence[Event], now_ns: int, diagnostics: Diagnostics) -> Sequence[Event]:
    """The events of a payload; one that says to be of the far future is as of its neighbours, and counted.

    Args:
        events: in their order.
        now_ns: what time it is, nanoseconds since the Unix epoch.
        diagnostics: to count in.
    """
    latest_ns = now_ns + MOST_AHEAD_NS
    if not any(event.occurred_at_ns > latest_ns or _says_later(event, latest_ns) for event in events):
        return events
    near = [event.occurred_at_ns for event in events if event.occurred_at_ns <= latest_ns]
    before_ns = near[0] if near else now_ns
    held: list[Event] = []
    for event in events:
        if event.occurred_at_ns > latest_ns or _says_later(event, latest_ns):
            at_ns = event.occurred_at_ns if event.occurred_at_ns <= latest_ns else before_ns
            event = _held(event, at_ns, latest_ns, diagnostics)
        before_ns = event.occurred_at_ns
        held.append(event)
    return held


def without_outliers(streams: Sequence[Sequence[Event]], diagnostics: Diagnostics) -> list[list[Event]]:
    """The events of a recording, of which nobody knows what time it is: it is held against what it says itself.

    Of the future is what lies more than a day after most of what its stream says afterwards, and what a stream ends
    with so long after everything else that it is no pause. Such a one is as of its neighbours, and counted.

    Args:
        streams: the events of each stream in their order, in which times do not go back by a day.
        diagnostics: to count in.
    """
    times = sorted(event.occurred_at_ns for stream in streams for event in stream)
    return [_without_outliers(stream, times, diagnostics) for stream in streams]


def _without_outliers(events: Sequence[Event], times: Sequence[int], diagnostics: Diagnostics) -> list[Event]:
    """The events of one stream; ``times`` are those of all, sorted."""
    far = _far_in(events, times)
    if not any(far) and not any(_says_later(event, event.occurred_at_ns + MOST_AHEAD_NS) for event in events):
        return list(events)
    near = [event.occurred_at_ns for event, is_far in zip(events, far, strict=True) if not is_far]
    before_ns = near[0] if near else times[0]
    held: list[Event] = []
    for event, is_far in zip(events, far, strict=True):
        at_ns = before_ns if is_far else event.occurred_at_ns
        if is_far or _says_later(event, at_ns + MOST_AHEAD_NS):
            event = _held(event, at_ns, at_ns + MOST_AHEAD_NS, diagnostics)
        before_ns = at_ns
        held.append(event)
    return held


def _far_in(events: Sequence[Event], times: Sequence[int]) -> list[bool]:
    """Which events of a stream are of the far future."""
    far: list[bool] = []
    before_ns: int | None = None
    # From when on all is of it, until the stream goes back.
    far_from_ns: int | None = None
    for number, event in enumerate(events):
        at_ns = event.occurred_at_ns
        if far_from_ns is not None and at_ns < far_from_ns:
            far_from_ns = None
        if far_from_ns is None and (before_ns is None or at_ns - before_ns > MOST_AHEAD_NS):
            rest = [each.occurred_at_ns for each in events[number + 1 :]]
            if _is_left(at_ns, before_ns, rest) or _is_no_pause(at_ns, before_ns, len(rest), times):
                far_from_ns = at_ns - MOST_AHEAD_NS
        far.append(far_from_ns is not None)
        if far_from_ns is None:
            before_ns = at_ns
    return far


def _is_left(at_ns: int, before_ns: int | None, rest: Sequence[int]) -> bool:
    """Whether most of the rest of a stream is of more than a day before, yet not before what went before."""
    earliest_ns = -MOST_AHEAD_NS if before_ns is None else before_ns - MOST_AHEAD_NS
    left = sum(earliest_ns <= each < at_ns - MOST_AHEAD_NS for each in rest)
    return left > sum(each >= at_ns - MOST_AHEAD_NS for each in rest)


def _is_no_pause(at_ns: int, before_ns: int | None, further: int, times: Sequence[int]) -> bool:
    """Whether all else that a recording holds is of so long before that what a stream ends with is not of then."""
    last = bisect_left(times, at_ns - MOST_AHEAD_NS) - 1
    if last < 0 or len(times) - last - 1 > further + 1:
        return False
    is_one = not further and before_ns is not None
    return at_ns - times[last] > (_LONGEST_PAUSE_BEFORE_ONE_NS if is_one else _LONGEST_PAUSE_NS)


def _held(event: Event, at_ns: int, latest_ns: int, diagnostics: Diagnostics) -> Event:
    """An event as of then; what else it says to be later than ``latest_ns`` is of then, too."""
    count(diagnostics, "malformed", event.source, "time")
    given = {name: getattr(event, name) for name in _FURTHER_TIMES[type(event)]}
    later = {name: at_ns for name, each in given.items() if each is not None and each > latest_ns}
    return msgspec.structs.replace(event, occurred_at_ns=at_ns, **later)


def _says_later(event: Event, latest_ns: int) -> bool:
    """Whether one of the further times that an event says is later."""
    for name in _FURTHER_TIMES[type(event)]:
        at_ns = getattr(event, name)
        if at_ns is not None and at_ns > latest_ns:
            return True
    return False
