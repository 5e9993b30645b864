"""Speed from socket to socket: OTLP logs in over HTTP, what is made of them out over HTTP; each side is a process.

Beside the bridge stand a bridge on the plain SDK (``bench.plain_sdk``) and a real OpenTelemetry Collector that only
passes the log records on. They take turns with the same recordings, all ids new in every round, and what counts is the
CPU time of each process until the last of it has arrived. The bridge alone has everything on disk before it answers,
hides what is private, and knows what it has seen before.
"""

from __future__ import annotations

import http.client
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.workload import requests
from loopback_server import Answer, HttpRequest, LoopbackServer

ROUNDS: Final = 5
RUNS: Final = 340
"""Twenty copies of each recording a round."""

_ROOT: Final = Path(__file__).parents[1]
_START_TIMEOUT_SECONDS: Final = 60.0
_QUIET_SECONDS: Final = 1.5
"""After so long without anything new everything has arrived: longer than any side gathers for."""

_ENVIRONMENT: Final = {
    "OTEL_METRIC_EXPORT_INTERVAL": "10000",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
    "OTEL_BLRP_SCHEDULE_DELAY": "200",
    # What is dropped costs nothing, so nothing may be.
    "OTEL_BSP_MAX_QUEUE_SIZE": "1000000",
    "OTEL_BLRP_MAX_QUEUE_SIZE": "1000000",
    "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
    "CLINE_OTEL_BRIDGE_LISTEN_GRPC": "off",
    "CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS": "0.2",
    "NO_PROXY": "*",
    "LC_ALL": "C.UTF-8",
}

_COLLECTOR_CONFIGURATION: Final = """
receivers:
  otlp:
    protocols:
      http:
        endpoint: 127.0.0.1:0
processors:
  batch:
    timeout: 200ms
exporters:
  otlp_http:
    endpoint: {sink}
service:
  pipelines:
    logs:
      receivers: [otlp]
      processors: [batch]
      exporters: [otlp_http]
  telemetry:
    metrics:
      level: none
    logs:
      level: info
"""


class Sink:
    """Where one side sends; counts the spans and log records that came."""

    def __init__(self, stack: ExitStack) -> None:
        self.arrived: Counter[str] = Counter()
        self.url = stack.enter_context(LoopbackServer(self._answer)).listen().url

    def _answer(self, request: HttpRequest) -> Answer:
        if request.path.endswith("/v1/traces"):
            spans = ExportTraceServiceRequest.FromString(request.unpacked()).resource_spans
            self.arrived["spans"] += sum(len(scope.spans) for part in spans for scope in part.scope_spans)
        elif request.path.endswith("/v1/logs"):
            logs = ExportLogsServiceRequest.FromString(request.unpacked()).resource_logs
            self.arrived["log records"] += sum(len(scope.log_records) for part in logs for scope in part.scope_logs)
        return 200, b""


