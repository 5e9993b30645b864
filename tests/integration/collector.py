"""Runs a real OpenTelemetry Collector and reads back what it wrote.

The executable comes from ``collector-config/find_or_build.py``; every collector gets ports and a
directory of its own, so any number run side by side.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, cast

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from waiting import wait_until

from .comparison import ExportRequest, Told, told_by
from .otlp_json import requests_from_lines
from .server_process import ServerProcess
from .transport import SIGNALS, Signal

CONFIGURATION_DIRECTORY: Final = Path(__file__).resolve().parents[2] / "collector-config"
BASE_CONFIGURATION: Final = CONFIGURATION_DIRECTORY / "base.yaml"
FILES_CONFIGURATION: Final = CONFIGURATION_DIRECTORY / "files.yaml"
FINDER: Final = CONFIGURATION_DIRECTORY / "find_or_build.py"

QUICK_FLUSH: Final = tuple(f"exporters::file/{signal}::flush_interval: 20ms" for signal in SIGNALS)
"""Overrides of ``base.yaml`` for tests that watch its files while it runs."""


class Collector(ServerProcess):
    """One collector.

    Attributes:
        output: where ``base.yaml`` writes ``traces.jsonl``, ``metrics.jsonl`` and ``logs.jsonl``.
    """

    name = "collector"
    ready_line = b"Everything is ready. Begin running and processing data."
    port_count = 3

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
            executable: from ``found_by(FINDER)``.
            directory: an own, existing directory.
            configurations: files, later ones over earlier ones.
            overrides: single settings over those, such as ``processors::batch::timeout: 1s``.
            environment: variables over those that set its addresses and directories.
        """
        super().__init__(executable, directory)
        self.output = directory / "output"
        self._sources = [*map(str, configurations), *(f"yaml:{override}" for override in overrides)]
        self._environment = dict(environment or {})

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

    def kill(self) -> None:
        """Ends it with SIGKILL: what it held in memory is gone, and so is a line it was writing."""
        super().kill()
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

    def _arguments(self) -> list[str]:
        return [argument for source in self._sources for argument in ("--config", source)]

    def _variables(self) -> Mapping[str, str]:
        self.output.mkdir(exist_ok=True)
        http, grpc, health = self._ports
        return {
            "CLINE_OTEL_COLLECTOR_HTTP_ENDPOINT": f"127.0.0.1:{http}",
            "CLINE_OTEL_COLLECTOR_GRPC_ENDPOINT": f"127.0.0.1:{grpc}",
            "CLINE_OTEL_COLLECTOR_HEALTH_ENDPOINT": f"127.0.0.1:{health}",
            "CLINE_OTEL_COLLECTOR_OUTPUT_DIR": str(self.output),
            "CLINE_OTEL_COLLECTOR_STATE_DIR": str(self.directory / "state"),
            **self._environment,
        }
