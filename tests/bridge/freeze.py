"""Freezes the journal of this release, for the test that later releases open, continue and deliver it.

    python -m bridge.freeze FOLDER        (make freeze-journal ARGUMENTS=FOLDER)

A real bridge is fed recordings of every source, is refused one delivery for good and the next for now, and is then
killed in the midst of runs. What the folder holds: ``journal.db`` as the kill left it, what the sources go on to say
(``spool.jsonl``, ``cline.log``), and what this very release then delivered (``expected.json``).
"""

from __future__ import annotations

import base64
import json
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from google.protobuf.message import Message
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cline_otel.translate.ownership import CLAIMED_WAIT_NS
from waiting import wait_until

from . import settable_clock
from .endpoint import Answer, Endpoint
from .feeding import post
from .process import Bridge, Home
from .received import Received
from .workload import EXAMPLE, Recording, WritingProcess, otlp_copies

JOURNAL: Final = "journal.db"
SPOOL: Final = "spool.jsonl"
CLINE_LOG: Final = "cline.log"
EXPECTED: Final = "expected.json"
ENVIRONMENT: Final = {"OTEL_METRIC_EXPORT_INTERVAL": "3600000"}
"""Totals are told once, at the end."""

QUIET_SECONDS: Final = CLAIMED_WAIT_NS / 1e9 + 5

PARTS: Final = 12
PLUGIN_CUTS: Final = (2, 4, 6, 8)
LOG_CUTS: Final = (3, 4, 7, 9, 11)
"""Where copies of a recording are cut, in twelfths: calls are open, over, waiting for their usage or their name."""


def freeze(folder: Path) -> None:
    """Makes the folder anew."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as temporary, Endpoint() as endpoint, WritingProcess() as cline:
        home = Home(Path(temporary) / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url, **ENVIRONMENT})
        with Bridge(home) as bridge:
            spool = home.spool / cline.spool_name()
            _tell(home, spool, Recording.read(EXAMPLE).copy(0))
            wait_until(lambda: home.delivered("traces") > 0 and home.pending("traces", "logs") == 0, "a delivery")
            endpoint.answer = _refuses(400)
            _tell(home, spool, Recording.read(EXAMPLE).copy(1))
            wait_until(lambda: endpoint.asked["traces"] > 1 and home.pending("traces", "logs") == 0, "a refusal")
            endpoint.answer = _refuses(503)
            asked = endpoint.asked["traces"]
            rest = Recording()
            for source, cuts in (("plugin", PLUGIN_CUTS), ("cline-log", LOG_CUTS)):
                for share in cuts:
                    number = share + (PARTS if source == "plugin" else 2 * PARTS)
                    begun, to_come = _cut(Recording.read(EXAMPLE, source).copy(number), share)
                    rest += to_come
                    _tell(home, spool, begun)
            for body in otlp_copies(1).otlp_logs[:2]:
                post(bridge.endpoint, body)
            wait_until(lambda: endpoint.asked["traces"] > asked and home.pending("traces") > 0, "something that waits")
            wait_until(lambda: home.counted("received", "cline-log") >= _lines(home.cline_log), "the log")
            # The runs that nobody claimed are decided after the claim wait; these are not when the bridge is killed.
            begun, to_come = _cut(Recording.read(EXAMPLE, "cline-log").copy(90), 6)
            rest += to_come
            claims = tuple(line for line in Recording.read(EXAMPLE).copy(90).spool if b'"session.claimed"' in line)
            _tell(home, spool, begun + Recording(claims))
            wait_until(lambda: home.counted("received", "cline-log") >= _lines(home.cline_log), "what waits undecided")
            bridge.kill()
        _copy_whole(home.journal, folder / JOURNAL)
        (folder / SPOOL).write_bytes(b"".join(line + b"\n" for line in rest.spool))
        (folder / CLINE_LOG).write_bytes(b"".join(line + b"\n" for line in rest.cline_log))
    with tempfile.TemporaryDirectory() as temporary:
        expected = continued(folder, Path(temporary), _stays_the_same())
    (folder / EXPECTED).write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def continued(folder: Path, directory: Path, is_all: Callable[[Received], bool]) -> dict[str, Any]:
    """What a bridge of this release delivers that goes on from a frozen journal, soon after that was frozen.

    By the clock of today the runs that are open in it have been silent for long; by that one, what waited for a claim
    has waited enough. ``directory`` is for its files; ``is_all`` says of what was delivered by now whether more is to
    come.
    """
    with Endpoint() as endpoint, WritingProcess() as cline:

        def received() -> Received:
            return Received(endpoint.traces(), endpoint.metrics(), endpoint.logs())

        home = Home(directory / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url, **ENVIRONMENT})
        home.state.mkdir(mode=0o700, parents=True)
        shutil.copyfile(folder / JOURNAL, home.journal)
        home.spool.mkdir(mode=0o700)
        shutil.copyfile(folder / SPOOL, home.spool / cline.spool_name())
        home.cline_log.parent.mkdir(parents=True)
        shutil.copyfile(folder / CLINE_LOG, home.cline_log)
        clock = directory / "clock"
        settable_clock.set_ahead(clock, _frozen_at_ns(home.journal) + 2 * CLAIMED_WAIT_NS - time.time_ns())
        with Bridge(home, program=[sys.executable, Path(settable_clock.__file__), clock]) as bridge:
            wait_until(lambda: is_all(received()), lambda: f"everything delivered\n{bridge.said}")
            assert bridge.stop() == 0, bridge.said
        return described(received())


def _frozen_at_ns(journal: Path) -> int:
    """When the last thing was put into it that waits to be sent."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        (at_ns,) = connection.execute("SELECT max(created_at_ns) FROM outbox").fetchone()
    return int(at_ns)


