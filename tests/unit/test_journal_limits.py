"""The journal's limits, each at its edge, its clock, and what it does to the file by SQLite's settings."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cline_otel.journal import Commit, Journal, JournalError, OutboxItem, dead_letters, schema
from cline_otel.journal.failures import explained, one_line
from source_tree import ROOT, needs_source

KIB = 1024
MIB = 1024 * KIB


class Clock:
    """Tells a later time whenever it is asked."""

    def __init__(self) -> None:
        self.now_ns = 1_000

    def __call__(self) -> int:
        self.now_ns += 1
        return self.now_ns


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def put(journal: Journal, *sizes_bytes: int) -> None:
    journal.commit(Commit(outbox=[OutboxItem("traces", b"x" * size, 1) for size in sizes_bytes]))


def ids(journal: Journal) -> list[int]:
    return [row.id for row in journal.pending("traces", limit_bytes=1 << 30, limit_rows=10_000)]


def pragma(journal: Journal, name: str) -> Any:
    (value,) = journal._connection.execute(f"PRAGMA {name}").fetchone()
    return value


# --- limits ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit_bytes", "rows"), [(199, 1), (200, 2), (299, 2), (300, 3)])
def test_requests_that_fill_a_limit_exactly_are_within_it(path: Path, limit_bytes: int, rows: int) -> None:
    with Journal.open(path) as journal:
        put(journal, 100, 100, 100)
        assert len(journal.pending("traces", limit_bytes=limit_bytes, limit_rows=9)) == rows


@pytest.mark.parametrize(("limit_bytes", "stay"), [(199, 1), (200, 2), (299, 2), (300, 3)])
def test_dead_letters_that_fill_their_limit_exactly_stay(
    path: Path, monkeypatch: pytest.MonkeyPatch, limit_bytes: int, stay: int
) -> None:
    monkeypatch.setattr(dead_letters, "LIMIT_BYTES", limit_bytes)
    with Journal.open(path) as journal:
        put(journal, 100, 100, 100)
        journal.dead_letter("traces", ids(journal), reason="400")
        status = journal.status().signals["traces"]
        assert (status.dead_letter_rows, status.evicted_items, status.refused_items) == (stay, 3 - stay, 3)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("limit_bytes", "kept"), [(199, 1), (200, 2), (299, 2), (300, 3)])
def test_deliveries_that_fill_the_memory_exactly_are_remembered(
    path: Path, limit_bytes: int, kept: int, at_once: bool
) -> None:
    with Journal.open(path) as journal:
        journal._sent_history_bytes = limit_bytes
        put(journal, 100, 100, 100)
        for together in [ids(journal)] if at_once else [[row_id] for row_id in ids(journal)]:
            journal.acknowledge("traces", together, delivered=len(together))
        assert len(journal.newest(9)) == kept


@pytest.mark.parametrize("with_memory", [False, True])
def test_a_journal_is_full_from_its_limit_on_without_what_it_remembers(path: Path, with_memory: bool) -> None:
    with Journal.open(path) as journal:
        put(journal, 50_000, 50_000)
        if with_memory:
            journal.acknowledge("traces", ids(journal)[:1], delivered=1)
        waiting_bytes = 50_000 * (1 if with_memory else 2)
        for full_at_bytes, is_full in ((waiting_bytes - 1, True), (waiting_bytes, True), (waiting_bytes + 1, False)):
            journal._full_at_bytes = full_at_bytes
            assert journal.is_full() is is_full


@pytest.mark.parametrize(("limit_bytes", "headroom_bytes", "memory_bytes"), [
    (4 * MIB, 2 * MIB, 128 * KIB),
    (16 * MIB, 4 * MIB, 512 * KIB),
    (64 * MIB, 4 * MIB, 2 * MIB),
    (128 * MIB, 8 * MIB, 4 * MIB),
    (1024 * MIB, 64 * MIB, 4 * MIB),
])  # fmt: skip
def test_a_sixteenth_of_the_journal_but_four_mebibytes_and_at_most_half_is_headroom(
    path: Path, limit_bytes: int, headroom_bytes: int, memory_bytes: int
) -> None:
    with Journal.open(path, limit_bytes=limit_bytes) as journal:
        assert limit_bytes - journal._full_at_bytes == headroom_bytes
        assert journal._sent_history_bytes == memory_bytes


def test_a_message_is_one_line_of_three_hundred_characters_at_most() -> None:
    assert one_line("x" * 300) == "x" * 300
    assert one_line("x" * 301) == "x" * 300
    assert one_line(" a\n\tb \x1b c ") == "a b c"


def test_space_is_given_back_in_steps_and_only_where_there_is_much(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal.open(path) as journal:
        put(journal, *[10_000] * 300)
        journal._sent_history_bytes = 0
        *most, last = ids(journal)
        journal.acknowledge("traces", most, delivered=len(most))
        free_bytes = pragma(journal, "freelist_count") * pragma(journal, "page_size")
        assert free_bytes > 2_000_000, "little is left to its next use"
        monkeypatch.setattr("cline_otel.journal.store._SPARE_BYTES_BEFORE_VACUUM", 1_000_000)
        monkeypatch.setattr("cline_otel.journal.store._VACUUM_PAGES", 100)
        journal.acknowledge("traces", [last], delivered=1)
        given_back_pages = free_bytes // pragma(journal, "page_size") - pragma(journal, "freelist_count")
        assert 90 <= given_back_pages <= 100


def test_the_status_tells_rows_bytes_and_items_apart(path: Path) -> None:
    with Journal.open(path) as journal:
        sizes = ((10, 3), (20, 4), (30, 5), (40, 6), (50, 7))
        journal.commit(Commit(outbox=[OutboxItem("traces", b"x" * size, items) for size, items in sizes]))
        delivered, *refused = ids(journal)[:3]
        journal.acknowledge("traces", [delivered], delivered=2, rejected=1)
        journal.dead_letter("traces", refused[:1], reason="400")
        journal.dead_letter("traces", refused[1:], reason="413")
        status = journal.status().signals["traces"]
        assert (status.pending_rows, status.pending_bytes, status.pending_items) == (2, 90, 13)
        assert (status.dead_letter_rows, status.dead_letter_bytes) == (2, 50)
        assert (status.delivered_items, status.rejected_items, status.refused_items) == (2, 1, 9)
        assert status.refusals == {"400": 4, "413": 5}
        assert journal.erase_pending() == 22
        status = journal.status().signals["traces"]
        assert (status.erased_items, status.evicted_items, status.pending_rows) == (22, 0, 0)


# --- times ----------------------------------------------------------------------------------------------


def test_the_status_says_when(path: Path) -> None:
    clock = Clock()
    with Journal.open(path, clock_ns=clock) as journal:
        put(journal, 1, 1, 1)
        first_put_ns = clock.now_ns
        put(journal, 1)
        journal.commit(Commit(cursors={"cline-log:/x": b"1"}))
        assert [cursor.updated_at_ns for cursor in journal.status().cursors] == [clock.now_ns]
        assert journal.status().signals["traces"].oldest_pending_at_ns == first_put_ns
        journal.record_failure("traces", reason="503\n", remedy="wait\n")
        failed = journal.status().signals["traces"]
        assert (failed.last_error, failed.last_remedy, failed.last_error_at_ns) == ("503", "wait", clock.now_ns)
        journal.dead_letter("traces", ids(journal)[:1], reason="400")
        assert [request.left_at_ns for request in journal.newest(9) if request.state == "refused"] == [clock.now_ns]
        journal.erase_pending()
        assert journal.started_at_ns == journal.status().started_at_ns == clock.now_ns


def test_what_the_destination_last_said_stays_until_it_says_something_else(path: Path) -> None:
    with Journal.open(path) as journal:
        for message, last_message in (("one\nline", "one line"), ("", "one line"), ("two", "two")):
            journal.record_delivered("metrics", delivered=2, rejected=1, message=message)
            assert journal.status().signals["metrics"].last_message == last_message
        assert journal.status().signals["metrics"].rejected_items == 3


# --- the file -------------------------------------------------------------------------------------------


def test_the_file_is_kept_small_and_what_is_erased_is_written_nowhere_else(path: Path) -> None:
    with Journal.open(path) as journal:
        assert pragma(journal, "synchronous") == 2
        assert pragma(journal, "auto_vacuum") == 2
        assert pragma(journal, "journal_size_limit") == 16 * MIB
        journal.erase_pending()
        assert pragma(journal, "temp_store") == 2


def test_what_another_program_keeps_on_the_disk_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cline_otel.journal.store._BUSY_TIMEOUT_MS", 0)
    with Journal.open(path) as journal:
        put(journal, 1)
        with Journal.open_read_only(path) as reader:
            reader._connection.execute("BEGIN")
            reader._connection.execute("SELECT count(*) FROM outbox").fetchone()
            with pytest.raises(JournalError, match="is being read by another program"):
                journal.erase_pending()
            reader._connection.execute("ROLLBACK")
        assert journal.erase_pending() == 0


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_refused_is_not_held_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE own (a)")
    opened: list[sqlite3.Connection] = []
    connect = schema.connect

    def remembering(path: Path, *, busy_timeout_ms: int) -> sqlite3.Connection:
        opened.append(connect(path, busy_timeout_ms=busy_timeout_ms))
        return opened[-1]

    monkeypatch.setattr(schema, "connect", remembering)
    with pytest.raises(JournalError, match="not a journal"):
        Journal.open_read_only(path) if read_only else Journal.open(path)
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")
    assert len(opened) == 1


def test_a_note_is_read_back_as_it_was_last_written_and_outlives_erasing(path: Path) -> None:
    with Journal.open(path) as journal:
        assert journal.note("a") is None
        for value in (b"one", b"two"):
            journal.write_note("a", value)
        journal.write_note("b", b"three")
        journal.erase_pending()
    with Journal.open(path) as journal:
        assert (journal.note("a"), journal.note("b"), journal.note("c")) == (b"two", b"three", None)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("BEGIN IMMEDIATE", "is locked by another process: stop the program that has it open"),
        ("nonsense", "cannot be used ("),
    ],
)
def test_what_sqlite_refuses_is_one_line_with_the_path_and_the_remedy(
    tmp_path: Path, statement: str, says: str
) -> None:
    path = tmp_path / "some.db"
    with closing(sqlite3.connect(path)) as other, closing(sqlite3.connect(path, timeout=0)) as ours:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalError) as caught, explained(path):
            ours.execute(statement)
    assert str(path) in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("spare_pages", "gives_back"), [(0, False), (-1, True)])
@pytest.mark.parametrize("refused", [False, True])
def test_space_is_given_back_beyond_what_is_spared_whether_delivered_or_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch, spare_pages: int, gives_back: bool, refused: bool
) -> None:
    monkeypatch.setattr(dead_letters, "LIMIT_BYTES", 0)

    def free_pages_after_an_outage(name: str) -> int:
        with Journal.open(path.with_name(name)) as journal:
            journal._sent_history_bytes = 0
            put(journal, *[10_000] * 30)
            if refused:
                journal.dead_letter("traces", ids(journal), reason="400")
            else:
                journal.acknowledge("traces", ids(journal), delivered=30)
            return int(pragma(journal, "freelist_count"))

    free_pages = free_pages_after_an_outage("first.db")
    assert free_pages > 60
    spare_bytes = (free_pages + spare_pages) * 4 * KIB
    monkeypatch.setattr("cline_otel.journal.store._SPARE_BYTES_BEFORE_VACUUM", spare_bytes)
    assert free_pages_after_an_outage("second.db") == (0 if gives_back else free_pages)


def test_a_journal_has_a_gibibyte_unless_it_is_said_otherwise(path: Path) -> None:
    with Journal.open(path) as journal:
        assert journal._limit_bytes == 1024 * MIB


def test_a_request_is_known_again_for_ten_minutes(path: Path) -> None:
    now_ns = 1_790_000_000_000_000_000
    with Journal.open(path, clock_ns=lambda: now_ns) as journal:
        journal.commit(Commit(seen_requests=[(b"within", now_ns - 600 * 10**9), (b"before", now_ns - 600 * 10**9 - 1)]))
        assert (journal.seen_request(b"within"), journal.seen_request(b"before")) == (True, False)


def test_nothing_was_rejected_where_nothing_is_said_of_it(path: Path) -> None:
    with Journal.open(path) as journal:
        put(journal, 1)
        journal.acknowledge("traces", ids(journal), delivered=1)
        journal.record_delivered("metrics", delivered=1)
        signals = journal.status().signals
        assert (signals["traces"].rejected_items, signals["metrics"].rejected_items) == (0, 0)


@needs_source
def test_dead_letters_have_as_much_room_as_the_page_says() -> None:
    (mebibytes,) = re.findall(r"(\d+) MiB of them", (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8"))
    assert int(mebibytes) * 1024 * 1024 == dead_letters.LIMIT_BYTES
