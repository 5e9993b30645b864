"""Fixtures for real backends and for stand-ins, each with or without a real collector before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from intakes.datadog import DatadogIntake
from intakes.intake import Intake
from intakes.new_relic import NewRelicIntake
from integration.collector import CONFIGURATION_DIRECTORY, Collector
from integration.conftest import collector_executable as collector_executable
from integration.conftest import make_collector as make_collector
from integration.server_process import found_by

from .destinations import Destination, IntakeDestination, PrometheusDestination
from .prometheus import FINDER, TAKES_OLDER_SAMPLES, Prometheus

EXPONENTIAL = {"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram"}

INTAKES: Final[dict[str, tuple[type[Intake], str, str]]] = {
    "Datadog": (DatadogIntake, "datadog", "DD_API_KEY"),
    "New Relic": (NewRelicIntake, "newrelic", "NEW_RELIC_LICENSE_KEY"),
}
"""The stand-in, the collector's configuration, and the variable of that for the key."""


@pytest.fixture(scope="session")
def prometheus_executable() -> Path:
    """The Prometheus to run; a test that needs one fails with the remedy where there is none."""
    return found_by(FINDER)


@pytest.fixture
def make_prometheus(prometheus_executable: Path, tmp_path: Path) -> Iterator[Callable[[str], Prometheus]]:
    """Starts a Prometheus with the text of a configuration."""
    with ExitStack() as ends:

        def make(configuration: str) -> Prometheus:
            directory = tmp_path / "prometheus"
            directory.mkdir()
            made = Prometheus(prometheus_executable, directory, configuration)
            ends.callback(made.stop)
            return made.start()

        yield make


@pytest.fixture
def make_intake() -> Iterator[Callable[[type[Intake]], Intake]]:
    """Starts a stand-in."""
    with ExitStack() as ends:
        yield lambda kind: ends.enter_context(kind()).listen()


@pytest.fixture
def make_destination(
    make_prometheus: Callable[[str], Prometheus],
    make_intake: Callable[[type[Intake]], Intake],
    make_collector: Callable[..., Collector],
) -> Callable[[str], Destination]:
    """Makes the destination of a name: a backend, ``collector to`` it, or it ``with exponential histograms``."""

    def collector_to(configuration: str, url: str, variables: dict[str, str]) -> Collector:
        exporter = f"exporters::otlp_http/{configuration}"
        made = make_collector(
            configurations=[CONFIGURATION_DIRECTORY / f"{configuration}.yaml"],
            overrides=[
                f"{exporter}::endpoint: {url}",
                f"{exporter}::sending_queue::batch::flush_timeout: 20ms",
                f"{exporter}::retry_on_failure::initial_interval: 50ms",
                f"{exporter}::retry_on_failure::max_interval: 200ms",
            ],
            environment=variables,
        )
        return made.start()

    def make(name: str) -> Destination:
        backend = name.removeprefix("collector to ").removesuffix(" with exponential histograms")
        behind_collector = name.startswith("collector to ")
        environment = EXPONENTIAL if name.endswith(" with exponential histograms") else {}
        if backend == "Prometheus":
            prometheus = make_prometheus(TAKES_OLDER_SAMPLES if behind_collector else "")
            variables = {"GRAFANA_CLOUD_INSTANCE_ID": "0", "GRAFANA_CLOUD_API_KEY": "0"}
            return PrometheusDestination(
                prometheus,
                collector_to("grafana", prometheus.otlp_endpoint, variables) if behind_collector else None,
                environment=environment,
            )
        kind, configuration, key = INTAKES[backend]
        intake = make_intake(kind)
        return IntakeDestination(
            intake,
            collector_to(configuration, intake.url, {key: "0"}) if behind_collector else None,
            environment,
        )

    return make
