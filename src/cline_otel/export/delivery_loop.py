"""The delivery loop of a queued signal: from the outbox to its destination, at least once.

Rows stay in the outbox until their outcome is known, so neither a crash nor a cancellation loses
one; at worst a request that the destination had already taken is sent again, with the same ids.
What each result leads to is documented in docs/delivery.md.
"""

from __future__ import annotations

import asyncio
import logging
import random as random_module
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec

from cline_otel.export.backoff import Backoff
from cline_otel.export.interface import Batch, Delivered, Exporter, ExportResult, Paused, Refused, Retry, Row
from cline_otel.export.pause import PausableWork
from cline_otel.signals import SignalName

_logger = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]


class Outbox(Protocol):
    """The queue, as the loop needs it. Every call is one transaction."""

    def pending(self, signal: SignalName, *, limit_bytes: int, limit_rows: int) -> Sequence[Row]:
        """The oldest rows within the limits, at least one if there is any."""

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
        """Delete rows that were taken, count their items, and remember where they went."""

    def dead_letter(self, signal: SignalName, row_ids: Sequence[int], *, reason: str) -> None:
        """Put rows that were refused for good aside, and count their items."""

    def record_failure(self, signal: SignalName, *, reason: str, remedy: str = "") -> None:
        """Remember why delivery does not go on."""


class BatchLimits(msgspec.Struct, frozen=True):
    """How much travels in one request; below the 4 MiB that gRPC servers take by default."""

    size_bytes: int = 2 * 1024 * 1024
    rows: int = 512


