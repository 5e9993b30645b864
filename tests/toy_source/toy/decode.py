"""Records of toys, to events."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.catalogue.values import milliseconds
from cline_otel.decode.fields import nameable, to_event
from cline_otel.events import Event
from cline_otel.signals import Diagnostics, count
from cline_otel.sources.interface import Payload, UpstreamRecord


def decode(payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterator[Event]:
    for part in payload.parts:
        record = read(part)
        entry = catalogue.sources[payload.source].vocabulary.find(str(record.pop("what", "")))
        occurred_at_ns = milliseconds(record.get("at"))
        if entry is None or occurred_at_ns is None:
            count(diagnostics, "malformed", payload.source, nameable(str(record.get("what"))))
            continue
        event = to_event(entry, payload.source, occurred_at_ns, record.items(), diagnostics)
        if event is not None:
            yield event


def explode(payload: Payload) -> Iterator[UpstreamRecord]:
    for part in payload.parts:
        yield exploded(part, payload)


def exploded(part: bytes, payload: Payload) -> UpstreamRecord:
    record = read(part)
    fields = msgspec.json.decode(part, type=dict[str, msgspec.Raw])
    envelope = {key: fields.pop(key) for key in ("what", "at") if key in fields}

    def with_only(keys: Collection[str]) -> Payload:
        some = {key: value for key, value in fields.items() if key in keys}
        return payload._replace(parts=[msgspec.json.encode({**envelope, **some})])

    reported_at_ns = milliseconds(record.get("at"))
    return UpstreamRecord(str(record["what"]), reported_at_ns, fields, (), payload._replace(parts=[part]), with_only)


def read(part: bytes) -> dict[str, object]:
    return msgspec.json.decode(part, type=dict[str, object])
