"""Delivery of metrics: no queue, but the newest cumulative totals at every interval.

A request that is lost is healed by the next, because totals are cumulative.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from cline_otel.export.backoff import Backoff
from cline_otel.export.interface import Batch, Delivered, DeliveryRecord, Exporter, ExportResult, Paused, Retry
from cline_otel.export.pause import PausableWork

_logger = logging.getLogger(__name__)


class MetricsRequest(msgspec.Struct, frozen=True):
    """A serialized ``ExportMetricsServiceRequest`` and how many data points it holds."""

    payload: bytes
    item_count: int
    id: int = 0


class PeriodicMetricReader:
    """Sends what ``newest`` returns, at every interval from :meth:`start` until :meth:`drain`."""

    def __init__(
        self,
        newest: Callable[[], MetricsRequest | None],
        exporters: Sequence[Exporter],
        record: DeliveryRecord,
        *,
        interval_seconds: float,
        timeout_seconds: float = 30.0,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        """``newest`` gives the totals as they stand, or None while there are none.

        ``timeout_seconds`` bounds one request, on top of the exporter's own timeout.
        """
        self._newest = newest
        self._exporters = tuple(exporters)
        self._record = record
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._random = random
        self._task: asyncio.Task[None] | None = None
        self._work = PausableWork()
        self._trouble: dict[int, str] = {}

    def pause(self) -> None:
        """Send nothing from now on; what is being sent is broken off."""
        self._work.pause()

    def resume(self) -> None:
        """Go on at the next interval."""
        self._work.resume()

    def start(self) -> asyncio.Task[None]:
        """Send in a task, which fails only if the journal does. Once per instance."""
        self._task = asyncio.create_task(self._run(), name="deliver-metrics")
        return self._task

    async def drain(self, deadline_seconds: float) -> bool:
        """Stop the interval and send the newest totals once more, for at most ``deadline_seconds``.

        Returns whether every destination has them.
        """
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled() and (error := self._task.exception()) is not None:
                raise error
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self._work.run(self._flush()) is True
        except TimeoutError:
            return False

    async def _run(self) -> None:
        while True:
            await self._sleep(self._interval_seconds)
            await self._work.run(self._export_newest())

    async def _export_newest(self) -> None:
        if (request := self._newest()) is not None:
            await asyncio.gather(*(self._export(index, request) for index in range(len(self._exporters))))

    async def _flush(self) -> bool:
        request = self._newest()
        if request is None:
            return True
        return all(await asyncio.gather(*(self._insist(index, request) for index in range(len(self._exporters)))))

    async def _insist(self, index: int, request: MetricsRequest) -> bool:
        failures = 0
        while isinstance(result := await self._export(index, request), Retry):
            failures += 1
            wait_seconds = result.after_seconds
            await self._sleep(self._backoff.after(failures, self._random()) if wait_seconds is None else wait_seconds)
        return isinstance(result, Delivered)

    async def _export(self, index: int, request: MetricsRequest) -> ExportResult:
        result: ExportResult
        try:
            async with asyncio.timeout(self._timeout_seconds):
                result = await self._exporters[index].export(Batch([request]))
        except TimeoutError:
            result = Retry(f"metrics were not accepted within {self._timeout_seconds:g} s")
        except Exception as error:
            result = Retry(f"unexpected {type(error).__name__} in the exporter")
        self._note(index, result, request)
        return result

    def _note(self, index: int, result: ExportResult, request: MetricsRequest) -> None:
        trouble = self._trouble.get(index, "")
        if isinstance(result, Delivered):
            rejected = min(max(result.rejected, 0), request.item_count)
            self._record.record_delivered(
                "metrics", delivered=request.item_count - rejected, rejected=rejected, message=result.message
            )
            reason = result.message
            remedy = ""
        else:
            reason = result.reason
            remedy = result.remedy if isinstance(result, Paused) else ""
            self._record.record_failure("metrics", reason=reason, remedy=remedy)
        if reason and reason != trouble:
            _logger.warning("metrics: %s%s", reason, f"; {remedy}" if remedy else "")
        elif trouble and not reason:
            _logger.info("metrics: delivery resumed")
        self._trouble[index] = reason
