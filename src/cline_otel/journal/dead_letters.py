"""Requests that their destination refused for good: put aside with the reason, within bounds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from cline_otel.journal.records import DeadLetters
from cline_otel.signals import SignalName

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
            " (signal, reason, item_count, size_bytes, created_at_ns, refused_at_ns, payload, diagnostics, destination)"
            " SELECT signal, ?, item_count, size_bytes, created_at_ns, ?, payload, diagnostics, destination FROM outbox"
            " WHERE id = ?",
            (reason, now_ns, row_id),
        )
    _evict(connection)


def listed(connection: sqlite3.Connection) -> list[DeadLetters]:
    """What there is, by signal and by why it was refused."""
    rows = connection.execute(
        "SELECT signal, reason, count(*), sum(item_count), sum(size_bytes), min(refused_at_ns), max(refused_at_ns)"
        " FROM dead_letters GROUP BY signal, reason ORDER BY signal, max(refused_at_ns)"
    )
    return [DeadLetters(*row) for row in rows]


def send_again(connection: sqlite3.Connection, signals: Sequence[SignalName]) -> dict[SignalName, int]:
    """Puts those of some signals into the outbox, and counts them as refused no more; how many items of each.

    Growth of metrics whose destination is not known any more stays: it would be sent to nobody.
    """
    sent: dict[SignalName, int] = {}
    for signal in signals:
        rows = connection.execute(
            "SELECT id, item_count FROM dead_letters"
            " WHERE signal = ? AND (signal <> 'metrics' OR destination <> '') ORDER BY id",
            (signal,),
        ).fetchall()
        row_ids, items = [(row_id,) for row_id, _ in rows], sum(items for _, items in rows)
        connection.executemany(
            "INSERT INTO outbox (signal, item_count, size_bytes, created_at_ns, payload, diagnostics, destination)"
            " SELECT signal, item_count, size_bytes, created_at_ns, payload, diagnostics, destination"
            " FROM dead_letters WHERE id = ?",
            row_ids,
        )
        connection.executemany("DELETE FROM dead_letters WHERE id = ?", row_ids)
        connection.execute("UPDATE delivery SET refused_items = refused_items - ? WHERE signal = ?", (items, signal))
        sent[signal] = items
    return sent


def drop(connection: sqlite3.Connection, signals: Sequence[SignalName]) -> dict[SignalName, int]:
    """Deletes those of some signals, and counts them as erased; how many items of each."""
    dropped: dict[SignalName, int] = {}
    for signal in signals:
        (items,) = connection.execute(
            "SELECT coalesce(sum(item_count), 0) FROM dead_letters WHERE signal = ?", (signal,)
        ).fetchone()
        connection.execute("DELETE FROM dead_letters WHERE signal = ?", (signal,))
        connection.execute("UPDATE delivery SET erased_items = erased_items + ? WHERE signal = ?", (items, signal))
        dropped[signal] = items
    return dropped


def _evict(connection: sqlite3.Connection) -> None:
    (total_bytes,) = connection.execute("SELECT coalesce(sum(size_bytes), 0) FROM dead_letters").fetchone()
    while total_bytes > LIMIT_BYTES:
        row_id, signal, items, size_bytes = connection.execute(
            "SELECT id, signal, item_count, size_bytes FROM dead_letters ORDER BY id LIMIT 1"
        ).fetchone()
        connection.execute("DELETE FROM dead_letters WHERE id = ?", (row_id,))
        connection.execute("UPDATE delivery SET evicted_items = evicted_items + ? WHERE signal = ?", (items, signal))
        total_bytes -= size_bytes
