"""Every shipped configuration is one that the collector takes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .collector import CONFIGURATION_DIRECTORY, Collector
from .comparison import told_by
from .official_telemetry import official_requests
from .transport import SIGNALS, Signal, carry

pytestmark = pytest.mark.collector

CREDENTIALS = {
    "DD_API_KEY": "0",
    "NEW_RELIC_LICENSE_KEY": "0",
    "GRAFANA_CLOUD_OTLP_ENDPOINT": "http://127.0.0.1:9/otlp",
    "GRAFANA_CLOUD_INSTANCE_ID": "1",
    "GRAFANA_CLOUD_API_KEY": "0",
}

SENDING = {
    "datadog.yaml": ("otlp_http/datadog", {"DD_API_KEY": "key"}),
    "newrelic.yaml": ("otlp_http/newrelic", {"NEW_RELIC_LICENSE_KEY": "key"}),
    "grafana.yaml": ("otlp_http/grafana", {"GRAFANA_CLOUD_INSTANCE_ID": "7", "GRAFANA_CLOUD_API_KEY": "key"}),
}


@pytest.mark.parametrize(
    "names",
    [
        ["base.yaml"],
        ["datadog.yaml"],
        ["newrelic.yaml"],
        ["grafana.yaml"],
        ["base.yaml", "files.yaml"],
        ["datadog.yaml", "files.yaml"],
        ["newrelic.yaml", "files.yaml"],
        ["grafana.yaml", "files.yaml"],
    ],
    ids="+".join,
)
def test_the_collector_validates_it(collector_executable: Path, tmp_path: Path, names: list[str]) -> None:
    arguments = [argument for name in names for argument in ("--config", str(CONFIGURATION_DIRECTORY / name))]
    answer = subprocess.run(
        [collector_executable, "validate", *arguments],
        env=os.environ | CREDENTIALS,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr


def test_no_configuration_is_left_out() -> None:
    shipped = {path.name for path in CONFIGURATION_DIRECTORY.glob("*.yaml")}
    assert shipped == {"builder.yaml", "base.yaml", "files.yaml", *SENDING}


@pytest.mark.parametrize("name", SENDING)
def test_what_a_backend_is_sent_is_what_came_in(
    collector: Collector, make_collector: Callable[..., Collector], name: str
) -> None:
    exporter, credentials = SENDING[name]
    sender = make_collector(
        configurations=[CONFIGURATION_DIRECTORY / name],
        overrides=[
            f"exporters::{exporter}::endpoint: {collector.http_endpoint}",
            f"exporters::{exporter}::sending_queue::batch::flush_timeout: 20ms",
        ],
        environment=credentials,
    ).start()
    for signal in SIGNALS:
        request = official_requests()[signal]
        carry("http", sender.http_endpoint, sender.grpc_target, signal, request.SerializeToString())
        collector.wait_for(signal, len(told_by([request])))
        assert collector.told(signal) == told_by([request])


@pytest.mark.parametrize("name", SENDING)
@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_what_was_acknowledged_while_the_backend_was_away_survives_a_kill(
    collector: Collector, make_collector: Callable[..., Collector], signal: Signal, name: str
) -> None:
    exporter, credentials = SENDING[name]
    sender = make_collector(
        configurations=[CONFIGURATION_DIRECTORY / name],
        overrides=[
            f"exporters::{exporter}::endpoint: {collector.http_endpoint}",
            f"exporters::{exporter}::sending_queue::batch::flush_timeout: 20ms",
            f"exporters::{exporter}::retry_on_failure::initial_interval: 50ms",
            f"exporters::{exporter}::retry_on_failure::max_interval: 50ms",
        ],
        environment=credentials,
    )
    collector.kill()
    sender.start()
    request = official_requests()[signal]
    carry("http", sender.http_endpoint, sender.grpc_target, signal, request.SerializeToString())
    sender.kill()
    collector.start()
    sender.start()
    collector.wait_for(signal, len(told_by([request])))
    assert set(collector.told(signal)) == set(told_by([request]))
