"""Which events were seen: so many of the last ones, each by its identity and the place that reported it first.

Stored in rows that are filled one after the other, so that a transaction writes the last one and no more, however
much is remembered.
"""

from __future__ import annotations

from typing import Final

from cline_otel.state_format import Format, UnreadableRow, unchanged

MOST_EVENTS: Final = 65_536
"""Of the events that a bridge remembers: those of several thousand model calls, 1 MB stored."""

ROW_EVENTS: Final = 128

ROW: Final = Format("seen_events", dict[bytes, int], unchanged)


class SeenEvents:
    """A bounded memory; beyond the bound the oldest row of events is forgotten."""

    def __init__(self, most_events: int | None = MOST_EVENTS) -> None:
        """``most_events`` is None where all is remembered, as of a recording, which is in memory as a whole."""
        self._most_rows = None if most_events is None else most_events // ROW_EVENTS
        self._places: dict[bytes, int] = {}
        self._rows: dict[int, list[bytes]] = {0: []}
        self._last = 0
        self._changed: set[int] = set()

    @property
    def added(self) -> int:
        """How many events were added at least, those that are forgotten among them: it only grows."""
        return self._last * ROW_EVENTS + len(self._rows[self._last])

    def place_of(self, identity: bytes) -> int | None:
        """The place that reported an event first; None if it was not seen, or is forgotten."""
        return self._places.get(identity)

    def add(self, identity: bytes, place: int) -> None:
        """Remembers an event that was not seen before."""
        row = self._rows[self._last]
        if len(row) >= ROW_EVENTS:
            self._last += 1
            row = self._rows[self._last] = []
            if self._most_rows is not None and len(self._rows) > self._most_rows:
                self._forget(min(self._rows))
        row.append(identity)
        self._places[identity] = place
        self._changed.add(self._last)

    def _forget(self, number: int) -> None:
        for identity in self._rows.pop(number):
            del self._places[identity]
        self._changed.add(number)

    def changes(self) -> dict[str, bytes | None]:
        """The rows that changed since the last call, by number; None for one that is gone."""
        saved = {
            str(number): ROW.encode({identity: self._places[identity] for identity in self._rows[number]})
            if number in self._rows
            else None
            for number in self._changed
        }
        self._changed.clear()
        return saved

    def restore_row(self, number: str, value: bytes) -> None:
        """One stored row.

        Raises:
            UnreadableRow: it is none.
        """
        places = ROW.decode(value)
        if not number.isdecimal():
            raise UnreadableRow(f"{ROW.name}: not a number")
        self._rows[int(number)] = list(places)
        self._places |= places
        self._last = max(self._rows)
