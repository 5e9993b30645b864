"""The metrics of an import, as points over the time that it is of, once all of it is read.

Their series are the import's own, by its instance id, so that they never mix with what a bridge counts. Destinations
that take no points of the past refuse them, which is said and ends it there.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator, Sequence
from typing import Final

import msgspec

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.destinations import Destination
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.export.interface import EncodedRequest, Refused, Row
from cline_otel.journal import imported
from cline_otel.journal.store import Journal
from cline_otel.replay import history_requests
from cline_otel.signals import HistogramAggregation, SignalName

_NOTE: Final = "import"


class ImportNote(msgspec.Struct):
    """What is remembered of an import until its metrics are told: the instance id of its series, and how many requests
    each destination, by its key, has settled.
    """

    instance_id: str
    settled: dict[str, int] = {}


def import_note(journal: Journal) -> ImportNote:
    """That of the import whose measurements wait; a new one if none do.

    Raises:
        JournalError: the journal cannot be read or written.
    """
    written = journal.note(_NOTE)
    with journal.reading() as connection:
        goes_on = imported.waiting(connection) > 0
    if written and goes_on:
        try:
            return msgspec.json.decode(written, type=ImportNote)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    note = ImportNote(str(uuid.uuid4()))
    journal.write_note(_NOTE, msgspec.json.encode(note))
    return note


def waiting_measurements(journal: Journal) -> int:
    """How many measurements wait for the end of an import.

    Raises:
        JournalError: the journal cannot be read.
    """
    with journal.reading() as connection:
        return imported.waiting(connection)


def forget_measurements(journal: Journal) -> None:
    """They are told as far as anybody takes them.

    Raises:
        JournalError: the journal cannot be written.
    """
    with journal.transaction() as connection:
        imported.clear(connection)


class PointsOutbox:
    """The points for one destination, as the outbox of a delivery loop: formed as they are asked for, in order.

    Args:
        journal: where the measurements are, and where it is noted how delivery goes.
        note: how far the import's metrics are told.
        destination: whom it is for.
        catalogue: what every name means.
        resource_and_scope: of metrics, with the import's instance id.
        ended_at_ns: when the last of the measurements was made, nanoseconds since the Unix epoch.
        aggregation: how histograms keep their values.

    Attributes:
        delivered: how many points were taken.
        refused: how many were not, for good.
        reason: why.
    """

    def __init__(
        self,
        journal: Journal,
        note: ImportNote,
        destination: Destination,
        catalogue: Catalogue,
        resource_and_scope: ResourceAndScope,
        ended_at_ns: int,
        aggregation: HistogramAggregation,
    ) -> None:
        self._journal = journal
        self._note = note
        self._key = destination.key
        self._requests = self._formed(destination, catalogue, resource_and_scope, ended_at_ns, aggregation)
        self._next: EncodedRequest | None = next(self._requests, None)
        self.delivered = self.refused = 0
        self.reason = ""

    @property
    def is_empty(self) -> bool:
        """Whether all is settled."""
        return self._next is None

    def pending(
        self,
        signal: SignalName,
        *,
        limit_bytes: int,
        limit_rows: int,
        without: Collection[int] = (),
        newest: bool = False,
    ) -> Sequence[Row]:
        """The next request."""
        return () if self._next is None or self._next.id in without else (self._next,)

    def row(self, signal: SignalName, row_id: int) -> Row | None:
        """The next request."""
        return self._next

    def divide(
        self, signal: SignalName, row_id: int, parts: Sequence[tuple[bytes, int]], refused: Refused
    ) -> tuple[()] | None:
        """It was refused; whoever refuses points of the past takes no part of them either."""
        if refused.grounds == "unclear":
            return None
        self.dead_letter(signal, (row_id,), reason=refused.reason)
        return ()

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
        """It was taken, but for so many points."""
        self._journal.record_delivered(signal, delivered=delivered, rejected=rejected, message=message)
        self.delivered += delivered
        self.refused += rejected
        self.reason = self.reason or message
        self._settle()

    def dead_letter(self, signal: SignalName, row_ids: Sequence[int], *, reason: str) -> None:
        """It was refused; whoever refuses points of the past refuses all that follow."""
        self.refused += self._next.item_count if self._next is not None else 0
        self.reason = reason
        self.refused += sum(request.item_count for request in self._requests)
        self._settle()

    def record_failure(self, signal: SignalName, *, reason: str, remedy: str = "") -> None:
        """Delivery does not go on just now."""
        self.reason = f"{reason}; {remedy}" if remedy else reason

    def _settle(self) -> None:
        self._note.settled[self._key] = self._note.settled.get(self._key, 0) + 1
        self._journal.write_note(_NOTE, msgspec.json.encode(self._note))
        self._next = next(self._requests, None)

    def _formed(
        self,
        destination: Destination,
        catalogue: Catalogue,
        resource_and_scope: ResourceAndScope,
        ended_at_ns: int,
        aggregation: HistogramAggregation,
    ) -> Iterator[EncodedRequest]:
        settled = self._note.settled.get(self._key, 0)
        with self._journal.reading() as connection:
            requests = history_requests(
                imported.in_order(connection),
                catalogue,
                resource_and_scope,
                ended_at_ns,
                destination.temporality,
                aggregation,
            )
            for number, request in enumerate(requests):
                if number >= settled:
                    yield request


def last_measured_at_ns(journal: Journal) -> int:
    """When the last of the measurements that wait was made, nanoseconds since the Unix epoch; 0 without any.

    Raises:
        JournalError: the journal cannot be read.
    """
    with journal.reading() as connection:
        return imported.last_at_ns(connection)
