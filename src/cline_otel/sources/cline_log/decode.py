"""``cline.log``: pino JSON lines, of which those with ``msg: "telemetry.event"`` or an ``event`` are telemetry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from cline_otel.catalogue.load import Catalogue
from cline_otel.catalogue.values import milliseconds
from cline_otel.decode.fields import nameable, to_event
from cline_otel.events import Event
from cline_otel.signals import Tally, count


class _Line(msgspec.Struct, gc=False):
    time: str | int | float | None = None
    event: str = ""
    properties: msgspec.Raw = msgspec.Raw(b"{}")


_line = msgspec.json.Decoder(_Line)
_properties = msgspec.json.Decoder(dict[str, object])


def parse_time_ns(text: str | int | float | None) -> int | None:
    """pino's ``time`` (ISO 8601, or milliseconds since the epoch) in nanoseconds; None if it is neither, or no time
    between 1970 and 2262."""
    if isinstance(text, str):
        try:
            moment = datetime.fromisoformat(text)
            return milliseconds(round(moment.timestamp() * 1_000)) if moment.tzinfo else None
        except (ValueError, OverflowError):
            return None
    return milliseconds(text)


def decode_lines(lines: Iterable[bytes], catalogue: Catalogue, tally: Tally) -> Iterator[Event]:
    """Events of a log's lines (without newlines), in order. A broken line is counted and passed over."""
    find = catalogue.vocabularies["cline"].find
    for raw in lines:
        if not raw.strip():
            continue
        try:
            line = _line.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            count(tally, "malformed", "cline-log", "line")
            continue
        if not line.event:
            continue
        entry = find(line.event)
        if entry is None:
            count(tally, "unmapped_event", "cline-log", nameable(line.event))
            continue
        if entry.kind == "ignored":
            continue
        occurred_at_ns = parse_time_ns(line.time)
        if occurred_at_ns is None:
            count(tally, "malformed", "cline-log", "time")
            continue
        try:
            properties = _properties.decode(line.properties)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            count(tally, "malformed", "cline-log", "properties")
            continue
        event = to_event(entry, "cline-log", occurred_at_ns, properties.items(), tally)
        if event is not None:
            yield event
