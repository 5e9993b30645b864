"""Delivery of metrics as growth to one destination: formed at every interval, queued, delivered at least once.

At most what one interval formed waits; what grows meanwhile stays in the totals. A request whose answer was lost goes
out again as it was, byte for byte, so that whoever tells points apart by series, start and time counts it once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, Protocol

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from cline_otel.export.backoff import Backoff
from cline_otel.export.delivery_loop import BatchLimits, DeliveryLoop, Outbox
from cline_otel.export.interface import DeliveryRecord, Exporter, Refused, Row
from cline_otel.export.pause import PausableWork
from cline_otel.signals import SignalName

INTERVALS_REFUSED: Final = 10
"""For how many intervals a point may keep all others from being told, before it is put aside."""


class FormedRow(Row, Protocol):
    """A request that waits."""

    @property
    def created_at_ns(self) -> int:
        """What its points are as of."""


class FormedRequests(Protocol):
    """The requests that are formed for destinations, in the journal. Every call is one transaction."""

    def waiting(self, destination: str, without: Collection[int] = ()) -> FormedRow | None:
        """The oldest that waits for a destination, but for some."""

    def row(self, row_id: int) -> FormedRow | None:
        """One that waits; None if it does not any more."""

    def divide(self, row_id: int, parts: Sequence[tuple[bytes, int]]) -> Sequence[int]:
        """Parts of one, each with its number of points, wait in its place."""

    def delivered(self, row_id: int, *, delivered: int, rejected: int, message: str) -> None:
        """One was taken."""

    def replace(self, row_id: int, payload: bytes, at_ns: int) -> None:
        """One goes out in another form."""

    def refused(self, row_id: int, reason: str) -> None:
        """One was refused for good."""


class DeltaOutbox:
    """One destination's requests, as a delivery loop takes them, one at a time.

    Those that wait together are of one interval and share no series, so it does not matter which goes first.

    One that is refused may be too old for the destination, which has not counted it. So it is formed again: the same
    growth, up to now. That once, and again whenever it has waited for longer than an interval. Nothing more is formed
    while one waits, so a point that is refused by itself, with nothing else that could be taken, is put aside after
    ten intervals.
    """

    def __init__(
        self,
        requests: FormedRequests,
        destination: str,
        record: DeliveryRecord,
        interval_seconds: float,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._requests = requests
        self._destination = destination
        self._record = record
        self._old_after_ns = round(interval_seconds * 1e9)
        self._clock_ns = clock_ns
        self._formed_again: set[int] = set()
        self._refused_at_ns: dict[int, int] = {}

    def pending(
        self,
        signal: SignalName,
        *,
        limit_bytes: int,
        limit_rows: int,
        without: Collection[int] = (),
        newest: bool = False,
    ) -> Sequence[FormedRow]:
        """The oldest request."""
        row = self._requests.waiting(self._destination, without)
        return () if row is None else (row,)

    def row(self, signal: SignalName, row_id: int) -> FormedRow | None:
        """A request that waits."""
        return self._requests.row(row_id)

    def acknowledge(
        self,
        signal: SignalName,
        row_ids: Sequence[int],
        *,
        delivered: int,
        rejected: int = 0,
        message: str = "",
        destination: str = "",
    ) -> None:
        """A request was taken, unless all of it was rejected."""
        for row_id in row_ids:
            if delivered or not rejected or not self._form_again(row_id):
                self._requests.delivered(row_id, delivered=delivered, rejected=rejected, message=message)
                self._forget(row_id)

    def divide(
        self, signal: SignalName, row_id: int, parts: Sequence[tuple[bytes, int]], refused: Refused
    ) -> Sequence[int] | None:
        """A request was refused: it is formed again where it may have been too old, else divided.

        One that may have been taken, because nobody knows what its answer meant, stays as it is but for its size.
        """
        if refused.grounds != "unclear" and self._form_again(row_id):
            return (row_id,)
        if parts:
            row_ids = self._requests.divide(row_id, parts)
            if row_id in self._formed_again:
                self._formed_again.update(row_ids)
            self._forget(row_id)
            return row_ids
        now_ns = self._clock_ns()
        if now_ns - self._refused_at_ns.setdefault(row_id, now_ns) <= INTERVALS_REFUSED * self._old_after_ns:
            return None
        self.dead_letter(signal, (row_id,), reason=refused.reason)
        return ()

    def dead_letter(self, signal: SignalName, row_ids: Sequence[int], *, reason: str) -> None:
        """A request was refused for good."""
        for row_id in row_ids:
            self._requests.refused(row_id, reason)
            self._forget(row_id)

    def record_failure(self, signal: SignalName, *, reason: str, remedy: str = "") -> None:
        """Delivery does not go on just now."""
        self._record.record_failure(signal, reason=reason, remedy=remedy)

    def _form_again(self, row_id: int) -> bool:
        row, now_ns = self._requests.row(row_id), self._clock_ns()
        if row is None or (row_id in self._formed_again and now_ns - row.created_at_ns <= self._old_after_ns):
            return False
        payload = as_of(row.payload, now_ns)
        if payload:
            self._formed_again.add(row_id)
            self._requests.replace(row_id, payload, now_ns)
        return payload != b""

    def _forget(self, row_id: int) -> None:
        self._formed_again.discard(row_id)
        self._refused_at_ns.pop(row_id, None)


def as_of(payload: bytes, at_ns: int) -> bytes:
    """A metrics request whose points are as of another time; when each began stays.

    A gauge holds for its own time only, so it is left out; of nothing but gauges nothing is left, and no bytes.
    """
    request = ExportMetricsServiceRequest.FromString(payload)
    for resource_metrics in request.resource_metrics:
        for scope_metrics in resource_metrics.scope_metrics:
            lasting = [metric for metric in scope_metrics.metrics if not metric.HasField("gauge")]
            if len(lasting) < len(scope_metrics.metrics):
                del scope_metrics.metrics[:]
                scope_metrics.metrics.extend(lasting)
            for metric in scope_metrics.metrics:
                for point in getattr(metric, metric.WhichOneof("data") or "").data_points:
                    point.time_unix_nano = at_ns
    left = [each for each in request.resource_metrics if any(scope.metrics for scope in each.scope_metrics)]
    return ExportMetricsServiceRequest(resource_metrics=left).SerializeToString(deterministic=True)


class DeltaMetricReader:
    """Forms one destination's requests at every interval, and delivers them, from :meth:`start` until :meth:`drain`."""

    def __init__(
        self,
        form: Callable[[], None],
        outbox: Outbox,
        exporter: Exporter,
        *,
        interval_seconds: float,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """``form`` queues what has grown, unless something waits already."""
        self._form = form
        self._loop = DeliveryLoop(
            "metrics", outbox, exporter, limits=BatchLimits(rows=1), backoff=backoff, linger_seconds=0
        )
        self._interval_seconds = interval_seconds
        self._sleep = sleep
        self._work = PausableWork()
        self._forming: asyncio.Task[None] | None = None

    def pause(self) -> None:
        """Form and send nothing from now on; what is being sent is broken off and stays queued."""
        self._work.pause()
        self._loop.pause()

    def resume(self) -> None:
        """Go on with what is queued, and at the next interval."""
        self._work.resume()
        self._loop.resume()

    def start(self) -> asyncio.Task[None]:
        """Form and send in a task, which fails only if the journal does. Once per instance."""
        delivering = self._loop.start()
        self._forming = asyncio.create_task(self._run(), name="form-metrics")

        async def both() -> None:
            await asyncio.gather(delivering, self._forming)  # type: ignore[arg-type]

        return asyncio.create_task(both(), name="deliver-metrics")

    async def drain(self, deadline_seconds: float) -> bool:
        """Form once more, send what waits for at most ``deadline_seconds``, then stop; whether nothing waits."""
        if self._forming is not None:
            self._forming.cancel()
            await asyncio.wait({self._forming})
            if not self._forming.cancelled() and (error := self._forming.exception()) is not None:
                raise error
        if not self._work.is_paused:
            self._form()
        return await self._loop.drain(deadline_seconds)

    async def _run(self) -> None:
        while True:
            await self._sleep(self._interval_seconds)
            if not self._work.is_paused:
                self._form()
                self._loop.notify()
