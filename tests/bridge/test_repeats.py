"""What a bridge was told and is told again, after a restart, from other files and requests: nothing is doubled."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from waiting import wait_until

from .feeding import post
from .process import Bridge, Home
from .received import Received
from .workload import Recording, WritingProcess, example_copies, otlp_copies

SOURCES = ("plugin", "cline-log", "otlp")


def test_copies_of_files_and_requests_that_come_after_a_restart_add_nothing(tmp_path: Path) -> None:
    recording, sent = example_copies(2), otlp_copies(1)
    whole = Received.in_requests((recording + sent).replayed(tmp_path / "recording").requests)
    home = Home(tmp_path / "home")
    home.cline_log.parent.mkdir(parents=True)
    home.cline_log.write_bytes(b"".join(line + b"\n" for line in recording.cline_log))
    home.spool.mkdir(parents=True)
    with WritingProcess() as cline:
        spooled = home.spool / cline.spool_name()
        spooled.write_bytes(b"".join(line + b"\n" for line in recording.spool))
        with Bridge(home) as bridge:
            send(bridge, sent.otlp_logs)
            wait_until(lambda: read(home) == expected(recording, sent, times=1), "all is read")
            # What nobody claims is made of it some tenths of a second later.
            wait_until(lambda: Received.in_files(home.telemetry).spans.keys() >= whole.spans.keys(), "all spans")
            assert bridge.stop() == 0
        once, delivered = Received.in_files(home.telemetry), counted(home)
        assert once.spans
        assert home.counted("duplicate", "plugin") == 0
        shutil.copy(spooled, home.spool / cline.spool_name(1))
        # Another file in the log's place, which does not begin as the one that was read: it is read from its beginning.
        copy = home.cline_log.with_name("copy")
        copy.write_bytes(b"\n" + home.cline_log.read_bytes())
        copy.replace(home.cline_log)
        with Bridge(home) as bridge:
            send(bridge, tuple(map(with_another_resource, sent.otlp_logs, "abcdefgh")))
            wait_until(
                lambda: read(home) == expected(recording, sent, times=2),
                lambda: f"{read(home)} {expected(recording, sent, 2)}",
            )
            assert bridge.stop() == 0
    again = Received.in_files(home.telemetry)
    assert (again.spans, again.logs, again.totals) == (once.spans, once.logs, once.totals)
    assert counted(home) == delivered
    assert all(home.counted("duplicate", source) for source in SOURCES)
    assert home.counted("late", "plugin") == 0


def send(bridge: Bridge, bodies: tuple[bytes, ...]) -> None:
    for body in bodies:
        post(bridge.endpoint, body)


def with_another_resource(body: bytes, name: str) -> bytes:
    """The same records in a request that is another, byte for byte."""
    request = msgspec.json.decode(body)
    for resource in request["resourceLogs"]:
        resource["resource"] = {"attributes": [{"key": "sent", "value": {"stringValue": name}}]}
    return msgspec.json.encode(request)


def read(home: Home) -> dict[str, int]:
    return {source: home.counted("received", source) for source in SOURCES}


def expected(recording: Recording, sent: Recording, times: int) -> dict[str, int]:
    """Lines and requests; the copy of the log has a line more."""
    lines = len(recording.spool) * times, len(recording.cline_log) * times + times - 1, len(sent.otlp_logs) * times
    return dict(zip(SOURCES, lines, strict=True))


def counted(home: Home) -> dict[str, int]:
    return {signal: home.delivered(signal) for signal in ("traces", "logs")}
