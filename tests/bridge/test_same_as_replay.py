"""Live use and replay are one pipeline."""

from __future__ import annotations

from pathlib import Path

from waiting import wait_until

from .process import Bridge, Home
from .received import Received
from .workload import WritingProcess, example_copies


def test_a_bridge_started_late_says_what_replay_says(tmp_path: Path) -> None:
    recording = example_copies(3)
    expected = Received.in_requests(recording.replayed(tmp_path / "recording").requests)
    home = Home(tmp_path / "home")
    home.cline_log.parent.mkdir(parents=True)
    home.cline_log.write_bytes((tmp_path / "recording" / "cline.log").read_bytes())
    home.spool.mkdir(parents=True)
    with WritingProcess() as cline:
        (home.spool / cline.spool_name()).write_bytes(b"".join(line + b"\n" for line in recording.spool))
        with Bridge(home) as bridge:
            wait_until(lambda: Received.in_files(home.telemetry).logs.keys() >= expected.logs.keys(), "logs")
            assert bridge.stop() == 0
    received = Received.in_files(home.telemetry)
    assert received.bare_spans == expected.bare_spans
    assert received.bare_logs == expected.bare_logs
    assert received.totals == expected.totals
