"""A bridge in every trouble at once, on all sources, in rounds; after each all is there, once, and counted once."""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import msgspec
import psutil
import pytest
from bench.fixed_key import AS_INSTALLED, replay_of
from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from corpus import CAPTURES
from waiting import wait_until

from . import settable_clock
from .endpoint import Answer, Endpoint
from .feeding import Growing, Poster, export
from .process import Bridge, Home
from .received import Received, Totals, delta_totals
from .test_journal_trouble import FailingDisk
from .workload import EXAMPLE, Recording, WritingProcess, copy_folder

HOUR_NS: Final = 3_600 * 10**9
MOST_HOURS_OFF: Final = 10
"""Two clocks that are off by so much differ by less than the day after which a silent run is given up."""

_COPIES_APART: Final = 1_000
"""Numbers of copies in a round."""

_KINDS: Final = 4
_APART_MS: Final = 20_000
"""Further than a run lasts: two sources that say the same of no session within seconds say it of one thing."""

_STORAGE: Final = ".config/Code/User/globalStorage"
FOLDERS: Final = {
    "vscode_next_basic/sessions/1795717158133_rc0oc": (".cline/data/sessions", "sessions"),
    "roo_code_task/tasks/0198d3f2-7c11-7a50-9c1e-5b1f6a2d4e90": (
        f"{_STORAGE}/rooveterinaryinc.roo-cline/tasks",
        "roo/tasks",
    ),
    "kilo_code_task/tasks/0198d3f2-8d22-7b61-8d2f-6c2f7b3e5fa1": (f"{_STORAGE}/kilocode.kilo-code/tasks", "kilo/tasks"),
}
"""Recorded folders: where Cline and its kin would write them, and where a recording has them."""


class Cost(msgspec.Struct, frozen=True):
    """What a round cost: memory at its end, and CPU time a record, without that of starts."""

    rss_bytes: int
    cpu_us_per_record: float


class Work(msgspec.Struct, frozen=True):
    """What Cline does in a round, by how it is told."""

    in_files: Recording
    over_http: Recording
    over_grpc: Recording
    folders: dict[Path, Path]

    @property
    def records(self) -> int:
        """How many lines and requests that is, about."""
        return sum(len(lines) for each in (self.in_files, self.over_http, self.over_grpc) for lines in each.all_lines)


