"""The Cline plugin's spool: JSON lines with ``event``, ``time_unix_ms`` and flat fields (docs/spool-format.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from cline_otel.catalogue.load import Catalogue
from cline_otel.catalogue.values import milliseconds
from cline_otel.decode.fields import nameable, to_event
from cline_otel.events import Event
from cline_otel.signals import Tally, count

_line = msgspec.json.Decoder(dict[str, object])


def decode_lines(lines: Iterable[bytes], catalogue: Catalogue, tally: Tally, process: str) -> Iterator[Event]:
    """Events of one process's spool lines, in order; ``process`` is the spool's name of that process."""
    find = catalogue.vocabularies["plugin"].find
    for raw in lines:
        if not raw.strip():
            continue
        try:
            record = _line.decode(raw)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            count(tally, "malformed", "plugin", "line")
            continue
        name = record.get("event")
        occurred_at_ns = milliseconds(record.get("time_unix_ms"))
        if not isinstance(name, str) or occurred_at_ns is None:
            count(tally, "malformed", "plugin", "record")
            continue
        entry = find(name)
        if entry is None:
            count(tally, "unmapped_event", "plugin", nameable(name))
            continue
        if entry.kind == "ignored":
            continue
        event = to_event(entry, "plugin", occurred_at_ns, record.items(), tally, process)
        if event is not None:
            yield event
