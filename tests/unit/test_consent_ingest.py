"""What ingest takes while telemetry is off, held, and on again: over a real journal and the real translation."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.consent.decision import State
from cline_otel.consent.erase import erase_waiting
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.ingest import Ingest
from cline_otel.journal import Journal, JournalError
from cline_otel.pipeline import Pipeline
from cline_otel.sources.files.polling import INTERRUPTED_KEY, MARK
from cline_otel.sources.intake import Batch, Busy, Unavailable
from cline_otel.sources.plugin.spool import SpoolReader
from cline_otel.sources.plugin.spool_input import SpoolInput
from payloads import log_lines, otlp_request, spool_lines

ORIGIN = ResourceAndScope((("service.name", "test"),), "test", "", "")
REQUEST = b'{"resourceLogs": []}'


class Station:
    """An ingest whose consent a test sets."""

    def __init__(self, journal: Journal, catalogue: Catalogue) -> None:
        self.journal = journal
        self.consent: State = "on"
        self.now_ms = int(time.time() * 1_000)
        self.ingest = Ingest(
            journal,
            lambda: Pipeline(catalogue, ORIGIN, ORIGIN, journal.load_state()),
            {"traces", "logs"},
            lambda: None,
            consent=lambda: self.consent,
        )

    async def plugin(self, *records: dict[str, object]) -> None:
        lines = []
        for record in records:
            self.now_ms += 10
            lines.append(json.dumps({"v": 1, "time_unix_ms": self.now_ms, **record}).encode())
        await self.ingest.submit(Batch((spool_lines(lines),), {"spool/x": b"p"}))

    async def start_run(self, run_id: str = "run_aaaaaaa1") -> None:
        await self.plugin(
            {"event": "session.claimed", "session_id": "1700000000000_abcde"},
            {
                "event": "run.started",
                "session_id": "1700000000000_abcde",
                "agent_id": "agent_1700000000000_abc",
                "run_id": run_id,
                "agent_kind": "root",
            },
        )

    async def finish_run(self, run_id: str = "run_aaaaaaa1") -> None:
        await self.plugin(
            {
                "event": "run.finished",
                "agent_id": "agent_1700000000000_abc",
                "run_id": run_id,
                "status": "completed",
            }
        )

    async def tick(self, after_ms: int = 1_000) -> None:
        self.now_ms += after_ms
        await self.ingest.submit(Batch(tick_at_ns=self.now_ms * 1_000_000))

    def spans(self) -> list[Span]:
        rows = self.journal.pending("traces", limit_bytes=1_000_000, limit_rows=100)
        requests = [ExportTraceServiceRequest.FromString(row.payload) for row in rows]
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def counted(self, kind: str) -> int:
        return sum(count.count for count in self.journal.status().counts if count.kind == kind)


@pytest.fixture
def station(tmp_path: Path, catalogue: Catalogue) -> Iterator[Station]:
    with Journal.open(tmp_path / "journal.db") as journal:
        yield Station(journal, catalogue)


def outcome(span: Span) -> str:
    return next((pair.value.string_value for pair in span.attributes if pair.key == "cline.outcome"), "")


@pytest.mark.parametrize("body", [REQUEST, b"\xff not OTLP at all", b""])
async def test_while_off_a_request_is_acknowledged_undecoded_and_only_counted(station: Station, body: bytes) -> None:
    station.consent = "off"
    for _ in range(3):
        result = await station.ingest.receive(otlp_request(body))
        assert (result.accepted, result.rejected, result.message) == (0, 0, "")
    await station.ingest.count_unsupported("otlp", "traces")
    assert station.journal.status().counts == []
    await station.ingest.submit(Batch())
    (count,) = station.journal.status().counts
    assert (count.kind, count.source, count.name, count.count) == ("switched_off", "otlp", "requests", 4)
    assert not station.journal.seen_request(b"")
    await station.ingest.submit(Batch())
    assert station.counted("switched_off") == 4


async def test_a_request_that_waits_when_it_goes_off_is_dropped_too(station: Station) -> None:
    waiting = asyncio.create_task(station.ingest.receive(otlp_request(b"\xff", "protobuf")))
    await asyncio.sleep(0)
    station.consent = "off"
    assert (await waiting).accepted == 0
    await station.ingest.submit(Batch())
    assert station.counted("switched_off") == 1
    assert station.counted("received") == 0


async def test_what_was_dropped_may_be_sent_again_when_it_is_on(station: Station) -> None:
    station.consent = "off"
    await station.ingest.receive(otlp_request(REQUEST))
    station.consent = "on"
    await station.ingest.receive(otlp_request(REQUEST))
    assert station.counted("duplicate") == 0
    assert station.counted("received") == 1


async def test_while_held_senders_are_told_to_come_again(station: Station) -> None:
    station.consent = "unknown"
    with pytest.raises(Unavailable):
        await station.ingest.receive(otlp_request(REQUEST))
    with pytest.raises(Unavailable):
        await station.ingest.count_unsupported("otlp", "metrics")
    station.consent = "on"
    waiting = asyncio.create_task(station.ingest.receive(otlp_request(REQUEST)))
    await asyncio.sleep(0)
    station.consent = "unknown"
    with pytest.raises(Unavailable):
        await waiting
    assert station.journal.status().counts == []


@pytest.mark.parametrize("consent", ["off", "unknown"])
async def test_lines_that_were_read_in_the_last_moment_are_not_taken(station: Station, consent: State) -> None:
    station.consent = consent
    with pytest.raises(Busy):
        await station.ingest.submit(Batch((log_lines([b"{}"]),), {"cline-log/x": b"p"}))
    assert station.journal.cursors() == {}


async def test_a_payload_that_is_none_is_counted_and_does_not_hold_up_what_follows(station: Station) -> None:
    lines = log_lines([b'{"event":"session.stopped","time":1,"properties":{}}', b"{}"])
    await station.ingest.submit(Batch((otlp_request(b"{"), lines), {"cline-log/x": b"p"}))
    assert (station.counted("malformed"), station.counted("received"), station.counted("events")) == (1, 2, 1)
    assert station.journal.cursor("cline-log/x") == b"p"


async def test_that_a_writer_is_gone_counts_as_nothing_that_was_received(station: Station) -> None:
    await station.start_run()
    received, events = station.counted("received"), station.counted("events")
    await station.ingest.submit(Batch((spool_lines([])._replace(ended_at_ns=station.now_ms * 1_000_000),)))
    assert (station.counted("received"), station.counted("events")) == (received, events)
    assert [outcome(span) for span in station.spans()] == ["incomplete"]


async def test_a_run_that_was_open_is_closed_as_incomplete_and_what_it_tells_later_is_late(station: Station) -> None:
    await station.start_run()
    ended_at_ns = station.now_ms * 1_000_000
    station.consent = "off"
    await station.ingest.submit(Batch(cursors={INTERRUPTED_KEY: MARK}))
    assert station.spans() == []
    station.consent = "on"
    station.ingest.close_open_runs()
    (span,) = station.spans()
    assert (outcome(span), span.end_time_unix_nano) == ("incomplete", ended_at_ns)
    assert station.journal.cursor(INTERRUPTED_KEY) is None
    await station.finish_run()
    assert len(station.spans()) == 1
    assert station.counted("late") == 1


async def test_closing_does_not_move_the_clock(station: Station) -> None:
    await station.start_run()
    station.ingest.close_open_runs()
    await station.start_run("run_bbbbbbb2")
    await station.tick()
    await station.tick()
    assert station.ingest.pipeline.open_runs == 1
    await station.finish_run("run_bbbbbbb2")
    assert [outcome(span) for span in station.spans()] == ["incomplete", "completed"]


async def test_a_run_that_still_waited_for_its_owner_is_closed_too(station: Station) -> None:
    example = Path(__file__).parents[2] / "examples" / "delegated-run" / "cline.log"
    lines = [line for line in example.read_bytes().splitlines() if b"agent.run-started" in line]
    await station.ingest.submit(Batch((log_lines(lines),), {"cline-log/x": b"p"}))
    assert station.spans() == []
    station.ingest.close_open_runs()
    assert {outcome(span) for span in station.spans()} == {"incomplete"}
    assert station.ingest.pipeline.open_runs == 0


async def test_erasing_takes_what_waits_and_what_is_known_of_open_runs(station: Station, tmp_path: Path) -> None:
    await station.start_run("run_aaaaaaa1")
    await station.finish_run("run_aaaaaaa1")
    await station.start_run("run_bbbbbbb2")
    spool = SpoolReader(tmp_path / "spool")
    spool.poll({})
    (tmp_path / "spool" / "11-1000-0.jsonl").write_bytes(b"unread\n")
    items = sum(signal.pending_items for signal in station.journal.status().signals.values())
    assert items > 1
    erased = erase_waiting(station.journal, [SpoolInput("plugin", spool)])
    assert (erased.items, erased.files) == (items, 1)
    station.ingest.reload_from_journal()
    station.ingest.close_open_runs()
    await station.finish_run("run_bbbbbbb2")
    assert station.spans() == []
    assert station.counted("late") == 1


@pytest.mark.parametrize("sqlite_overwrites", [True, False])
async def test_what_was_erased_is_not_on_the_disk_any_more(
    station: Station, tmp_path: Path, sqlite_overwrites: bool
) -> None:
    # Whether SQLite overwrites what it deletes depends on how it was built.
    station.journal._connection.execute(f"PRAGMA secure_delete = {'ON' if sqlite_overwrites else 'OFF'}")
    await station.start_run("run_aaaaaaa1")
    await station.plugin(
        {
            "event": "model_call.finished",
            "agent_id": "agent_1700000000000_abc",
            "run_id": "run_aaaaaaa1",
            "iteration": 1,
            "started_at_ms": station.now_ms,
            "provider": "openai",
            "model": "codestral-mamba-2407",
        },
        {
            "event": "tool_call.started",
            "agent_id": "agent_1700000000000_abc",
            "run_id": "run_aaaaaaa1",
            "iteration": 1,
            "ordinal": 0,
            "call_id": "call_planted1of2this3test",
            "tool_name": "read_files",
        },
    )

    # What was deleted before the erasing must go, too, wherever it lay.
    for run in range(20):
        await station.start_run(f"run_bbbbb{run:03}")
    await station.finish_run("run_aaaaaaa1")
    for name in ("traces", "logs"):
        waiting = station.journal.pending(name, limit_bytes=1_000_000, limit_rows=100)
        station.journal.acknowledge(name, [row.id for row in waiting], delivered=len(waiting))

    def on_disk() -> bytes:
        return b"".join(path.read_bytes() for path in sorted(tmp_path.glob("journal.db*")))

    assert sqlite_overwrites or b"call_planted1of2this3test" in on_disk()
    erase_waiting(station.journal, [SpoolInput("plugin", SpoolReader(tmp_path / "spool"))])
    assert b"call_planted1of2this3test" not in on_disk()
    rows = [key for key, value in station.journal.load_state() if b"codestral-mamba-2407" in value]
    assert all(key.startswith("total") for key in rows), rows


async def test_a_reader_that_keeps_erased_data_on_the_disk_is_told_of(station: Station, tmp_path: Path) -> None:
    await station.start_run()
    station.journal._connection.execute("PRAGMA busy_timeout = 1")
    reader = sqlite3.connect(tmp_path / "journal.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM state").fetchall()
    with pytest.raises(JournalError, match="stop that program and erase again"):
        erase_waiting(station.journal, [SpoolInput("plugin", SpoolReader(tmp_path / "spool"))])
    reader.close()
    erase_waiting(station.journal, [SpoolInput("plugin", SpoolReader(tmp_path / "spool"))])
