"""Where the bridges of a test send their metrics: to a backend itself, or through a collector that stands before it."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Final

from bench.fixed_key import CATALOGUE

from intakes.datadog import DatadogIntake
from intakes.intake import Intake
from intakes.points import Amount, Point, Series
from integration.collector import Collector
from waiting import wait_until

from .bridges import BridgeAndCline
from .forwarder import Forwarder
from .prometheus import OTLP_PATH, Prometheus, Samples
from .source import Flat, combined, differences, flat_differences, flattened, is_summed

QUIET_SECONDS: Final = 15.0
"""When everything was sent and nothing came for so long, nothing more comes."""

SHOWN_LINES: Final = 20

Sources = Mapping[str, Mapping[Series, Amount]]
"""What each bridge should have counted, by its ``service.instance.id``."""


class Destination(ABC):
    """A backend, and a collector before it or None.

    Attributes:
        environment: of a bridge that sends here.
    """

    def __init__(self, own_endpoint: str, environment: Mapping[str, str], collector: Collector | None) -> None:
        """``own_endpoint`` is the URL for metrics of the backend itself."""
        self.collector = collector
        self.environment = {
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{collector.http_endpoint}/v1/metrics"
            if collector
            else own_endpoint,
            # The shortest that Datadog, which keeps one point a second, leaves room for.
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            **environment,
        }

    @abstractmethod
    def go_down(self) -> None:
        """From now on the backend refuses connections."""

    @abstractmethod
    def come_back(self) -> None:
        """The backend is there again, with all that it had."""

    @abstractmethod
    def received(self) -> int:
        """A number that grows with what the backend gets."""

    @abstractmethod
    def differences(self, sources: Sources) -> list[str]:
        """Where what can be summed here is not the source, and whatever else is wrong."""

    def wait_for_trouble(self, bridges: Iterable[BridgeAndCline]) -> None:
        """Waits until who sends to the backend has found it away."""
        if self.collector is None:
            wait_until(lambda: all(bridge.trouble() for bridge in bridges), "every bridge in trouble")
        else:
            log = self.collector.log_path
            failed_before = log.read_bytes().count(b"Exporting failed")
            wait_until(lambda: log.read_bytes().count(b"Exporting failed") > failed_before, "the collector in trouble")

    def assert_adds_up(self, sources: Sources) -> None:
        """Nothing differs from the source once all that comes has come."""
        received, since = self.received(), time.monotonic()
        lines: list[str] = []

        def is_settled() -> bool:
            nonlocal received, since, lines
            if (now := self.received()) != received:
                received, since = now, time.monotonic()
            lines = self.differences(sources)
            return not lines or time.monotonic() - since > QUIET_SECONDS

        wait_until(is_settled, "nothing more comes", interval_seconds=0.5)
        assert not lines, "\n".join([f"{len(lines)} differences from the source:", *lines[:SHOWN_LINES]])


class IntakeDestination(Destination):
    """A stand-in for a vendor's intake, which wants deltas."""

    def __init__(
        self, intake: Intake, collector: Collector | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """``environment`` goes over what every bridge gets that sends here."""
        self.intake = intake
        super().__init__(
            f"{intake.url}/v1/metrics",
            {
                "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
                "OTEL_EXPORTER_OTLP_METRICS_HEADERS": f"{intake.api_key_header}=0",
                "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION": "gzip",
                "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "2000",
                **(environment or {}),
            },
            collector,
        )

    def go_down(self) -> None:
        self.intake.go_down()

    def come_back(self) -> None:
        self.intake.listen()

    def received(self) -> int:
        return self.intake.asked

    def differences(self, sources: Sources) -> list[str]:
        expected = combined(sources.values())
        found = {series: amount for series, amount in self.intake.sums().items() if series[0] in CATALOGUE.metrics}
        lines = differences(expected, found)
        lines += [f"told twice: {one} {two}" for one, two in self.intake.overlaps()]
        lines += [f"told again with another amount: {point}" for point in self.intake.contradictions]
        lines += [
            f"buckets that nobody asked for: {point}" for point in self.intake.points if self._is_of_another_kind(point)
        ]
        if isinstance(self.intake, DatadogIntake):
            lines += [f"overwritten within its second: {point}" for point in self.intake.overwritten()]
        return lines

    def _is_of_another_kind(self, point: Point) -> bool:
        asked_for = self.environment.get("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "")
        other = "histogram" if asked_for.startswith("base2_exponential") else "exponential_histogram"
        return point.metric in CATALOGUE.metrics and point.kind == other


class PrometheusDestination(Destination):
    """A real Prometheus, which takes totals."""

    def __init__(
        self,
        prometheus: Prometheus,
        collector: Collector | None = None,
        forwarder: Forwarder | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """``forwarder`` stands directly before Prometheus; ``environment`` is of every bridge that sends here."""
        self.prometheus = prometheus
        own_endpoint = f"{forwarder.url if forwarder else prometheus.url}{OTLP_PATH}/v1/metrics"
        super().__init__(own_endpoint, environment or {}, collector)

    def go_down(self) -> None:
        self.prometheus.stop()

    def come_back(self) -> None:
        self.prometheus.start()

    def received(self) -> int:
        return sum(len(series.samples) for series in self.prometheus.samples())

    def differences(self, sources: Sources) -> list[str]:
        """Of each series: the newest sample minus the first, and ``increase()`` as of the newest sample.

        Buckets of native histograms have other edges than those of the source and are not compared.
        """
        expected = {instance: flattened(source) for instance, source in sources.items()}
        samples = self._summed()
        if "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION" in self.environment:
            assert any(series.native_part for series in samples)
            expected = {
                instance: {flat: value for flat, value in source.items() if not flat[0].endswith("_bucket")}
                for instance, source in expected.items()
            }
        return [
            f"{what}: {line}"
            for what, found in (("newest minus first", _growth(samples)), ("increase()", self._increases(samples)))
            for instance in sorted(expected.keys() | found.keys())
            for line in flat_differences(expected.get(instance, {}), found.get(instance, {}))
        ]

    def growth(self) -> dict[str, dict[Flat, float]]:
        """The newest sample minus the first of each series, by the bridge's ``service.instance.id``."""
        return _growth(self._summed())

    def _increases(self, samples: Iterable[Samples]) -> dict[str, dict[Flat, float]]:
        newest: dict[tuple[str, str, float], set[tuple[str, Flat]]] = {}
        for series in samples:
            asked = series.name, series.increase, series.samples[-1][0]
            newest.setdefault(asked, set()).add(_series(series.name, series.labels))
        increases: dict[str, dict[Flat, float]] = {}
        for (name, expression, at_seconds), as_new in newest.items():
            for labels, value in self.prometheus.ask(expression, at_seconds):
                instance, flat = _series(name, labels)
                if (instance, flat) in as_new:
                    increases.setdefault(instance, {})[flat] = value
        return increases

    def _summed(self) -> list[Samples]:
        return [series for series in self.prometheus.samples() if is_summed(series.name)]


def _growth(samples: Iterable[Samples]) -> dict[str, dict[Flat, float]]:
    growth: dict[str, dict[Flat, float]] = {}
    for series in samples:
        instance, flat = _series(series.name, series.labels)
        growth.setdefault(instance, {})[flat] = series.samples[-1][1] - series.samples[0][1]
    return growth


def _series(name: str, labels: Mapping[str, str]) -> tuple[str, Flat]:
    """Whose it is, and which."""
    own = frozenset(
        (label, repr(float(value)) if label == "le" else value)
        for label, value in labels.items()
        if label not in ("__name__", "instance", "job") and not label.startswith("otel_scope_")
    )
    return labels["instance"], (name, own)
