"""Replays sent to a real Prometheus and to stand-ins for vendors' intakes, and what each can sum then.

They go through the bridge's own exporter, as ``cline-otel replay --send --metrics`` sends them. Backends refuse what is
old, so the replays are of recordings that were moved to the present.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from backends.destinations import Destination, IntakeDestination, PrometheusDestination
from backends.prometheus import OTLP_PATH, Prometheus
from backends.source import Flat, amounts_of, flattened
from bench.fixed_key import CATALOGUE
from cline_otel.destinations import OtlpDestination
from cline_otel.export.interface import Batch, Delivered
from cline_otel.export.otlp_http import OtlpHttpExporter
from cline_otel.replay import ReplayResult, metric_requests
from cline_otel.signals import Temporality
from intakes.datadog import DatadogIntake
from intakes.intake import Intake
from intakes.new_relic import NewRelicIntake
from intakes.points import Point, sums_of

DATADOG: Final = "Datadog"
NEW_RELIC: Final = "New Relic"
TOTALS: Final = "totals"
PROMETHEUS: Final = "Prometheus"
BACKENDS: Final = (DATADOG, NEW_RELIC, TOTALS, PROMETHEUS)
"""Stand-ins that want growth, one that is told totals and takes the difference of each to the one before it, and a
real Prometheus."""

Sums = Mapping[str, Mapping[Flat, float]]
"""What was added to each series, by ``service.instance.id``."""


class Backends:
    """All of them, as a context; each is sent every replay.

    Attributes:
        refused: what one of them did not take, each said in a line.
    """

    def __init__(self, prometheus: Path, directory: Path) -> None:
        """``prometheus`` is the executable, and ``directory`` its own; it exists."""
        self.refused: list[str] = []
        self._ends = ExitStack()
        self._prometheus = Prometheus(prometheus, directory)
        self._intakes: dict[str, Intake] = {
            DATADOG: DatadogIntake(),
            NEW_RELIC: NewRelicIntake(),
            TOTALS: NewRelicIntake(),
        }

    def __enter__(self) -> Self:
        for intake in self._intakes.values():
            self._ends.enter_context(intake).listen()
        self._ends.callback(self._prometheus.stop)
        self._prometheus.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ends.close()

    def send(self, replays: Mapping[str, ReplayResult]) -> None:
        """Sends the metrics of replays, each from the instance that it is named by."""
        for name, intake in self._intakes.items():
            temporality: Temporality = "cumulative" if name == TOTALS else "delta"
            headers = ((intake.api_key_header, "0"),)
            self._send(name, _destination(f"{intake.url}/v1/metrics", temporality, headers), replays)
            self.refused += [f"{name}: {refusal.reason}" for refusal in intake.refusals]
        self._send(PROMETHEUS, _destination(f"{self._prometheus.url}{OTLP_PATH}/v1/metrics", "cumulative"), replays)

    def sums(self) -> dict[str, Sums]:
        """What can be summed, by backend."""
        added: dict[str, Sums] = {
            name: {instance: flattened(sums_of(points)) for instance, points in _by_instance(intake.countable())}
            for name, intake in self._intakes.items()
            if name != TOTALS
        }
        of_totals = _by_instance(self._intakes[TOTALS].points)
        added[TOTALS] = {instance: _growth(points) for instance, points in of_totals}
        added[PROMETHEUS] = PrometheusDestination(self._prometheus).growth()
        return added

    def differences(self, replays: Mapping[str, ReplayResult]) -> list[str]:
        """Every series of every metric that is not what the replays measured, each said in a line."""
        sources = {instance: amounts_of(replay.totals) for instance, replay in replays.items()}
        compared: dict[str, Destination] = {
            DATADOG: IntakeDestination(self._intakes[DATADOG]),
            NEW_RELIC: IntakeDestination(self._intakes[NEW_RELIC]),
            PROMETHEUS: PrometheusDestination(self._prometheus),
        }
        return [f"{name}: {line}" for name, backend in compared.items() for line in backend.differences(sources)]

    def _send(self, name: str, destination: OtlpDestination, replays: Mapping[str, ReplayResult]) -> None:
        self.refused += [f"{name}: {line}" for line in asyncio.run(_export(destination, replays))]


def _destination(endpoint: str, temporality: Temporality, headers: tuple[tuple[str, str], ...] = ()) -> OtlpDestination:
    return OtlpDestination(
        signal="metrics",
        protocol="http/protobuf",
        endpoint=endpoint,
        headers=headers,
        compression="gzip",
        temporality=temporality,
    )


async def _export(destination: OtlpDestination, replays: Mapping[str, ReplayResult]) -> list[str]:
    exporter = OtlpHttpExporter(destination)
    refused = []
    try:
        for instance, replay in replays.items():
            for request in metric_requests(
                replay.measurements,
                CATALOGUE,
                replay.resource_and_scope,
                replay.ended_at_ns,
                destination.temporality,
            ):
                result = await exporter.export(Batch([request]))
                if not isinstance(result, Delivered) or result.rejected:
                    refused.append(f"{instance}: {result}")
    finally:
        await exporter.close()
    return refused


def _by_instance(points: Iterable[Point]) -> Iterator[tuple[str, list[Point]]]:
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(dict(point.resource)["service.instance.id"], []).append(point)
    yield from found.items()


def _growth(points: Sequence[Point]) -> dict[Flat, float]:
    """The newest total of each series minus the oldest, which is what the differences between them add up to."""
    in_time = sorted(points, key=lambda point: point.ends_at_ns)
    newest = flattened({point.series: point.amount for point in in_time})
    oldest = flattened({point.series: point.amount for point in reversed(in_time)})
    return {flat: value - oldest[flat] for flat, value in newest.items()}
