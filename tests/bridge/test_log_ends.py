"""A run that only ``cline.log`` tells ends with the process that wrote it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from waiting import wait_until

from .process import Bridge, Home
from .received import Received

_HOST = socket.gethostname()


class Cline:
    """A process that lives until it is killed, and the lines that it would write about a prompt."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
        )

    def write(self, event: str, host: str = _HOST, **properties: object) -> None:
        line = {"level": 30, "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        line |= {"pid": self.process.pid, "hostname": host, "msg": "telemetry.event", "event": event}
        ids = {"agentId": "agent_1700000000000_abc", "runId": "run_aaaaaaa1", "iteration": 1}
        line |= {"properties": {**ids, **properties}}
        with self._log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def kill(self) -> int:
        """Ends it; returns when, nanoseconds since the Unix epoch."""
        killed_at_ns = time.time_ns()
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()
        return killed_at_ns


def spans_in(home: Home) -> dict[str, Span]:
    versions = (Span.FromString(min(each)) for each in Received.in_files(home.telemetry).spans.values())
    return {span.name.partition(" ")[0]: span for span in versions}


def said(span: Span, name: str) -> str:
    return next((pair.value.string_value for pair in span.attributes if pair.key == name), "")


def test_what_a_killed_cline_left_open_is_told_with_its_true_length_while_the_bridge_runs(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.cline_log.parent.mkdir(parents=True)
    home.cline_log.touch()
    with Bridge(home) as bridge:
        cline = Cline(home.cline_log)
        cline.write("agent.run-started")
        asked_at_ns = time.time_ns()
        cline.write("task.provider_request_started", provider="openai", model="gpt-5")
        wait_until(lambda: len(home.status()["runs"]) == 1, lambda: bridge.said)
        killed_at_ns = cline.kill()
        wait_until(lambda: "invoke_agent" in spans_in(home), lambda: bridge.said)
        spans = spans_in(home)
        assert home.status()["runs"] == []
        assert bridge.stop() == 0
    call, root = spans["chat"], spans["invoke_agent"]
    assert (said(call, "error.type"), said(root, "cline.outcome")) == ("process_exited", "incomplete")
    # Its last sign of life is at most a poll before its end, and of a machine that has other things to do some.
    assert asked_at_ns - 1_000_000 <= call.start_time_unix_nano < call.end_time_unix_nano <= killed_at_ns
    written = home.written_bytes().replace(home.cline_log.read_bytes(), b"")
    assert f'"{cline.process.pid}"'.encode() not in written
    assert _HOST.encode() not in written


def test_one_that_was_killed_while_no_bridge_ran_is_told_by_the_next(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.cline_log.parent.mkdir(parents=True)
    home.cline_log.touch()
    with Bridge(home) as bridge:
        cline = Cline(home.cline_log)
        cline.write("agent.run-started")
        wait_until(lambda: len(home.status()["runs"]) == 1, lambda: bridge.said)
        assert bridge.stop() == 0
    cline.kill()
    with Bridge(home) as bridge:
        wait_until(lambda: "invoke_agent" in spans_in(home), lambda: bridge.said)
        assert bridge.stop() == 0
    assert said(spans_in(home)["invoke_agent"], "cline.outcome") == "incomplete"
