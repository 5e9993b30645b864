from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cline_otel.sources.cline_log.decode import reported_at_ns
from cline_otel.sources.files import polling
from cline_otel.sources.files.lines import TailedFile, tail_key
from cline_otel.sources.files.polling import INTERRUPTED_KEY, SKIPPING_KEY, Poller, renewed_cursors
from cline_otel.sources.files.processes import ProcessKey
from cline_otel.sources.files.tailing import decode_position
from cline_otel.sources.intake import Batch, Busy, Unavailable
from cline_otel.sources.interface import Finished, Input, Payload, Unread
from cline_otel.sources.plugin.spool import SpoolReader
from cline_otel.sources.plugin.spool_input import SpoolInput
from presences import Presences

_NOW_NS = 1_800_000_000 * 10**9
PROCESS = ProcessKey(1_000, 11)
NAME = "11-1000-0.jsonl"


def inputs_of(spool: Path, presences: Presences, log: Path) -> list[Input]:
    return [SpoolInput("plugin", SpoolReader(spool, presences)), TailedFile("cline-log", log, reported_at_ns)]


def log_key(path: Path) -> str:
    return tail_key("cline-log", path)


def told_in(payloads: Iterable[Payload]) -> list[bytes | ProcessKey]:
    """Lines, and who is gone, in the order in which they were handed over."""
    told: list[bytes | ProcessKey] = []
    for payload in payloads:
        told += payload.parts
        if payload.ended_at_ns is not None:
            pid, started_at_ms = map(int, payload.writer.split("-"))
            told.append(ProcessKey(started_at_ms, pid))
    return told


