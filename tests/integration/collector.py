"""Runs a real OpenTelemetry Collector and reads back what it wrote.

The executable comes from ``collector-config/find_or_build.py``; every collector gets ports and a
directory of its own, so any number run side by side.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from surroundings import variables_as_found
from waiting import PATIENCE_SECONDS, wait_until

from .comparison import ExportRequest, Told, told_by
from .otlp_json import requests_from_lines
from .transport import SIGNALS, Signal

CONFIGURATION_DIRECTORY: Final = Path(__file__).resolve().parents[2] / "collector-config"
BASE_CONFIGURATION: Final = CONFIGURATION_DIRECTORY / "base.yaml"
FILES_CONFIGURATION: Final = CONFIGURATION_DIRECTORY / "files.yaml"
FINDER: Final = CONFIGURATION_DIRECTORY / "find_or_build.py"

START_ATTEMPTS: Final = 5
READY_LINE: Final = b"Everything is ready. Begin running and processing data."
PORT_TAKEN_LINE: Final = b"address already in use"


QUICK_FLUSH: Final = tuple(f"exporters::file/{signal}::flush_interval: 20ms" for signal in SIGNALS)
"""Overrides of ``base.yaml`` for tests that watch its files while it runs."""


class CollectorError(AssertionError):
    """The collector did not do what a test needs; the message ends with its log."""


def find_collector() -> Path:
    """The executable that the finder names; it does not build here.

    Raises:
        CollectorError: there is none; the message is the finder's.
    """
    with variables_as_found():
        answer = subprocess.run([sys.executable, FINDER, "--no-build"], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise CollectorError(answer.stderr.strip())
    return Path(answer.stdout.strip())


def free_ports(count: int) -> list[int]:
    """Distinct loopback ports that nothing listened on a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class Collector:
    """One collector, started, stopped, killed and started again at the same addresses.

    Attributes:
        directory: its working directory; what it writes and its log lie below.
        output: where ``base.yaml`` writes ``traces.jsonl``, ``metrics.jsonl`` and ``logs.jsonl``.
    """

    def __init__(
        self,
        executable: Path,
        directory: Path,
        *,
        configurations: Sequence[Path] = (BASE_CONFIGURATION,),
        overrides: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Prepares a collector; ``start`` starts it.

        Args:
            executable: from ``find_collector``.
            directory: an own, existing directory.
            configurations: files, later ones over earlier ones.
            overrides: single settings over those, such as ``processors::batch::timeout: 1s``.
            environment: variables over those that set its addresses and directories.
        """
        self.directory = directory
        self.output = directory / "output"
        self._executable = executable
        self._sources = [*map(str, configurations), *(f"yaml:{override}" for override in overrides)]
        self._environment = dict(environment or {})
        self._ports: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def http_endpoint(self) -> str:
        """The base URL for OTLP/HTTP, as ``OTEL_EXPORTER_OTLP_ENDPOINT`` takes it."""
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def grpc_endpoint(self) -> str:
        """The URL for OTLP/gRPC, as ``OTEL_EXPORTER_OTLP_ENDPOINT`` takes it."""
        return f"http://127.0.0.1:{self._ports[1]}"

    @property
    def grpc_target(self) -> str:
        """Host and port for OTLP/gRPC, as a channel takes it."""
        return f"127.0.0.1:{self._ports[1]}"

    @property
    def health_endpoint(self) -> str:
        """The URL of the health check."""
        return f"http://127.0.0.1:{self._ports[2]}"

    @property
    def log_path(self) -> Path:
        """What the collector says about itself, over all its starts."""
        return self.directory / "collector.log"

    def start(self) -> Collector:
        """Starts it and waits until it takes data; a second start uses the same ports.

        Raises:
            CollectorError: it did not become ready.
        """
        if self._process is not None:
            raise CollectorError("the collector is running already")
        keep_ports = bool(self._ports)
        for _ in range(START_ATTEMPTS):
            if not keep_ports:
                self._ports = free_ports(3)
            said = self._launch()
            if READY_LINE in said:
                return self
            # Someone may take a port between our look and the collector's bind.
            if PORT_TAKEN_LINE not in said:
                break
        raise CollectorError(f"the collector did not start:\n{self._log_tail()}")

    def stop(self) -> None:
        """Ends it with SIGTERM, on which it writes out all that it accepted."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it with SIGKILL: what it held in memory is gone, and so is a line it was writing."""
        self._end(signal.SIGKILL)
        for path in self.output.glob("*.jsonl"):
            # It would run into the first line of the next start.
            whole_lines = path.read_bytes().rpartition(b"\n")
            os.truncate(path, len(whole_lines[0] + whole_lines[1]))

    def traces(self) -> list[ExportTraceServiceRequest]:
        """What it wrote to its traces file, a request a line."""
        return requests_from_lines(self.output / "traces.jsonl", ExportTraceServiceRequest)

    def metrics(self) -> list[ExportMetricsServiceRequest]:
        """What it wrote to its metrics file, a request a line."""
        return requests_from_lines(self.output / "metrics.jsonl", ExportMetricsServiceRequest)

    def logs(self) -> list[ExportLogsServiceRequest]:
        """What it wrote to its logs file, a request a line."""
        return requests_from_lines(self.output / "logs.jsonl", ExportLogsServiceRequest)

    def told(self, signal: Signal) -> list[Told]:
        """What it wrote of one signal, item by item, in an order that depends on the items alone."""
        requests = {"traces": self.traces, "metrics": self.metrics, "logs": self.logs}[signal]
        return told_by(cast("list[ExportRequest]", requests()))

    def wait_for(self, signal: Signal, count: int) -> None:
        """Waits until its file has ``count`` items of ``signal``, which may be a second after it took them.

        Raises:
            NotWithinTimeError: it has fewer after PATIENCE_SECONDS.
        """
        wait_until(lambda: len(self.told(signal)) >= count, f"{count} items of {signal} in {self.output}")

    def written_bytes(self) -> bytes:
        """Everything in its output directory and its log, to search for what must not be there."""
        files = [*sorted(self.output.rglob("*")), self.log_path]
        return b"".join(path.read_bytes() for path in files if path.is_file())

    def _launch(self) -> bytes:
        """Starts the process; returns what it said until it was ready or gone."""
        self.output.mkdir(exist_ok=True)
        http, grpc, health = self._ports
        arguments = [argument for source in self._sources for argument in ("--config", source)]
        environment = os.environ | {
            "CLINE_OTEL_COLLECTOR_HTTP_ENDPOINT": f"127.0.0.1:{http}",
            "CLINE_OTEL_COLLECTOR_GRPC_ENDPOINT": f"127.0.0.1:{grpc}",
            "CLINE_OTEL_COLLECTOR_HEALTH_ENDPOINT": f"127.0.0.1:{health}",
            "CLINE_OTEL_COLLECTOR_OUTPUT_DIR": str(self.output),
            "CLINE_OTEL_COLLECTOR_STATE_DIR": str(self.directory / "state"),
            **self._environment,
        }
        with self.log_path.open("ab") as log:
            said_before = log.tell()
            process = subprocess.Popen(
                [self._executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self.directory,
            )
        self._process = process

        def said() -> bytes:
            return self.log_path.read_bytes()[said_before:]

        # Its own word, because another collector could answer at a port that this one failed to get.
        wait_until(lambda: READY_LINE in said() or process.poll() is not None, "the collector is ready")
        if process.poll() is not None:
            self._process = None
        return said()

    def _end(self, signal_number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal_number)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise CollectorError(f"the collector did not stop on {signal_number.name}:\n{self._log_tail()}") from error

    def _log_tail(self) -> str:
        return "\n".join(self.log_path.read_text("utf-8", "replace").splitlines()[-10:])
