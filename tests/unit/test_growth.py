"""What a step costs does not depend on how long a run has lasted, nor on how many are open: counted, not timed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NoReturn

import pytest
from bench.fixed_key import CATALOGUE
from hypothesis import given, settings
from hypothesis import strategies as st

from cline_otel import ingest
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.ingest import Ingest
from cline_otel.journal import Commit, Journal, JournalFullError
from cline_otel.pipeline import Pipeline
from cline_otel.sources.files.processes import ProcessTable
from cline_otel.sources.intake import Batch, Busy
from cline_otel.sources.interface import Payload
from cline_otel.sources.plugin.spool import SpoolReader
from cline_otel.translate.seen_events import ROW_EVENTS
from cline_otel.translate.silence import SILENCE_NS
from cline_otel.translate.step import Translator
from cline_otel.translate.waits import Waits
from corpus import HOUR_NS, MINUTE_NS, SECOND_NS, capture_paths, live_steps
from counted_steps import steps_of
from payloads import log_lines, otlp_request, spool_lines
from presences import NoProcesses

ORIGIN = ResourceAndScope((("service.name", "test"),), "test", "", "")
START_NS = 1_790_000_000 * SECOND_NS
CALL_LIMIT_NS = 600 * SECOND_NS

FEW, MANY = 5, 5 + 2 * ROW_EVENTS
WINDOW = 2 * ROW_EVENTS
"""Iterations in which rows of seen events fill up alike."""


def line(name: str, at_ns: int, number: int = 0, **fields: object) -> bytes:
    record = {
        "event": name,
        "time_unix_ms": at_ns // 1_000_000,
        "agent_id": f"agent_1700000000000_{number:06d}",
        "run_id": f"run_{number:08d}",
        **fields,
    }
    return json.dumps(record).encode()


class Live:
    """A pipeline, and the clock."""

    def __init__(self, open_runs: int) -> None:
        self.pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN, call_limit_ns=CALL_LIMIT_NS)
        self.now_ns = START_NS
        self.tick(0)
        for number in range(open_runs):
            self.take(line("run.started", self.now_ns, number, agent_kind="root"))
            self.take(line("model_call.started", self.now_ns, number, iteration=1))
        self.tick(CALL_LIMIT_NS)
        self.tick(SECOND_NS)
        assert self.pipeline.open_runs == open_runs

    def take(self, *lines: bytes) -> None:
        self.pipeline.take(spool_lines(lines), self.now_ns)

    def tick(self, after_ns: int) -> None:
        self.now_ns += after_ns
        self.pipeline.advance_clock(self.now_ns)
        self.pipeline.flush(self.now_ns)

    def event(self) -> None:
        self.take(line("model_call.started", self.now_ns, iteration=2))
        self.tick(SECOND_NS)


def gauges(live: Live) -> None:
    live.pipeline.gauges(live.now_ns)


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(lambda live: live.tick(SECOND_NS // 2), id="a poll"),
        pytest.param(lambda live: live.tick(2 * MINUTE_NS), id="a minute"),
        pytest.param(lambda live: live.tick(SILENCE_NS - HOUR_NS), id="most of a day"),
        pytest.param(Live.event, id="an event"),
        pytest.param(gauges, id="gauges"),
    ],
)
def test_what_time_costs_does_not_depend_on_how_many_runs_are_open(action: Callable[[Live], None]) -> None:
    warm, few, many = (Live(open_runs) for open_runs in (FEW, FEW, MANY))
    for live in (warm, few, many):
        gauges(live)
    # What is made once for a value is made here.
    action(warm)
    assert steps_of(lambda: action(many)) == steps_of(lambda: action(few))


def test_every_silent_run_is_given_up_with_the_first_tick_after_its_day() -> None:
    live = Live(FEW)
    live.take(line("run.started", live.now_ns, 100, agent_kind="root"))
    live.tick(SECOND_NS)
    live.tick(SILENCE_NS - CALL_LIMIT_NS - 3 * SECOND_NS)
    for after_ns, open_runs in ((SECOND_NS, 1 + FEW), (1, 1), (CALL_LIMIT_NS, 1), (SECOND_NS - 1, 1), (1, 0)):
        live.tick(after_ns)
        assert live.pipeline.open_runs == open_runs, after_ns


@settings(max_examples=20)
@given(st.sampled_from([path for path in capture_paths() if live_steps(path)]), st.data())
def test_what_runs_wait_for_is_the_same_whenever_it_is_asked(path: Path, data: st.DataObject) -> None:
    """Kept as runs change, and made anew of all of them."""
    translator = Translator(CATALOGUE)
    waits = Waits(translator.state, CATALOGUE.services)
    steps = live_steps(path)
    asked = data.draw(st.sets(st.integers(0, len(steps) - 1), max_size=30))
    for number, step in enumerate(steps):
        translator.step(step)
        if number % 3 == 0:
            translator.state.changes()
        if number in asked:
            anew = Waits(translator.state, CATALOGUE.services)
            assert waits.by_service(step.occurred_at_ns) == anew.by_service(step.occurred_at_ns)


class Station:
    """An ingest over a real journal, with runs that are open in it."""

    def __init__(self, folder: Path, open_runs: int) -> None:
        self.journal = Journal.open(folder / f"{open_runs}.db")
        self.made_pipelines = 0
        self.rows_read = 0
        self.ingest = Ingest(self.journal, self.new_pipeline, {"traces", "logs"}, lambda: None, lambda: START_NS)
        self.open_runs = open_runs

    def new_pipeline(self) -> Pipeline:
        self.made_pipelines += 1
        return Pipeline(CATALOGUE, ORIGIN, ORIGIN, self.journal.load_state())

    async def submit(self, number: int, name: str, **fields: object) -> None:
        await self.ingest.submit(Batch((spool_lines([line(name, START_NS, number, **fields)]),)))

    async def fails(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(commit: Commit) -> None:
            raise JournalFullError

        def counted(keys: Collection[str]) -> dict[str, bytes | None]:
            rows = state_rows(keys)
            self.rows_read += len(rows)
            return rows

        state_rows = self.journal.state_rows
        with monkeypatch.context() as failing:
            failing.setattr(self.journal, "commit", full)
            failing.setattr(self.journal, "state_rows", counted)
            with pytest.raises(Busy):
                await self.submit(0, "run.finished", status="completed")


async def test_a_transaction_that_fails_reads_back_what_it_touched_however_much_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = Station(tmp_path, FEW), Station(tmp_path, MANY)
    for station in (few, many):
        with station.journal:
            for number in range(station.open_runs):
                await station.submit(number, "run.started", agent_kind="root")
            await station.fails(monkeypatch)
            assert station.made_pipelines == 1
            assert station.ingest.pipeline.open_runs == station.open_runs
            await station.submit(0, "run.finished", status="completed")
            assert station.ingest.pipeline.open_runs == station.open_runs - 1
            assert len(station.journal.pending("traces", limit_bytes=1 << 20, limit_rows=9)) == 1
    assert few.rows_read == many.rows_read > 0


class Senders:
    """Senders of OTLP over a real journal: each sends again once it is answered, some sooner than others."""

    def __init__(self, folder: Path, senders: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.journal = Journal.open(folder / f"{senders}.db")
        self.senders = senders
        self.commits = 0
        self.acknowledged = 0
        commit = self.journal.commit

        def counted(given: Commit) -> None:
            commit(given)
            self.commits += 1

        monkeypatch.setattr(self.journal, "commit", counted)
        self.ingest = Ingest(
            self.journal, lambda: Pipeline(CATALOGUE, ORIGIN, ORIGIN, self.journal.load_state()), {"logs"}, lambda: None
        )

    async def send(self, sender: int, requests: int) -> None:
        for number in range(requests):
            for _ in range(sender % 5):
                await asyncio.sleep(0)
            await self.ingest.receive(otlp_request(b'{"resourceLogs":[],"n":"%d of %d"}' % (number, sender)))
            self.acknowledged += 1
            assert self.commits
            kept = sum(each.count for each in self.journal.status().counts if each.kind == "received")
            assert kept >= self.acknowledged

    async def send_all(self, requests: int) -> None:
        async with asyncio.TaskGroup() as sending:
            for sender in range(self.senders):
                sending.create_task(self.send(sender, requests))
        self.journal.close()


async def test_requests_that_come_together_share_a_transaction_and_each_is_acknowledged_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine is: that they are enough ends the wait.
    monkeypatch.setattr(ingest, "GATHER_SECONDS", 0.2)
    senders = Senders(tmp_path, 16, monkeypatch)
    await senders.send_all(20)
    assert senders.acknowledged == 16 * 20
    assert senders.commits < 2 * 20


async def test_a_sender_that_is_alone_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_timer(*arguments: object, **options: object) -> NoReturn:
        raise AssertionError("something waits")

    senders = Senders(tmp_path, 1, monkeypatch)
    monkeypatch.setattr(asyncio.get_running_loop(), "call_at", no_timer)
    await senders.send_all(20)
    assert senders.commits == 20


class UnseenProcesses(NoProcesses):
    """A machine that shows none of its processes, as a container does not show the host's."""

    shows_every_process = False


