"""Records of toys, to events."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.catalogue.values import milliseconds
from cline_otel.decode.fields import look_up, to_event
from cline_otel.events import Event
from cline_otel.signals import Diagnostics, count
from cline_otel.sources.interface import Payload, UpstreamRecord


def decode(payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterator[Event]:
    find = catalogue.sources[payload.source].vocabulary.find
    for part in payload.parts:
        record = read(part)
        name, occurred_at_ns = record.pop("what", None), milliseconds(record.get("at"))
        if not isinstance(name, str) or occurred_at_ns is None:
            count(diagnostics, "malformed", payload.source, "record")
            continue
        entry = look_up(find, name, payload.source, diagnostics)
        if entry is None:
            continue
        event = to_event(entry, payload.source, occurred_at_ns, record, diagnostics)
        if event is not None:
            yield event


def explode(payload: Payload) -> Iterator[UpstreamRecord]:
    for part in payload.parts:
        yield exploded(part, payload)


def exploded(part: bytes, payload: Payload) -> UpstreamRecord:
    record = read(part)
    fields = msgspec.json.decode(part, type=dict[str, msgspec.Raw]) if record else {}
    envelope = {key: fields.pop(key) for key in ("what", "at") if key in fields}

    def with_only(keys: Collection[str]) -> Payload:
        some = {key: value for key, value in fields.items() if key in keys}
        return payload._replace(parts=[msgspec.json.encode({**envelope, **some})])

    name, reported_at_ns = record.get("what"), milliseconds(record.get("at"))
    alone = payload._replace(parts=[part])
    return UpstreamRecord(name if isinstance(name, str) else "", reported_at_ns, fields, (), alone, with_only)


def read(part: bytes) -> dict[str, object]:
    """A record by its keys; nothing of what is no JSON object."""
    try:
        return msgspec.json.decode(part, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
