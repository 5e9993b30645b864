"""A bridge in every trouble at once, on all sources, in rounds; after each all is there, once, and counted once."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import pytest

from waiting import PATIENCE_SECONDS, wait_until

from . import settable_clock
from .endpoint import Endpoint
from .feeding import Growing, Poster, export, post
from .process import Bridge, Home, command
from .received import Received, Totals, added, delta_totals, differing_items, misfits
from .soak_costs import Cost, Meter
from .soak_troubles import HOUR_NS, MOST_HOURS_OFF, Troubles
from .soak_work import FOLDERS, Work, as_protobuf
from .workload import WritingProcess

_LINES_TOLD: Final = 20


class Soak:
    """One bridge and its journal, over all rounds.

    Args:
        folder: for everything.
        seed: says what happens, and when.
        copies: how many runs there are of each kind in a round.
        troubles: how many troubles there are in a round.

    Attributes:
        costs: what each round cost.
    """

    def __init__(self, folder: Path, seed: int, copies: int, troubles: int) -> None:
        self._folder = folder
        self._seed = seed
        self._copies = copies
        self._number_of_troubles = troubles
        self._is_delta = bool(seed % 2)
        self._endpoint = Endpoint()
        self._began_ms = int(time.time() * 1_000) + (1 - MOST_HOURS_OFF) * HOUR_NS // 10**6
        self._counted: Totals = {}
        self._taken: Totals = {}
        self.costs: list[Cost] = []
        self._home = Home(
            folder / "home",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": self._endpoint.url,
                "OTEL_EXPORTER_OTLP_TIMEOUT": "2000",
                "OTEL_METRIC_EXPORT_INTERVAL": "300",
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta" if self._is_delta else "cumulative",
                "CLINE_OTEL_BRIDGE_LISTEN_GRPC": "127.0.0.1:0",
            },
        )
        for live, _ in FOLDERS.values():
            # What is older than the first look at a folder is history.
            (self._home.directory / live).mkdir(parents=True)
        clock = folder / "clock"
        self._bridge = Bridge(self._home, program=[sys.executable, Path(settable_clock.__file__), clock])
        self._meter = Meter(self._bridge)
        self._troubles = Troubles(self._home, self._bridge, self._endpoint, clock)

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
    def troubles(self) -> int:
        """How much has gone wrong so far."""
        return len(self._troubles.happened)

    @property
    def story(self) -> str:
        """What was done and said, for messages."""
        return "\n".join([f"seed {self._seed}", *self._troubles.happened, *self._bridge.lines[-60:]])

    def round(self, number: int) -> None:
        """Cline works while things go wrong, and all that it did must have come once all is well again; then it works
        once more while nothing goes wrong, which is what is measured: what trouble costs differs with the trouble.
        """
        self._work(2 * number - 1, self._number_of_troubles)
        self._meter.begin()
        records = self._work(2 * number, 0)
        self.costs.append(self._meter.cost(records))

    def _work(self, number: int, troubles: int) -> int:
        """Returns how many records there were."""
        chance = random.Random(f"{self._seed}/{number}")
        folder = self._folder / f"recording-{number}"
        work = Work.of_round(number, self._copies, self._began_ms, folder, self._home.directory)
        expected = work.expected(folder)
        with WritingProcess() as cline, ExitStack() as senders:
            spool = self._home.spool / cline.spool_name()
            files = {spool: _lines(work.in_files.spool), self._home.cline_log: _lines(work.in_files.cline_log)}
            growing = Growing(files, chance, piece_bytes=8_000)
            posters = {
                Poster(lambda: self._bridge.endpoint, work.over_http.otlp_logs): work.over_http,
                Poster(
                    lambda: self._bridge.endpoint, work.over_http_classic.otlp_logs, _post_protobuf
                ): work.over_http_classic,
                Poster(lambda: self._bridge.endpoint_grpc, work.over_grpc.otlp_logs, _export): work.over_grpc,
            }
            for poster in posters:
                poster.allowed = 0
                senders.enter_context(poster)

            def pace() -> None:
                for poster, of in posters.items():
                    poster.allowed = max(poster.allowed, growing.share(len(of.otlp_logs)))

            order = self._troubles.in_order(chance, troubles, growing, cline)
            self._live_through(order, growing, pace, self._whole(work))
            growing.grow_to(growing.pieces, pace)
            self._troubles.mend()
            wait_until(lambda: all(poster.is_done for poster in posters), lambda: f"acknowledgements\n{self.story}")
        self._assert_all_came(expected)
        shutil.rmtree(folder)
        return work.records

    # --- what Cline does --------------------------------------------------------------------------

    def _whole(self, work: Work) -> list[Callable[[], None]]:
        """What is told whole, one after the other."""
        folders = [lambda made=made, live=live: self._put(made, live) for made, live in work.folders.items()]
        streams = [lambda stream=stream: self._pipe(stream) for stream in work.streams.streams]
        return [*folders, *streams]

    def _put(self, made: Path, live: Path) -> None:
        """A folder that is whole, by the bridge's clock."""
        beside = live.parent.parent / made.name
        shutil.copytree(made, beside)
        changed_at_ns = self._troubles.now_ns()
        for path in beside.iterdir():
            os.utime(path, ns=(changed_at_ns, changed_at_ns))
        beside.rename(live)

    def _pipe(self, stream: bytes) -> None:
        """A stream that goes through ``pipe`` while the bridge runs."""
        answer = subprocess.run(
            command("pipe", "--drain", "0"),
            env=self._home.environment,
            input=stream,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
        assert answer.stdout == stream, answer.stderr

    def _live_through(
        self,
        order: list[tuple[str, Callable[[], None]]],
        growing: Growing,
        pace: Callable[[], None],
        whole: list[Callable[[], None]],
    ) -> None:
        """Troubles, among them what is told whole; ``pace`` lets senders send as much as is written by then."""
        told = 0
        for place, (name, trouble) in enumerate(order, start=1):
            self._troubles.happened.append(name)
            trouble()
            while told < len(whole) * place // len(order):
                whole[told]()
                told += 1
            growing.grow_to(growing.pieces * place // (len(order) + 1), pace)
        for tell in whole[told:]:
            tell()

    # --- what must have come ------------------------------------------------------------------------

    def _assert_all_came(self, expected: Received) -> None:
        """Item by item: each span, each log record, and of each series every point."""
        self._counted = added(self._counted, expected.totals)

        def received() -> Received:
            return Received(self._endpoint.traces(), [], self._endpoint.logs())

        def came() -> bool:
            if self._endpoint.span_count() < len(expected.spans):
                return False
            now = received()
            return now.spans.keys() >= expected.spans.keys() and now.logs.keys() >= expected.logs.keys()

        wait_until(came, lambda: self._differing(received(), expected), interval_seconds=0.3)
        wait_until(lambda: self._home.pending() == 0, lambda: f"an empty outbox\n{self.story}", interval_seconds=0.3)
        is_told = {series: (pytest.approx(total), *rest) for series, (total, *rest) in self._counted.items()}
        wait_until(lambda: self._totals() == is_told, lambda: self._differing_totals(is_told), interval_seconds=0.5)
        assert not differing_items(received(), expected), self._differing(received(), expected)
        wrong = misfits(self._endpoint.metrics(), is_delta=self._is_delta)
        assert not wrong, "\n".join([*wrong[:_LINES_TOLD], self.story])
        assert self._home.status()["runs"] == [], self.story
        self._taken = self._totals()
        self._endpoint.forget()

    def _totals(self) -> Totals:
        metrics = self._endpoint.metrics()
        if self._is_delta:
            return added(self._taken, delta_totals(metrics))
        return self._taken | Received([], metrics, []).totals

    def _differing(self, now: Received, expected: Received) -> str:
        lines = differing_items(now, expected)
        return "\n".join([f"{len(lines)} items are not as they should be", *lines[:_LINES_TOLD], self.story])

    def _differing_totals(self, expected: dict[Any, Any]) -> str:
        now = self._totals()
        differing = [
            f"{series}: {now.get(series)} and not {expected.get(series)}"
            for series in now.keys() | expected.keys()
            if now.get(series) != expected.get(series)
        ]
        return "\n".join(["totals differ", *differing[:_LINES_TOLD], self.story])


def _post_protobuf(endpoint: str, body: bytes) -> bool:
    return post(endpoint, as_protobuf(body), content_type="application/x-protobuf")[0] == 200


def _export(endpoint: str, body: bytes) -> bool:
    return export(endpoint, as_protobuf(body))[0] is grpc.StatusCode.OK


def _lines(lines: tuple[bytes, ...]) -> bytes:
    return b"".join(line + b"\n" for line in lines)
