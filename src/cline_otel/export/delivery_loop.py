"""The delivery loop of a queued signal: from the outbox to its destination, at least once.

Rows stay in the outbox until their outcome is known, so neither a crash nor a cancellation loses
one; at worst a request that the destination had already taken is sent again, with the same ids.
What each result leads to is documented in docs/delivery.md, and why in docs/adr/0029.

A request that is refused becomes smaller, from the old end of the queue and from the new one in turn, until something
is taken or a row is refused by itself. That one is a suspect from then on, and no other row waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random as random_module
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Final, Protocol

import msgspec

from cline_otel.export.backoff import Backoff
from cline_otel.export.division import halves
from cline_otel.export.interface import (
    IN_THREAD_FROM_BYTES,
    Batch,
    Delivered,
    Exporter,
    ExportResult,
    Paused,
    Refused,
    Retry,
    Row,
    Unreachable,
)
from cline_otel.export.pause import PausableWork
from cline_otel.export.suspects import Suspects
from cline_otel.signals import SignalName

_logger = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]

REPEATS: Final = 2
"""How often a request is sent again as it is before it is made smaller, where what was said may not be about it."""


class _Wait(msgspec.Struct, frozen=True):
    """Nothing can be sent for so long; unless there is something new, where nothing else waits for that time."""

    seconds: float
    is_ended_by_news: bool


class Outbox(Protocol):
    """The queue, as the loop needs it. Every call is one transaction."""

    def pending(
        self,
        signal: SignalName,
        *,
        limit_bytes: int,
        limit_rows: int,
        without: Collection[int] = (),
        newest: bool = False,
    ) -> Sequence[Row]:
        """The oldest rows, or the newest, within the limits, in order; at least one if there is any but ``without``."""

    def row(self, signal: SignalName, row_id: int) -> Row | None:
        """One row; None if it is not in the queue any more."""

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

    def divide(
        self, signal: SignalName, row_id: int, parts: Sequence[tuple[bytes, int]], refused: Refused
    ) -> Sequence[int] | None:
        """Put others in the place of a row that was refused by itself, and name them; None if it stays as it is.

        ``parts`` are the requests that it can be divided into, with their items; none if it is one record.
        """

    def dead_letter(self, signal: SignalName, row_ids: Sequence[int], *, reason: str) -> None:
        """Put rows that were refused for good aside, and count their items."""

    def record_failure(self, signal: SignalName, *, reason: str, remedy: str = "") -> None:
        """Remember why delivery does not go on."""


class BatchLimits(msgspec.Struct, frozen=True):
    """How much travels in one request; below the 4 MiB that gRPC servers take by default."""

    size_bytes: int = 2 * 1024 * 1024
    rows: int = 512


class DeliveryLoop:
    """Empties the outbox of one signal, from :meth:`start` until :meth:`drain` or the task's cancellation.

    Attributes:
        on_replaced: is told of each row in whose place there are others, or none because it was given up.
    """

    on_replaced: Callable[[int, Sequence[int]], None] = staticmethod(lambda row_id, row_ids: None)

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
        self._taken = 0
        self._failures = 0
        self._suspect_failures = 0
        self._held_until = self._next_at = self._next_suspect_at = -math.inf
        self._most_rows = self._limits.rows
        self._is_newest_next = False
        self._is_suspects_turn = False
        self._refused_with_others: dict[int, int] = {}
        self._suspects = Suspects(self._backoff)

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
        now = self._clock()
        self._drain_ends_at = now + deadline_seconds
        self._held_until = self._next_at = self._next_suspect_at = -math.inf
        self._suspects.make_due(now)
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
            turn = None if self._work.is_paused else self._next_turn()
            if isinstance(turn, Batch):
                # None: paused meanwhile. What is in the outbox afterwards may be something else.
                if await self._work.run(self._deliver(turn)) is False:
                    return
            elif self._drain_asked.is_set():
                if turn is None or self._clock() + turn.seconds > self._drain_ends_at:
                    return
                await self._sleep(turn.seconds)
            elif turn is not None and not turn.is_ended_by_news:
                await self._until(self._sleep(turn.seconds), self._drain_asked.wait())
            else:
                sleeping = () if turn is None else (self._sleep(turn.seconds),)
                await self._until(*sleeping, self._wake.wait())
                if self._wake.is_set() and not self._drain_asked.is_set():
                    await self._until(self._sleep(self._linger_seconds), self._drain_asked.wait())

    async def _until(self, *waits: Awaitable[object]) -> None:
        """Wait for the first of these."""
        tasks = [asyncio.ensure_future(wait) for wait in waits]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    def _next_turn(self) -> Batch | _Wait | None:
        """What is sent now; or for how long nothing is; or None, where there is nothing."""
        now = self._clock()
        while True:
            suspect = self._suspects.next()
            suspect_at = math.inf if suspect is None else max(suspect.due_at, self._next_suspect_at, self._held_until)
            rows_at = max(self._next_at, self._held_until)
            if suspect is not None and suspect_at <= now and (self._is_suspects_turn or rows_at > now):
                row = self._outbox.row(self._signal, suspect.row_id)
                if row is None:
                    self._suspects.drop(suspect.row_id)
                    continue
                self._is_suspects_turn = False
                return Batch((row,))
            if rows_at <= now:
                self._is_suspects_turn = True
                if rows := self._pending():
                    return Batch(rows)
                if suspect_at <= now:
                    continue
                rows_at = math.inf
            if (at := min(rows_at, suspect_at)) == math.inf:
                return None
            return _Wait(at - now, rows_at == math.inf)

    def _pending(self) -> Sequence[Row]:
        return self._outbox.pending(
            self._signal,
            limit_bytes=self._limits.size_bytes,
            limit_rows=self._most_rows,
            without=self._suspects.row_ids,
            newest=self._is_newest_next,
        )

    async def _deliver(self, batch: Batch) -> bool:
        """Send ``batch`` once; False when a drain gives up then."""
        result = await self._export(batch)
        if isinstance(result, Delivered):
            self._acknowledge(batch, result)
        elif isinstance(result, Unreachable | Paused):
            self._note_trouble(result)
            self._failures += 1
            is_paused = isinstance(result, Paused)
            ours = self._backoff.after(self._failures, self._random())
            self._held_until = self._clock() + (self._backoff.hold_seconds if is_paused else ours)
            return not (is_paused and self._drain_asked.is_set())
        else:
            await self._on_refused(batch, result)
        return True

    async def _export(self, batch: Batch) -> ExportResult:
        try:
            return await self._exporter.export(batch)
        except Exception as error:
            # Exporters answer with a result; what escapes one is a defect there, and no reason to lose a row.
            return Retry(f"unexpected {type(error).__name__} in the exporter")

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
        for row_id in batch.row_ids:
            self._suspects.drop(row_id)
            self._refused_with_others.pop(row_id, None)
        # Whoever rejects all of it says nothing about what others refuse.
        self._taken += rejected < batch.item_count
        self._failures = self._suspect_failures = 0
        self._most_rows = min(2 * self._most_rows, self._limits.rows)
        if self._most_rows == self._limits.rows:
            self._is_newest_next = False
            self._refused_with_others.clear()
        # A warning that comes with every answer is worth one line, not one a batch.
        if rejected or result.message not in {"", self._last_message}:
            _logger.warning("%s: %d rejected by the destination: %s", self._signal, rejected, result.message)
        self._last_message = result.message or self._last_message
        if self._trouble:
            _logger.info("%s: delivery resumed", self._signal)
            self._trouble = ""

    async def _on_refused(self, batch: Batch, result: Retry | Refused) -> None:
        now = self._clock()
        if isinstance(result, Retry) and result.after_seconds is not None:
            self._held_until = now + min(result.after_seconds, self._backoff.longest_wait_seconds)
        refused = result if isinstance(result, Refused) else Refused(result.reason, "unclear")
        if batch.rows[0].id in self._suspects.row_ids:
            self._suspect_failures += 1
            self._next_suspect_at = now + self._backoff.after(self._suspect_failures, self._random())
            await self._judge(batch.rows[0], refused, now)
            return
        self._note_trouble(result)
        if len(batch.rows) == 1:
            self._failures += 1
            self._next_at = now + self._backoff.after(self._failures, self._random())
            self._is_newest_next = not self._is_newest_next
            await self._judge(batch.rows[0], refused, now)
            return
        # While the request becomes smaller the wait does not become longer: others may be held up by a few.
        self._failures = min(self._failures + 1, REPEATS + 1)
        for row in batch.rows:
            self._refused_with_others.setdefault(row.id, self._taken)
        if refused.grounds == "unclear":
            self._next_at = now + self._backoff.after(self._failures, self._random())
        if refused.grounds != "unclear" or self._most_rows < self._limits.rows or self._failures > REPEATS:
            self._most_rows = len(batch.rows) // 2
            self._is_newest_next = not self._is_newest_next

    async def _judge(self, row: Row, refused: Refused, now: float) -> None:
        """What becomes of a row that was refused by itself: tried again, divided, or given up."""
        suspect = self._suspects.refused(
            row.id,
            now=now,
            random=self._random(),
            taken=self._taken,
            taken_before=self._refused_with_others.pop(row.id, None),
        )
        if not suspect.is_to_be_divided(refused.grounds):
            return
        parts = await self._halves(row)
        row_ids = self._outbox.divide(self._signal, row.id, parts, refused)
        if row_ids is not None:
            self._suspects.replace(suspect, row_ids, now)
            if refused.grounds != "unclear":
                self._next_suspect_at = now
        elif not parts and suspect.is_given_up(refused.grounds):
            self._outbox.dead_letter(self._signal, [row.id], reason=refused.reason)
            self._suspects.drop(row.id)
            # There were witnesses, so the destination is well and need not be spared as an ill one.
            self._failures = self._suspect_failures = 0
            self._next_at = self._next_suspect_at = now + self._linger_seconds
            row_ids = ()
            _logger.warning("%s: %d refused for good: %s", self._signal, row.item_count, refused.reason)
        if row_ids is not None:
            self.on_replaced(row.id, row_ids)

    async def _halves(self, row: Row) -> Sequence[tuple[bytes, int]]:
        if row.item_count < 2:
            return ()
        if len(row.payload) > IN_THREAD_FROM_BYTES:
            return await asyncio.to_thread(halves, self._signal, row.payload)
        return halves(self._signal, row.payload)

    def _note_trouble(self, result: Unreachable | Retry | Paused | Refused) -> None:
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
