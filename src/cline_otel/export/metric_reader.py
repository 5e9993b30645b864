"""Delivery of metrics: no queue, but the newest cumulative totals at every interval.

A snapshot that is lost is healed by the next, because totals are cumulative.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from cline_otel.export.delivery_loop import Backoff
from cline_otel.export.interface import Batch, Delivered, DeliveryRecord, Hold, Outcome, Retry, Sender
from cline_otel.export.pause import Pausable

_logger = logging.getLogger(__name__)


class Snapshot(msgspec.Struct, frozen=True):
    """A serialized ``ExportMetricsServiceRequest`` and how many data points it holds."""

    payload: bytes
    item_count: int
    id: int = 0


class MetricSnapshots:
    """Sends what ``newest`` returns, at every interval from :meth:`start` until :meth:`drain`."""

    def __init__(
        self,
        newest: Callable[[], Snapshot | None],
        senders: Sequence[Sender],
        record: DeliveryRecord,
        *,
        interval_seconds: float,
        timeout_seconds: float = 30.0,
        backoff: Backoff | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        """``newest`` gives the totals as they stand, or None while there are none.

        ``timeout_seconds`` bounds one snapshot's export, on top of the sender's own timeout.
        """
        self._newest = newest
        self._senders = tuple(senders)
        self._record = record
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._backoff = backoff or Backoff()
        self._sleep = sleep
        self._random = random
        self._task: asyncio.Task[None] | None = None
        self._sending = Pausable()
        self._trouble: dict[int, str] = {}

    def pause(self) -> None:
        """Send nothing from now on; what is being sent is broken off."""
        self._sending.pause()

    def resume(self) -> None:
        """Go on at the next interval."""
        self._sending.resume()

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
                return await self._sending.run(self._flush()) is True
        except TimeoutError:
            return False

    async def _run(self) -> None:
        while True:
            await self._sleep(self._interval_seconds)
            await self._sending.run(self._send_newest())

    async def _send_newest(self) -> None:
        if (snapshot := self._newest()) is not None:
            await asyncio.gather(*(self._send(index, snapshot) for index in range(len(self._senders))))

    async def _flush(self) -> bool:
        snapshot = self._newest()
        if snapshot is None:
            return True
        return all(await asyncio.gather(*(self._insist(index, snapshot) for index in range(len(self._senders)))))

    async def _insist(self, index: int, snapshot: Snapshot) -> bool:
        failures = 0
        while isinstance(outcome := await self._send(index, snapshot), Retry):
            failures += 1
            wait_seconds = outcome.after_seconds
            await self._sleep(self._backoff.after(failures, self._random()) if wait_seconds is None else wait_seconds)
        return isinstance(outcome, Delivered)

    async def _send(self, index: int, snapshot: Snapshot) -> Outcome:
        outcome: Outcome
        try:
            async with asyncio.timeout(self._timeout_seconds):
                outcome = await self._senders[index].send(Batch([snapshot]))
        except TimeoutError:
            outcome = Retry(f"metrics were not taken within {self._timeout_seconds:g} s")
        except Exception as error:
            outcome = Retry(f"unexpected {type(error).__name__} in the exporter")
        self._note(index, outcome, snapshot)
        return outcome

    def _note(self, index: int, outcome: Outcome, snapshot: Snapshot) -> None:
        trouble = self._trouble.get(index, "")
        if isinstance(outcome, Delivered):
            rejected = min(max(outcome.rejected, 0), snapshot.item_count)
            self._record.record_delivered(
                "metrics", delivered=snapshot.item_count - rejected, rejected=rejected, message=outcome.message
            )
            reason = outcome.message
            remedy = ""
        else:
            reason = outcome.reason
            remedy = outcome.remedy if isinstance(outcome, Hold) else ""
            self._record.record_failure("metrics", reason=reason, remedy=remedy)
        if reason and reason != trouble:
            _logger.warning("metrics: %s%s", reason, f"; {remedy}" if remedy else "")
        elif trouble and not reason:
            _logger.info("metrics: delivery goes on")
        self._trouble[index] = reason
