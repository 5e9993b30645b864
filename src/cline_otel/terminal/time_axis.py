"""A time axis in terminal cells: bars to the eighth of a cell, and its marks."""

from __future__ import annotations

from itertools import chain, count, pairwise
from typing import Final, NamedTuple

from cline_otel.terminal.formatting import Glyphs, tick_label

_EIGHTHS: Final = 8
_HALF: Final = 4
_TICK_GAP_CELLS: Final = 2
_SECOND_NS: Final = 1_000_000_000
_ROUND_SECONDS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 21_600, 43_200)
_DAY_SECONDS: Final = 86_400


class Bar(NamedTuple):
    """Where a bar begins, in cells from the axis' left end, and the characters it is drawn with."""

    offset: int
    blocks: str


class Tick(NamedTuple):
    """A mark of the axis: its cell, and its label, which may be empty."""

    cell: int
    label: str


class TimeAxis:
    """The span of time from ``started_at_ns`` to ``ended_at_ns``, laid over ``cells`` terminal cells."""

    def __init__(self, started_at_ns: int, ended_at_ns: int, cells: int) -> None:
        self._started_at_ns = started_at_ns
        self._duration_ns = max(ended_at_ns - started_at_ns, 0)
        self._cells = cells

    def bar(self, started_at_ns: int, ended_at_ns: int, glyphs: Glyphs) -> Bar:
        """The bar of a span of time within the axis.

        Its length is a function of the duration alone and never less than an eighth of a cell, so
        that of two spans the longer never has the shorter bar; its left end snaps to half a
        cell, or to a whole one where there is no character for the right half.
        """
        room = self._cells * _EIGHTHS
        if not self._duration_ns:
            return Bar(0, glyphs.bar_blocks[0])
        share = max(ended_at_ns - started_at_ns, 0) * room
        length = min(max(round(share / self._duration_ns), 1), room)
        start = max(started_at_ns - self._started_at_ns, 0) * room // self._duration_ns
        snap = _HALF if glyphs.right_half else _EIGHTHS
        start = min(start, room - length) // snap * snap
        offset, in_cell = divmod(start, _EIGHTHS)
        blocks = ""
        if in_cell and length >= _HALF:
            blocks = glyphs.right_half
            length -= _HALF
        whole, rest = divmod(length, _EIGHTHS)
        blocks += glyphs.bar_blocks[-1] * whole
        return Bar(offset, blocks + glyphs.bar_blocks[rest - 1] if rest else blocks)

    def ticks(self) -> list[Tick]:
        """Marks at round times, as many as their labels leave room for; the first is 0."""
        if not self._duration_ns:
            return [Tick(0, "0")]
        for step_ns in _steps_ns():
            if self._duration_ns > step_ns * self._cells:
                continue
            times_ns = range(0, self._duration_ns + 1, step_ns)
            marks = [Tick(time_ns * self._cells // self._duration_ns, tick_label(time_ns)) for time_ns in times_ns]
            if all(left.cell + len(left.label) + _TICK_GAP_CELLS <= right.cell for left, right in pairwise(marks)):
                break
        return [
            tick if tick.cell + len(tick.label) <= self._cells else tick._replace(label="")
            for tick in marks
            if tick.cell < self._cells
        ]


def _steps_ns() -> chain[int]:
    """Ever longer round steps, without end."""
    below_second = (digit * 10**exponent for exponent in range(9) for digit in (1, 2, 5))
    below_day = (seconds * _SECOND_NS for seconds in _ROUND_SECONDS)
    days = (digit * 10**exponent * _DAY_SECONDS * _SECOND_NS for exponent in count() for digit in (1, 2, 5))
    return chain(below_second, below_day, days)
