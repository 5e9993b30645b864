"""The records of a recording, one by one and in time order, each with what its decoder makes of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from heapq import merge

import msgspec

from cline_otel.catalogue.compiled import Catalogue, SourceEvent
from cline_otel.events import Event
from cline_otel.replay import decode_recorded
from cline_otel.signals import Diagnostics, count
from cline_otel.sources.interface import Payload, UpstreamRecord
from cline_otel.sources.recording import Recording
from cline_otel.sources.registry import Registry


class DecodedRecord(msgspec.Struct):
    """One record as it was reported, and what it was decoded to.

    Attributes:
        upstream: the record.
        entry: what the catalogue knows of it.
        events: what it was decoded to; empty if nothing came of it.
        place: where it was read; never empty, for what was handed over whole is a place by itself.
        diagnostics: what its decoding counted.
    """

    upstream: UpstreamRecord
    entry: SourceEvent | None
    events: list[Event]
    place: str
    diagnostics: Diagnostics
    decoder: Decoder

    @property
    def source(self) -> str:
        """The source that reported it."""
        return self.upstream.payload.source

    @property
    def fields(self) -> Mapping[str, bytes]:
        """The values, still encoded as JSON."""
        return self.upstream.fields

    def with_only(self, keys: Collection[str]) -> tuple[list[Event], Diagnostics]:
        """What it would be decoded to, and what would be counted, if it had these of its fields only."""
        return self.decoder.decode(self.upstream.with_only(keys))


class Decoder:
    """Takes payloads apart, and decodes each record by itself.

    Attributes:
        without_event: how many records so far are no event, and none that went wrong: free text, which is never read.
        diagnostics: what was counted so far that is of no record.
    """

    def __init__(self, catalogue: Catalogue, sources: Registry) -> None:
        """``catalogue`` is the one of ``sources``."""
        self._catalogue = catalogue
        self._sources = sources
        self.without_event = 0
        self.diagnostics: Diagnostics = {}
        self._payloads = 0

    def records(self, stream: Iterable[Payload]) -> Iterator[DecodedRecord]:
        """Every record of these payloads that names an event or went wrong, in their order."""
        for payload in stream:
            find = self._catalogue.sources[payload.source].vocabulary.find
            self._payloads += 1
            place = payload.place or f"{self._payloads}."
            for upstream in self._exploded(payload):
                events, diagnostics = self.decode(upstream.payload)
                if not (upstream.name or events or diagnostics):
                    self.without_event += 1
                    continue
                yield DecodedRecord(upstream, find(upstream.name), events, place, diagnostics, self)

    def _exploded(self, payload: Payload) -> Iterator[UpstreamRecord]:
        try:
            yield from self._sources[payload.source].explode(payload)
        except Exception:
            # A defect of a source costs the rest of its payload, as in decoding.
            count(self.diagnostics, "defect", payload.source, self._catalogue.sources[payload.source].piece)

    def decode(self, payload: Payload) -> tuple[list[Event], Diagnostics]:
        """What a payload is decoded to, and what is counted."""
        diagnostics: Diagnostics = {}
        return decode_recorded(payload, self._catalogue, diagnostics, self._sources), diagnostics


def records_in_time(recording: Recording, decoder: Decoder) -> Iterator[DecodedRecord]:
    """Every record. Those that become events come in the order in which a replay takes them."""
    ordered = merge(
        *(_with_order(decoder.records(stream)) for stream in recording.streams), key=lambda placed: placed[0]
    )
    return (record for _, record in ordered)


def _with_order(records: Iterable[DecodedRecord]) -> Iterator[tuple[int, DecodedRecord]]:
    """Each record with a time that never goes back within its stream.

    That does not change how streams of events merge: a merge takes the least of the streams' heads, so an
    event that is earlier than the one before it comes right after it. Records without an event lie between.
    """
    latest_ns = 0
    waiting: list[DecodedRecord] = []
    for record in records:
        if not record.events:
            waiting.append(record)
            continue
        now_ns = max(latest_ns, record.events[0].occurred_at_ns)
        for eventless in waiting:
            latest_ns = min(max(latest_ns, eventless.upstream.reported_at_ns or 0), now_ns)
            yield latest_ns, eventless
        waiting.clear()
        latest_ns = now_ns
        yield latest_ns, record
    for eventless in waiting:
        latest_ns = max(latest_ns, eventless.upstream.reported_at_ns or 0)
        yield latest_ns, eventless