class Soak:
    """One bridge and its journal, over all rounds.

    Args:
        folder: for everything.
        seed: says what happens, and when.
        copies: how many runs there are of each kind in a round.
        troubles: how many troubles there are in a round.
    """

    def __init__(self, folder: Path, seed: int, copies: int, troubles: int) -> None:
        self._folder = folder
        self._seed = seed
        self._copies = copies
        self._number_of_troubles = troubles
        self._is_delta = bool(seed % 2)
        self._clock = folder / "clock"
        self._endpoint = Endpoint()
        self._disk = FailingDisk()
        self._is_disk_failing = False
        self._lines_rotated = 0
        self._began_ms = int(time.time() * 1_000) + (1 - MOST_HOURS_OFF) * HOUR_NS // 10**6
        # What was written before a bridge began to follow files is history, so none of its clocks may be behind.
        self._ahead_ns = -MOST_HOURS_OFF * HOUR_NS
        self._cpu_us = self._cpu_us_of_start = 0.0
        self._counted: Totals = {}
        self._taken: Totals = {}
        self.costs: list[Cost] = []
        self.happened: list[str] = []
        settable_clock.set_ahead(self._clock, self._ahead_ns)
        temporality = "delta" if self._is_delta else "cumulative"
        self.home = Home(
            folder / "home",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": self._endpoint.url,
                "OTEL_EXPORTER_OTLP_TIMEOUT": "2000",
                "OTEL_METRIC_EXPORT_INTERVAL": "300",
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": temporality,
                "CLINE_OTEL_BRIDGE_LISTEN_GRPC": "127.0.0.1:0",
            },
        )
        for live, _ in FOLDERS.values():
            # What is older than the first look at a folder is history.
            (self.home.directory / live).mkdir(parents=True)
        self._bridge = Bridge(self.home, program=[sys.executable, Path(settable_clock.__file__), self._clock])

    @contextmanager
    def running(self) -> Iterator[Soak]:
        """The bridge runs within this block, and ends well."""
        with self._endpoint, self._bridge:
            self._endpoint.listen()
            yield self
            assert self._bridge.stop() == 0
        assert "Traceback" not in self._bridge.said, self._bridge.said
        assert "please report" not in self._bridge.said, self._bridge.said

    @property
    def story(self) -> str:
        """What was done and said, for messages."""
        return "\n".join([f"seed {self._seed}", *self.happened, *self._bridge.lines[-60:]])

    def round(self, number: int) -> None:
        """Cline works while things go wrong; then all is well again, and all that Cline did must have come."""
        chance = random.Random(f"{self._seed}/{number}")
        work = self._work_of(number)
        expected = self._expected(work, number)
        self._cpu_us, self._cpu_us_of_start = 0.0, self._cpu_us_of_process()
        with WritingProcess() as cline:
            spool = self.home.spool / cline.spool_name()
            files = {spool: _lines(work.in_files.spool), self.home.cline_log: _lines(work.in_files.cline_log)}
            growing = Growing(files, chance, piece_bytes=8_000)
            posters = [
                Poster(lambda: self._bridge.endpoint, work.over_http.otlp_logs),
                Poster(lambda: self._bridge.endpoint_grpc, work.over_grpc.otlp_logs, _export),
            ]
            with posters[0], posters[1]:
                self._live_through(chance, growing, posters, cline, work)
                growing.grow_to(growing.pieces, lambda: None)
                for poster in posters:
                    poster.allowed = sys.maxsize
                self._mend()
                wait_until(lambda: all(poster.is_done for poster in posters), lambda: f"acknowledgements\n{self.story}")
        self._assert_all_came(expected, work)
        for live in work.folders.values():
            # Each that changed within a day is looked at in each poll.
            shutil.rmtree(live)
        cpu_us = self._cpu_us + self._cpu_us_of_process() - self._cpu_us_of_start
        self.costs.append(Cost(psutil.Process(self._bridge.pid).memory_info().rss, cpu_us / work.records))

    # --- what Cline does --------------------------------------------------------------------------

    def _work_of(self, number: int) -> Work:
        began_ms = self._began_ms + number * (self._copies + 1) * _KINDS * _APART_MS

        def copies(recording: Recording, kind: int) -> Recording:
            made = Recording()
            for each in range(self._copies):
                made += recording.copy_of(
                    _COPIES_APART * number + 100 * kind + each, began_ms + (_KINDS * each + kind) * _APART_MS
                )
            return made

        basic, parallel = CAPTURES / "plugin_basic", CAPTURES / "plugin_parallel_anthropic"
        folders: dict[Path, Path] = {}
        for place, (recorded, (live, replayed)) in enumerate(FOLDERS.items()):
            made = copy_folder(
                CAPTURES / recorded,
                self._folder / f"recording-{number}" / replayed,
                _COPIES_APART * number + place,
                began_ms,
            )
            folders[made] = self.home.directory / live / made.name
        return Work(
            copies(Recording.read(EXAMPLE, "plugin", "cline-log"), 0) + copies(Recording.read(parallel, "plugin"), 1),
            copies(Recording.read(basic, "otlp"), 2),
            copies(Recording.read(basic, "otlp"), 3),
            folders,
        )

    def _expected(self, work: Work, number: int) -> Received:
        folder = self._folder / f"recording-{number}"
        whole = (work.in_files + work.over_http + work.over_grpc).write(folder)
        result = replay_of(
            [whole, *sorted({made.parent.parent for made in work.folders if made.parent.name == "tasks"})],
            catalogue=AS_INSTALLED,
        )
        return Received.in_requests(result.requests)

    # --- what goes wrong --------------------------------------------------------------------------

    def _live_through(
        self, chance: random.Random, growing: Growing, posters: list[Poster], cline: WritingProcess, work: Work
    ) -> None:
        def pace() -> None:
            for poster, of in zip(posters, (work.over_http, work.over_grpc), strict=True):
                poster.allowed = max(poster.allowed, growing.share(len(of.otlp_logs)))

        for poster in posters:
            poster.allowed = 0
        spools = iter(range(1, sys.maxsize))
        spool = [self.home.spool / cline.spool_name()]

        def kill() -> None:
            self._cpu_us += self._cpu_us_of_process() - self._cpu_us_of_start
            self._bridge.kill()
            growing.grow(chance.randint(0, 4))
            self._is_disk_failing = False
            self._bridge.start()
            self._cpu_us_of_start = self._cpu_us_of_process()

        def break_disk() -> None:
            self._disk.fail(self._bridge.pid)
            self._is_disk_failing = True

        def roll() -> None:
            growing.end_line(spool[0])
            to = self.home.spool / cline.spool_name(next(spools))
            growing.move_on(spool[0], to)
            spool[0] = to

        def rotate() -> None:
            growing.end_line(self.home.cline_log)
            self._rotate()

        def set_clock() -> None:
            self._ahead_ns = chance.randint(-MOST_HOURS_OFF, MOST_HOURS_OFF) * HOUR_NS
            settable_clock.set_ahead(self._clock, self._ahead_ns)

        folders = list(work.folders.items())
        kinds: list[tuple[str, Callable[[], None]]] = [
            ("kill", kill),
            ("disk", break_disk),
            ("disk mended", self._mend_disk),
            *((f"endpoint: {name}", lambda name=name: self._turn_endpoint(name)) for name in ANSWERS),
            ("clock", set_clock),
            ("spool rolled", roll),
            ("log rotated", rotate),
        ]
        # Each at least once where there are enough of them.
        order = [
            *chance.sample(kinds, len(kinds)),
            *chance.choices(kinds, k=max(self._number_of_troubles - len(kinds), 0)),
        ]
        order = order[: self._number_of_troubles]
        for place, (name, trouble) in enumerate(order, start=1):
            self.happened.append(name)
            trouble()
            if folders and place * len(FOLDERS) >= (len(FOLDERS) - len(folders) + 1) * len(order) // 2:
                self._put(*folders.pop())
            growing.grow_to(growing.pieces * place // (len(order) + 1), pace)
        while folders:
            self._put(*folders.pop())

    def _cpu_us_of_process(self) -> float:
        """CPU time of the thread that does the work."""
        return int(Path(f"/proc/{self._bridge.pid}/schedstat").read_text("ascii").split()[0]) / 1e3

    def _turn_endpoint(self, name: str) -> None:
        if name == "down":
            self._endpoint.go_down()
            return
        self._listen()
        self._endpoint.answer = ANSWERS[name]

    def _listen(self) -> None:
        if not self._endpoint.is_listening:
            self._endpoint.listen()

    def _mend_disk(self) -> None:
        if self._is_disk_failing:
            self._disk.mend(self._bridge.pid)
        self._is_disk_failing = False

    def _mend(self) -> None:
        self._mend_disk()
        self._listen()
        self._endpoint.answer = ANSWERS["well"]

    def _rotate(self) -> None:
        """Unless the log is one that was never read: renamed before that, nobody knows whether it was."""
        log = self.home.cline_log
        if not log.exists() or self.home.counted("received", "cline-log") <= self._lines_rotated:
            return
        self._lines_rotated += log.read_bytes().count(b"\n")
        for generation in range(8, 0, -1):
            older = log.with_name(f"{log.name}.{generation}")
            if older.exists():
                older.rename(log.with_name(f"{log.name}.{generation + 1}"))
        log.rename(log.with_name(f"{log.name}.1"))

    def _put(self, made: Path, live: Path) -> None:
        """A folder that is whole, by the clock of the machine."""
        beside = live.parent.parent / made.name
        shutil.copytree(made, beside)
        changed_at_ns = time.time_ns() + self._ahead_ns
        for path in beside.iterdir():
            os.utime(path, ns=(changed_at_ns, changed_at_ns))
        beside.rename(live)

    # --- what must have come ------------------------------------------------------------------------

    def _assert_all_came(self, expected: Received, work: Work) -> None:
        for series, (total, count, buckets) in expected.totals.items():
            before = self._counted.get(series, (0.0, 0, ()))
            summed = tuple(map(sum, zip(before[2], buckets, strict=True))) if before[2] else buckets
            self._counted[series] = (before[0] + total, before[1] + count, summed)

        def received() -> Received:
            return Received(self._endpoint.traces(), self._endpoint.metrics(), self._endpoint.logs())

        def came() -> bool:
            if self._endpoint.span_count() < len(expected.spans):
                return False
            now = received()
            return now.spans.keys() >= expected.spans.keys() and now.logs.keys() >= expected.logs.keys()

        def missing() -> str:
            now = received()
            spans, logs = expected.spans.keys() - now.spans.keys(), expected.logs.keys() - now.logs.keys()
            names = [*map(_described, map(expected.spans.__getitem__, spans))]
            names += map(_described, map(expected.logs.__getitem__, logs))
            names += [
                f"{source}: {self.home.counted('received', source)} received" for source in ("plugin", "cline-log")
            ]
            names += [f"{len(work.in_files.spool)} and {len(work.in_files.cline_log)} written in this round"]
            return "\n".join(["missing", *sorted(names), self.story])

        wait_until(came, missing, interval_seconds=0.3)
        wait_until(lambda: self.home.pending() == 0, lambda: f"an empty outbox\n{self.story}", interval_seconds=0.3)
        is_told = {series: (pytest.approx(total), *rest) for series, (total, *rest) in self._counted.items()}
        wait_until(lambda: self._totals() == is_told, lambda: self._differing(is_told), interval_seconds=0.5)
        now = received()
        assert now.spans.keys() == expected.spans.keys(), self.story
        assert now.logs.keys() == expected.logs.keys(), self.story
        assert [each for each in now.spans.values() if len(each) > 1] == [], self.story
        assert [each for each in now.logs.values() if len(each) > 1] == [], self.story
        assert self.home.status()["runs"] == [], self.story
        self._taken = self._totals()
        self._endpoint.forget()

    def _totals(self) -> Totals:
        metrics = self._endpoint.metrics()
        if not self._is_delta:
            return self._taken | Received([], metrics, []).totals
        totals = dict(self._taken)
        for series, (total, count, buckets) in delta_totals(metrics).items():
            before = totals.get(series, (0.0, 0, ()))
            summed = tuple(map(sum, zip(before[2], buckets, strict=True))) if before[2] else buckets
            totals[series] = (before[0] + total, before[1] + count, summed)
        return totals

    def _differing(self, expected: dict[Any, Any]) -> str:
        now = self._totals()
        differing = [
            f"{series}: {now.get(series)} and not {expected.get(series)}"
            for series in now.keys() | expected.keys()
            if now.get(series) != expected.get(series)
        ]
        return "\n".join(["totals differ", *differing[:20], self.story])


def _described(versions: set[bytes]) -> str:
    """A span or log record, in a line."""
    (version, *_) = versions
    known: Span | LogRecord = Span.FromString(version) if version[:1] != b"\x09" else LogRecord.FromString(version)
    said = {pair.key: pair.value.string_value for pair in known.attributes}
    return " ".join(
        [getattr(known, "name", "") or said.get("event.name", ""), said.get("cline.telemetry.source", ""), str(said)]
    )[:300]


def _slow(signal: str, request: Message) -> Answer:
    threading.Event().wait(0.4)
    return 200, b""


ANSWERS: Final[dict[str, Callable[[str, Message], Answer | None]]] = {
    "well": lambda signal, request: (200, b""),
    "down": lambda signal, request: (503, b""),
    "ill": lambda signal, request: (500, b"no"),
    "busy": lambda signal, request: (429, b"", {"Retry-After": "1"}),
    "refusing": lambda signal, request: (401, b""),
    "cut off": lambda signal, request: None,
    "slow": _slow,
}


def _export(endpoint: str, body: bytes) -> bool:
    request = json_format.ParseDict(json.loads(body), ExportLogsServiceRequest(), ignore_unknown_fields=True)
    return export(endpoint, request.SerializeToString())[0] is grpc.StatusCode.OK


def _lines(lines: tuple[bytes, ...]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
