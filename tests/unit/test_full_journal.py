"""A journal that is full empties itself: whatever fills it, nothing is stuck and everything comes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.ingest import Ingest
from cline_otel.journal import Journal
from cline_otel.pipeline import Pipeline
from cline_otel.sources.intake import Batch
from cline_otel.translate.silence import SILENCE_NS
from payloads import log_lines, spool_lines

ORIGIN = ResourceAndScope((("service.name", "test"),), "test", "", "")
START_MS = 1_790_000_000_000
SECOND_NS = 1_000_000_000
RUNS = 400


class Bridge:
    """An ingest over a journal that is small, and a destination that takes what waits when it is asked to."""

    def __init__(self, journal: Journal, catalogue: Catalogue) -> None:
        self.journal = journal
        self.spans: set[bytes] = set()
        self.now_ns = START_MS * 1_000_000
        self.ingest = Ingest(
            journal,
            lambda: Pipeline(catalogue, ORIGIN, ORIGIN, journal.load_state()),
            {"traces", "logs"},
            lambda: None,
            wall_clock_ns=lambda: self.now_ns,
        )

    async def tick(self, after_ns: int, *, is_behind: bool) -> None:
        self.now_ns += after_ns
        await self.ingest.submit(Batch(tick_at_ns=self.now_ns, is_behind=is_behind))

    def deliver(self) -> None:
        for signal in ("traces", "logs"):
            rows = self.journal.pending(signal, limit_bytes=1 << 30, limit_rows=10_000)
            for row in rows if signal == "traces" else ():
                request = ExportTraceServiceRequest.FromString(row.payload)
                self.spans |= {
                    span.span_id
                    for each in request.resource_spans
                    for scope in each.scope_spans
                    for span in scope.spans
                }
            self.journal.acknowledge(signal, [row.id for row in rows], delivered=len(rows))


@pytest.fixture
def bridge(tmp_path: Path, catalogue: Catalogue) -> Iterator[Bridge]:
    with Journal.open(tmp_path / "journal.db", limit_bytes=512 * 1024) as journal:
        yield Bridge(journal, catalogue)


def run_of_log(number: int) -> list[bytes]:
    def line(name: str, after_ms: int, **fields: object) -> bytes:
        at_ms = START_MS + after_ms
        given = {"agentId": f"agent_1700000000000_{number:05}", "runId": f"run_{number:08}", "iteration": 1, **fields}
        return json.dumps({"time": at_ms, "event": name, "properties": given}).encode()

    return [
        line("agent.run-started", 0),
        line("task.provider_request_started", 1, model="m", provider="p"),
        line("task.tokens", 900, tokensIn=9, tokensOut=1, model="m", provider="p"),
        line("agent.run-finished", 1000, status="completed"),
    ]


@pytest.mark.parametrize("restarts", [False, True])
async def test_runs_that_wait_for_their_owner_leave_a_small_journal_also_after_a_restart(
    bridge: Bridge, restarts: bool
) -> None:
    await bridge.tick(0, is_behind=False)
    for number in range(RUNS):
        while bridge.journal.is_full():
            if restarts:
                bridge.ingest.reload_from_journal()
            await bridge.tick(SECOND_NS // 2, is_behind=True)
            bridge.deliver()
        await bridge.ingest.submit(Batch((log_lines(run_of_log(number)),), {"log": b"%d" % number}))
    await bridge.tick(5 * SECOND_NS, is_behind=False)
    await bridge.tick(5 * SECOND_NS, is_behind=False)
    bridge.deliver()
    assert len(bridge.spans) == 2 * RUNS
    assert not bridge.journal.is_full()


async def test_what_waits_is_decided_while_the_journal_is_full(bridge: Bridge) -> None:
    await bridge.tick(0, is_behind=True)
    await bridge.ingest.submit(Batch((log_lines(run_of_log(1)),)))
    await bridge.tick(3 * SECOND_NS, is_behind=True)
    bridge.deliver()
    assert len(bridge.spans) == 2


async def test_a_run_that_may_only_be_unread_is_not_given_up_for_its_silence(bridge: Bridge) -> None:
    started = {
        "event": "run.started",
        "time_unix_ms": START_MS,
        "agent_id": "agent_1700000000000_abc",
        "run_id": "run_aaaaaaa1",
        "agent_kind": "root",
    }
    await bridge.tick(0, is_behind=False)
    await bridge.ingest.submit(Batch((spool_lines([json.dumps(started).encode()]),)))
    await bridge.tick(2 * SILENCE_NS, is_behind=True)
    assert bridge.ingest.pipeline.open_runs == 1
    await bridge.tick(SECOND_NS, is_behind=False)
    assert bridge.ingest.pipeline.open_runs == 0
