"""What the journal keeps of destinations of metrics: marks, and requests that wait for one of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cline_otel.journal import Commit, Journal
from cline_otel.journal.metric_marks import MetricMarks, Told
from cline_otel.signals import MetricTotal

ONE, TWO, THREE = (MetricTotal("cline.cost", (("number", number),), float(number)) for number in (1, 2, 3))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db", clock_ns=lambda: 77) as journal:
        yield journal


@pytest.fixture
def marks(journal: Journal) -> MetricMarks:
    return MetricMarks(journal)


def test_a_destination_knows_what_it_was_told_last_of_each_series_and_nothing_of_another_s(marks: MetricMarks) -> None:
    assert (marks.told("a"), marks.destinations()) == (None, {})
    marks.tell("a", 5, {"one": ONE, "two": TWO})
    marks.tell("a", 6, {"two": THREE})
    marks.tell("b", 4, {})
    assert marks.told("a") == Told(6, {"one": ONE, "two": THREE})
    assert marks.told("b") == Told(4, {})
    assert marks.destinations() == {"a": 6, "b": 4}


def test_requests_wait_for_their_destination_in_order_and_count_for_the_signal(
    marks: MetricMarks, journal: Journal
) -> None:
    marks.tell("a", 5, {}, [(b"first", 2), (b"second", 3)])
    marks.tell("b", 6, {}, [(b"other", 4)])
    status = journal.status().signals["metrics"]
    assert (status.pending_rows, status.pending_items, status.pending_bytes) == (3, 9, 16)
    assert status.oldest_pending_at_ns == 5
    row = marks.waiting("a")
    assert row is not None
    assert (row.payload, row.item_count, row.created_at_ns) == (b"first", 2, 5)
    marks.delivered(row.id, delivered=1, rejected=1, message="one was too old")
    row = marks.waiting("a")
    assert row is not None
    assert row.payload == b"second"
    marks.refused(row.id, "400")
    assert (marks.waiting("a"), marks.waiting("c")) == (None, None)
    status = journal.status().signals["metrics"]
    assert (status.pending_rows, status.delivered_items, status.rejected_items) == (1, 1, 1)
    assert (status.refused_items, status.refusals, status.last_message) == (3, {"400": 3}, "one was too old")
    assert status.last_delivered_at_ns == 77


def test_a_request_that_goes_out_as_of_another_time_keeps_its_place_and_the_next_begins_there(
    marks: MetricMarks, journal: Journal
) -> None:
    marks.tell("a", 5, {}, [(b"first", 2), (b"second", 3)])
    marks.tell("b", 5, {})
    row = marks.waiting("a")
    assert row is not None
    marks.replace(row.id, b"later", 9)
    again = marks.waiting("a")
    assert again is not None
    assert (again.id, again.payload, again.item_count, again.created_at_ns) == (row.id, b"later", 2, 9)
    assert marks.destinations() == {"a": 9, "b": 5}
    assert journal.status().signals["metrics"].pending_bytes == 11
    marks.replace(row.id, b"earlier", 7)
    assert marks.destinations() == {"a": 9, "b": 5}


def test_a_destination_that_takes_another_s_place_has_its_marks_and_its_requests(marks: MetricMarks) -> None:
    marks.tell("a", 5, {"one": ONE}, [(b"first", 2)])
    marks.tell("c", 6, {"one": TWO})
    marks.move("a", "b")
    assert (marks.told("a"), marks.waiting("a")) == (None, None)
    assert marks.told("b") == Told(5, {"one": ONE})
    row = marks.waiting("b")
    assert row is not None
    assert row.payload == b"first"
    assert marks.told("c") == Told(6, {"one": TWO})


def test_a_series_that_is_retired_is_forgotten_by_all_and_the_others_stay(marks: MetricMarks, journal: Journal) -> None:
    journal.commit(Commit(state={"one": b"1", "two": b"2"}))
    for destination in ("a", "b"):
        marks.tell(destination, 5, {"one": ONE, "two": TWO})
    marks.retire(["one"])
    assert dict(journal.load_state()) == {"two": b"2"}
    assert marks.told("a") == marks.told("b") == Told(5, {"two": TWO})


def test_a_mark_that_cannot_be_read_counts_as_missing(marks: MetricMarks, journal: Journal) -> None:
    marks.tell("a", 5, {"one": ONE, "two": TWO})
    journal._connection.execute("UPDATE metric_marks SET total = x'c1' WHERE series = 'one'")
    assert marks.told("a") == Told(5, {"two": TWO})


def test_erasing_forgets_marks_and_counts_points_for_metrics_alone(marks: MetricMarks, journal: Journal) -> None:
    marks.tell("a", 5, {"one": ONE}, [(b"first", 2)])
    assert journal.newest(9) == [], "requests of metrics are not shown"
    assert journal.erase_pending() == 0
    assert journal.status().signals["metrics"].erased_items == 2
    assert (marks.told("a"), marks.waiting("a")) == (Told(5, {}), None)