def _stays_the_same() -> Callable[[Received], bool]:
    """Nobody knows yet what will come: all that has come when nothing more does for longer than any source waits."""
    last, since = 0, time.monotonic()

    def is_all(received: Received) -> bool:
        nonlocal last, since
        now = len(received.spans) + len(received.logs)
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > QUIET_SECONDS

    return is_all


def described(received: Received) -> dict[str, Any]:
    """What was delivered, by ids: spans and log records as bytes in base64. All must have come with equal bytes."""

    def text(message: Message) -> str:
        return base64.b64encode(message.SerializeToString(deterministic=True)).decode()

    def record(content: bytes) -> LogRecord:
        record = LogRecord.FromString(content)
        record.ClearField("body")  # a sentence for people, which may be put better
        return record

    return {
        "spans": {span_id.hex(): text(Span.FromString(*versions)) for span_id, versions in received.spans.items()},
        "logs": {uid: text(record(*versions)) for uid, versions in received.logs.items()},
        "totals": sorted(
            [name, list(map(list, attributes)), round(total, 9), count, list(buckets)]
            for (name, attributes), (total, count, buckets) in received.totals.items()
        ),
    }


def _tell(home: Home, spool: Path, recording: Recording) -> None:
    for path, lines in ((spool, recording.spool), (home.cline_log, recording.cline_log)):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(b"".join(line + b"\n" for line in lines))


def _cut(recording: Recording, share: int) -> tuple[Recording, Recording]:
    def at(lines: tuple[bytes, ...]) -> int:
        return len(lines) * share // PARTS

    return (
        Recording(recording.spool[: at(recording.spool)], recording.cline_log[: at(recording.cline_log)]),
        Recording(recording.spool[at(recording.spool) :], recording.cline_log[at(recording.cline_log) :]),
    )


def _refuses(status: int) -> Any:
    def answer(signal: str, request: Message) -> Answer:
        return (200 if signal == "metrics" else status), b""

    return answer


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _copy_whole(journal: Path, to: Path) -> None:
    """The file with all that its write-ahead log holds, without a log beside it."""
    with sqlite3.connect(journal) as source, sqlite3.connect(to) as target:
        source.backup(target)
    with sqlite3.connect(to) as target:
        target.execute("PRAGMA journal_mode = DELETE")


if __name__ == "__main__":
    freeze(Path(sys.argv[1]))
