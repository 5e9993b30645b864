"""The rows that wait for their destination."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence

from cline_otel.journal.records import OutboxRow

_ROW = "SELECT id, payload, item_count, created_at_ns FROM outbox WHERE id = ?"


def pending(
    connection: sqlite3.Connection,
    signal: str,
    limit_bytes: int,
    limit_rows: int,
    without: Collection[int],
    *,
    newest: bool,
) -> list[OutboxRow]:
    """The oldest rows of a signal, or the newest, in order, within the limits; at least one if there is any."""
    rows: list[OutboxRow] = []
    total_bytes = 0
    sizes = connection.execute(
        f"SELECT id, size_bytes FROM outbox WHERE signal = ? ORDER BY id {'DESC' if newest else 'ASC'} LIMIT ?",  # noqa: S608
        (signal, limit_rows + len(without)),
    ).fetchall()
    for row_id, size_bytes in sizes:
        if row_id in without:
            continue
        total_bytes += size_bytes
        if rows and (total_bytes > limit_bytes or len(rows) == limit_rows):
            break
        rows.append(OutboxRow(*connection.execute(_ROW, (row_id,)).fetchone()))
    return rows[::-1] if newest else rows


def row(connection: sqlite3.Connection, row_id: int) -> OutboxRow | None:
    """One row; None if it is not there."""
    found = connection.execute(_ROW, (row_id,)).fetchone()
    return None if found is None else OutboxRow(*found)


def divide(connection: sqlite3.Connection, row_id: int, parts: Sequence[tuple[bytes, int]]) -> list[int]:
    """Puts parts in the place of a row; the first has the diagnostics of the step that made it."""
    kept = connection.execute(
        "SELECT signal, created_at_ns, destination, diagnostics FROM outbox WHERE id = ?", (row_id,)
    ).fetchone()
    # First, so that its pages are used again where there are no others.
    connection.execute("DELETE FROM outbox WHERE id = ?", (row_id,))
    row_ids: list[int] = []
    for payload, items in parts:
        cursor = connection.execute(
            "INSERT INTO outbox (signal, created_at_ns, destination, diagnostics, item_count, size_bytes, payload)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (*kept[:3], None if row_ids else kept[3], items, len(payload), payload),
        )
        assert cursor.lastrowid is not None  # noqa: S101 - it was inserted
        row_ids.append(cursor.lastrowid)
    return row_ids
