"""What goes into the journal and what comes out of it. Times are nanoseconds since the Unix epoch."""

from __future__ import annotations

from typing import Literal

import msgspec

from cline_otel.signals import Diagnostics, MetricDelta, SignalName
from cline_otel.storage import StorageUnavailable

OutboxSignal = Literal["traces", "logs"]
"""What queues as it is made. Requests of metrics are formed out of the totals: ``metric_marks``."""


class JournalError(Exception):
    """The journal cannot be used; the message names the file, what is wrong with it and the remedy."""


class JournalUnavailableError(JournalError, StorageUnavailable):
    """The journal cannot be read or written just now; what is in it is whole, and waits."""


class JournalFullError(JournalUnavailableError):
    """The journal's size limit, or the disk, is reached; the transaction was rolled back as a whole."""


class NoJournalError(JournalError):
    """There is none yet."""


class JournalDamagedError(JournalError):
    """What is in the file is not what was written there, or the file is gone: no wait mends that."""


class OutboxItem(msgspec.Struct, frozen=True):
    """A serialized OTLP ``Export*ServiceRequest`` to deliver, and how many spans or log records it holds.

    ``diagnostics`` says what of the input was dropped or changed in the step that made it.
    """

    signal: OutboxSignal
    payload: bytes
    item_count: int
    diagnostics: Diagnostics = {}


class Commit(msgspec.Struct):
    """All that one transaction writes.

    Attributes:
        state: translator state and metric totals by key; None deletes the key.
        outbox: what is to be delivered, in order.
        cursors: a source's position by the source's key, for example ``cline-log:<path>``; None deletes it.
        seen_requests: digest of a received request's body and when it came; remembered for the retry window.
        counts: (kind, source, name) and what is added to that counter.
        imported: measurements of the past, in the order of time; they wait apart from the totals.
        is_owed: whether it says nothing but what comes of what was taken before, and so is written however much waits.
    """

    state: dict[str, bytes | None] = msgspec.field(default_factory=dict)
    outbox: list[OutboxItem] = msgspec.field(default_factory=list)
    cursors: dict[str, bytes | None] = msgspec.field(default_factory=dict)
    seen_requests: list[tuple[bytes, int]] = msgspec.field(default_factory=list)
    counts: dict[tuple[str, str, str], int] = msgspec.field(default_factory=dict)
    imported: list[MetricDelta] = msgspec.field(default_factory=list)
    is_owed: bool = False


class OutboxRow(msgspec.Struct, frozen=True):
    """A queued OTLP request. Ids ascend in the order of the commits and are never used twice."""

    id: int
    payload: bytes
    item_count: int
    created_at_ns: int


RequestState = Literal["left", "refused", "waits"]
"""Whether a request was taken by its destination, sent and refused for good, or is still to be delivered."""


class KeptRequest(msgspec.Struct, frozen=True):
    """A request that the journal still has.

    Attributes:
        payload: as it was sent, or is to be.
        created_at_ns: when it was made.
        left_at_ns: when its destination answered for it; None while it waits.
        destination: who that was, in words without secrets; empty where it is not known.
        reason: why it was refused; empty if it was not.
        diagnostics: what did not become telemetry, or not as it was reported, in the step that made it.
    """

    signal: OutboxSignal
    state: RequestState
    payload: bytes
    item_count: int
    created_at_ns: int
    left_at_ns: int | None = None
    destination: str = ""
    reason: str = ""
    diagnostics: Diagnostics = {}


class DeadLetters(msgspec.Struct, frozen=True):
    """Dead letters of one signal that were refused for one reason.

    Attributes:
        reason: what their destination answered, without secrets.
        requests: how many requests they are.
        items: how many spans, log records or data points these hold.
    """

    signal: SignalName
    reason: str
    requests: int
    items: int
    size_bytes: int
    first_refused_at_ns: int
    last_refused_at_ns: int


class SignalStatus(msgspec.Struct):
    """What is known of one signal's delivery. Items are spans, log records or metric data points.

    Attributes:
        delivered_items: accepted by the destination.
        rejected_items: sent, and named as not taken in a partial success.
        refused_items: refused for good, so moved to the dead letters.
        evicted_items: pushed out of the dead letters by newer ones.
        erased_items: erased before delivery, because somebody asked for it.
        refusals: refused items still among the dead letters, by reason.
        last_error: why delivery does not go on just now; empty while it does.
    """

    pending_rows: int
    pending_bytes: int
    pending_items: int
    oldest_pending_at_ns: int | None
    delivered_items: int
    rejected_items: int
    refused_items: int
    evicted_items: int
    erased_items: int
    dead_letter_rows: int
    dead_letter_bytes: int
    refusals: dict[str, int]
    last_delivered_at_ns: int | None
    last_message: str
    last_error: str
    last_remedy: str
    last_error_at_ns: int | None


class CursorStatus(msgspec.Struct, frozen=True):
    """How far a source has been read, and when that was last written."""

    key: str
    position: bytes
    updated_at_ns: int


class CountStatus(msgspec.Struct, frozen=True):
    """One counter, for example ``("unmapped_event", "otlp", "task.renamed")``."""

    kind: str
    source: str
    name: str
    count: int


class JournalStatus(msgspec.Struct):
    """What the journal holds, read in one transaction.

    Attributes:
        used_bytes: pages in use, by what waits, by the state and by what is remembered; the limit bounds what waits.
        started_at_ns: when the journal was created, or erased last.
        instance_id: this installation's ``service.instance.id``.
    """

    path: str
    schema_version: int
    instance_id: str
    started_at_ns: int
    used_bytes: int
    signals: dict[SignalName, SignalStatus]
    cursors: list[CursorStatus]
    counts: list[CountStatus]
