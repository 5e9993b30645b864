"""``dead-letters``: what was refused for good is listed without what it holds, sent again, or dropped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bridge.endpoint import Endpoint
from bridge.process import Bridge, Home
from cline_otel.journal import Commit, Journal, OutboxItem
from waiting import wait_until

REASON = "400 Bad Request from http://127.0.0.1:4318/v1/traces: attribute too long"
SECRET = "planted-span-name"


def request(name: str) -> bytes:
    message = ExportTraceServiceRequest()
    span = message.resource_spans.add().scope_spans.add().spans.add()
    span.name, span.trace_id, span.span_id = name, b"\x01" * 16, b"\x02" * 8
    return message.SerializeToString()


def refused(home: Home) -> None:
    """Two spans and a log record of the journal are dead letters."""
    with Journal.open(home.journal) as journal:
        journal.commit(Commit(outbox=[OutboxItem("traces", request(f"{SECRET} {n}"), 1) for n in range(2)]))
        journal.commit(Commit(outbox=[OutboxItem("logs", b"\n\x00", 3)]))
        for signal in ("traces", "logs"):
            rows = journal.pending(signal, limit_bytes=1 << 20, limit_rows=9)  # type: ignore[arg-type]
            journal.dead_letter(signal, [row.id for row in rows], reason=REASON)  # type: ignore[arg-type]


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    refused(home)
    return home


def said(home: Home, *arguments: str) -> str:
    answer = home.run("dead-letters", *arguments)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_they_are_listed_by_signal_and_answer_without_what_they_hold(home: Home) -> None:
    shown = said(home, "list")
    lines = shown.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("logs: 3 log records in 1 request (")
    assert lines[1].startswith("traces: 2 spans in 2 requests (")
    assert all(line.endswith(REASON) for line in lines)
    listed = said(home, "list", "--json")
    assert [(each["signal"], each["requests"], each["items"], each["reason"]) for each in json.loads(listed)] == [
        ("logs", 1, 3, REASON),
        ("traces", 2, 2, REASON),
    ]
    assert SECRET not in shown + listed


def test_they_are_sent_again_once_and_count_as_delivered_then(home: Home) -> None:
    with Endpoint() as endpoint:
        home.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint.listen().url
        assert "Sent again: 2 spans." in said(home, "send", "--signal", "traces")
        assert "Sent again: nothing." in said(home, "send", "--signal", "traces")
        with Bridge(home) as bridge:
            wait_until(lambda: endpoint.span_count() == 2, lambda: bridge.said)
            wait_until(lambda: home.pending() == 0, lambda: bridge.said)
            assert bridge.stop() == 0
        signals = home.status()["signals"]
    assert (signals["traces"]["delivered_items"], signals["traces"]["refused_items"]) == (2, 0)
    assert (signals["logs"]["dead_letter_rows"], signals["logs"]["refused_items"]) == (1, 3)


def test_they_are_dropped_and_counted_as_erased(home: Home) -> None:
    assert said(home, "drop", "--signal", "logs") == "Dropped: 3 log records.\n"
    assert said(home, "drop") == "Dropped: 2 spans.\n"
    assert said(home, "list") == "No dead letters.\n"
    signals = home.status()["signals"]
    assert [signals[name]["erased_items"] for name in ("traces", "logs")] == [2, 3]


def test_growth_of_metrics_is_sent_again_to_whom_it_was_for(tmp_path: Path) -> None:
    from cline_otel.journal.metric_marks import MetricMarks

    with Journal.open(tmp_path / "journal.db") as journal:
        marks = MetricMarks(journal)
        marks.tell("here", 1, {}, [(b"\n\x00", 1)])
        row = marks.waiting("here")
        assert row is not None
        marks.refused(row.id, REASON)
        assert marks.waiting("here") is None
        assert journal.send_dead_letters(["metrics"]) == {"metrics": 1}
        again = marks.waiting("here")
        assert again is not None
        assert again.payload == row.payload


def test_without_a_journal_it_is_one_line(tmp_path: Path) -> None:
    answer = Home(tmp_path / "home").run("dead-letters", "send")
    assert answer.returncode == 1
    assert answer.stderr.startswith("error: there is no journal at ")
