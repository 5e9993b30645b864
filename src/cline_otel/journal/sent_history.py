"""Requests that have left, kept for a while so that whoever wants to can see what it was.

They lie in a table of their own, which nothing is ever sent from.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, Final, cast

from cline_otel.journal.records import KeptRequest, OutboxSignal, RequestState
from cline_otel.signals import Diagnostics
from cline_otel.state_format import Format, UnreadableRow

SENT_HISTORY_REQUESTS: Final = 200
SENT_HISTORY_BYTES: Final = 4 * 1024 * 1024

DIAGNOSTIC_NAMES: Final = 200
"""Names that are kept of one request; what is beyond is counted together, so that no request makes a row large."""

_BEYOND: Final = "_OTHER"

_Row = tuple[str, int, int, int, bytes | None, bytes]
"""Signal, items, size in bytes, when it was made, its diagnostics and the request."""


def _diagnostics_1_to_2(entries: list[list[Any]]) -> list[list[Any]]:
    """What was called shadowed is called superseded."""
    return [["superseded" if kind == "shadowed" else kind, *rest] for kind, *rest in entries]


_DiagnosticEntries = list[tuple[str, str, str, int]]
"""Kind, source, name and how often."""

DIAGNOSTICS: Final = Format("diagnostics", _DiagnosticEntries, _diagnostics_1_to_2)


def encode_diagnostics(diagnostics: Diagnostics) -> bytes | None:
    """Diagnostics as a row has them; None if there are none."""
    if not diagnostics:
        return None
    entries: list[tuple[str, str, str, int]] = [
        (*key, times) for key, times in islice(diagnostics.items(), DIAGNOSTIC_NAMES)
    ]
    beyond: dict[tuple[str, str], int] = {}
    for (kind, source, _), times in islice(diagnostics.items(), DIAGNOSTIC_NAMES, None):
        beyond[kind, source] = beyond.get((kind, source), 0) + times
    entries += [(kind, source, _BEYOND, times) for (kind, source), times in beyond.items()]
    return DIAGNOSTICS.encode(entries)


def select_sent(connection: sqlite3.Connection, row_ids: Iterable[int], limit_bytes: int) -> list[_Row]:
    """Of these rows of the outbox the newest that may be remembered, oldest first; they stay there."""
    rows: list[_Row] = []
    total_bytes = 0
    for row_id in islice(sorted(row_ids, reverse=True), SENT_HISTORY_REQUESTS):
        row = connection.execute(
            "SELECT signal, item_count, size_bytes + coalesce(length(diagnostics), 0), created_at_ns, diagnostics,"
            " payload FROM outbox WHERE id = ?",
            (row_id,),
        ).fetchone()
        if row is None:
            continue
        total_bytes += row[2]
        if total_bytes > limit_bytes:
            break
        rows.append(row)
    return rows[::-1]


def remember(
    connection: sqlite3.Connection, rows: Sequence[_Row], left_at_ns: int, destination: str, limit_bytes: int
) -> None:
    """Keeps rows that have left, and forgets the oldest beyond the limits."""
    connection.executemany(
        "INSERT INTO delivered"
        " (signal, item_count, size_bytes, created_at_ns, diagnostics, payload, delivered_at_ns, destination)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(*row, left_at_ns, destination) for row in rows],
    )
    total_bytes = 0
    sizes = connection.execute("SELECT id, size_bytes FROM delivered ORDER BY id DESC").fetchall()
    for number, (row_id, row_bytes) in enumerate(sizes):
        total_bytes += row_bytes
        if number >= SENT_HISTORY_REQUESTS or total_bytes > limit_bytes:
            connection.execute("DELETE FROM delivered WHERE id <= ?", (row_id,))
            return


def forget_all(connection: sqlite3.Connection) -> None:
    """Keeps nothing of what has left."""
    connection.execute("DELETE FROM delivered")


def size_bytes(connection: sqlite3.Connection) -> int:
    """How much is remembered."""
    (total,) = connection.execute("SELECT coalesce(sum(size_bytes), 0) FROM delivered").fetchone()
    return int(total)


def item_count(connection: sqlite3.Connection) -> int:
    """How many spans and log records are remembered."""
    (total,) = connection.execute("SELECT coalesce(sum(item_count), 0) FROM delivered").fetchone()
    return int(total)


def newest(connection: sqlite3.Connection, items: int) -> list[KeptRequest]:
    """The newest requests that hold ``items`` spans and log records together, read in one transaction.

    Those that have left come first, in the order in which they left; then those that wait.
    """
    connection.execute("BEGIN")
    try:
        requests = _load(connection, _WAITING, items)
        held = sum(request.item_count for request in requests)
        requests = _load(connection, _LEFT, max(items - held, 0)) + requests
    finally:
        connection.execute("ROLLBACK")
    return requests


_WAITING: Final = "SELECT 'outbox', id, item_count FROM outbox WHERE signal <> 'metrics' ORDER BY id DESC LIMIT ?"
_LEFT: Final = (
    "SELECT * FROM ("
    "SELECT 'delivered' AS held_in, id, item_count, delivered_at_ns AS left_at_ns FROM delivered"
    " UNION ALL SELECT 'dead_letters', id, item_count, refused_at_ns FROM dead_letters WHERE signal <> 'metrics'"
    ") ORDER BY left_at_ns DESC, held_in, id DESC LIMIT ?"
)
_ROWS: Final[dict[str, tuple[RequestState, str]]] = {
    "outbox": ("waits", "SELECT NULL, '', '', diagnostics, payload, signal, created_at_ns FROM outbox WHERE id = ?"),
    "delivered": (
        "left",
        """SELECT delivered_at_ns, destination, '', diagnostics, payload, signal, created_at_ns
        FROM delivered WHERE id = ?""",
    ),
    "dead_letters": (
        "refused",
        "SELECT refused_at_ns, '', reason, diagnostics, payload, signal, created_at_ns FROM dead_letters WHERE id = ?",
    ),
}


def _load(connection: sqlite3.Connection, newest_first: str, items: int) -> list[KeptRequest]:
    """The first of those rows that hold so many items, the newest last. Each holds at least one."""
    requests: list[KeptRequest] = []
    held = 0
    for held_in, row_id, item_count_of_row, *_ in connection.execute(newest_first, (items,)).fetchall():
        if held >= items:
            break
        held += item_count_of_row
        state, select = _ROWS[held_in]
        row = connection.execute(select, (row_id,)).fetchone()
        left_at_ns, destination, reason, diagnostics, payload, signal, created_at_ns = row
        requests.append(
            KeptRequest(
                signal=cast(OutboxSignal, signal),
                state=state,
                payload=payload,
                item_count=item_count_of_row,
                created_at_ns=created_at_ns,
                left_at_ns=left_at_ns,
                destination=destination,
                reason=reason,
                diagnostics=_decode_diagnostics(diagnostics),
            )
        )
    return requests[::-1]


def _decode_diagnostics(encoded: bytes | None) -> Diagnostics:
    if encoded is None:
        return {}
    try:
        entries = DIAGNOSTICS.decode(encoded)
    except UnreadableRow:
        return {}  # the request can be shown without
    return cast(Diagnostics, {(kind, source, name): times for kind, source, name, times in entries})
