"""Delivery while the journal cannot be read or written: it waits, and does what is left to do once that works again."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from cline_otel.export.delivery_loop import Outbox
from cline_otel.export.interface import DeliveryRecord, Refused, Row
from cline_otel.signals import SignalName
from cline_otel.storage import StorageUnavailable

_AGAIN_AFTER_SECONDS: Final = 2.0


class PatientOutbox:
    """An outbox that seems empty while it cannot be used.

    What is to be written of rows that were sent is kept, and written before any row is given out again, so that none
    is sent twice for want of a note.

    Attributes:
        wake: called when it is time to look again.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.wake: Callable[[], None] = lambda: None
        self._outbox = outbox
        self._unwritten: deque[Callable[[], None]] = deque()
        self._waking: asyncio.TimerHandle | None = None

    def pending(
        self,
        signal: SignalName,
        *,
        limit_bytes: int,
        limit_rows: int,
        without: Collection[int] = (),
        newest: bool = False,
    ) -> Sequence[Row]:
        """The oldest rows, or the newest, within the limits; none while it cannot be used."""
        try:
            self._catch_up()
            return self._outbox.pending(
                signal, limit_bytes=limit_bytes, limit_rows=limit_rows, without=without, newest=newest
            )
        except StorageUnavailable:
            self._wake_later()
            return ()

    def row(self, signal: SignalName, row_id: int) -> Row | None:
        """One row; none while it cannot be used, and later it is among those that are pending."""
        try:
            self._catch_up()
            return self._outbox.row(signal, row_id)
        except StorageUnavailable:
            self._wake_later()
            return None

    def divide(
        self, signal: SignalName, row_id: int, parts: Sequence[tuple[bytes, int]], refused: Refused
    ) -> Sequence[int] | None:
        """Others in the place of a row; it stays as it is while that cannot be written."""
        try:
            self._catch_up()
            return self._outbox.divide(signal, row_id, parts, refused)
        except StorageUnavailable:
            self._wake_later()
            return None

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
        """Rows were taken."""
        self._write(
            partial(
                self._outbox.acknowledge,
                signal,
                row_ids,
                delivered=delivered,
                rejected=rejected,
                message=message,
                destination=destination,
            )
        )

    def dead_letter(self, signal: SignalName, row_ids: Sequence[int], *, reason: str) -> None:
        """Rows were refused for good."""
        self._write(partial(self._outbox.dead_letter, signal, row_ids, reason=reason))

    def record_failure(self, signal: SignalName, *, reason: str, remedy: str = "") -> None:
        """Delivery does not go on just now; not noted where that cannot be."""
        with suppress(StorageUnavailable):
            self._outbox.record_failure(signal, reason=reason, remedy=remedy)

    def _catch_up(self) -> None:
        while self._unwritten:
            self._unwritten[0]()
            self._unwritten.popleft()

    def _write(self, write: Callable[[], None]) -> None:
        if not self._unwritten:
            try:
                write()
            except StorageUnavailable:
                self._wake_later()
            else:
                return
        self._unwritten.append(write)

    def _wake_later(self) -> None:
        if self._waking is None or self._waking.when() <= asyncio.get_running_loop().time():
            self._waking = asyncio.get_running_loop().call_later(_AGAIN_AFTER_SECONDS, lambda: self.wake())


class PatientRecord:
    """Notes of how the delivery of metrics goes, which are not made where they cannot be."""

    def __init__(self, record: DeliveryRecord) -> None:
        self._record = record

    def record_delivered(self, signal: SignalName, *, delivered: int, rejected: int = 0, message: str = "") -> None:
        """Items were taken that did not queue."""
        with suppress(StorageUnavailable):
            self._record.record_delivered(signal, delivered=delivered, rejected=rejected, message=message)

    def record_failure(self, signal: SignalName, *, reason: str, remedy: str = "") -> None:
        """Delivery does not go on just now."""
        with suppress(StorageUnavailable):
            self._record.record_failure(signal, reason=reason, remedy=remedy)
