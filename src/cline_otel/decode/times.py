"""Times that upstream says, held against what time it is. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from cline_otel.events import EVENT_TYPES, Event, steering_fields
from cline_otel.signals import Diagnostics, count

MOST_AHEAD_NS: Final = 24 * 3_600 * 10**9
"""How far a time may be ahead of ours: a machine's clock may be of another zone, and that of a record of next year is
wrong."""

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
            count(diagnostics, "malformed", event.source, "time")
            at_ns = event.occurred_at_ns if event.occurred_at_ns <= latest_ns else before_ns
            given = {name: getattr(event, name) for name in ("occurred_at_ns", *_FURTHER_TIMES[type(event)])}
            event = msgspec.structs.replace(
                event,
                **{name: at_ns if each is not None and each > latest_ns else each for name, each in given.items()},
            )
        before_ns = event.occurred_at_ns
        held.append(event)
    return held


def _says_later(event: Event, latest_ns: int) -> bool:
    """Whether one of the further times that an event says is later."""
    for name in _FURTHER_TIMES[type(event)]:
        at_ns = getattr(event, name)
        if at_ns is not None and at_ns > latest_ns:
            return True
    return False
