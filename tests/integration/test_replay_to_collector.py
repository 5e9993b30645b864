"""A replay's files and what a replay sends, through a real collector."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from waiting import PATIENCE_SECONDS

from .collector import BASE_CONFIGURATION, FILES_CONFIGURATION, QUICK_FLUSH, Collector
from .comparison import Told, told_by
from .otlp_json import requests_from_lines
from .transport import SIGNALS, Signal

pytestmark = pytest.mark.collector

RECORDING = Path(__file__).resolve().parents[2] / "examples" / "delegated-run"
COMMAND = Path(sys.executable).with_name("cline-otel")


def replay(*options: str, environment: Mapping[str, str] | None = None) -> None:
    subprocess.run(
        [COMMAND, "replay", str(RECORDING), *options],
        env=os.environ | dict(environment or {}),
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )


def told_in(directory: Path, signal: Signal) -> list[Told]:
    path = directory / f"{signal}.jsonl"
    if signal == "traces":
        return told_by(requests_from_lines(path, ExportTraceServiceRequest))
    if signal == "metrics":
        return told_by(requests_from_lines(path, ExportMetricsServiceRequest))
    return told_by(requests_from_lines(path, ExportLogsServiceRequest))


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that a replay of the bundled recording wrote."""
    directory = tmp_path_factory.mktemp("replay") / "output"
    replay("--output", str(directory))
    return directory


def test_the_files_of_a_replay_are_read_back_by_the_collectors_file_receiver(
    make_collector: Callable[..., Collector], replayed: Path
) -> None:
    reader = make_collector(
        configurations=[BASE_CONFIGURATION, FILES_CONFIGURATION],
        overrides=QUICK_FLUSH,
        environment={"CLINE_OTEL_COLLECTOR_INPUT_DIR": str(replayed)},
    ).start()
    for signal in SIGNALS:
        expected = told_in(replayed, signal)
        assert expected
        reader.wait_for(signal, len(expected))
        assert reader.told(signal) == expected


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json", "grpc"])
def test_what_a_replay_sends_is_what_it_writes(collector: Collector, replayed: Path, protocol: str) -> None:
    endpoint = collector.grpc_endpoint if protocol == "grpc" else collector.http_endpoint
    replay(
        "--send",
        "--metrics",
        environment={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol},
    )
    collector.stop()
    for signal in SIGNALS:
        assert collector.told(signal) == told_in(replayed, signal)


def test_the_third_line_of_privacy_finds_nothing_to_mask_in_a_replay(
    make_collector: Callable[..., Collector], replayed: Path
) -> None:
    reader = make_collector(
        configurations=[BASE_CONFIGURATION, FILES_CONFIGURATION],
        overrides=QUICK_FLUSH,
        environment={"CLINE_OTEL_COLLECTOR_INPUT_DIR": str(replayed)},
    ).start()
    for signal in SIGNALS:
        reader.wait_for(signal, len(told_in(replayed, signal)))
    assert b"redaction." not in reader.written_bytes()
