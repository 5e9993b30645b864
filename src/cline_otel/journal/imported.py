"""Measurements of what was imported. They wait until all of an import is read: points go out in the order of time.

They lie in the outbox, under a destination that no destination has: what erases or bounds the outbox holds for them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from heapq import heappop, heappush
from typing import Final

from cline_otel.signals import MetricDelta
from cline_otel.state_format import Format, UnreadableRow, unchanged

MEASUREMENTS: Final = Format("imported_measurements", list[MetricDelta], unchanged)

_DESTINATION: Final = "import"


def put(connection: sqlite3.Connection, measurements: list[MetricDelta]) -> None:
    """Some that are in the order of time among themselves."""
    payload = MEASUREMENTS.encode(measurements)
    connection.execute(
        "INSERT INTO outbox (signal, item_count, size_bytes, created_at_ns, payload, destination)"
        " VALUES ('metrics', ?, ?, ?, ?, ?)",
        (len(measurements), len(payload), measurements[0].occurred_at_ns, payload, _DESTINATION),
    )


def waiting(connection: sqlite3.Connection) -> int:
    """How many there are."""
    (items,) = connection.execute(
        "SELECT coalesce(sum(item_count), 0) FROM outbox WHERE signal = 'metrics' AND destination = ?", (_DESTINATION,)
    ).fetchone()
    return int(items)


def in_order(connection: sqlite3.Connection) -> Iterator[MetricDelta]:
    """All of them in the order of time; in memory are those whose rows overlap. Unreadable rows are left out."""
    rows = connection.execute(
        "SELECT id, created_at_ns FROM outbox WHERE signal = 'metrics' AND destination = ? ORDER BY created_at_ns, id",
        (_DESTINATION,),
    ).fetchall()
    begun: list[tuple[int, int, int, list[MetricDelta]]] = []
    for row_id, first_at_ns in rows:
        while begun and begun[0][0] < first_at_ns:
            yield _next(begun)
        (payload,) = connection.execute("SELECT payload FROM outbox WHERE id = ?", (row_id,)).fetchone()
        with suppress(UnreadableRow):
            heappush(begun, (first_at_ns, row_id, 0, MEASUREMENTS.decode(payload)))
    while begun:
        yield _next(begun)


def last_at_ns(connection: sqlite3.Connection) -> int:
    """When the last of them was made, nanoseconds since the Unix epoch; 0 without any."""
    latest_ns = 0
    for (payload,) in connection.execute(
        "SELECT payload FROM outbox WHERE signal = 'metrics' AND destination = ?", (_DESTINATION,)
    ):
        with suppress(UnreadableRow):
            latest_ns = max(latest_ns, MEASUREMENTS.decode(payload)[-1].occurred_at_ns)
    return latest_ns


def _next(begun: list[tuple[int, int, int, list[MetricDelta]]]) -> MetricDelta:
    _, row_id, position, measurements = heappop(begun)
    if position + 1 < len(measurements):
        heappush(begun, (measurements[position + 1].occurred_at_ns, row_id, position + 1, measurements))
    return measurements[position]


def clear(connection: sqlite3.Connection) -> None:
    """They are told, or nobody is to be told of them."""
    connection.execute("DELETE FROM outbox WHERE signal = 'metrics' AND destination = ?", (_DESTINATION,))
