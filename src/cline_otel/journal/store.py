"""The journal itself: one writer, one thread, one transaction per call that writes."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from cline_otel.journal import dead_letters, imported, outbox, report, schema, sent_history
from cline_otel.journal.failures import explained, full, one_line, rows_explained
from cline_otel.journal.opened_file import OpenedFile
from cline_otel.journal.records import (
    Commit,
    DeadLetters,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    JournalStatus,
    JournalUnavailableError,
    KeptRequest,
    NoJournalError,
    OutboxRow,
)
from cline_otel.operating_system.owners import verify_path
from cline_otel.private_files import keep_private, private_directory
from cline_otel.signals import SignalName

DEFAULT_LIMIT_BYTES: Final = 1024 * 1024 * 1024
SEEN_WINDOW_SECONDS: Final = 600
"""How long a request's digest is remembered: longer than senders of OTLP go on with one request."""

_SEEN_WINDOW_NS: Final = SEEN_WINDOW_SECONDS * 1_000_000_000
_CACHE_KIB: Final = 8 * 1024
"""What a large transaction writes has room in it; else it would be written in parts, and read again."""

_BUSY_TIMEOUT_MS: Final = 10_000
_SPARE_BYTES_BEFORE_VACUUM: Final = 16 * 1024 * 1024
_VACUUM_PAGES: Final = 1024


