"""The contract between what delivers, the exporters, and the journal in which it is noted how that goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, Protocol

import msgspec

from cline_otel.signals import MetricTotal, SignalName, Temporality

IN_THREAD_FROM_BYTES: Final = 64 * 1024
"""Payloads from this size on are converted and compressed in a thread, so that the event loop goes on."""


class Row(Protocol):
    """One queued OTLP export request. Ids ascend with age and are never used twice."""

    @property
    def id(self) -> int:
        """Names the row in the queue."""

    @property
    def payload(self) -> bytes:
        """A serialized OTLP ``Export*ServiceRequest``."""

    @property
    def item_count(self) -> int:
        """Spans or log records in the payload."""


class Batch:
    """Rows that travel in one request."""

    __slots__ = ("rows",)

    def __init__(self, rows: Sequence[Row]) -> None:
        """``rows`` in the order of the queue, at least one."""
        self.rows = tuple(rows)

    @property
    def payload(self) -> bytes:
        """One OTLP request with everything of every row.

        Concatenated protobuf messages of one type are that type's merged message, and the requests
        consist of one repeated field (protobuf encoding specification, "Last One Wins").
        """
        return self.rows[0].payload if len(self.rows) == 1 else b"".join(row.payload for row in self.rows)

    @property
    def item_count(self) -> int:
        """Spans, log records or data points in the batch."""
        return sum(row.item_count for row in self.rows)

    @property
    def row_ids(self) -> list[int]:
        """The ids of the rows."""
        return [row.id for row in self.rows]


class Delivered(msgspec.Struct, frozen=True):
    """Taken, except for ``rejected`` items; never sent again. ``message`` is what the destination said of it."""

    rejected: int = 0
    message: str = ""


class Unreachable(msgspec.Struct, frozen=True):
    """Nobody was there to take anything, whatever it is: no connection, no name, no room on a disk."""

    reason: str


class Retry(msgspec.Struct, frozen=True):
    """Not taken just now; ``after_seconds`` if the destination asked for a wait."""

    reason: str
    after_seconds: float | None = None


class Paused(msgspec.Struct, frozen=True):
    """Not taken until somebody changes something, which ``remedy`` names. The data is fine, so it waits."""

    reason: str
    remedy: str


Grounds = Literal["content", "unclear", "unsendable"]
"""What a refusal is about: what was sent; that or the destination's own state; or it cannot even be sent."""


class Refused(msgspec.Struct, frozen=True):
    """This content is not taken; parts of it might be."""

    reason: str
    grounds: Grounds = "content"


ExportResult = Delivered | Unreachable | Retry | Paused | Refused


class ExporterError(Exception):
    """An exporter cannot be made; the message names the setting and the remedy."""


class Exporter(Protocol):
    """Sends one signal to one destination."""

    @property
    def description(self) -> str:
        """One line for people, without secrets."""

    async def export(self, batch: Batch) -> ExportResult:
        """Send ``batch`` once. Never raises for what a network or a server does; may be cancelled."""

    def abort(self) -> None:
        """Write and dial nothing more, in the middle of an export too; the next export begins anew."""

    async def close(self) -> None:
        """Give up connections and files."""


class DeliveryRecord(Protocol):
    """Where it is noted how delivery goes."""

    def record_delivered(self, signal: SignalName, *, delivered: int, rejected: int = 0, message: str = "") -> None:
        """Items were taken that did not queue."""

    def record_failure(self, signal: SignalName, *, reason: str, remedy: str = "") -> None:
        """Delivery does not go on just now."""


class EncodedRequest(msgspec.Struct, frozen=True):
    """A serialized OTLP ``Export*ServiceRequest``, and how many items it holds; it is in no queue."""

    payload: bytes
    item_count: int
    id: int = 0


class MetricSnapshot(msgspec.Struct, frozen=True):
    """The totals as they stand at ``at_ns``, as requests.

    ``changed`` are those that the destination does not know yet, by the stored key of the series; ``begun`` are the
    series among them that come with a point 0, as they were at their start.
    """

    requests: Sequence[EncodedRequest]
    at_ns: int
    changed: Mapping[str, MetricTotal]
    begun: Mapping[str, MetricTotal] = {}


class MetricProducer(Protocol):
    """Knows what destinations of metrics are to be told (metrics SDK specification, MetricProducer)."""

    def begin(self, destinations: Mapping[str, Temporality]) -> None:
        """These are told from now on, by their keys; all others no more."""

    def snapshot(self, destination: str) -> MetricSnapshot | None:
        """The totals as they stand; None if there are none."""

    def confirm(self, destination: str, at_ns: int, totals: Mapping[str, MetricTotal]) -> None:
        """A destination knows of these totals, by the stored keys of their series, as of then."""

    def form(self, destination: str) -> None:
        """Queues what has grown since a destination was last told, unless something waits for it already."""