class Journal:
    """Commits batches in memory; what it holds survives the pollers."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.cursors: dict[str, bytes] = {}
        self.refusal: Exception | None = None
        self.is_full = False
        self.committed = asyncio.Event()

    async def submit(self, batch: Batch) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.batches.append(batch)
        for key, cursor in batch.cursors.items():
            if cursor is None:
                self.cursors.pop(key)
            else:
                self.cursors[key] = cursor
        self.committed.set()

    def told(self) -> list[bytes | ProcessKey]:
        return told_in(payload for batch in self.batches for payload in batch.payloads)

    def ticks(self) -> list[int]:
        return [batch.tick_at_ns for batch in self.batches if batch.tick_at_ns is not None]


class Station:
    """Files, journal and the pollers made on them."""

    def __init__(self, directory: Path) -> None:
        self.spool_directory = directory / "spool"
        self.spool_directory.mkdir()
        self.log = directory / "cline.log"
        self.journal = Journal()
        self.presences = Presences()
        self.reports: list[str] = []
        self.wake = asyncio.Event()
        self.now_ns = _NOW_NS
        self.boot_ns = 7
        self.pollers: list[Poller] = []
        self.poller = self.new_poller()

    def new_poller(self, limit_bytes: int = 1_000_000) -> Poller:
        self.poller = Poller(
            self.journal.submit,
            self.journal.cursors,
            inputs_of(self.spool_directory, self.presences, self.log),
            has_room=lambda: not self.journal.is_full,
            report=self.reports.append,
            interval_seconds=None,
            wake=self.wake,
            wall_clock_ns=lambda: self.now_ns,
            boot_clock_ns=lambda: self.boot_ns,
            limit_bytes=limit_bytes,
        )
        self.pollers.append(self.poller)
        return self.poller

    def spool(self, content: bytes, name: str = NAME) -> Path:
        path = self.spool_directory / name
        with path.open("ab") as file:
            file.write(content)
        return path

    def write_log(self, content: bytes) -> None:
        with self.log.open("ab") as file:
            file.write(content)


@pytest.fixture
async def station(tmp_path: Path) -> AsyncIterator[Station]:
    station = Station(tmp_path)
    yield station
    for poller in station.pollers:
        poller.close()


async def test_the_spool_is_handed_over_before_the_log_and_both_before_the_time(station: Station) -> None:
    station.write_log(b"from the log\n")
    station.spool(b"from the plugin\n")
    assert await station.poller.poll_once() is False
    first, second, last = station.journal.batches
    spool_key, of_log = f"spool/{NAME}", log_key(station.log)
    (spooled,), (logged,) = first.payloads, second.payloads
    assert (spooled, list(first.cursors)) == (
        Payload("plugin", [b"from the plugin"], writer="11-1000", place=spooled.place),
        [spool_key],
    )
    assert (logged, list(second.cursors)) == (Payload("cline-log", [b"from the log"], place=logged.place), [of_log])
    assert (last.payloads, last.tick_at_ns) == ((), _NOW_NS)
    assert station.journal.ticks() == [_NOW_NS]


async def test_a_file_is_one_place_over_all_its_batches_and_another_file_in_its_stead_is_another(
    station: Station,
) -> None:
    station.write_log(b"first\n")
    station.spool(b"first\n")
    await station.poller.poll_once()
    station.write_log(b"second\n")
    station.spool(b"second\n")
    await station.poller.poll_once()
    other = station.log.with_name("other")
    other.write_bytes(b"third\n")
    other.replace(station.log)
    await station.poller.poll_once()
    places = [
        [payload.place for batch in station.journal.batches for payload in batch.payloads if payload.source == source]
        for source in ("plugin", "cline-log")
    ]
    assert [len(set(each)) for each in places] == [1, 2]
    assert [len(each) for each in places] == [2, 3]
    assert all(map(all, places))


async def test_what_is_written_to_both_while_the_spool_is_drained_keeps_the_plugin_first(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit = station.journal.submit
    written = [b"1\n", b"2\n", b"3\n"]

    async def submit_and_write(batch: Batch) -> None:
        await submit(batch)
        if batch.payloads and written:
            line = written.pop(0)
            station.spool(b"plugin " + line)
            station.write_log(b"log " + line)

    station.poller._submit = submit_and_write
    station.spool(b"plugin 0\n")
    station.write_log(b"log 0\n")
    await station.poller.poll_once()
    told = station.journal.told()
    assert len(told) == 8
    for number in range(4):
        assert told.index(b"plugin %d" % number) < told.index(b"log %d" % number)


async def test_each_poll_tells_the_time_even_if_nothing_happened(station: Station) -> None:
    await station.poller.poll_once()
    await station.poller.poll_once()
    assert station.journal.batches == [Batch((), {}, _NOW_NS)] * 2


async def test_batches_are_bounded_and_the_time_comes_after_the_last(station: Station) -> None:
    station.new_poller(limit_bytes=100)
    station.spool(b"0123456789\n" * 50)
    station.write_log(b"abcdefghi\n" * 50)
    await station.poller.poll_once()
    assert len(station.journal.told()) == 100
    assert all(sum(len(payload.parts) for payload in batch.payloads) <= 10 for batch in station.journal.batches)
    assert [batch.tick_at_ns for batch in station.journal.batches][-2:] == [None, _NOW_NS]


async def test_a_poll_ends_when_it_has_read_its_share_and_time_waits(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "MAX_BATCHES", 3)
    station.new_poller(limit_bytes=10)
    station.spool(b"0123456789\n" * 4)
    assert await station.poller.poll_once() is True
    assert station.journal.ticks() == []
    assert await station.poller.poll_once() is False
    assert station.journal.ticks() == [_NOW_NS]
    assert len(station.journal.told()) == 4


async def test_positions_advance_only_with_the_commit(station: Station) -> None:
    station.spool(b"a\n")
    station.write_log(b"b\n")
    for refusal in (Busy(), Unavailable()):
        station.journal.refusal = refusal
        await station.poller.poll_once()
        assert (station.journal.batches, station.journal.cursors) == ([], {})
    station.journal.refusal = None
    await station.poller.poll_once()
    assert station.journal.told() == [b"a", b"b"]
    assert decode_position(station.journal.cursors[f"spool/{NAME}"]).offset == 2
    assert decode_position(station.journal.cursors[log_key(station.log)]).offset == 2


async def test_a_defect_of_the_pipeline_is_not_swallowed(station: Station) -> None:
    station.journal.refusal = RuntimeError("a defect")
    with pytest.raises(RuntimeError):
        await station.poller.poll_once()


async def test_a_restart_goes_on_where_the_journal_says(station: Station) -> None:
    station.spool(b"a\n")
    station.write_log(b"b\n")
    await station.poller.poll_once()
    station.spool(b"c\n")
    station.write_log(b"d\n")
    await station.new_poller().poll_once()
    assert station.journal.told() == [b"a", b"b", b"c", b"d"]


async def test_cursors_of_others_are_left_alone(station: Station) -> None:
    station.journal.cursors["otlp"] = b"not a position"
    await station.new_poller().poll_once()
    assert station.journal.cursors == {"otlp": b"not a position"}


def test_a_cursor_that_cannot_be_read_is_renewed_to_the_end_of_what_is_there(station: Station) -> None:
    station.log.write_bytes(b"{}\n{}\n")
    key = log_key(station.log)
    cursors = {key: b"not a position", "spool/7-7-0.jsonl": b"neither", "of/nobody": b"left alone"}
    inputs = inputs_of(station.spool_directory, station.presences, station.log)
    renewed = renewed_cursors(cursors, inputs)
    assert renewed.keys() == {key, "spool/7-7-0.jsonl"}
    assert renewed["spool/7-7-0.jsonl"] is None
    place = decode_position(renewed[key] or b"")
    assert place is not None
    assert place.offset == 6
    assert (
        renewed_cursors({key: renewed[key] or b""}, inputs_of(station.spool_directory, station.presences, station.log))
        == {}
    )


async def test_while_the_journal_is_full_nothing_is_read_and_time_goes_on(station: Station) -> None:
    station.spool(b"a\n")
    station.journal.is_full = True
    await station.poller.poll_once()
    (batch,) = station.journal.batches
    assert batch.tick_at_ns is not None
    assert batch.is_behind
    assert not batch.payloads
    station.journal.is_full = False
    await station.poller.poll_once()
    assert station.journal.told() == [b"a"]


async def test_how_far_the_wall_clock_was_set_is_said_until_it_is_taken_and_drift_is_not(station: Station) -> None:
    hour_ns = 3_600 * 10**9
    moved = [0, -3 * hour_ns, 0, 26 * hour_ns, 1_000_000]
    for moved_ns in moved:
        station.now_ns += hour_ns + moved_ns
        station.boot_ns += hour_ns
        await station.poller.poll_once()
    assert [batch.moved_ns for batch in station.journal.batches] == [0, -3 * hour_ns, 0, 26 * hour_ns, 0]


async def test_a_journal_that_fills_up_within_a_poll_stops_it(station: Station) -> None:
    submit = station.journal.submit

    async def submit_and_fill(batch: Batch) -> None:
        await submit(batch)
        station.journal.is_full = True

    station.poller._submit = submit_and_fill
    station.spool(b"a\n")
    station.write_log(b"b\n")
    await station.poller.poll_once()
    assert station.journal.told() == [b"a"]
    station.journal.is_full = False
    await station.poller.poll_once()
    station.journal.is_full = False
    assert station.journal.told() == [b"a", b"b"]


async def test_a_process_that_is_gone_is_told_after_its_lines_and_then_its_files_and_cursors_go(
    station: Station,
) -> None:
    first, last = station.spool(b"a\n"), station.spool(b"b\nto", "11-1000-1.jsonl")
    await station.poller.poll_once()
    assert not first.exists()
    assert last.exists()
    station.presences.gone.add(PROCESS)
    await station.poller.poll_once()
    assert station.journal.told() == [b"a", b"b", b"to", PROCESS]
    assert not last.exists()
    assert station.journal.cursors == {}
    assert station.journal.batches[-1].cursors == {"spool/11-1000-1.jsonl": None}


async def test_a_file_outlives_a_commit_that_fails(station: Station) -> None:
    path = station.spool(b"a\n")
    await station.poller.poll_once()
    station.presences.gone.add(PROCESS)
    station.journal.refusal = Busy()
    await station.poller.poll_once()
    assert path.exists()
    station.journal.refusal = None
    await station.poller.poll_once()
    assert not path.exists()
    assert station.journal.told() == [b"a", PROCESS]


async def test_a_stop_between_the_commit_and_the_deletion_loses_and_doubles_no_line(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = station.spool(b"a\n")
    station.presences.gone.add(PROCESS)

    def stop(*_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(SpoolReader, "delete", stop)
        with pytest.raises(KeyboardInterrupt):
            await station.poller.poll_once()
    await station.new_poller().poll_once()
    assert station.journal.told() == [b"a", PROCESS, PROCESS]
    assert not path.exists()
    assert station.journal.cursors == {}


async def test_a_file_that_cannot_be_deleted_is_reported_once_and_its_process_told_once(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = station.spool(b"a\n")
    station.presences.gone.add(PROCESS)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        for _ in range(3):
            await station.poller.poll_once()
    assert station.journal.told() == [b"a", PROCESS]
    assert len(station.reports) == 1
    assert f"cannot read {path}" not in station.reports[0]
    assert f"cannot delete {path}" in station.reports[0]
    assert path.exists()


async def test_a_process_taken_for_gone_that_writes_again_is_heard_and_told_gone_anew(
    station: Station,
) -> None:
    station.presences.gone.add(PROCESS)
    station.spool(b"a\n")
    await station.poller.poll_once()
    station.spool(b"b\n")
    await station.poller.poll_once()
    assert station.journal.told() == [b"a", PROCESS, b"b", PROCESS]


async def test_a_file_that_cannot_be_read_is_reported_once_for_as_long_as_it_lasts(station: Station) -> None:
    other = station.log.with_name("other")
    station.log.symlink_to(other)
    other.symlink_to(station.log)
    for _ in range(3):
        await station.poller.poll_once()
    assert len(station.reports) == 1
    assert str(station.log) in station.reports[0]
    other.unlink()
    other.write_bytes(b"a\n")
    await station.poller.poll_once()
    assert station.journal.told() == [b"a"]
    os.truncate(other, 0)
    station.log.unlink()
    station.log.mkdir()
    await station.poller.poll_once()
    assert len(station.reports) == 2


async def test_lines_that_are_too_long_are_counted(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    station.write_log(b"a\n" + b"x" * (4 * 1024 * 1024 + 1) + b"\nb\n")
    await station.poller.poll_once()
    entries = [payload for batch in station.journal.batches for payload in batch.payloads]
    assert sum(payload.skipped_parts for payload in entries) == 1
    assert station.journal.told() == [b"a", b"b"]


async def test_the_lag_is_told_by_source(station: Station) -> None:
    station.spool(b"abc\n")
    station.write_log(b"defgh\n")
    inputs = inputs_of(station.spool_directory, station.presences, station.log)
    assert [each.unread({}).size_bytes for each in inputs] == [4, 6]
    await station.poller.poll_once()
    assert [each.unread(station.journal.cursors) for each in inputs] == [Unread(), Unread()]


async def test_any_number_of_files_are_followed_each_with_a_cursor_of_its_own(station: Station) -> None:
    logs = [station.log.with_name(f"{number}.log") for number in range(3)]
    tails = [TailedFile("cline-log", log, reported_at_ns) for log in logs]
    poller = Poller(station.journal.submit, {}, tails, interval_seconds=None)
    for number, log in enumerate(logs):
        log.write_bytes(b"%d\n" % number)
    await poller.poll_once()
    assert station.journal.told() == [b"0", b"1", b"2"]
    assert station.journal.cursors.keys() == {log_key(log) for log in logs}
    logs[1].write_bytes(b"1\nmore\n")
    await poller.poll_once()
    assert station.journal.told()[3:] == [b"more"]
    poller.close()


class Fragile(TailedFile):
    """A log whose methods of some names raise; those may be mended."""

    def __init__(self, path: Path, *failing: str) -> None:
        super().__init__("fragile", path, reported_at_ns)
        self.failing = set(failing)

    def __getattribute__(self, name: str) -> Any:
        if name in ("read", "ends", "finished", "remove", "missing") and name in self.failing:
            raise LookupError("a line of the log")
        return super().__getattribute__(name)


@pytest.mark.parametrize("method", ["read", "finished", "remove", "missing"])
async def test_an_input_that_fails_is_reported_once_and_the_others_are_read_on(station: Station, method: str) -> None:
    fragile = Fragile(station.log, method)
    reports: list[str] = []
    other = station.log.with_name("other.log")
    inputs = [fragile, TailedFile("cline-log", other, reported_at_ns)]
    poller = Poller(station.journal.submit, {}, inputs, interval_seconds=None, report=reports.append)
    station.write_log(b"a\n")
    for number in range(3):
        with other.open("ab") as file:
            file.write(b"%d\n" % number)
        await poller.poll_once()
    assert [line for line in station.journal.told() if line != b"a"] == [b"0", b"1", b"2"]
    assert len(station.journal.ticks()) == 3
    (report,) = reports
    assert report.startswith("source fragile cannot be read, the others are: LookupError at test_sources_polling.py:")
    assert "a line of the log" not in report
    fragile.failing.clear()
    await poller.poll_once()
    assert b"a" in station.journal.told()
    poller.close()


async def test_an_input_that_fails_while_telemetry_is_off_is_skipped_before_it_is_read(station: Station) -> None:
    fragile, is_off = Fragile(station.log, "ends"), True

    def poller_of(cursors: Mapping[str, bytes]) -> Poller:
        return Poller(
            station.journal.submit,
            cursors,
            [fragile],
            skips=lambda: is_off,
            report=station.reports.append,
            interval_seconds=None,
        )

    station.write_log(b"while off\n")
    await poller_of({}).poll_once()
    is_off = False
    for _ in range(2):
        await poller_of(station.journal.cursors).poll_once()
    assert station.journal.told() == []
    fragile.failing.clear()
    poller = poller_of(station.journal.cursors)
    await poller.poll_once()
    station.write_log(b"after\n")
    await poller.poll_once()
    assert station.journal.told() == [b"after"]
    assert not [key for key in station.journal.cursors if key.startswith(SKIPPING_KEY)]
    poller.close()


async def test_a_damaged_cursor_of_an_input_that_fails_is_renewed_when_it_is_mended(station: Station) -> None:
    fragile = Fragile(station.log, "ends")
    station.write_log(b"read before\n")
    station.journal.cursors = {fragile.key: b"damaged"}
    renewed = renewed_cursors(station.journal.cursors, [fragile])
    await station.journal.submit(Batch(cursors=renewed))
    fragile.failing.clear()
    poller = Poller(station.journal.submit, station.journal.cursors, [fragile], interval_seconds=None)
    await poller.poll_once()
    station.write_log(b"after\n")
    await poller.poll_once()
    assert station.journal.told() == [b"after"]
    poller.close()


@pytest.mark.parametrize("skips", [False, True], ids=["reading", "skipping"])
async def test_an_input_sees_no_damaged_cursor(station: Station, skips: bool) -> None:
    class Strict(Fragile):
        def missing(self, cursors: Iterable[str]) -> list[str]:
            assert dict.fromkeys(cursors).keys() <= {SKIPPING_KEY, INTERRUPTED_KEY, self.key}
            assert all(map(self.can_go_on_from, self.usable(dict(cursors)).values()))
            return []

        def finished(self, cursors: Mapping[str, bytes]) -> Finished:
            assert b"damaged" not in cursors.values()
            return Finished()

    strict = Strict(station.log)
    damaged = {strict.key: b"damaged"}
    poller = Poller(
        station.journal.submit,
        damaged,
        [strict],
        skips=lambda: skips,
        report=station.reports.append,
        interval_seconds=None,
    )
    await poller.poll_once()
    assert station.reports == []
    poller.close()


async def test_the_key_of_the_log_does_not_tell_its_path(station: Station) -> None:
    key = log_key(station.log)
    assert key.startswith("cline-log/")
    assert "cline.log" not in key
    assert key != log_key(station.log.with_name("other.log"))


async def test_it_polls_when_woken(station: Station) -> None:
    task = asyncio.create_task(station.poller.run())
    for content in (b"a\n", b"b\n"):
        station.spool(content)
        station.wake.set()
        while content.strip() not in station.journal.told():
            station.journal.committed.clear()
            await station.journal.committed.wait()
    station.poller.stop()
    await task


async def test_it_polls_at_its_interval(station: Station) -> None:
    station.poller._interval_seconds = 0
    task = asyncio.create_task(station.poller.run())
    while len(station.journal.ticks()) < 5:
        station.journal.committed.clear()
        await station.journal.committed.wait()
    station.poller.stop()
    await task


async def test_on_stop_the_files_are_drained_once_more(station: Station) -> None:
    task = asyncio.create_task(station.poller.run())
    await station.journal.committed.wait()
    station.spool(b"last words of the plugin\n")
    station.write_log(b"last words of the log\n")
    station.poller.stop()
    await task
    assert station.journal.told() == [b"last words of the plugin", b"last words of the log"]
    assert station.journal.batches[-1].tick_at_ns == _NOW_NS


async def test_when_cancelled_within_a_commit_nothing_is_lost_or_doubled(station: Station) -> None:
    station.spool(b"a\n")
    submit = station.journal.submit
    reached = asyncio.Event()

    async def commit_and_hang(batch: Batch) -> None:
        await submit(batch)
        reached.set()
        await asyncio.Event().wait()

    station.poller._submit = commit_and_hang
    task = asyncio.create_task(station.poller.run())
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await station.new_poller().poll_once()
    assert station.journal.told() == [b"a"]