def test_what_a_poll_costs_grows_no_faster_than_the_files_whose_process_cannot_be_seen(tmp_path: Path) -> None:
    def cost(files: int) -> int:
        spool = tmp_path / str(files)
        spool.mkdir(mode=0o700)
        for number in range(files):
            (spool / f"{1_000 + number}-1700000000000-0.jsonl").touch()
        reader = SpoolReader(spool, ProcessTable(UnseenProcesses()))
        return steps_of(lambda: reader.poll({})) + steps_of(lambda: reader.finished({}))

    cost(2)
    few, many = cost(20), cost(200)
    assert many < 11 * few


def plugin_iteration(number: int, at_ns: int) -> list[Payload]:
    call = {"iteration": number, "ordinal": 0, "call_id": f"call_{number}", "tool": "read_files"}
    events: list[tuple[str, dict[str, object]]] = [
        ("model_call.started", {"iteration": number}),
        ("model_call.finished", {"iteration": number, "tool_calls": 1, "input_tokens": 10, "output_tokens": 5}),
        ("tool_call.started", call),
        ("tool_call.finished", {**call, "status": "completed"}),
    ]
    return [spool_lines([line(name, at_ns + place * 10**7, **said)]) for place, (name, said) in enumerate(events)]


def log_iteration(number: int, at_ns: int) -> list[Payload]:
    events: list[tuple[str, dict[str, object]]] = [
        ("agent.turn-started", {}),
        ("agent.turn-finished", {}),
        ("task.tokens", {"tokensIn": 5, "tokensOut": 3}),
        ("agent.tool-started", {}),
        ("agent.tool-finished", {}),
        ("task.tool_used", {"tool": "read_files", "success": True}),
    ]
    ids = {"agentId": "agent_1700000000000_000000", "runId": "run_00000000", "iteration": number}
    return [
        log_lines([json.dumps({"time": at_ns // 10**6 + place, "event": name, "properties": ids | said}).encode()])
        for place, (name, said) in enumerate([("agent.run-started", {}), *events] if number == 1 else events)
    ]


@pytest.mark.parametrize("iteration", [plugin_iteration, log_iteration])
def test_what_is_written_of_a_run_does_not_grow_with_its_age(iteration: Callable[[int, int], list[Payload]]) -> None:
    live = Live(0)
    written_bytes: list[int] = []
    for number in range(1, 6 * WINDOW + 1):
        live.now_ns += 10 * SECOND_NS
        size_bytes = 0
        for payload in iteration(number, live.now_ns):
            live.pipeline.take(payload, live.now_ns)
            size_bytes += sum(len(value or b"") for value in live.pipeline.flush(live.now_ns).state.values())
        live.pipeline.advance_clock(live.now_ns)
        written_bytes.append(
            size_bytes + sum(len(row or b"") for row in live.pipeline.flush(live.now_ns).state.values())
        )
    assert live.pipeline.open_runs == 1
    windows = [sum(written_bytes[start : start + WINDOW]) for start in range(WINDOW, len(written_bytes), WINDOW)]
    assert max(windows) < 1.1 * min(windows)
