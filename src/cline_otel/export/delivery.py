"""What goes out, all signals together: started, paused, replaced and ended as one.

Rows of the outbox are plain OTLP, so a new destination takes them as the old one would have.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from cline_otel.destinations import ExportSettings, FileTarget, Target
from cline_otel.export.delivery_loop import BatchLimits, Delivery, Outbox, QueuedSignal
from cline_otel.export.exporters import Destinations
from cline_otel.export.interface import DeliveryRecord
from cline_otel.export.metric_reader import MetricSnapshots, Snapshot
from cline_otel.signals import SignalName

FILE_REQUEST_BYTES: Final = 384 * 1024
"""As JSON about twice as long; the collector's otlpjsonfile receiver takes lines of up to 1 MiB by default."""

QUEUED_SIGNALS: Final[tuple[QueuedSignal, ...]] = ("traces", "logs")
"""Metrics do not queue: the newest totals replace a lost snapshot."""


class Queue(Outbox, DeliveryRecord, Protocol):
    """What is delivered from, and where it is noted how that goes."""

    def record_failure(self, signal: SignalName, *, reason: str, remedy: str = "") -> None:
        """Delivery of a signal does not go on just now."""


class Exporters:
    """The delivery loops and metric snapshots of one bridge.

    Attributes:
        queued: the signals whose requests are to be queued, because they have a destination; changes in place.
    """

    def __init__(
        self, queue: Queue, newest: Callable[[], Snapshot | None], settings: ExportSettings, destinations: Destinations
    ) -> None:
        """``newest`` gives the metric totals as they stand; ``destinations`` are those of ``settings``."""
        self.queued: set[QueuedSignal] = set()
        self._queue = queue
        self._newest = newest
        self._is_paused = False
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._use(settings, destinations)

    def start(self) -> None:
        """Sends in tasks, from now on."""
        for sending in self._senders():
            if self._is_paused:
                sending.pause()
            task = sending.start()
            self._tasks.add(task)
            task.add_done_callback(self._on_done)

    async def run(self) -> None:
        """Waits until a task fails, and raises what it failed with."""
        await self._ended.wait()
        if self._failure is not None:
            raise self._failure

    def notify(self) -> None:
        """Something was put into the queue."""
        for delivery in self._deliveries:
            delivery.notify()

    def pause(self) -> None:
        """Sends nothing from now on; what is being sent is broken off and stays queued."""
        self._is_paused = True
        for sending in self._senders():
            sending.pause()

    def resume(self) -> None:
        """Goes on with what is queued then."""
        self._is_paused = False
        for sending in self._senders():
            sending.resume()

    async def replace(self, settings: ExportSettings) -> None:
        """Sends to other destinations from now on, what is queued already too.

        Raises:
            DestinationError: a destination cannot be made; everything goes on as before.
        """
        destinations = Destinations(settings.targets)
        former, tasks = self._destinations, self._tasks
        self._tasks = set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._use(settings, destinations)
        self.start()
        await former.close()

    async def drain(self, seconds: float) -> None:
        """Sends what can be sent in time, and ends. What is left stays queued."""
        farewells = [delivery.drain(seconds) for delivery in self._deliveries]
        if self._snapshots is not None:
            farewells.append(self._snapshots.drain(seconds))
        await asyncio.gather(*farewells)

    async def close(self) -> None:
        """Ends every task and closes every destination."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._destinations.close()

    def describe(self) -> list[str]:
        """One line a signal, without secrets."""
        return self._destinations.describe()

    def _use(self, settings: ExportSettings, destinations: Destinations) -> None:
        self._destinations = destinations
        self._deliveries: list[Delivery] = []
        self.queued.clear()
        for signal in QUEUED_SIGNALS:
            if (sender := destinations.queued(signal)) is not None:
                limits = _limits(settings.targets.get(signal, ()))
                self._deliveries.append(Delivery(signal, self._queue, sender, limits=limits))
                self.queued.add(signal)
        self._snapshots: MetricSnapshots | None = None
        if senders := destinations.snapshots():
            self._snapshots = MetricSnapshots(
                self._newest,
                senders,
                self._queue,
                interval_seconds=settings.metric_interval_seconds,
                timeout_seconds=settings.metric_timeout_seconds,
            )

    def _senders(self) -> list[Delivery | MetricSnapshots]:
        return [*self._deliveries, *([self._snapshots] if self._snapshots is not None else [])]

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error
            self._ended.set()


def _limits(targets: Sequence[Target]) -> BatchLimits:
    if any(isinstance(target, FileTarget) for target in targets):
        return BatchLimits(size_bytes=FILE_REQUEST_BYTES)
    return BatchLimits()
