"""Rows that were refused by themselves: when each is tried again, and when it is given up.

One answer says little: a destination that is ill refuses what it would take tomorrow. So a record is given up only
after it was refused again and again, and something else was taken in between.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from cline_otel.export.backoff import Backoff
from cline_otel.export.interface import Grounds

WITNESSED_REFUSALS: Final[dict[Grounds, int]] = {"unsendable": 0, "content": 1, "unclear": 7}
"""How many refusals of a record, with something else taken since the one before, are enough to give it up."""

UNCLEAR_REFUSALS_BEFORE_DIVIDING: Final = 3
"""How often what holds several records is refused on unclear grounds before it is divided."""


class Suspect(msgspec.Struct):
    """A row that was refused by itself.

    Attributes:
        due_at: when it is tried again, in seconds of the loop's clock.
        taken: how many requests had been taken when it was refused last, alone or with others; None if it never was.
        refusals: how often it was refused by itself, and what it is a part of.
        tries: how often it was refused in this form.
        witnessed: how many refusals came after something else was taken since the one before.
    """

    row_id: int
    due_at: float
    taken: int | None = None
    refusals: int = 0
    tries: int = 0
    witnessed: int = 0

    def is_to_be_divided(self, grounds: Grounds) -> bool:
        """Whether it is time to try its parts, if it has any, or to give it up."""
        return grounds != "unclear" or self.refusals >= UNCLEAR_REFUSALS_BEFORE_DIVIDING

    def is_given_up(self, grounds: Grounds) -> bool:
        """Whether, if it is one record, enough speaks against it and nothing against its destination."""
        return self.witnessed >= WITNESSED_REFUSALS[grounds]


class Suspects:
    """The suspects of one signal, in memory: after a restart each of them is a row as any other."""

    def __init__(self, backoff: Backoff) -> None:
        """``backoff`` says how long to wait between the tries of one."""
        self._backoff = backoff
        self._suspects: dict[int, Suspect] = {}

    @property
    def row_ids(self) -> frozenset[int]:
        """Their rows."""
        return frozenset(self._suspects)

    def next(self) -> Suspect | None:
        """The one that is due first."""
        return min(self._suspects.values(), key=lambda suspect: (suspect.due_at, suspect.row_id), default=None)

    def replace(self, whole: Suspect, row_ids: Iterable[int], now: float) -> None:
        """What takes the place of ``whole`` is tried by itself at once."""
        self._suspects.pop(whole.row_id, None)
        for row_id in row_ids:
            # Each was refused with the whole, so a witness since then is one for all of them; more is each one's own.
            part = Suspect(row_id, now, whole.taken, whole.refusals, witnessed=min(whole.witnessed, 1))
            self._suspects[row_id] = part

    def refused(self, row_id: int, *, now: float, random: float, taken: int, taken_before: int | None) -> Suspect:
        """A row was refused by itself, and is tried again after a wait.

        Args:
            row_id: which.
            now: in seconds of the loop's clock.
            random: in [0, 1), for the wait.
            taken: how many requests have been taken so far.
            taken_before: how many when it was refused together with others; None if it was not.
        """
        suspect = self._suspects.setdefault(row_id, Suspect(row_id, now, taken_before))
        if suspect.taken is not None and taken > suspect.taken:
            suspect.witnessed += 1
        suspect.taken = taken
        suspect.refusals += 1
        suspect.tries += 1
        suspect.due_at = now + self._backoff.after(suspect.tries, random)
        return suspect

    def drop(self, row_id: int) -> None:
        """A row was taken, given up, or is gone."""
        self._suspects.pop(row_id, None)

    def make_due(self, now: float) -> None:
        """None waits any longer."""
        for suspect in self._suspects.values():
            suspect.due_at = min(suspect.due_at, now)
