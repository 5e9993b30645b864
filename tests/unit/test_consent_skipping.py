"""While telemetry is off the files are passed over: nothing is read, and what was written is gone afterwards."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from cline_otel.sources.files.lines import TailedFile
from cline_otel.sources.files.polling import INTERRUPTED_KEY, SKIPPING_KEY, Poller
from cline_otel.sources.files.processes import ProcessKey
from cline_otel.sources.intake import Batch, Busy
from cline_otel.sources.plugin.spool import SpoolReader
from cline_otel.sources.plugin.spool_input import SpoolInput
from presences import Presences
from waiting import patience

PROCESS = ProcessKey(1_000, 11)
NAME = "11-1000-0.jsonl"


class Station:
    """Files, what was committed of them, and a poller that can be made anew."""

    def __init__(self, directory: Path) -> None:
        self.spool_directory = directory / "spool"
        self.log = directory / "cline.log"
        self.presences = Presences()
        self.cursors: dict[str, bytes] = {}
        self.told: list[bytes | ProcessKey] = []
        self.ticks = 0
        self.commits = 0
        self.reports: list[str] = []
        self.is_off = False
        self.may_read = True
        self.is_busy = False
        self.restart()

    def restart(self) -> None:
        self.poller = Poller(
            self.submit,
            self.cursors,
            [SpoolInput("plugin", SpoolReader(self.spool_directory, self.presences)), self.tail()],
            may_read=lambda: self.may_read,
            skips=lambda: self.is_off,
            report=self.reports.append,
            interval_seconds=None,
        )

    def tail(self) -> TailedFile:
        return TailedFile("cline-log", self.log, lambda line: None)

    async def submit(self, batch: Batch) -> None:
        if self.is_busy:
            raise Busy()
        for payload in batch.payloads:
            self.told += payload.parts
            if payload.ended_at_ns is not None:
                pid, started_at_ms = map(int, payload.writer.split("-"))
                self.told.append(ProcessKey(started_at_ms, pid))
        for key, cursor in batch.cursors.items():
            if cursor is None:
                self.cursors.pop(key, None)
            else:
                self.cursors[key] = cursor
        self.ticks += batch.tick_at_ns is not None
        self.commits += bool(batch.cursors)

    def write(self, content: bytes, name: str = "") -> Path:
        path = self.spool_directory / name if name else self.log
        path.parent.mkdir(exist_ok=True)
        with path.open("ab") as file:
            file.write(content)
        return path

    async def poll(self) -> list[bytes | ProcessKey]:
        """What one poll told."""
        self.told = []
        await self.poller.poll_once()
        return self.told


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


@pytest.mark.parametrize("name", ["", NAME], ids=["log", "spool"])
async def test_what_is_written_while_off_is_never_told(station: Station, name: str) -> None:
    station.write(b"before\n", name)
    assert await station.poll() == [b"before"]
    station.is_off = True
    for content in (b"while off\n", b"x" * 5_000_000 + b"\n", b"and more\n"):
        station.write(content, name)
        assert await station.poll() == []
    station.is_off = False
    station.write(b"written before the change was noticed\n", name)
    assert await station.poll() == []
    station.write(b"after\n", name)
    assert await station.poll() == [b"after"]


@pytest.mark.parametrize("name", ["", NAME], ids=["log", "spool"])
async def test_a_line_that_began_while_off_is_passed_over_to_its_end(station: Station, name: str) -> None:
    station.is_off = True
    station.write(b'{"begun": "while off', name)
    await station.poll()
    station.is_off = False
    assert await station.poll() == []
    station.write(b'", "ended": "while on"}\nafter\n', name)
    assert await station.poll() == [b"after"]


async def test_while_off_no_time_is_told_and_nothing_is_written_unless_a_file_grew(station: Station) -> None:
    station.write(b"a\n")
    station.write(b"a\n", NAME)
    station.is_off = True
    await station.poll()
    commits = station.commits
    await station.poll()
    await station.poll()
    assert (station.ticks, station.commits) == (0, commits)
    station.write(b"b\n")
    await station.poll()
    assert station.commits == commits + 1


async def test_spool_files_of_dead_processes_and_rolled_ones_are_deleted_unread(station: Station) -> None:
    station.write(b"rolled\n", "11-1000-0.jsonl")
    station.write(b"open\n", "11-1000-1.jsonl")
    station.write(b"left behind, and torn", "12-1000-0.jsonl")
    station.presences.gone.add(ProcessKey(1_000, 12))
    station.is_off = True
    assert await station.poll() == []
    assert [path.name for path in station.spool_directory.iterdir()] == ["11-1000-1.jsonl"]
    station.presences.gone.add(PROCESS)
    assert await station.poll() == []
    assert list(station.spool_directory.iterdir()) == []
    await station.poll()
    assert [key for key in station.cursors if key.startswith("spool/")] == []


async def test_a_rotated_or_rewritten_log_is_passed_over_with_its_predecessors(station: Station) -> None:
    station.write(b"first\n")
    assert await station.poll() == [b"first"]
    station.is_off = True
    station.write(b"while off\n")
    station.log.rename(station.log.with_name("cline.log.1"))
    await station.poll()
    station.write(b"also while off\n")
    await station.poll()
    station.log.write_bytes(b"rewritten while off\n")
    await station.poll()
    station.log.unlink()
    await station.poll()
    station.is_off = False
    assert await station.poll() == []
    station.write(b"after\n")
    assert await station.poll() == [b"after"]


async def test_a_bridge_that_starts_anew_knows_that_files_were_passed_over(station: Station) -> None:
    station.write(b"before\n")
    await station.poll()
    station.is_off = True
    await station.poll()
    assert {SKIPPING_KEY, INTERRUPTED_KEY} <= station.cursors.keys()
    station.write(b"while no bridge ran\n")
    station.is_off = False
    station.restart()
    assert await station.poll() == []
    assert SKIPPING_KEY not in station.cursors
    assert INTERRUPTED_KEY in station.cursors
    station.write(b"after\n")
    assert await station.poll() == [b"after"]


async def test_what_is_held_stays_where_it_is(station: Station) -> None:
    station.write(b"a\n")
    station.write(b"b\n", NAME)
    station.presences.gone.add(PROCESS)
    station.may_read = False
    assert await station.poll() == []
    assert station.commits == station.ticks == 0
    station.may_read = True
    assert await station.poll() == [b"b", b"a", PROCESS]


async def test_held_after_off_still_passes_over_what_came_until_it_is_on(station: Station) -> None:
    station.is_off = True
    station.write(b"while off\n")
    await station.poll()
    station.is_off, station.may_read = False, False
    station.write(b"while held\n")
    await station.poll()
    assert SKIPPING_KEY in station.cursors
    station.may_read = True
    assert await station.poll() == []


async def test_going_off_in_the_middle_of_a_poll_ends_it_after_the_batch(station: Station) -> None:
    for number in range(5):
        station.write(b"line\n", f"1{number}-1000-0.jsonl")
    submit = station.submit
    handed_over = 0

    async def submit_and_go_off(batch: Batch) -> None:
        nonlocal handed_over
        await submit(batch)
        handed_over += len(batch.payloads)
        station.is_off = True

    station.poller = Poller(
        submit_and_go_off,
        {},
        [SpoolInput("plugin", SpoolReader(station.spool_directory, station.presences))],
        skips=lambda: station.is_off,
        interval_seconds=None,
        limit_bytes=1,
    )
    await station.poll()
    assert handed_over == 1


async def test_a_refused_commit_passes_over_later(station: Station) -> None:
    station.write(b"while off\n")
    station.is_off = station.is_busy = True
    await station.poll()
    assert station.cursors == {}
    station.is_busy = False
    await station.poll()
    station.is_off = False
    assert await station.poll() == []


async def test_a_file_that_cannot_be_read_is_told_of_and_does_not_stop_the_others(station: Station) -> None:
    station.log.mkdir()
    station.write(b"while off\n", NAME)
    station.is_off = True
    await station.poll()
    assert [str(station.log) in report for report in station.reports] == [True]
    station.is_off = False
    assert await station.poll() == []
    station.write(b"after\n", NAME)
    assert await station.poll() == [b"after"]


async def test_a_running_poller_is_woken_to_pass_over(station: Station) -> None:
    committed = asyncio.Event()
    submit = station.submit

    async def submit_and_tell(batch: Batch) -> None:
        await submit(batch)
        if SKIPPING_KEY in station.cursors:
            committed.set()

    wake = asyncio.Event()
    poller = Poller(
        submit_and_tell,
        {},
        [station.tail()],
        skips=lambda: station.is_off,
        interval_seconds=None,
        wake=wake,
    )
    task = asyncio.create_task(poller.run())
    station.is_off = True
    station.write(b"while off\n")
    wake.set()
    async with patience():
        await committed.wait()
        poller.stop()
        await task
    assert station.told == []


def test_erasing_the_spool_takes_every_file_of_its_form_and_no_other(station: Station) -> None:
    station.write(b"a\n", NAME)
    station.write(b"b\n", "12-1000-3.jsonl")
    other = station.write(b"c\n", "notes.txt")
    assert SpoolReader(station.spool_directory).erase() == 2
    assert list(station.spool_directory.iterdir()) == [other]
