"""What the journal remembers of deliveries: enough to be shown, bounded, never sent again, erased when asked."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cline_otel.journal import Commit, Journal, JournalError, KeptRequest, OutboxItem, schema, sent_history
from cline_otel.signals import Diagnostics

SECOND_NS = 1_000_000_000
DIAGNOSTICS: Diagnostics = {
    ("dropped_field", "cline-log", "task.mode:x"): 2,
    ("redacted_value", "otlp", "gen_ai.request.model"): 1,
}


class Clock:
    def __init__(self) -> None:
        self.now_ns = 1_700_000_000 * SECOND_NS

    def __call__(self) -> int:
        self.now_ns += SECOND_NS
        return self.now_ns


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def put(
    journal: Journal, *payloads: bytes, signal: str = "traces", items: int = 1, diagnostics: Diagnostics | None = None
) -> None:
    journal.commit(Commit(outbox=[OutboxItem(signal, each, items, diagnostics or {}) for each in payloads]))  # type: ignore[arg-type]


def deliver(journal: Journal, signal: str = "traces", destination: str = "somewhere", limit_rows: int = 512) -> int:
    rows = journal.pending(signal, limit_bytes=1 << 30, limit_rows=limit_rows)  # type: ignore[arg-type]
    journal.acknowledge(signal, [row.id for row in rows], delivered=len(rows), destination=destination)  # type: ignore[arg-type]
    return len(rows)


def kept(journal: Journal, items: int = 10_000) -> list[tuple[str, bytes]]:
    return [(request.state, request.payload) for request in journal.newest(items)]


def test_a_request_is_remembered_as_it_was_sent_with_its_time_destination_and_tally(path: Path) -> None:
    clock = Clock()
    with Journal.open(path, clock_ns=clock) as journal:
        put(journal, b"payload", items=3, diagnostics=DIAGNOSTICS)
        made_at_ns = clock.now_ns
        deliver(journal, destination="OTLP to\nhttp://127.0.0.1:4318")
        left_at_ns = clock.now_ns - SECOND_NS
    with Journal.open_read_only(path) as journal:
        (request,) = journal.newest(5)
        assert request == KeptRequest(
            signal="traces",
            state="left",
            payload=b"payload",
            item_count=3,
            created_at_ns=made_at_ns,
            left_at_ns=left_at_ns,
            destination="OTLP to http://127.0.0.1:4318",
            reason="",
            diagnostics=DIAGNOSTICS,
        )
        assert journal.sent_history_items() == 3


def test_what_left_comes_in_the_order_it_left_then_what_waits(path: Path) -> None:
    with Journal.open(path, clock_ns=Clock()) as journal:
        put(journal, b"t1", b"t2", b"bad")
        put(journal, b"l1", b"l2", signal="logs")
        put(journal, b"t3")
        deliver(journal, "logs", limit_rows=1)
        deliver(journal, "traces", limit_rows=2)
        (bad,) = journal.pending("traces", limit_bytes=1, limit_rows=1)
        journal.dead_letter("traces", [bad.id], reason="400 Bad Request")
        in_order = [("left", b"l1"), ("left", b"t1"), ("left", b"t2"), ("refused", b"bad")]
        in_order += [("waits", b"l2"), ("waits", b"t3")]
        assert kept(journal) == in_order
        for items in range(1, 7):
            assert kept(journal, items) == in_order[-items:]
        assert journal.newest(3)[0].reason == "400 Bad Request"


def test_as_many_requests_come_as_hold_the_items(path: Path) -> None:
    with Journal.open(path) as journal:
        put(journal, b"a", b"b", items=4)
        deliver(journal)
        put(journal, b"c", items=2)
        assert kept(journal, 2) == [("waits", b"c")]
        assert kept(journal, 3) == [("left", b"b"), ("waits", b"c")]
        assert kept(journal, 6) == [("left", b"b"), ("waits", b"c")]
        assert kept(journal, 7) == [("left", b"a"), ("left", b"b"), ("waits", b"c")]


def test_a_remembered_request_is_neither_waiting_nor_sent_again(path: Path) -> None:
    with Journal.open(path) as journal:
        put(journal, b"a", b"b")
        deliver(journal)
        assert deliver(journal) == 0
        status = journal.status().signals["traces"]
        assert (status.pending_rows, status.pending_items, status.pending_bytes) == (0, 0, 0)
        assert (status.oldest_pending_at_ns, status.delivered_items) == (None, 2)
    with Journal.open(path) as journal:
        assert journal.pending("traces", limit_bytes=1 << 20, limit_rows=9) == []
        assert len(kept(journal)) == 2


def test_a_request_acknowledged_twice_is_remembered_once(path: Path) -> None:
    with Journal.open(path) as journal:
        put(journal, b"a")
        (row,) = journal.pending("traces", limit_bytes=1, limit_rows=1)
        for _ in range(2):
            journal.acknowledge("traces", [row.id], delivered=1)
        assert kept(journal) == [("left", b"a")]


Deeds = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(["traces", "logs"]), st.integers(1, 400)),
        st.tuples(st.just("deliver"), st.sampled_from(["traces", "logs"]), st.integers(1, 5)),
        st.tuples(st.just("refuse"), st.sampled_from(["traces", "logs"]), st.integers(1, 2)),
        st.tuples(st.just("erase"), st.just(""), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=30)
@given(Deeds)
def test_whatever_happens_each_request_is_in_one_place_and_is_sent_at_most_once(
    tmp_path_factory: pytest.TempPathFactory, deeds: list[tuple[str, str, int]]
) -> None:
    path = tmp_path_factory.mktemp("state") / "journal.db"
    waiting: dict[str, list[bytes]] = {"traces": [], "logs": []}
    gone: list[tuple[str, bytes]] = []
    number = 0
    with pytest.MonkeyPatch.context() as patched, Journal.open(path, clock_ns=Clock()) as journal:
        patched.setattr(sent_history, "SENT_HISTORY_REQUESTS", 6)
        journal._sent_history_bytes = 1_000
        for deed, signal, amount in deeds:
            if deed == "put":
                number += 1
                payload = (b"%d " % number).ljust(amount, b"x")
                put(journal, payload, signal=signal)
                waiting[signal].append(payload)
            elif deed == "erase":
                journal.erase_pending()
                waiting, gone = {"traces": [], "logs": []}, []
            else:
                rows = journal.pending(signal, limit_bytes=1 << 20, limit_rows=amount)  # type: ignore[arg-type]
                taken = [row.payload for row in rows]
                assert taken == waiting[signal][:amount]
                del waiting[signal][:amount]
                ids = [row.id for row in rows]
                if deed == "deliver":
                    journal.acknowledge(signal, ids, delivered=len(ids))  # type: ignore[arg-type]
                    gone += [("left", payload) for payload in taken]
                else:
                    journal.dead_letter(signal, ids, reason="400")  # type: ignore[arg-type]
                    gone += [("refused", payload) for payload in taken]
        found = kept(journal)
        still = [payload for state, payload in found if state == "waits"]
        assert sorted(still) == sorted(waiting["traces"] + waiting["logs"])
        of_gone = [each for each in found if each[0] != "waits"]
        assert [each for each in gone if each in of_gone] == of_gone
        left = [payload for state, payload in of_gone if state == "left"]
        all_left = [payload for state, payload in gone if state == "left"]
        assert left == all_left[len(all_left) - len(left) :]
        assert len(left) <= 6
        assert sum(map(len, left)) <= 1_000


def test_the_memory_is_bounded_in_requests(path: Path) -> None:
    with Journal.open(path) as journal:
        for number in range(3):
            put(journal, *[b"%d/%d" % (number, each) for each in range(150)])
            deliver(journal)
        found = kept(journal)
        assert len(found) == sent_history.SENT_HISTORY_REQUESTS
        assert found[-1] == ("left", b"2/149")
        assert found[0] == ("left", b"1/100")


def test_the_memory_is_bounded_in_bytes(path: Path) -> None:
    with Journal.open(path) as journal:
        for number in range(12):
            put(journal, bytes([number]) * 1_000_000)
            deliver(journal)
        assert [payload[0] for _, payload in kept(journal)] == [8, 9, 10, 11]
        put(journal, b"x" * (sent_history.SENT_HISTORY_BYTES + 1))
        deliver(journal)
        assert len(kept(journal)) == 4, "what alone is beyond the limit is not remembered"


def test_of_what_leaves_only_what_can_be_remembered_is_read(path: Path) -> None:
    with Journal.open(path) as journal:
        put(journal, *[b"x" * 100] * 3)
        for limit_bytes, row_ids in ((99, []), (100, [3]), (199, [3]), (200, [2, 3]), (300, [1, 2, 3])):
            selected = sent_history.select_sent(journal._connection, [1, 2, 3, 4], limit_bytes)
            assert len(selected) == len(row_ids)
        patched = sent_history.select_sent(journal._connection, [2, 1], 1_000)
        assert len(patched) == 2


def test_two_hundred_names_of_a_request_are_told_apart(path: Path) -> None:
    assert sent_history.DIAGNOSTIC_NAMES == sent_history.SENT_HISTORY_REQUESTS == 200


def test_a_request_whose_tally_cannot_be_read_is_shown_without(path: Path) -> None:
    with Journal.open(path) as journal:
        put(journal, b"a", diagnostics=DIAGNOSTICS)
        journal._connection.execute("UPDATE outbox SET diagnostics = x'c1'")
        (request,) = journal.newest(1)
        assert (request.payload, request.diagnostics) == (b"a", {})


def test_a_tally_of_many_names_is_cut_and_its_rest_counted_together(path: Path) -> None:
    diagnostics: Diagnostics = {
        ("dropped_field", "otlp", f"x:{number}"): 1 for number in range(sent_history.DIAGNOSTIC_NAMES + 70)
    }
    with Journal.open(path) as journal:
        put(journal, b"a", diagnostics=diagnostics)
        (request,) = journal.newest(1)
        assert len(request.diagnostics) == sent_history.DIAGNOSTIC_NAMES + 1
        assert request.diagnostics["dropped_field", "otlp", "_OTHER"] == 70
        assert sum(request.diagnostics.values()) == sum(diagnostics.values())


@pytest.mark.parametrize("limit_bytes", [8 * 1024 * 1024, 64 * 1024 * 1024])
def test_what_is_remembered_does_not_fill_the_journal(path: Path, limit_bytes: int) -> None:
    with Journal.open(path, limit_bytes=limit_bytes) as journal:
        capacity = 0
        while not journal.is_full():
            put(journal, os.urandom(100_000))
            capacity += 1
        while deliver(journal, limit_rows=20):
            assert not journal.is_full()
        assert journal.sent_history_items() > 0
        again = 0
        while not journal.is_full():
            put(journal, os.urandom(100_000))
            again += 1
        assert again >= capacity - 1
        assert path.stat().st_size <= limit_bytes


def test_where_there_is_no_room_delivery_goes_on_without_its_memory(path: Path) -> None:
    with Journal.open(path) as journal:
        put(journal, b"a")
        deliver(journal)
        put(journal, b"b", b"c")
        connection = journal._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
        connection.executescript(
            "CREATE TEMP TRIGGER no_room BEFORE INSERT ON delivered"
            " BEGIN INSERT INTO state VALUES ('more', zeroblob(10000000)); END"
        )
        assert deliver(journal) == 2
        assert kept(journal) == []
        status = journal.status().signals["traces"]
        assert (status.delivered_items, status.pending_rows) == (3, 0)


def test_erasing_takes_what_is_remembered_from_the_disk_too(path: Path) -> None:
    marker, tally_marker = b"a-remembered-marker", "field_of_a_remembered_marker"
    with Journal.open(path) as journal:
        put(journal, marker * 400, marker, items=2, diagnostics={("dropped_field", "plugin", tally_marker): 1})
        deliver(journal)
        put(journal, marker * 3)
        assert any(marker in file.read_bytes() for file in path.parent.iterdir())
        assert journal.erase_pending() == 1
        status = journal.status().signals["traces"]
        assert (status.erased_items, status.delivered_items) == (1, 2), "what has left is not counted as erased"
        assert kept(journal) == []
        for file in path.parent.iterdir():
            assert marker not in file.read_bytes()
            assert tally_marker.encode() not in file.read_bytes()


def test_a_journal_of_the_first_release_comes_forward_with_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch(0o600)
    old = schema.connect(path, busy_timeout_ms=1_000)
    schema.migrate(old, migrations=schema.MIGRATIONS[:1], now_ns=7)
    old.execute(
        "INSERT INTO outbox (signal, item_count, size_bytes, created_at_ns, payload)"
        " VALUES ('traces', 2, 3, 5, x'616263')"
    )
    old.execute(
        "INSERT INTO dead_letters (signal, reason, item_count, size_bytes, created_at_ns, refused_at_ns, payload)"
        " VALUES ('logs', '400', 1, 1, 3, 4, x'78')"
    )
    old.close()
    with pytest.raises(JournalError, match="older release"):
        Journal.open_read_only(path)
    with Journal.open(path) as journal:
        assert journal.started_at_ns == 7
        assert kept(journal) == [("refused", b"x"), ("waits", b"abc")]
        assert [request.diagnostics for request in journal.newest(9)] == [{}, {}]
        assert deliver(journal) == 1
        assert kept(journal) == [("refused", b"x"), ("left", b"abc")]
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)


def test_a_reader_sees_what_left_while_the_writer_goes_on(path: Path) -> None:
    with Journal.open(path) as writer, Journal.open_read_only(path) as reader:
        put(writer, b"a")
        assert kept(reader) == [("waits", b"a")]
        deliver(writer)
        assert kept(reader) == [("left", b"a")]
        writer.erase_pending()
        assert kept(reader) == []
