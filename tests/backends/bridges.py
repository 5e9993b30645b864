"""Bridges with a Cline each: what each was told, live, and what it should have counted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from bridge.feeding import post
from bridge.process import Bridge, Home
from bridge.received import Received
from bridge.workload import Recording, WritingProcess
from cline_otel.journal import Journal
from cline_otel.replay import ReplayResult
from intakes.points import Amount, Series
from waiting import wait_until

from .source import amounts_of


class BridgeAndCline:
    """One state directory, one Cline that writes a spool and sends OTLP, and a bridge that may come and go.

    Traces and logs go to files, which show what the bridge has read whatever becomes of its metrics.

    Attributes:
        bridge: the bridge; not started by ``__enter__``.
    """

    def __init__(self, directory: Path, first_copy: int, environment: Mapping[str, str]) -> None:
        """``first_copy`` is the number of the first recording's copy, so that no two bridges are told one run."""
        self.home = Home(
            directory,
            {
                "OTEL_TRACES_EXPORTER": "otlp_file",
                "OTEL_LOGS_EXPORTER": "otlp_file",
                "OTEL_METRICS_EXPORTER": "otlp",
                **environment,
            },
        )
        self.bridge = Bridge(self.home)
        self._cline = WritingProcess()
        self._copies = first_copy
        self._told = Recording()
        self._last_body = b""

    def __enter__(self) -> Self:
        self._cline.__enter__()
        self.home.spool.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *exception: object) -> None:
        self.bridge.kill()
        self._cline.end()

    def tell(self, recording: Recording) -> None:
        """Writes and sends what Cline did just now; OTLP needs a bridge that runs."""
        copy = recording.copy_of(self._copies, int(time.time() * 1_000))
        self._copies += 1
        self._told += copy
        if copy.spool:
            with (self.home.spool / self._cline.spool_name()).open("ab") as spool:
                spool.write(b"".join(line + b"\n" for line in copy.spool))
        for body in copy.otlp_logs:
            self._send(body)
            self._last_body = body

    def send_again(self) -> None:
        """Sends the last OTLP request once more, as a sender does that got no answer."""
        self._send(self._last_body)

    def _send(self, body: bytes) -> None:
        status, _ = post(self.bridge.endpoint, body)
        assert status == 200, self.bridge.said

    def wait_until_all_is_read(self, folder: Path) -> None:
        """Waits until the bridge made of it what a replay makes of it; ``folder`` is made for that."""
        expected = Received.in_requests(self._replayed(folder).requests)

        def is_read() -> bool:
            received = Received.in_files(self.home.telemetry)
            return received.spans.keys() >= expected.spans.keys() and received.logs.keys() >= expected.logs.keys()

        wait_until(is_read, lambda: f"everything read\n{self.bridge.said}", interval_seconds=0.1)

    def source(self, folder: Path) -> dict[Series, Amount]:
        """What a replay of all that it was told counts; ``folder`` is made for it."""
        return amounts_of(self._replayed(folder).totals)

    def _replayed(self, folder: Path) -> ReplayResult:
        return self._told.replayed(folder)

    @property
    def instance_id(self) -> str:
        """The ``service.instance.id`` of its metrics."""
        with Journal.open_read_only(self.home.journal) as journal:
            return journal.status().instance_id

    def exported_points(self) -> int:
        """How many metric points its destination took."""
        return self.home.delivered("metrics")

    def trouble(self) -> str:
        """Why its metrics are not delivered just now; empty while they are."""
        with Journal.open_read_only(self.home.journal) as journal:
            return journal.status().signals["metrics"].last_error
