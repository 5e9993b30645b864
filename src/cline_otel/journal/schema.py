"""The journal's tables, and how an older file becomes a current one.

``user_version`` counts the migrations that a file has had. Each runs in one transaction with its
version, so a crash leaves the file at one version or the next, never between.
"""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cline_otel.journal.failures import damaged
from cline_otel.journal.records import JournalError

APPLICATION_ID: Final = 0x434C4F54
"""Marks the file as ours (SQLite header field, ``CLOT``)."""

_INITIAL: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE state (key TEXT PRIMARY KEY, value BLOB NOT NULL);
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    signal TEXT NOT NULL,
    item_count INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    created_at_ns INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE INDEX outbox_by_signal ON outbox (signal, id, size_bytes, item_count, created_at_ns);
CREATE TABLE cursors (key TEXT PRIMARY KEY, position BLOB NOT NULL, updated_at_ns INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE seen_requests (digest BLOB PRIMARY KEY, received_at_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_requests_by_age ON seen_requests (received_at_ns);
CREATE TABLE counts (
    kind TEXT NOT NULL, source TEXT NOT NULL, name TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (kind, source, name)
) WITHOUT ROWID;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY,
    signal TEXT NOT NULL,
    reason TEXT NOT NULL,
    item_count INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    created_at_ns INTEGER NOT NULL,
    refused_at_ns INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE INDEX dead_letters_by_reason ON dead_letters (signal, reason, size_bytes, item_count);
CREATE TABLE delivery (
    signal TEXT PRIMARY KEY,
    delivered_items INTEGER NOT NULL DEFAULT 0,
    rejected_items INTEGER NOT NULL DEFAULT 0,
    refused_items INTEGER NOT NULL DEFAULT 0,
    evicted_items INTEGER NOT NULL DEFAULT 0,
    erased_items INTEGER NOT NULL DEFAULT 0,
    last_delivered_at_ns INTEGER,
    last_message TEXT NOT NULL DEFAULT '',
    last_error TEXT NOT NULL DEFAULT '',
    last_remedy TEXT NOT NULL DEFAULT '',
    last_error_at_ns INTEGER
) WITHOUT ROWID;
INSERT INTO delivery (signal) VALUES ('traces'), ('metrics'), ('logs');
"""

_DELIVERED: Final = """
ALTER TABLE outbox ADD COLUMN tally BLOB;
ALTER TABLE dead_letters ADD COLUMN tally BLOB;
CREATE TABLE delivered (
    id INTEGER PRIMARY KEY,
    signal TEXT NOT NULL,
    item_count INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    created_at_ns INTEGER NOT NULL,
    delivered_at_ns INTEGER NOT NULL,
    destination TEXT NOT NULL,
    tally BLOB,
    payload BLOB NOT NULL
);
CREATE INDEX delivered_by_age ON delivered (id, size_bytes, item_count);
"""

_PLAIN_NAMES: Final = """
ALTER TABLE outbox RENAME COLUMN tally TO diagnostics;
ALTER TABLE dead_letters RENAME COLUMN tally TO diagnostics;
ALTER TABLE delivered RENAME COLUMN tally TO diagnostics;
UPDATE state SET key = 'log_event/' || substr(key, 6) WHERE key LIKE 'fact/%';
UPDATE counts SET kind = 'superseded' WHERE kind = 'shadowed';
"""
"""Rows of the state have versions from here on, and layouts that older releases cannot read."""

_METRIC_MARKS: Final = """
ALTER TABLE outbox ADD COLUMN destination TEXT NOT NULL DEFAULT '';
CREATE TABLE metric_destinations (destination TEXT PRIMARY KEY, told_at_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE metric_marks (
    destination TEXT NOT NULL, series TEXT NOT NULL, total BLOB NOT NULL,
    PRIMARY KEY (destination, series)
) WITHOUT ROWID;
"""
"""What each destination of metrics has been told: when last, and the total of each series then."""

_REQUESTED_CALLS: Final = ""
"""Stored runs may have tool calls that are requested and have not begun, and events that say so."""

_DEAD_LETTER_DESTINATIONS: Final = "ALTER TABLE dead_letters ADD COLUMN destination TEXT NOT NULL DEFAULT '';"
"""For whom a dead letter of metrics was, so that it can be sent again."""

MIGRATIONS: Final[tuple[str, ...]] = (
    _INITIAL,
    _DELIVERED,
    _PLAIN_NAMES,
    _METRIC_MARKS,
    _REQUESTED_CALLS,
    _DEAD_LETTER_DESTINATIONS,
)
"""One script per version, applied in order; the first makes an empty file a journal.

A new version of any stored struct adds one too, if only an empty one, so that older releases refuse the file
instead of taking its rows for unreadable.
"""


def connect(path: Path, *, busy_timeout_ms: int) -> sqlite3.Connection:
    """Open the file at ``path``, which must exist; statements commit only where they say so."""
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=busy_timeout_ms / 1000
    )


def version(connection: sqlite3.Connection) -> int:
    """How many migrations the file has had; 0 for an empty file."""
    (value,) = connection.execute("PRAGMA user_version").fetchone()
    return int(value)


def check_identity(connection: sqlite3.Connection, path: Path, *, known_version: int = len(MIGRATIONS)) -> None:
    """Refuse a file that is not a journal, or one that a newer release wrote.

    Raises:
        JournalError: with what the file is and what to do.
        sqlite3.DatabaseError: when it is no SQLite file at all.
    """
    found = version(connection)
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id != APPLICATION_ID and (tables or found):
        raise JournalError(
            f"{path} is the database of another program, not a journal: "
            "move it away, or set CLINE_OTEL_BRIDGE_STATE_DIR to another directory"
        )
    if found > known_version:
        raise JournalError(
            f"journal {path} was written by a newer release (schema {found}, this one knows {known_version}): "
            "upgrade cline-otel, or set CLINE_OTEL_BRIDGE_STATE_DIR to another directory"
        )


def has_log(path: Path) -> bool:
    """Whether there is a write-ahead log: whoever closes a journal last leaves none, so its last user did not close it.

    Raises:
        OSError: its directory cannot be read.
    """
    try:
        return path.with_name(f"{path.name}-wal").stat().st_size > 0
    except FileNotFoundError:
        return False


def check_pages(connection: sqlite3.Connection, path: Path) -> None:
    """Read every page, which takes about a second a gigabyte, and refuse a file whose pages do not belong together.

    Raises:
        JournalDamagedError: with what SQLite says of it.
    """
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise damaged(path, " ".join(str(found).split()))


def use_write_ahead_log(connection: sqlite3.Connection, path: Path) -> None:
    """Switch the file to WAL mode, which lets others read while the bridge writes.

    Raises:
        JournalError: the file system has no shared memory for it, as most network ones.
    """
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalError(
            f"journal {path} lies on a file system without write-ahead logging: "
            "set CLINE_OTEL_BRIDGE_STATE_DIR to a directory on a local disk"
        )


def migrate(
    connection: sqlite3.Connection, *, migrations: Sequence[str] = MIGRATIONS, now_ns: int | None = None
) -> None:
    """Bring a file forward, one version at a time, each in a transaction of its own.

    The first migration also gives the journal its start time (``now_ns``, default: now) and its
    instance id, which never change again.
    """
    for index in range(version(connection), len(migrations)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Read again under the lock: another process may just have done it.
            if version(connection) == index:
                _apply(connection, index, migrations[index], time.time_ns() if now_ns is None else now_ns)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _apply(connection: sqlite3.Connection, index: int, script: str, now_ns: int) -> None:
    for statement in _statements(script):
        connection.execute(statement)
    if index == 0:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.executemany(
            "INSERT INTO meta (key, value) VALUES (?, ?)",
            [("started_at_ns", now_ns), ("instance_id", str(uuid.uuid4()))],
        )
    connection.execute(f"PRAGMA user_version = {index + 1}")


def _statements(script: str) -> list[str]:
    # executescript would commit first, and the point is one transaction.
    statements: list[str] = []
    pending = ""
    for part in script.split(";")[:-1]:
        pending = f"{pending}{part};"
        if sqlite3.complete_statement(pending):
            statements.append(pending)
            pending = ""
    return statements