class Journal:
    """Durable state of one bridge. Use it from the thread that opened it.

    Every method may raise JournalError when the file cannot be read or written.

    Attributes:
        trouble: what a call last failed by, until a transaction is committed; :meth:`probe` commits one.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        clock_ns: Callable[[], int],
        limit_bytes: int,
        file: OpenedFile | None = None,
    ) -> None:
        """For :meth:`open` and :meth:`open_read_only`."""
        self._file = file
        self._damage: JournalDamagedError | None = None
        self.trouble: JournalUnavailableError | None = None
        self._connection = connection
        self._path = path
        self._clock_ns = clock_ns
        self._limit_bytes = limit_bytes
        self._outbox: tuple[int, int] = (-1, 0)
        self._full_at_bytes = limit_bytes - min(max(limit_bytes // 16, 4 * 1024 * 1024), limit_bytes // 2)
        self._sent_history_bytes = min(sent_history.SENT_HISTORY_BYTES, limit_bytes // 32)
        with self._guard():
            (self._page_size,) = connection.execute("PRAGMA page_size").fetchone()
            meta = dict(connection.execute("SELECT key, value FROM meta"))
        self.started_at_ns = int(meta["started_at_ns"])
        self.instance_id: Final = str(meta["instance_id"])

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        limit_bytes: int = DEFAULT_LIMIT_BYTES,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> Self:
        """Open the journal at ``path``, make it if it is missing, bring it forward if it is older.

        The file gets mode 0600 and its directory 0700. ``limit_bytes`` bounds what waits in it.

        Raises:
            JournalError: unreadable, damaged, not a journal, or written by a newer release.
        """
        with ExitStack() as opened, rows_explained(path):
            private_directory(path.parent)
            # SQLite gives its -wal and -shm files the mode of the main one.
            file = OpenedFile(path)
            opened.callback(file.close)
            for suffix in ("-wal", "-shm"):
                keep_private(path.with_name(path.name + suffix))
            ended_uncleanly = schema.has_log(path)
            connection = schema.connect(path, busy_timeout_ms=_BUSY_TIMEOUT_MS)
            try:
                schema.check_identity(connection, path)
                if ended_uncleanly:
                    schema.check_pages(connection, path)
                # Before the first table, or it has no effect.
                connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
                schema.use_write_ahead_log(connection, path)
                connection.execute("PRAGMA synchronous = FULL")
                # Some systems' SQLite overwrites what is deleted, which is twice the writing; erasing does it for all.
                connection.execute("PRAGMA secure_delete = OFF")
                connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
                connection.execute(f"PRAGMA journal_size_limit = {_SPARE_BYTES_BEFORE_VACUUM}")
                schema.migrate(connection, now_ns=clock_ns())
                journal = cls(connection, path, clock_ns, limit_bytes, file)
            except BaseException:
                connection.close()
                raise
            opened.pop_all()
        return journal

    @classmethod
    def open_read_only(cls, path: Path) -> Self:
        """Open for reading beside a running bridge; neither makes nor migrates anything.

        Raises:
            JournalError: missing, unreadable, not a journal, or of another release's schema.
        """
        with rows_explained(path):
            try:
                path.stat()
            except FileNotFoundError:
                raise NoJournalError(
                    f"there is no journal at {path}: start the bridge once with `cline-otel run`"
                ) from None
            for suffix in ("", "-wal", "-shm"):
                verify_path(path.with_name(path.name + suffix))
            connection = schema.connect(path, busy_timeout_ms=_BUSY_TIMEOUT_MS)
            try:
                connection.execute("PRAGMA query_only = ON")
                schema.check_identity(connection, path)
                if schema.version(connection) < len(schema.MIGRATIONS):
                    raise JournalError(
                        f"journal {path} was written by an older release: "
                        "start the bridge once with `cline-otel run`, which migrates it"
                    )
                return cls(connection, path, time.time_ns, DEFAULT_LIMIT_BYTES)
            except BaseException:
                connection.close()
                raise

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self._connection.close()
        if self._file is not None:
            self._file.close()

    def probe(self) -> None:
        """Writes something small.

        Raises:
            JournalError: that cannot be done.
        """
        self.write_note("probe", b"")

    def verify(self) -> None:
        """Looks whether what was committed is still there.

        Raises:
            JournalDamagedError: it is not, or a call before found that.
        """
        with self._guard():
            if self._file is not None:
                self._file.verify()
                self._file.verify_log()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def commit(self, commit: Commit) -> None:
        """Write all of ``commit`` or nothing of it; when this returns it is on the disk.

        Raises:
            JournalFullError: there was no room, and nothing was written.
        """
        if commit == Commit(is_owed=commit.is_owed):
            return
        now_ns = self._clock_ns()
        with self.transaction() as connection:
            if commit.state:
                _put(connection, "state", "value", commit.state)
            if commit.outbox:
                if not commit.is_owed:
                    self.check_room(connection, sum(len(item.payload) for item in commit.outbox))
                connection.executemany(
                    "INSERT INTO outbox (signal, item_count, size_bytes, created_at_ns, payload, diagnostics)"
                    " VALUES (?, ?, ?, ?, ?, ?)",
                    [
                        (
                            item.signal,
                            item.item_count,
                            len(item.payload),
                            now_ns,
                            item.payload,
                            sent_history.encode_diagnostics(item.diagnostics),
                        )
                        for item in commit.outbox
                        if item.payload
                    ],
                )
            if commit.imported:
                imported.put(connection, commit.imported)
            if commit.cursors:
                _put(connection, "cursors", "position", commit.cursors, now_ns)
            if commit.seen_requests:
                connection.executemany("INSERT OR REPLACE INTO seen_requests VALUES (?, ?)", commit.seen_requests)
                connection.execute("DELETE FROM seen_requests WHERE received_at_ns < ?", (now_ns - _SEEN_WINDOW_NS,))
            if commit.counts:
                connection.executemany(
                    "INSERT INTO counts VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (kind, source, name) DO UPDATE SET count = count + excluded.count",
                    [(*key, added) for key, added in commit.counts.items()],
                )

    def load_state(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        """Every state key that begins so and its value, in the order of the keys."""
        rows = "SELECT key, value FROM state WHERE key >= ? AND key < ? ORDER BY key"
        with self._guard():
            yield from self._connection.execute(rows, (prefix, f"{prefix}\U0010ffff"))

    def state_rows(self, keys: Collection[str]) -> dict[str, bytes | None]:
        """These keys of the state and their values; None for one that is not there."""
        with self._guard():
            row = "SELECT value FROM state WHERE key = ?"
            found = {key: self._connection.execute(row, (key,)).fetchone() for key in keys}
        return {key: None if each is None else bytes(each[0]) for key, each in found.items()}

    def cursor(self, key: str) -> bytes | None:
        """The committed position of the source ``key``; None if it was never read."""
        with self._guard():
            position = "SELECT CAST(position AS BLOB) FROM cursors WHERE key = ?"
            row = self._connection.execute(position, (key,)).fetchone()
        return None if row is None else bytes(row[0])

    def note(self, key: str) -> bytes | None:
        """What was last written down under ``key``; None if nothing was."""
        with self._guard():
            value = "SELECT CAST(value AS BLOB) FROM meta WHERE key = ?"
            row = self._connection.execute(value, (f"note/{key}",)).fetchone()
        return None if row is None else bytes(row[0])

    def write_note(self, key: str, value: bytes) -> None:
        """Write down something that is not of the state; erasing leaves it."""
        with self.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (f"note/{key}", value))

    def cursors(self) -> dict[str, bytes]:
        """The committed position of every source."""
        with self._guard():
            return dict(self._connection.execute("SELECT key, position FROM cursors ORDER BY key"))

    def seen_request(self, digest: bytes) -> bool:
        """Whether a request with this body digest was committed within the retry window."""
        oldest_ns = self._clock_ns() - _SEEN_WINDOW_NS
        with self._guard():
            row = self._connection.execute(
                "SELECT 1 FROM seen_requests WHERE digest = ? AND received_at_ns >= ?", (digest, oldest_ns)
            ).fetchone()
        return row is not None

    def is_full(self) -> bool:
        """Whether sources should stop: files keep what is in them, and OTLP senders are answered 429.

        Only what waits counts: that is what delivery can free. True some way below the limit, so that what is under
        way can still be committed.
        """
        with self._guard():
            return self._outbox_bytes(self._connection, self._full_at_bytes) >= self._full_at_bytes

    def check_room(self, connection: sqlite3.Connection, size_bytes: int) -> None:
        """In a transaction, before so much more is put into the outbox.

        Raises:
            JournalFullError: too much waits.
        """
        left_bytes = self._limit_bytes - size_bytes
        if self._outbox_bytes(connection, left_bytes) > left_bytes:
            raise full(self._path)

    def _outbox_bytes(self, connection: sqlite3.Connection, of_interest_from_bytes: int) -> int:
        """Bytes that wait; anything below, where it is less than is of interest."""
        if connection.total_changes != self._outbox[0]:
            if report.used_bytes(connection) < of_interest_from_bytes:
                return 0
            self._outbox = (connection.total_changes, report.outbox_bytes(connection))
        return self._outbox[1]

    def pending(
        self,
        signal: SignalName,
        *,
        limit_bytes: int,
        limit_rows: int,
        without: Collection[int] = (),
        newest: bool = False,
    ) -> list[OutboxRow]:
        """The oldest queued requests of ``signal``, or the newest, in order, within the limits.

        At least one, if there is any but ``without``.
        """
        with self._guard():
            return outbox.pending(self._connection, signal, limit_bytes, limit_rows, without, newest=newest)

    def row(self, signal: SignalName, row_id: int) -> OutboxRow | None:
        """A queued request; None if it has left the queue."""
        with self._guard():
            return outbox.row(self._connection, row_id)

    def divide(
        self, signal: SignalName, row_id: int, parts: Sequence[tuple[bytes, int]], refused: object = None
    ) -> list[int] | None:
        """Put parts of a queued request, each with its number of items, in its place; None if there are none."""
        if not parts:
            return None
        with self.transaction() as connection:
            return outbox.divide(connection, row_id, parts)

    def acknowledge(
        self,
        signal: SignalName,
        row_ids: Sequence[int],
        *,
        delivered: int,
        rejected: int = 0,
        message: str = "",
        destination: str = "",
    ) -> None:
        """Delete delivered rows, count their items and remember the newest of them, in one transaction.

        ``rejected`` of the items were named as not taken; ``message`` is what the destination said of that.
        ``destination`` says for people, without secrets, who took them.
        """
        try:
            with self.transaction() as connection:
                rows = sent_history.select_sent(connection, row_ids, self._sent_history_bytes)
                _delete_rows(connection, row_ids)
                sent_history.remember(
                    connection, rows, self._clock_ns(), one_line(destination), self._sent_history_bytes
                )
                self.count_delivered(connection, signal, delivered, rejected, message)
        except JournalFullError:
            # Delivery must make room; remembering it need not be.
            with self.transaction() as connection:
                sent_history.forget_all(connection)
                _delete_rows(connection, row_ids)
                self.count_delivered(connection, signal, delivered, rejected, message)
        self._give_back_space()

    def dead_letter(self, signal: SignalName, row_ids: Sequence[int], *, reason: str) -> None:
        """Move rows that the destination refused for good to the dead letters, in one transaction.

        The dead letters are bounded (``dead_letters.LIMIT_BYTES``): the oldest go first, and are counted.
        """
        with self.transaction() as connection:
            dead_letters.put_aside(connection, signal, row_ids, one_line(reason), self._clock_ns())
            _delete_rows(connection, row_ids)
        self._give_back_space()

    def dead_letters(self) -> list[DeadLetters]:
        """The dead letters, by signal and reason."""
        with self._guard():
            return dead_letters.listed(self._connection)

    def send_dead_letters(self, signals: Sequence[SignalName]) -> dict[SignalName, int]:
        """Put the dead letters of these signals into the queue again, in one transaction; how many items of each."""
        with self.transaction() as connection:
            return dead_letters.send_again(connection, signals)

    def drop_dead_letters(self, signals: Sequence[SignalName]) -> dict[SignalName, int]:
        """Delete the dead letters of these signals, in one transaction; how many items of each."""
        with self.transaction() as connection:
            return dead_letters.drop(connection, signals)

    def record_delivered(self, signal: SignalName, *, delivered: int, rejected: int = 0, message: str = "") -> None:
        """Count items that were delivered without queueing, which is how totals of metrics are."""
        with self.transaction() as connection:
            self.count_delivered(connection, signal, delivered, rejected, message)

    def record_failure(self, signal: SignalName, *, reason: str, remedy: str = "") -> None:
        """Remember why delivery of ``signal`` does not go on; the next delivery clears it."""
        with self.transaction() as connection:
            connection.execute(
                "UPDATE delivery SET last_error = ?, last_remedy = ?, last_error_at_ns = ? WHERE signal = ?",
                (one_line(reason), one_line(remedy), self._clock_ns(), signal),
            )

    def erase_pending(self, state: dict[str, bytes | None] | None = None) -> int:
        """Erase what waits and what was refused, from the disk too; how many spans and log records that was.

        Metrics count from now; points that wait are erased and counted for themselves.

        What is remembered of deliveries goes with it, uncounted: ``sent_history_items`` says how much that is.
        ``state`` replaces values of the state, or deletes them, in the same transaction and as thoroughly.

        Raises:
            JournalError: it is deleted, but another program kept it from leaving the disk.
        """
        with self.transaction() as connection:
            erased = 0
            for table in ("outbox", "dead_letters"):
                counted = connection.execute(f"SELECT signal, sum(item_count) FROM {table} GROUP BY signal")  # noqa: S608
                for signal, items in counted.fetchall():
                    erased += items if signal != "metrics" else 0
                    connection.execute(
                        "UPDATE delivery SET erased_items = erased_items + ? WHERE signal = ?", (items, signal)
                    )
                connection.execute(f"DELETE FROM {table}")  # noqa: S608
            sent_history.forget_all(connection)
            connection.execute("DELETE FROM metric_marks")
            if state:
                _put(connection, "state", "value", state)
            started_at_ns = self._clock_ns()
            connection.execute("UPDATE meta SET value = ? WHERE key = 'started_at_ns'", (started_at_ns,))
        self.started_at_ns = started_at_ns
        with self._guard():
            # Pages hold remnants of earlier deletions too, so all are rewritten.
            self._connection.execute("PRAGMA temp_store = MEMORY")
            self._connection.execute("VACUUM")
            (is_blocked, _, _) = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_blocked:
            raise JournalError(
                f"journal {self._path} is being read by another program, so what was deleted is still on the disk: "
                "stop that program and erase again"
            )
        return erased

    def sent_history_items(self) -> int:
        """Spans and log records that have left and that the journal still has."""
        with self._guard():
            return sent_history.item_count(self._connection)

    def newest(self, items: int) -> list[KeptRequest]:
        """The requests with the newest ``items`` spans and log records, as far as they are kept.

        First those that have left, in the order in which they left, then those that wait.
        """
        with self._guard():
            return sent_history.newest(self._connection, items)

    def status(self) -> JournalStatus:
        """All that ``cline-otel status`` shows of the journal."""
        with self._guard(), rows_explained(self._path):
            return report.read(self._connection, str(self._path), self.instance_id, self.started_at_ns)

    def count_delivered(
        self, connection: sqlite3.Connection, signal: SignalName, delivered: int, rejected: int, message: str
    ) -> None:
        """Counts items in a transaction under way; what went wrong before is over."""
        connection.execute(
            "UPDATE delivery SET delivered_items = delivered_items + ?, rejected_items = rejected_items + ?,"
            " last_delivered_at_ns = ?, last_message = iif(? = '', last_message, ?),"
            " last_error = '', last_remedy = '' WHERE signal = ?",
            (delivered, rejected, self._clock_ns(), message, one_line(message), signal),
        )

    def _give_back_space(self) -> None:
        # Only after an outage is there much to give back, so the ordinary case pays one pragma.
        with self._guard():
            (free_pages,) = self._connection.execute("PRAGMA freelist_count").fetchone()
            if free_pages * self._page_size > _SPARE_BYTES_BEFORE_VACUUM:
                # execute() would step this pragma once, which is one page.
                self._connection.executescript(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})")

    def waiting(self, signal: SignalName) -> tuple[int, int]:
        """How many requests of a signal wait, and their bytes.

        Raises:
            JournalError: the journal cannot be read.
        """
        with self._guard():
            rows, size_bytes, _, _ = report.pending(self._connection, signal)
            return rows, size_bytes

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A block that reads, for the modules of this package; what fails in it is a JournalError."""
        with self._guard():
            yield self._connection

    @contextmanager
    def _guard(self) -> Iterator[None]:
        if self._damage is not None:
            raise self._damage
        try:
            with explained(self._path):
                yield
        except JournalDamagedError as error:
            self._damage = error
            raise
        except JournalUnavailableError as error:
            self.trouble = error
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A block that writes all or nothing, for the modules of this package."""
        with self._guard():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            # Only what is found again may be acknowledged.
            if self._file is not None:
                self._file.verify()
        self.trouble = None


def _put(
    connection: sqlite3.Connection, table: str, column: str, values: dict[str, bytes | None], *more: object
) -> None:
    marks = ", ?" * len(more)
    written = [(key, value, *more) for key, value in values.items() if value is not None]
    deleted = [(key,) for key, value in values.items() if value is None]
    if written:
        connection.executemany(f"INSERT OR REPLACE INTO {table} VALUES (?, ?{marks})", written)  # noqa: S608
    if deleted:
        connection.executemany(f"DELETE FROM {table} WHERE key = ?", deleted)  # noqa: S608


def _delete_rows(connection: sqlite3.Connection, row_ids: Sequence[int]) -> None:
    connection.executemany("DELETE FROM outbox WHERE id = ?", [(row_id,) for row_id in row_ids])