class Side:
    """One of those that are compared.

    Args:
        name: how it is called.
        process: what does the work.
        port: where it takes OTLP over HTTP.
        sink: where it sends.
    """

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int, sink: Sink) -> None:
        self.name = name
        self._process = psutil.Process(process.pid)
        self._port = port
        self._sink = sink
        self.arrived: Counter[str] = Counter()

    def take(self, bodies: Sequence[bytes]) -> float:
        """CPU seconds for these requests, until the last of what is made of them has arrived."""
        before = Counter(self._sink.arrived)
        started = self._cpu_seconds()
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_START_TIMEOUT_SECONDS)
        for body in bodies:
            connection.request("POST", "/v1/logs", body, {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"error: {self.name} answered {answer.status}")
        connection.close()
        spent = self._settled() - started
        self.arrived = self._sink.arrived - before
        return spent

    def _settled(self) -> float:
        """The CPU time when the last thing came."""
        seen: Counter[str] = Counter()
        spent, quiet_since = self._cpu_seconds(), time.monotonic()
        while time.monotonic() - quiet_since < _QUIET_SECONDS:
            if self._sink.arrived != seen:
                seen, quiet_since = Counter(self._sink.arrived), time.monotonic()
                spent = self._cpu_seconds()
            time.sleep(0.02)
        return spent

    def _cpu_seconds(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


class Round(NamedTuple):
    """What a side spent on one round, and what came of it."""

    cpu_seconds: float
    arrived: Counter[str]


def measure(rounds: int = ROUNDS, runs: int = RUNS) -> dict[str, list[Round]]:
    """What each side spent, round by round; before them is one that nobody counts."""
    measured: dict[str, list[Round]] = {}
    with sides() as compared:
        for number in range(rounds + 1):
            for place, side in enumerate(compared):
                bodies = requests(runs, (number * len(compared) + place) * runs)
                spent = side.take(bodies)
                if number:
                    measured.setdefault(side.name, []).append(Round(spent, side.arrived))
    return measured


@contextmanager
def sides() -> Iterator[list[Side]]:
    """The bridge, the plain SDK and the collector, ready; they are ended afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sockets-")))
        yield [
            _side(
                "cline-otel, durable",
                [str(Path(sys.executable).with_name("cline-otel")), "run", "--listen", "127.0.0.1:0"],
                r"OTLP logs on http://127\.0\.0\.1:(\d+)",
                folder / "bridge",
                stack,
            ),
            _side("plain SDK, in memory", [sys.executable, "-m", "bench.plain_sdk"], r"(\d+)", folder / "sdk", stack),
            _side(
                "collector, passes logs on",
                [_collector(), "--config", "collector.yaml"],
                r"Starting HTTP server.*127\.0\.0\.1:(\d+)",
                folder / "collector",
                stack,
            ),
        ]


def _collector() -> str:
    find = [sys.executable, str(_ROOT / "collector-config" / "find_or_build.py")]
    return subprocess.run(find, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def _side(name: str, command: list[str], says_port: str, home: Path, stack: ExitStack) -> Side:
    """Starts a side in a home of its own; ``says_port`` finds its port in what it prints."""
    home.mkdir()
    sink = Sink(stack)
    (home / "collector.yaml").write_text(_COLLECTOR_CONFIGURATION.format(sink=sink.url), encoding="utf-8")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(_ROOT),
        "CLINE_OTEL_BRIDGE_STATE_DIR": str(home / "state"),
        "OTEL_EXPORTER_OTLP_ENDPOINT": sink.url,
        **_ENVIRONMENT,
    }
    said = home / "output.txt"
    with said.open("wb") as output:
        process = stack.enter_context(
            subprocess.Popen(command, cwd=home, env=environment, stdout=output, stderr=subprocess.STDOUT)
        )
    # What is still in it is of no interest, and shutting down would take its time.
    stack.callback(process.kill)
    give_up_at = time.monotonic() + _START_TIMEOUT_SECONDS
    while (found := re.search(says_port, said.read_text(encoding="utf-8", errors="replace"))) is None:
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise SystemExit(f"error: {name} did not start: {said.read_text(encoding='utf-8', errors='replace')}")
        time.sleep(0.05)
    return Side(name, process, int(found[1]), sink)


def report(measured: Mapping[str, Sequence[Round]], events: int, records: int) -> str:
    """The table: what an event costs on each side, and what that is beside the bridge.

    Args:
        measured: by side, the bridge first.
        events: how many records of a round are read; the others mean nothing and are ignored.
        records: how many records a round has.
    """
    ours = next(iter(measured.values()))
    lines = [f"OTLP logs over HTTP to OTLP over HTTP, {events} events among {records} records a round, by CPU time:"]
    for name, rounds in measured.items():
        seconds = statistics.median(each.cpu_seconds for each in rounds)
        ratio = statistics.median(b.cpu_seconds / a.cpu_seconds for a, b in zip(ours, rounds, strict=True))
        arrived = ", ".join(f"{number:,} {what}" for what, number in sorted(rounds[-1].arrived.items(), reverse=True))
        lines.append(f"  {name:<28}{seconds / events * 1e6:7.1f} us an event{ratio:7.2f} times; sent {arrived}")
    return "\n".join(lines)
