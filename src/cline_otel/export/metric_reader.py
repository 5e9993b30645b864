"""Delivery of cumulative metrics to one destination: no queue, but the newest totals at every interval.

A request that is lost is healed by the next, because totals are cumulative. What a destination has taken is noted, so
that it is told of each series' start once.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections.abc import Awaitable, Callable, Mapping

from cline_otel.export.backoff import Backoff
from cline_otel.export.interface import (
    Batch,
    Delivered,
    DeliveryRecord,
    Exporter,
    ExportResult,
    MetricSnapshot,
    Paused,
    Refused,
    Retry,
    Row,
    Unreachable,
)
from cline_otel.export.pause import PausableWork
from cline_otel.signals import MetricTotal

_logger = logging.getLogger(__name__)


class PeriodicMetricReader:
    """Sends what ``snapshot`` returns, at every interval from :meth:`start` until :meth:`drain`."""

    def __init__(
        self,
        snapshot: Callable[[], MetricSnapshot | None],
        confirm: Callable[[int, Mapping[str, MetricTotal]], None],
        exporter: Exporter,
        record: DeliveryRecord,
        *,
        interval_seconds: float,
        timeout_seconds: float = 30.0,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        """``snapshot`` gives the totals as they stand, or None while there are none; ``confirm`` gets what was taken.

        ``timeout_seconds`` bounds one request, on top of the exporter's own timeout.
        """
        self._snapshot = snapshot
        self._confirm = confirm
        self._exporter = exporter
        self._record = record
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._random = random
        self._task: asyncio.Task[None] | None = None
        self._work = PausableWork()
        self._trouble = ""
        self._begun: set[str] = set()
        self._asked_seconds = 0.0

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

        Returns whether the destination has them.
        """
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            if not self._task.cancelled() and (error := self._task.exception()) is not None:
                raise error
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self._work.run(self._export_newest(self._insist)) is True
        except TimeoutError:
            return False

    async def _run(self) -> None:
        while True:
            # A longer wait that the destination asked for is kept to; the newest totals miss nothing by it.
            await self._sleep(max(self._interval_seconds, self._asked_seconds))
            self._asked_seconds = 0.0
            await self._work.run(self._export_newest(self._export))

    async def _export_newest(self, export: Callable[[Row], Awaitable[ExportResult]]) -> bool:
        """Whether the destination has taken all of it; what one request says need not wait for what others do.

        Where a request with points 0 is refused, an earlier one whose answer was lost may have brought some of them:
        Prometheus refuses all of a request if one of its points is older than what it has. So what goes out next is
        without those that were sent before, or without any.
        """
        while (snapshot := self._snapshot()) is not None:
            sent_before = {key: total for key, total in snapshot.begun.items() if key in self._begun}
            self._begun |= snapshot.begun.keys()
            results = [await export(request) for request in snapshot.requests]
            if all(isinstance(result, Delivered) for result in results):
                self._confirm(snapshot.at_ns, snapshot.changed)
                self._begun.clear()
                return True
            if not snapshot.begun or not any(isinstance(result, Refused) for result in results):
                return False
            self._confirm(snapshot.at_ns, sent_before or snapshot.begun)
        return True

    async def _insist(self, request: Row) -> ExportResult:
        failures = 0
        while isinstance(result := await self._export(request), Retry | Unreachable):
            failures += 1
            asked_seconds = result.after_seconds if isinstance(result, Retry) else None
            await self._sleep(self._backoff.floored(failures, self._random(), asked_seconds))
        return result

    async def _export(self, request: Row) -> ExportResult:
        result: ExportResult
        try:
            async with asyncio.timeout(self._timeout_seconds):
                result = await self._exporter.export(Batch([request]))
        except TimeoutError:
            result = Retry(f"metrics were not accepted within {self._timeout_seconds:g} s")
        except Exception as error:
            result = Retry(f"unexpected {type(error).__name__} in the exporter")
        if isinstance(result, Retry) and result.after_seconds is not None:
            asked_seconds = min(result.after_seconds, self._backoff.longest_wait_seconds)
            self._asked_seconds = max(self._asked_seconds, asked_seconds)
        self._note(result, request)
        return result

    def _note(self, result: ExportResult, request: Row) -> None:
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
        if reason and reason != self._trouble:
            _logger.warning("metrics: %s%s", reason, f"; {remedy}" if remedy else "")
        elif self._trouble and not reason:
            _logger.info("metrics: delivery resumed")
        self._trouble = reason
