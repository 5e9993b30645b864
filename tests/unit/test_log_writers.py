"""Who writes a log and is gone ends what it left open, and nobody else does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cline_otel.events import ProcessExited
from cline_otel.operating_system.process_interface import LivingProcess
from cline_otel.signals import Diagnostics
from cline_otel.sources.cline_log import CLINE_LOG
from cline_otel.sources.cline_log.log_input import LogInput
from cline_otel.sources.cline_log.writers import MOST, TOLD_AFTER_NS, Writers
from corpus import CATALOGUE, SECOND_NS

HOST = "workstation"
PID = 4_711
START_NS = 1_800_000_000 * SECOND_NS


class Machine:
    """Processes that live when a test says so."""

    def __init__(self) -> None:
        self.processes: dict[int, LivingProcess] = {}
        self.inner: dict[int, list[LivingProcess]] = {}
        self.shows_every_process = True
        self.asked = 0

    def start(self, pid: int, started_at_ms: int) -> None:
        self.processes[pid] = LivingProcess(pid, (pid, started_at_ms), started_at_ms)

    def living(self, pid: int) -> LivingProcess | None:
        self.asked += 1
        return self.processes.get(pid)

    def look(self) -> Machine:
        return self

    def bearers(self, pid: int) -> list[LivingProcess]:
        return self.inner.get(pid, [])


class Stage:
    """A log, who writes it, and a bridge that follows it."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "cline.log"
        self.path.touch()
        self.machine = Machine()
        self.now_ns = START_NS
        self.cursors: dict[str, bytes] = {}
        self.restart()
        self.poll()

    def restart(self) -> None:
        writers = Writers(self.machine, HOST, lambda: self.now_ns, lambda: self.now_ns)
        self.input = LogInput("cline-log", self.path, writers)

    def write(self, pid: int = PID, host: str = HOST, at_ns: int | None = None) -> None:
        line: dict[str, Any] = {"level": 30, "time": (self.now_ns if at_ns is None else at_ns) // 1_000_000}
        line |= {"pid": pid, "hostname": host, "msg": "telemetry.event", "event": "agent.run-started"}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def read(self) -> tuple[list[ProcessExited], dict[str, bytes]]:
        ended: list[ProcessExited] = []
        readings = self.input.read(self.cursors, 1 << 20)
        diagnostics: Diagnostics = {}
        for reading in readings:
            events = CLINE_LOG.decode(reading.payload, CATALOGUE, diagnostics)
            ended += [event for event in events if isinstance(event, ProcessExited)]
        return ended, {reading.key: reading.cursor for reading in readings}

    def poll(self) -> list[ProcessExited]:
        ended, cursors = self.read()
        self.cursors |= cursors
        return ended

    def wait(self, duration_ns: int = TOLD_AFTER_NS) -> list[ProcessExited]:
        ended: list[ProcessExited] = []
        until_ns = self.now_ns + duration_ns
        while self.now_ns < until_ns:
            self.now_ns += SECOND_NS // 2
            ended += self.poll()
        return ended

    def run_cline(self) -> None:
        self.machine.start(PID, self.now_ns // 1_000_000 - 900)
        self.write()
        self.poll()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_a_process_that_was_seen_alive_ended_when_it_was_last_seen_so(stage: Stage) -> None:
    stage.run_cline()
    assert stage.wait(60 * SECOND_NS) == []
    alive_at_ns = stage.now_ns
    del stage.machine.processes[PID]
    assert stage.wait(TOLD_AFTER_NS - SECOND_NS) == []
    (ended,) = stage.wait(2 * SECOND_NS)
    assert (ended.occurred_at_ns, ended.exit_reason) == (alive_at_ns, "exit")
    assert stage.wait(60 * SECOND_NS) == []


def test_one_that_was_never_seen_alive_ended_nobody_knows_when(stage: Stage) -> None:
    stage.write()
    (ended,) = stage.wait(2 * TOLD_AFTER_NS)
    assert ended.exit_reason is None


def test_who_ended_it_is_the_process_that_wrote_the_lines_and_neither_pid_nor_host_is_told(stage: Stage) -> None:
    stage.run_cline()
    del stage.machine.processes[PID]
    (ended,) = stage.wait(2 * TOLD_AFTER_NS)
    lines = stage.path.read_bytes().splitlines()
    payload = stage.input.read({}, 1 << 20)[0].payload._replace(parts=lines)
    (event,) = CLINE_LOG.decode(payload, CATALOGUE, {})
    assert event.process == ended.process
    assert str(PID) not in ended.process
    assert HOST not in ended.process


def test_the_last_lines_of_a_process_are_told_before_its_end(stage: Stage) -> None:
    stage.run_cline()
    del stage.machine.processes[PID]
    for _ in range(40):
        stage.write()
        assert stage.poll() == []
        stage.now_ns += SECOND_NS
    assert len(stage.wait()) == 1


def test_a_pid_that_is_used_again_is_not_the_process(stage: Stage) -> None:
    stage.run_cline()
    stage.wait(5 * SECOND_NS)
    stage.machine.start(PID, stage.now_ns // 1_000_000)
    assert len(stage.wait(2 * TOLD_AFTER_NS)) == 1


def test_one_that_started_after_the_line_was_written_is_not_taken_for_the_writer(stage: Stage) -> None:
    stage.machine.start(PID, stage.now_ns // 1_000_000)
    stage.write(at_ns=stage.now_ns - 3_600 * SECOND_NS)
    stage.poll()
    del stage.machine.processes[PID]
    (ended,) = stage.wait(90 * SECOND_NS)
    assert ended.exit_reason is None


def test_a_new_process_with_the_pid_of_one_that_is_gone_is_not_ended_for_it(stage: Stage) -> None:
    stage.run_cline()
    del stage.machine.processes[PID]
    stage.wait(2 * SECOND_NS)
    stage.run_cline()
    assert stage.wait(60 * SECOND_NS) == []


def test_another_machine_s_processes_are_not_looked_for(stage: Stage) -> None:
    stage.write(host="another")
    assert stage.wait(2 * TOLD_AFTER_NS) == []


def test_where_not_every_process_can_be_seen_only_one_that_was_there_can_be_gone(stage: Stage) -> None:
    stage.machine.shows_every_process = False
    stage.write()
    assert stage.wait(90 * SECOND_NS) == []
    stage.machine.start(PID + 1, stage.now_ns // 1_000_000 - 86_400_000)
    stage.write(PID + 1)
    stage.poll()
    stage.machine.processes.clear()
    assert stage.wait(90 * SECOND_NS) == []
    stage.machine.start(PID + 2, stage.now_ns // 1_000_000 - 900)
    stage.write(PID + 2)
    stage.poll()
    stage.machine.processes.clear()
    assert len(stage.wait(90 * SECOND_NS)) == 1


def test_one_that_lives_in_a_container_is_not_gone(stage: Stage) -> None:
    stage.machine.inner[PID] = [LivingProcess(12, "inner", stage.now_ns // 1_000_000)]
    stage.write()
    assert stage.wait(90 * SECOND_NS) == []


def test_what_is_not_taken_is_told_again(stage: Stage) -> None:
    stage.run_cline()
    del stage.machine.processes[PID]
    stage.wait(TOLD_AFTER_NS - SECOND_NS)
    stage.now_ns += 2 * SECOND_NS
    assert len(stage.read()[0]) == 1
    assert len(stage.poll()) == 1
    assert stage.wait(60 * SECOND_NS) == []


def test_who_ends_while_no_bridge_runs_is_told_of_by_the_next(stage: Stage) -> None:
    stage.run_cline()
    del stage.machine.processes[PID]
    stage.restart()
    assert len(stage.wait(2 * TOLD_AFTER_NS)) == 1
    stage.restart()
    assert stage.wait(2 * TOLD_AFTER_NS) == []


def test_who_wrote_before_telemetry_was_switched_off_is_not_watched_on(stage: Stage) -> None:
    stage.run_cline()
    del stage.machine.processes[PID]
    for key, end in stage.input.ends().items():
        stage.cursors.pop(key, None)
        if end is not None:
            stage.cursors[key] = end
    assert stage.wait(60 * SECOND_NS) == []


def test_one_that_cannot_be_judged_is_asked_for_once_a_minute_and_no_more_after_a_day(stage: Stage) -> None:
    stage.machine.shows_every_process = False
    stage.write()
    stage.poll()
    before = stage.machine.asked
    stage.wait(600 * SECOND_NS)
    assert 9 <= stage.machine.asked - before <= 10
    stage.now_ns += 24 * 3_600 * SECOND_NS
    stage.poll()
    before = stage.machine.asked
    assert stage.wait(600 * SECOND_NS) == []
    assert stage.machine.asked == before


def test_the_memory_of_writers_is_bounded(stage: Stage) -> None:
    for pid in range(1, 2 * MOST):
        stage.machine.start(pid, stage.now_ns // 1_000_000)
        stage.write(pid)
    stage.poll()
    stage.machine.processes.clear()
    assert len(stage.wait(2 * TOLD_AFTER_NS)) == MOST


@pytest.mark.parametrize(
    "fields",
    [{}, {"pid": None, "hostname": HOST}, {"pid": "x", "hostname": 3}, {"pid": [1], "hostname": {}}, {"pid": 10**40}],
)
def test_a_line_that_says_its_writer_in_any_other_way_is_decoded_as_ever(stage: Stage, fields: dict[str, Any]) -> None:
    line = {"time": START_NS // 1_000_000, **fields, "event": "agent.run-started"}
    line["properties"] = {"agentId": "agent_1700000000000_abc", "runId": "run_aaaaaaa1"}
    stage.path.write_text(json.dumps(line) + "\n")
    (reading,) = stage.input.read({}, 1 << 20)
    diagnostics: Diagnostics = {}
    assert len(list(CLINE_LOG.decode(reading.payload, CATALOGUE, diagnostics))) == 1
    assert diagnostics == {}
