"""The journal's laws, on real SQLite files."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from cline_otel.journal import Commit, Journal, JournalError, JournalFullError, OutboxItem, dead_letters, sent_history
from cline_otel.journal import store as store_module

SECOND_NS = 1_000_000_000


class Clock:
    def __init__(self, now_ns: int = 1_700_000_000 * SECOND_NS) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def spans(payload: bytes, item_count: int = 1) -> OutboxItem:
    return OutboxItem("traces", payload, item_count)


def payloads(journal: Journal, signal: str = "traces") -> list[bytes]:
    assert signal in {"traces", "logs"}
    return [row.payload for row in journal.pending(signal, limit_bytes=1 << 30, limit_rows=10_000)]  # type: ignore[arg-type]


def test_a_commit_is_there_whole_after_reopening(path: Path) -> None:
    clock = Clock()
    with Journal.open(path, clock_ns=clock) as journal:
        journal.commit(
            Commit(
                state={"run/a": b"1", "total/x": b"2"},
                outbox=[spans(b"s1", 3), OutboxItem("logs", b"l1", 2)],
                cursors={"cline-log:/x": b"42"},
                seen_requests=[(b"digest", clock())],
                counts={("unmapped_event", "otlp", "task.new"): 2},
            )
        )
    with Journal.open(path, clock_ns=clock) as journal:
        assert dict(journal.load_state()) == {"run/a": b"1", "total/x": b"2"}
        assert payloads(journal) == [b"s1"]
        assert payloads(journal, "logs") == [b"l1"]
        assert journal.cursor("cline-log:/x") == b"42"
        assert journal.cursors() == {"cline-log:/x": b"42"}
        assert journal.cursor("cline-log:/y") is None
        assert journal.seen_request(b"digest")
        assert not journal.seen_request(b"other")
        (count,) = journal.status().counts
        assert (count.kind, count.source, count.name, count.count) == ("unmapped_event", "otlp", "task.new", 2)


def test_none_deletes_a_state_key_and_a_cursor(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.commit(Commit(state={"a": b"1", "b": b"2"}, cursors={"x": b"1", "y": b"2"}))
        journal.commit(Commit(state={"a": None, "b": b"3"}, cursors={"x": None}))
        assert dict(journal.load_state()) == {"b": b"3"}
        assert journal.cursors() == {"y": b"2"}


def test_counts_add_up_over_commits(path: Path) -> None:
    with Journal.open(path) as journal:
        for _ in range(3):
            journal.commit(Commit(counts={("received", "otlp", "logs"): 5}))
        assert journal.status().counts[0].count == 15


def test_a_commit_that_fails_leaves_nothing_of_itself(path: Path) -> None:
    with Journal.open(path) as journal:
        bad = Commit(state={"a": b"1"}, outbox=[spans(b"x")], counts={("k", "s", "n"): None})  # type: ignore[dict-item]
        with pytest.raises(JournalError):
            journal.commit(bad)
        assert dict(journal.load_state()) == {}
        assert payloads(journal) == []
        journal.commit(Commit(state={"a": b"2"}))
        assert dict(journal.load_state()) == {"a": b"2"}


def test_a_request_is_remembered_for_its_retry_window_only(path: Path) -> None:
    clock = Clock()
    with Journal.open(path, clock_ns=clock) as journal:
        journal.commit(Commit(seen_requests=[(b"a", clock())]))
        clock.now_ns += store_module.SEEN_WINDOW_SECONDS * SECOND_NS
        assert journal.seen_request(b"a")
        clock.now_ns += 1
        assert not journal.seen_request(b"a")
        journal.commit(Commit(seen_requests=[(b"b", clock())]))
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT digest FROM seen_requests").fetchall() == [(b"b",)]


def test_pending_rows_come_oldest_first_within_the_limits_and_at_least_one(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.commit(Commit(outbox=[spans(bytes([i]) * 100, i) for i in range(1, 6)]))
        rows = journal.pending("traces", limit_bytes=250, limit_rows=10)
        assert [row.item_count for row in rows] == [1, 2]
        assert len(journal.pending("traces", limit_bytes=1, limit_rows=10)) == 1
        assert len(journal.pending("traces", limit_bytes=1 << 20, limit_rows=3)) == 3
        assert journal.pending("logs", limit_bytes=1 << 20, limit_rows=3) == []


def test_acknowledged_rows_are_gone_and_counted(path: Path) -> None:
    clock = Clock()
    with Journal.open(path, clock_ns=clock) as journal:
        journal.commit(Commit(outbox=[spans(b"a", 2), spans(b"b", 3), spans(b"c", 4)]))
        journal.record_failure("traces", reason="503", remedy="wait")
        assert journal.status().signals["traces"].last_error == "503"
        first, second, _ = journal.pending("traces", limit_bytes=1 << 20, limit_rows=3)
        journal.acknowledge("traces", [first.id, second.id], delivered=4, rejected=1, message="one was too old")
        status = journal.status().signals["traces"]
        assert payloads(journal) == [b"c"]
        assert (status.delivered_items, status.rejected_items, status.pending_items) == (4, 1, 4)
        assert status.last_message == "one was too old"
        assert (status.last_error, status.last_delivered_at_ns) == ("", clock())


def test_an_empty_request_is_not_queued(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.commit(Commit(outbox=[spans(b"", 0)], state={"a": b"1"}))
        assert payloads(journal) == []


def test_row_ids_are_never_used_twice(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.commit(Commit(outbox=[spans(b"a")]))
        (row,) = journal.pending("traces", limit_bytes=1, limit_rows=1)
        journal.acknowledge("traces", [row.id], delivered=1)
    with Journal.open(path) as journal:
        journal.commit(Commit(outbox=[spans(b"b")]))
        (later,) = journal.pending("traces", limit_bytes=1, limit_rows=1)
        assert later.id > row.id


def test_a_refused_row_keeps_its_payload_and_its_reason_in_one_line(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.commit(Commit(outbox=[spans(b"bad", 7), spans(b"good", 1)]))
        bad, _ = journal.pending("traces", limit_bytes=1 << 20, limit_rows=2)
        journal.dead_letter("traces", [bad.id], reason="400 Bad\r\nRequest\x1b[31m")
        status = journal.status().signals["traces"]
        assert payloads(journal) == [b"good"]
        assert (status.refused_items, status.dead_letter_rows, status.dead_letter_bytes) == (7, 1, 3)
        assert status.refusals == {"400 Bad Request [31m": 7}
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT payload FROM dead_letters").fetchall() == [(b"bad",)]


def test_dead_letters_are_bounded_and_the_evicted_are_counted(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dead_letters, "LIMIT_BYTES", 250)
    with Journal.open(path) as journal:
        journal.commit(Commit(outbox=[spans(b"x" * 100, 2) for _ in range(4)]))
        rows = journal.pending("traces", limit_bytes=1 << 20, limit_rows=9)
        journal.dead_letter("traces", [row.id for row in rows], reason="400")
        status = journal.status().signals["traces"]
        assert (status.refused_items, status.evicted_items, status.dead_letter_rows) == (8, 4, 2)


def test_a_full_journal_says_so_before_it_refuses_and_can_still_be_emptied(path: Path) -> None:
    limit_bytes = 4 * 1024 * 1024
    with Journal.open(path, limit_bytes=limit_bytes) as journal:
        written = 0

        def put_one() -> None:
            nonlocal written
            journal.commit(Commit(outbox=[spans(b"x" * 100_000)], state={"position": b"%d" % written}))
            written += 1

        def fill_for_good() -> None:
            while True:
                put_one()

        while not journal.is_full():
            put_one()
        said_full_at = written
        with pytest.raises(JournalFullError, match="CLINE_OTEL_BRIDGE_JOURNAL_LIMIT_BYTES"):
            fill_for_good()
        assert written > said_full_at, "there must be headroom between saying full and refusing"
        assert dict(journal.load_state()) == {"position": b"%d" % (written - 1)}
        assert len(payloads(journal)) == written
        while rows := journal.pending("traces", limit_bytes=1 << 20, limit_rows=100):
            journal.acknowledge("traces", [row.id for row in rows], delivered=len(rows))
        assert not journal.is_full()
        journal.commit(Commit(outbox=[spans(b"x" * 100_000)]))
        assert path.stat().st_size <= limit_bytes + 256 * 1024


def test_only_what_delivery_can_free_makes_a_journal_full(path: Path) -> None:
    with Journal.open(path, limit_bytes=4 * 1024 * 1024) as journal:
        for number in range(8):
            journal.commit(Commit(state={f"run/{number}": b"x" * 1024 * 1024}))
        assert not journal.is_full()
        journal.commit(Commit(outbox=[spans(b"x" * 3 * 1024 * 1024)]))
        assert journal.is_full()
        with pytest.raises(JournalFullError):
            journal.commit(Commit(outbox=[spans(b"x" * 2 * 1024 * 1024)]))
        owed = Commit(outbox=[spans(b"x" * 2 * 1024 * 1024)], is_owed=True)
        journal.commit(owed)
        rows = journal.pending("traces", limit_bytes=1 << 30, limit_rows=100)
        assert len(rows) == 2
        journal.acknowledge("traces", [row.id for row in rows], delivered=len(rows))
        assert not journal.is_full()


def test_space_is_given_back_after_an_outage(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_SPARE_BYTES_BEFORE_VACUUM", 100_000)
    monkeypatch.setattr(sent_history, "SENT_HISTORY_BYTES", 100_000)
    with Journal.open(path) as journal:
        journal.commit(Commit(outbox=[spans(b"x" * 10_000) for _ in range(300)]))
        while rows := journal.pending("traces", limit_bytes=100_000, limit_rows=100):
            journal.acknowledge("traces", [row.id for row in rows], delivered=len(rows))
    assert path.stat().st_size < 1_000_000


def test_erasing_leaves_neither_a_row_nor_its_bytes_on_the_disk(path: Path) -> None:
    marker = b"erase-this-marker"
    with Journal.open(path) as journal:
        journal.commit(Commit(outbox=[spans(marker * 500, 3), spans(marker, 1), OutboxItem("logs", marker, 2)]))
        rows = journal.pending("traces", limit_bytes=1 << 20, limit_rows=9)
        journal.dead_letter("traces", [rows[1].id], reason="400")
        assert journal.erase_pending() == 6
        assert payloads(journal) == payloads(journal, "logs") == []
        assert journal.status().signals["traces"].erased_items == 4
        for file in path.parent.iterdir():
            assert marker not in file.read_bytes()


def test_the_start_time_and_the_instance_never_change(path: Path) -> None:
    clock = Clock()
    with Journal.open(path, clock_ns=clock) as journal:
        first = (journal.started_at_ns, journal.instance_id)
        assert first[0] == clock()
    clock.now_ns += 5
    with Journal.open(path, clock_ns=clock) as journal:
        assert (journal.started_at_ns, journal.instance_id) == first
    with Journal.open(path.parent / "other.db") as journal:
        assert journal.instance_id != first[1]


def test_the_files_are_for_their_owner_alone(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.commit(Commit(state={"a": b"1"}))
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert set(modes) == {"journal.db", "journal.db-wal", "journal.db-shm"}
        assert set(modes.values()) == {0o600}
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_reader_sees_what_is_committed_while_the_writer_goes_on(path: Path) -> None:
    with Journal.open(path) as writer, Journal.open_read_only(path) as reader:
        writer.commit(Commit(outbox=[spans(b"a")], cursors={"cline-log:/x": b"1"}))
        assert reader.status().signals["traces"].pending_rows == 1
        writer.commit(Commit(outbox=[spans(b"b")]))
        status = reader.status()
        assert status.signals["traces"].pending_rows == 2
        assert status.instance_id == writer.instance_id
        assert [cursor.key for cursor in status.cursors] == ["cline-log:/x"]
        with pytest.raises(JournalError):
            reader.commit(Commit(state={"a": b"1"}))


def test_a_reader_can_open_what_a_closed_bridge_left(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.commit(Commit(outbox=[spans(b"a")]))
    with Journal.open_read_only(path) as reader:
        assert reader.status().signals["traces"].pending_rows == 1


def test_the_status_of_an_empty_journal_is_complete(path: Path) -> None:
    with Journal.open(path) as journal:
        status = journal.status()
        assert set(status.signals) == {"traces", "metrics", "logs"}
        assert status.signals["logs"].oldest_pending_at_ns is None
        assert status.used_bytes > 0
        journal.record_delivered("metrics", delivered=12)
        assert journal.status().signals["metrics"].delivered_items == 12
