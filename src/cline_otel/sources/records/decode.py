"""Record lines to events (docs/spool-format.md says what the plugin's hold)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

import msgspec

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.catalogue.values import milliseconds
from cline_otel.decode.fields import build_event, look_up, to_event
from cline_otel.decode.json_text import JsonDecoder
from cline_otel.events import Event
from cline_otel.signals import Diagnostics, count
from cline_otel.sources.interface import Payload, UpstreamRecord

_line = JsonDecoder(msgspec.json.Decoder(dict[str, object]))
_raw_line = JsonDecoder(msgspec.json.Decoder(dict[str, msgspec.Raw]))

_ENVELOPE: Final = ("event", "time_unix_ms")
"""What a line has beside its event's fields."""

EXIT: Final = "process.exited"
"""The event that ends a process; it writes nothing after it."""


def decode(payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterator[Event]:
    """Events of one writer's lines, in order; its end, where it is known to be gone, as if it had written that."""
    source = payload.source
    find = catalogue.sources[source].vocabulary.find
    for record in _records(payload, diagnostics):
        name, occurred_at_ns = _envelope(record)
        if name is None or occurred_at_ns is None:
            count(diagnostics, "malformed", source, "record")
            continue
        entry = look_up(find, name, source, diagnostics)
        if entry is None:
            continue
        event = to_event(entry, source, occurred_at_ns, record, diagnostics, payload.writer)
        if event is not None:
            yield event
    if payload.ended_at_ns is not None and (entry := find(EXIT)) is not None:
        yield build_event(entry, source, payload.ended_at_ns, (), diagnostics, payload.writer)


def _records(payload: Payload, diagnostics: Diagnostics) -> Iterator[Mapping[str, object]]:
    yield from payload.records
    for raw in payload.parts:
        if not raw.strip():
            continue
        try:
            yield _line.decode(raw, diagnostics, payload.source)
        except msgspec.DecodeError:
            count(diagnostics, "malformed", payload.source, "line")


def explode(payload: Payload) -> Iterator[UpstreamRecord]:
    """Every line that is not blank."""
    for raw in payload.parts:
        if raw.strip():
            yield _exploded(raw, payload)


def _exploded(raw: bytes, payload: Payload) -> UpstreamRecord:
    try:
        record, values = _line.decode(raw), _raw_line.decode(raw)
    except msgspec.DecodeError:
        record, values = {}, {}
    envelope = {key: value for key, value in values.items() if key in _ENVELOPE}
    fields = {key: value for key, value in values.items() if key not in envelope}

    def with_only(keys: Collection[str]) -> Payload:
        some = {key: value for key, value in fields.items() if key in keys}
        return payload._replace(parts=[msgspec.json.encode({**envelope, **some})])

    name, reported_at_ns = _envelope(record)
    return UpstreamRecord(name or "", reported_at_ns, fields, (), payload._replace(parts=[raw]), with_only)


def reported_at_ns(line: bytes) -> int | None:
    """When a line was written, as it says, nanoseconds since the Unix epoch; None if it does not."""
    try:
        return _envelope(_line.decode(line))[1]
    except msgspec.DecodeError:
        return None


def _envelope(record: Mapping[str, object]) -> tuple[str | None, int | None]:
    """The event's name and its time; None for what is no such."""
    name = record.get("event")
    return name if isinstance(name, str) else None, milliseconds(record.get("time_unix_ms"))
