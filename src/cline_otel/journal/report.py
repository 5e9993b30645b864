"""What the journal reports about itself."""

from __future__ import annotations

import sqlite3

from cline_otel.journal import schema
from cline_otel.journal.records import CountStatus, CursorStatus, JournalStatus, SignalStatus
from cline_otel.signals import SignalName


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the pages in use; pages that a deletion freed are used again and do not count."""
    (page_count,) = connection.execute("PRAGMA page_count").fetchone()
    (free_count,) = connection.execute("PRAGMA freelist_count").fetchone()
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    return int((page_count - free_count) * page_size)


def outbox_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the requests that wait, of all signals."""
    (size_bytes,) = connection.execute("SELECT coalesce(sum(size_bytes), 0) FROM outbox").fetchone()
    return int(size_bytes)


def read(connection: sqlite3.Connection, path: str, instance_id: str, started_at_ns: int) -> JournalStatus:
    """The status as of one moment, also while another process writes."""
    connection.execute("BEGIN")
    try:
        return JournalStatus(
            path=path,
            schema_version=schema.version(connection),
            instance_id=instance_id,
            started_at_ns=started_at_ns,
            used_bytes=used_bytes(connection),
            signals=_signals(connection),
            cursors=[
                CursorStatus(*row)
                for row in connection.execute("SELECT key, position, updated_at_ns FROM cursors ORDER BY key")
            ],
            counts=[
                CountStatus(*row)
                for row in connection.execute(
                    "SELECT kind, source, name, count FROM counts ORDER BY kind, source, name"
                )
            ],
        )
    finally:
        connection.execute("ROLLBACK")


def pending(connection: sqlite3.Connection, signal: SignalName) -> tuple[int, int, int, int | None]:
    """Of a signal's requests that wait: how many, their bytes, their items, and when the oldest was made."""
    rows, size_bytes, items, oldest_at_ns = connection.execute(
        "SELECT count(*), coalesce(sum(size_bytes), 0), coalesce(sum(item_count), 0), min(created_at_ns)"
        " FROM outbox WHERE signal = ?",
        (signal,),
    ).fetchone()
    return rows, size_bytes, items, oldest_at_ns


def _signals(connection: sqlite3.Connection) -> dict[SignalName, SignalStatus]:
    signals: dict[SignalName, SignalStatus] = {}
    for name in ("traces", "metrics", "logs"):
        row = connection.execute(
            "SELECT delivered_items, rejected_items, refused_items, evicted_items, erased_items,"
            " last_delivered_at_ns, last_message, last_error, last_remedy, last_error_at_ns"
            " FROM delivery WHERE signal = ?",
            (name,),
        ).fetchone()
        pending_rows, pending_bytes, pending_items, oldest_pending_at_ns = pending(connection, name)
        dead = connection.execute(
            "SELECT reason, sum(item_count), count(*), sum(size_bytes) FROM dead_letters"
            " WHERE signal = ? GROUP BY reason ORDER BY reason",
            (name,),
        ).fetchall()
        signals[name] = SignalStatus(
            pending_rows=pending_rows,
            pending_bytes=pending_bytes,
            pending_items=pending_items,
            oldest_pending_at_ns=oldest_pending_at_ns,
            delivered_items=row[0],
            rejected_items=row[1],
            refused_items=row[2],
            evicted_items=row[3],
            erased_items=row[4],
            dead_letter_rows=sum(rows for _, _, rows, _ in dead),
            dead_letter_bytes=sum(size for _, _, _, size in dead),
            refusals={reason: items for reason, items, _, _ in dead},
            last_delivered_at_ns=row[5],
            last_message=row[6],
            last_error=row[7],
            last_remedy=row[8],
            last_error_at_ns=row[9],
        )
    return signals
