"""Requests that their destination refused for good: put aside with the reason, within bounds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

LIMIT_BYTES: Final = 16 * 1024 * 1024


def put_aside(connection: sqlite3.Connection, signal: str, row_ids: Iterable[int], reason: str, now_ns: int) -> None:
    """Copies rows of the outbox, counts their items, and lets the oldest beyond the limit go, counted too."""
    for row_id in row_ids:
        connection.execute(
            "UPDATE delivery SET refused_items = refused_items"
            " + coalesce((SELECT item_count FROM outbox WHERE id = ?), 0) WHERE signal = ?",
            (row_id, signal),
        )
        connection.execute(
            "INSERT INTO dead_letters"
            " (signal, reason, item_count, size_bytes, created_at_ns, refused_at_ns, payload, diagnostics)"
            " SELECT signal, ?, item_count, size_bytes, created_at_ns, ?, payload, diagnostics FROM outbox"
            " WHERE id = ?",
            (reason, now_ns, row_id),
        )
    _evict(connection)


def _evict(connection: sqlite3.Connection) -> None:
    (total_bytes,) = connection.execute("SELECT coalesce(sum(size_bytes), 0) FROM dead_letters").fetchone()
    while total_bytes > LIMIT_BYTES:
        row_id, signal, items, size_bytes = connection.execute(
            "SELECT id, signal, item_count, size_bytes FROM dead_letters ORDER BY id LIMIT 1"
        ).fetchone()
        connection.execute("DELETE FROM dead_letters WHERE id = ?", (row_id,))
        connection.execute("UPDATE delivery SET evicted_items = evicted_items + ? WHERE signal = ?", (items, signal))
        total_bytes -= size_bytes
