"""Which events were seen: so many of the last ones, each by its identity and a number that was told with it first.

Stored in rows that are filled one after the other, so that a transaction writes the last one and no more, however
much is remembered.
"""

from __future__ import annotations

from typing import Final

from cline_otel.state_format import Format, UnreadableRow, unchanged

ROW_EVENTS: Final = 128

MOST_EVENTS: Final = 512 * ROW_EVENTS
"""Of the events that a bridge remembers: those of several thousand model calls, 1 MB stored."""

ROW: Final = Format("seen_events", dict[bytes, int], unchanged)


class SeenEvents:
    """A bounded memory; beyond the bound the oldest rows of events are forgotten."""

    def __init__(self, most_events: int | None = MOST_EVENTS) -> None:
        """``most_events`` is None where all is remembered, as of a recording, which is in memory as a whole."""
        self._most_rows = None if most_events is None else most_events // ROW_EVENTS
        self._told: dict[bytes, int] = {}
        self._rows: dict[int, list[bytes]] = {}
        self._last = 0
        self._changed: set[int] = set()

    @property
    def added(self) -> int:
        """How many events were added at least, those that are forgotten among them: it only grows."""
        return self._last * ROW_EVENTS + len(self._rows.get(self._last, ()))

    def first_told(self, identity: bytes, told: int) -> int | None:
        """What was told with an event the first time, a number of 32 bits; None if it is this time."""
        first = self._told.get(identity)
        if first is None:
            row = self._rows.get(self._last)
            if row is None or len(row) >= ROW_EVENTS:
                row = self._begin_row()
            row.append(identity)
            self._told[identity] = told
            self._changed.add(self._last)
        return first

    def _begin_row(self) -> list[bytes]:
        if self._rows:
            self._last += 1
        row = self._rows[self._last] = []
        while self._most_rows is not None and len(self._rows) > self._most_rows:
            self._forget(min(self._rows))
        return row

    def _forget(self, number: int) -> None:
        for identity in self._rows.pop(number):
            del self._told[identity]
        self._changed.add(number)

    def changes(self) -> dict[str, bytes | None]:
        """The rows that changed since the last call, by number; None for one that is gone."""
        saved = {
            str(number): ROW.encode({identity: self._told[identity] for identity in self._rows[number]})
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
        told = ROW.decode(value)
        if not number.isdecimal():
            raise UnreadableRow(f"{ROW.name}: not a number")
        self._rows[int(number)] = list(told)
        self._told |= told
        self._last = max(self._last, int(number))

    def drop_row(self, number: str) -> None:
        """Forgets one row, as if it had never been."""
        for identity in self._rows.pop(int(number), ()):
            self._told.pop(identity, None)
        self._last = max(self._rows, default=0)
