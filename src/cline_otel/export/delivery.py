"""What goes out, all signals together: started, paused, replaced and ended as one.

Rows of the outbox are plain OTLP, so a new destination takes them as the old one would have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final, Literal, ParamSpec, Protocol, TypeVar

from cline_otel.destinations import Destination, ExportSettings, FileDestination
from cline_otel.export.delivery_loop import BatchLimits, DeliveryLoop, Outbox
from cline_otel.export.delta_reader import DeltaMetricReader, DeltaOutbox, FormedRequests
from cline_otel.export.exporters import Exporters
from cline_otel.export.fanout import FanoutExporter
from cline_otel.export.interface import DeliveryRecord, Exporter, MetricProducer
from cline_otel.export.metric_reader import PeriodicMetricReader
from cline_otel.export.patience import PatientOutbox, PatientRecord
from cline_otel.signals import SignalName
from cline_otel.storage import StorageUnavailable

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

FILE_REQUEST_BYTES: Final = 384 * 1024
"""As JSON about twice as long; the collector's otlpjsonfile receiver takes lines of up to 1 MiB by default."""

QueuedSignal = Literal["traces", "logs"]

QUEUED_SIGNALS: Final[tuple[QueuedSignal, ...]] = ("traces", "logs")
"""What is queued as it is made. Metrics are formed out of the totals."""


class DeliveryJournal(Outbox, DeliveryRecord, Protocol):
    """Where what is delivered waits, and where it is noted how that goes."""

    def record_failure(self, signal: SignalName, *, reason: str, remedy: str = "") -> None:
        """Delivery of a signal does not go on just now."""


class Delivery:
    """The delivery loops and the metric readers of one bridge.

    Attributes:
        queued: the signals whose requests are to be queued, because they have a destination; changes in place.
    """

    def __init__(
        self,
        journal: DeliveryJournal,
        producer: MetricProducer,
        formed: FormedRequests,
        settings: ExportSettings,
        exporters: Exporters,
    ) -> None:
        """``producer`` knows the metrics, of which ``formed`` wait; ``exporters`` are for those of ``settings``."""
        self.queued: set[QueuedSignal] = set()
        self._journal = journal
        self._producer = producer
        self._formed = formed
        self._is_paused = False
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._use(settings, exporters)

    def start(self) -> None:
        """Sends in tasks, from now on."""
        self._producer.begin({destination.key: destination.temporality for destination in self._metric_destinations})
        for part in self._parts():
            if self._is_paused:
                part.pause()
            task = part.start()
            self._tasks.add(task)
            task.add_done_callback(self._on_done)

    async def run(self) -> None:
        """Waits until a task fails, and raises what it failed with."""
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    def notify(self) -> None:
        """Something was put into the outbox."""
        for loop in self._loops:
            loop.notify()

    def pause(self) -> None:
        """Sends nothing from now on; what is being sent is broken off and stays queued."""
        self._is_paused = True
        for part in self._parts():
            part.pause()
        self._exporters.abort()

    def resume(self) -> None:
        """Goes on with what is queued then."""
        self._is_paused = False
        for part in self._parts():
            part.resume()

    async def replace(self, settings: ExportSettings) -> None:
        """Sends to other destinations from now on, what is queued already too.

        Raises:
            ExporterError: an exporter cannot be made; everything goes on as before.
        """
        exporters = Exporters(settings.destinations)
        former, tasks = self._exporters, self._tasks
        self._tasks = set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._use(settings, exporters)
        self.start()
        await former.close()

    async def drain(self, seconds: float) -> None:
        """Sends what can be sent in time, and ends. What is left stays queued."""
        await asyncio.gather(*(part.drain(seconds) for part in self._parts()))

    async def close(self) -> None:
        """Ends every task and closes every exporter."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._exporters.close()

    def describe(self) -> list[str]:
        """One line a signal, without secrets."""
        return self._exporters.describe()

    def _use(self, settings: ExportSettings, exporters: Exporters) -> None:
        self._exporters = exporters
        self._loops: list[DeliveryLoop] = []
        self.queued.clear()
        for signal in QUEUED_SIGNALS:
            if (exporter := exporters.of_outbox(signal)) is not None:
                limits = _limits(settings.destinations.get(signal, ()))
                outbox = PatientOutbox(self._journal)
                loop = DeliveryLoop(signal, outbox, exporter, limits=limits)
                outbox.wake = loop.notify
                if isinstance(exporter, FanoutExporter):
                    loop.on_replaced = exporter.on_replaced
                self._loops.append(loop)
                self.queued.add(signal)
        self._metric_destinations = tuple(settings.destinations.get("metrics", ()))
        self._metric_readers = [
            self._metric_reader(destination, exporter, settings)
            for destination, exporter in zip(self._metric_destinations, exporters.of_metrics(), strict=True)
        ]

    def _metric_reader(
        self, destination: Destination, exporter: Exporter, settings: ExportSettings
    ) -> DeltaMetricReader | PeriodicMetricReader:
        key, interval_seconds = destination.key, settings.metric_interval_seconds
        if destination.temporality == "delta":
            outbox = PatientOutbox(DeltaOutbox(self._formed, key, self._journal, interval_seconds))
            form = _unless_unavailable(partial(self._producer.form, key))
            return DeltaMetricReader(form, outbox, exporter, interval_seconds=interval_seconds)
        return PeriodicMetricReader(
            _unless_unavailable(partial(self._producer.snapshot, key)),
            # Of what is not noted, the destination is told again.
            _unless_unavailable(partial(self._producer.confirm, key)),
            exporter,
            PatientRecord(self._journal),
            interval_seconds=interval_seconds,
            timeout_seconds=settings.metric_timeout_seconds,
        )

    def _parts(self) -> list[DeliveryLoop | DeltaMetricReader | PeriodicMetricReader]:
        return [*self._loops, *self._metric_readers]

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self._ended.set()


def _unless_unavailable(call: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result | None]:
    """The same call, which does nothing while the journal cannot be used: what it would tell stays in the totals."""

    def guarded(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result | None:
        with suppress(StorageUnavailable):
            return call(*args, **kwargs)
        return None

    return guarded


def _limits(destinations: Sequence[Destination]) -> BatchLimits:
    if any(isinstance(destination, FileDestination) for destination in destinations):
        return BatchLimits(size_bytes=FILE_REQUEST_BYTES)
    return BatchLimits()
