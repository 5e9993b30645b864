"""What each destination of metrics has been told, and the requests that are formed for it and wait.

A destination is named by a key that outlives restarts. Its mark of a series is the total that it knows of: what it has
been sent of a cumulative series, what has been formed for it of a delta one. Its metric is the one under whose name it
was told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from cline_otel.aggregation.totals import TOTAL
from cline_otel.journal import outbox
from cline_otel.journal.records import OutboxRow
from cline_otel.journal.store import Journal
from cline_otel.signals import MetricTotal
from cline_otel.state_format import UnreadableRow

_SIGNAL: Final = "metrics"


class Told(msgspec.Struct, frozen=True):
    """What a destination knows: as of when, and of which totals, by the stored key of the series."""

    at_ns: int
    totals: Mapping[str, MetricTotal]


class MetricMarks:
    """The marks of all destinations, in the journal.

    Every method may raise JournalError.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def destinations(self) -> dict[str, int]:
        """Every destination that was ever told of anything, and when last."""
        with self._journal.reading() as connection:
            return dict(connection.execute("SELECT destination, told_at_ns FROM metric_destinations"))

    def move(self, former: str, destination: str) -> None:
        """A destination takes the place of another: what that one was told, and what waits for it."""
        with self._journal.transaction() as connection:
            for table in ("metric_destinations", "metric_marks", "outbox"):
                connection.execute(
                    f"UPDATE {table} SET destination = ? WHERE destination = ?",  # noqa: S608 - the names above
                    (destination, former),
                )

    def told(self, destination: str) -> Told | None:
        """What a destination knows; None if it is new. A mark that cannot be read counts as missing."""
        with self._journal.reading() as connection:
            row = connection.execute(
                "SELECT told_at_ns FROM metric_destinations WHERE destination = ?", (destination,)
            ).fetchone()
            if row is None:
                return None
            totals: dict[str, MetricTotal] = {}
            marks = connection.execute("SELECT series, total FROM metric_marks WHERE destination = ?", (destination,))
            for series, stored in marks:
                with suppress(UnreadableRow):
                    totals[series] = TOTAL.decode(stored)
        return Told(row[0], totals)

    def tell(
        self,
        destination: str,
        at_ns: int,
        totals: Mapping[str, MetricTotal],
        requests: Sequence[tuple[bytes, int]] = (),
    ) -> None:
        """Moves marks, and puts the requests that tell of it into the outbox, in one transaction.

        Args:
            destination: whose marks.
            at_ns: as of when.
            totals: what it knows now, by series; the marks of others stay.
            requests: what is to be delivered to it, in order: ``ExportMetricsServiceRequest`` and number of points.
        """
        with self._journal.transaction() as connection:
            if requests:
                self._journal.check_room(connection, sum(len(payload) for payload, _ in requests))
            connection.execute("INSERT OR REPLACE INTO metric_destinations VALUES (?, ?)", (destination, at_ns))
            connection.executemany(
                "INSERT OR REPLACE INTO metric_marks VALUES (?, ?, ?)",
                [(destination, series, TOTAL.encode(total)) for series, total in totals.items()],
            )
            connection.executemany(
                "INSERT INTO outbox (signal, item_count, size_bytes, created_at_ns, payload, destination)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [(_SIGNAL, points, len(payload), at_ns, payload, destination) for payload, points in requests],
            )

    def retire(self, series: Sequence[str]) -> None:
        """Deletes series and every mark of them: under the same keys others begin."""
        keys = [(key,) for key in series]
        with self._journal.transaction() as connection:
            connection.executemany("DELETE FROM state WHERE key = ?", keys)
            connection.executemany("DELETE FROM metric_marks WHERE series = ?", keys)

    def waiting(self, destination: str, without: Collection[int] = ()) -> OutboxRow | None:
        """The oldest request that waits for a destination, but for some."""
        with self._journal.reading() as connection:
            rows = connection.execute(
                "SELECT id FROM outbox WHERE signal = ? AND destination = ? ORDER BY id LIMIT ?",
                (_SIGNAL, destination, len(without) + 1),
            ).fetchall()
            row_id = next((row_id for (row_id,) in rows if row_id not in without), None)
            return None if row_id is None else outbox.row(connection, row_id)

    def row(self, row_id: int) -> OutboxRow | None:
        """A request that waits; None if it does not any more."""
        with self._journal.reading() as connection:
            return outbox.row(connection, row_id)

    def divide(self, row_id: int, parts: Sequence[tuple[bytes, int]]) -> list[int]:
        """Parts of a request, each with its number of points, wait in its place."""
        with self._journal.transaction() as connection:
            return outbox.divide(connection, row_id, parts)

    def delivered(self, row_id: int, *, delivered: int, rejected: int, message: str) -> None:
        """A request was taken, but for so many of its points."""
        with self._journal.transaction() as connection:
            connection.execute("DELETE FROM outbox WHERE id = ?", (row_id,))
            self._journal.count_delivered(connection, _SIGNAL, delivered, rejected, message)

    def replace(self, row_id: int, payload: bytes, at_ns: int) -> None:
        """A request that was refused goes out as of another time, and keeps its place; the next begins there."""
        with self._journal.transaction() as connection:
            connection.execute(
                "UPDATE metric_destinations SET told_at_ns = max(told_at_ns, ?)"
                " WHERE destination = (SELECT destination FROM outbox WHERE id = ?)",
                (at_ns, row_id),
            )
            connection.execute(
                "UPDATE outbox SET payload = ?, size_bytes = ?, created_at_ns = ? WHERE id = ?",
                (payload, len(payload), at_ns, row_id),
            )

    def refused(self, row_id: int, reason: str) -> None:
        """A request was refused for good: it is put aside."""
        self._journal.dead_letter(_SIGNAL, [row_id], reason=reason)