class DeliveryLoop:
    """Empties the outbox of one signal, from :meth:`start` until :meth:`drain` or the task's cancellation."""

    def __init__(
        self,
        signal: SignalName,
        outbox: Outbox,
        exporter: Exporter,
        *,
        limits: BatchLimits | None = None,
        backoff: Backoff | None = None,
        linger_seconds: float = 0.2,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random_module.random,
    ) -> None:
        """``linger_seconds`` is how long rows gather after the outbox was empty, so that bursts travel together.

        ``sleep``, ``clock`` (in seconds) and ``random`` are replaced in tests; ``random`` returns a number in [0, 1).
        """
        self._signal: SignalName = signal
        self._outbox = outbox
        self._exporter = exporter
        self._limits = limits or BatchLimits()
        self._backoff = backoff or Backoff()
        self._linger_seconds = linger_seconds
        self._sleep = sleep
        self._clock = clock
        self._random = random
        self._wake = asyncio.Event()
        self._drain_asked = asyncio.Event()
        self._drain_ends_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._work = PausableWork()
        self._trouble = ""
        self._last_message = ""
        self._refused_in_a_row = 0

    def notify(self) -> None:
        """Something was put into the outbox."""
        self._wake.set()

    def pause(self) -> None:
        """Send nothing from now on; what is being sent is broken off, and its rows stay in the outbox."""
        self._work.pause()

    def resume(self) -> None:
        """Go on with what the outbox holds then."""
        self._work.resume()
        self._wake.set()

    def start(self) -> asyncio.Task[None]:
        """Deliver in a task, which fails only if the outbox does. Once per instance."""
        self._task = asyncio.create_task(self._run(), name=f"deliver-{self._signal}")
        return self._task

    async def drain(self, deadline_seconds: float) -> bool:
        """Deliver what waits, for at most ``deadline_seconds``, then stop; whether the outbox is empty.

        A wait under way is cut short. What is left stays in the outbox for the next start.
        """
        self._drain_ends_at = self._clock() + deadline_seconds
        self._drain_asked.set()
        self._wake.set()
        task = self._task or self.start()
        _, running = await asyncio.wait({task}, timeout=deadline_seconds)
        if running:
            task.cancel()
            await asyncio.wait({task})
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
        return not self._outbox.pending(self._signal, limit_bytes=1, limit_rows=1)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            rows = () if self._work.is_paused else self._pending()
            if rows:
                # None: paused meanwhile. What is in the outbox afterwards may be something else.
                if await self._work.run(self._deliver(Batch(rows))) is False:
                    return
            elif self._drain_asked.is_set():
                return
            else:
                await self._wake.wait()
                if not self._drain_asked.is_set():
                    await self._wait(self._linger_seconds)

    def _pending(self) -> Sequence[Row]:
        return self._outbox.pending(self._signal, limit_bytes=self._limits.size_bytes, limit_rows=self._limits.rows)

    async def _deliver(self, batch: Batch) -> bool:
        """Settle every row of ``batch``; False when a drain gives up first."""
        parts = [batch]
        while parts:
            part = parts.pop()
            result = await self._export_until_settled(part)
            if result is None:
                return False
            if isinstance(result, Delivered):
                self._refused_in_a_row = 0
                self._acknowledge(part, result)
            elif result.splittable and len(part.rows) > 1:
                parts.extend(reversed(part.halves()))
            else:
                self._refused_in_a_row += 1
                self._put_aside(part, result)
                # A destination that refuses one row after the other is more likely ill than every row is bad,
                # so it gets ever fewer of them to refuse.
                await self._wait(self._backoff.after(self._refused_in_a_row, self._random()))
        return True

    async def _export_until_settled(self, batch: Batch) -> Delivered | Refused | None:
        failures = 0
        while True:
            result = await self._export(batch)
            if isinstance(result, Delivered | Refused):
                return result
            failures += 1
            self._note_trouble(result)
            wait_seconds = self._seconds_after(result, failures)
            if self._drain_asked.is_set() and (
                isinstance(result, Paused) or self._clock() + wait_seconds > self._drain_ends_at
            ):
                return None
            await self._wait(wait_seconds)

    async def _export(self, batch: Batch) -> ExportResult:
        try:
            return await self._exporter.export(batch)
        except Exception as error:
            # Exporters answer with a result; what escapes one is a defect there, and no reason to lose a row.
            return Retry(f"unexpected {type(error).__name__} in the exporter")

    def _seconds_after(self, result: Retry | Paused, failures: int) -> float:
        if isinstance(result, Paused):
            return self._backoff.hold_seconds
        return self._backoff.floored(failures, self._random(), result.after_seconds)

    async def _wait(self, seconds: float) -> None:
        """Wait, but no longer than until a drain is asked for; once it is, wait in full."""
        if self._drain_asked.is_set():
            await self._sleep(seconds)
            return
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        asked = asyncio.ensure_future(self._drain_asked.wait())
        try:
            await asyncio.wait({sleeping, asked}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            asked.cancel()

    def _acknowledge(self, batch: Batch, result: Delivered) -> None:
        rejected = min(max(result.rejected, 0), batch.item_count)
        self._outbox.acknowledge(
            self._signal,
            batch.row_ids,
            delivered=batch.item_count - rejected,
            rejected=rejected,
            message=result.message,
            destination=self._exporter.description,
        )
        # A warning that comes with every answer is worth one line, not one a batch.
        if rejected or result.message not in {"", self._last_message}:
            _logger.warning("%s: %d rejected by the destination: %s", self._signal, rejected, result.message)
        self._last_message = result.message or self._last_message
        if self._trouble:
            _logger.info("%s: delivery resumed", self._signal)
            self._trouble = ""

    def _put_aside(self, batch: Batch, result: Refused) -> None:
        self._outbox.dead_letter(self._signal, batch.row_ids, reason=result.reason)
        _logger.warning("%s: %d refused for good: %s", self._signal, batch.item_count, result.reason)

    def _note_trouble(self, result: Retry | Paused) -> None:
        remedy = result.remedy if isinstance(result, Paused) else ""
        self._outbox.record_failure(self._signal, reason=result.reason, remedy=remedy)
        if result.reason != self._trouble:
            self._trouble = result.reason
            _logger.warning(
                "%s: not delivered, kept and will be retried: %s%s",
                self._signal,
                result.reason,
                f"; {remedy}" if remedy else "",
            )
