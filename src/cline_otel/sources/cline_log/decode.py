"""``cline.log``: pino JSON lines, of which those with ``msg: "telemetry.event"`` or an ``event`` are telemetry.

Of all others but those that the catalogue names by how their text begins, nothing is read. Which process wrote a line
is a digest from here on: neither its pid nor its machine's name goes any further.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import Final, cast

import msgspec

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.catalogue.values import milliseconds
from cline_otel.decode.fields import build_event, look_up, to_event
from cline_otel.decode.json_text import JsonDecoder
from cline_otel.events import Event, ProcessExited
from cline_otel.signals import Diagnostics, count
from cline_otel.sources.interface import Payload, UpstreamRecord

_ABSENT: Final = msgspec.Raw(b"")

EXIT: Final = "process.exited"
"""What is made of it that a process is gone; the log says nothing of it."""


class _Line(msgspec.Struct, gc=False):
    time: str | int | float | None = None
    event: str = ""
    msg: msgspec.Raw = msgspec.Raw(b"")
    properties: msgspec.Raw = msgspec.Raw(b"{}")
    pid: msgspec.Raw = _ABSENT
    hostname: msgspec.Raw = _ABSENT


_line = JsonDecoder(msgspec.json.Decoder(_Line))
_raw_values = JsonDecoder(msgspec.json.Decoder(dict[str, msgspec.Raw]))
_properties = JsonDecoder(msgspec.json.Decoder(dict[str, object]))

_READ: Final = frozenset({"time", "event", "properties"})


def decode(payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterator[Event]:
    """Events of a log's lines, in order. A broken line is counted and skipped."""
    source = payload.source
    vocabulary = catalogue.sources[source].vocabulary
    find = vocabulary.find
    for record in payload.records:
        yield _exit(source, record)
    for raw in payload.parts:
        if not raw.strip():
            continue
        try:
            line = _line.decode(raw, diagnostics, source)
        except msgspec.DecodeError:
            count(diagnostics, "malformed", source, "line")
            continue
        if not line.event:
            for begin, said in vocabulary.read_messages:
                if bytes(line.msg).startswith(f'"{begin}'.encode()) and (at_ns := parse_time_ns(line.time)) is not None:
                    yield build_event(said, source, at_ns, (), diagnostics)
            continue
        entry = look_up(find, line.event, source, diagnostics)
        if entry is None:
            continue
        occurred_at_ns = parse_time_ns(line.time)
        if occurred_at_ns is None:
            count(diagnostics, "malformed", source, "time")
            continue
        try:
            properties = _properties.decode(line.properties, diagnostics, source)
        except msgspec.DecodeError:
            count(diagnostics, "malformed", source, "properties")
            continue
        process = name_of(bytes(line.pid), bytes(line.hostname))
        event = to_event(entry, source, occurred_at_ns, properties, diagnostics, process)
        if event is not None:
            yield event


@lru_cache(256)
def name_of(pid: bytes, host_name: bytes) -> str:
    """What stands for a process that writes a log, of both as JSON has them; empty if either is not said."""
    if not pid or not host_name:
        return ""
    return f"log-{blake2b(pid + b' ' + host_name, digest_size=8).hexdigest()}"


def end_of(process: str, ended_at_ns: int, was_alive: bool) -> Mapping[str, object]:
    """The record of it that a process is gone.

    Args:
        process: what stands for it.
        ended_at_ns: when, nanoseconds since the Unix epoch.
        was_alive: whether it was seen alive until then.
    """
    return {"process": process, "ended_at_ns": ended_at_ns, "was_alive": was_alive}


def _exit(source: str, record: Mapping[str, object]) -> ProcessExited:
    reason = "exit" if record["was_alive"] else None
    ended_at_ns, process = cast("int", record["ended_at_ns"]), cast("str", record["process"])
    return ProcessExited(source, ended_at_ns, EXIT, process, exit_reason=reason)


def explode(payload: Payload) -> Iterator[UpstreamRecord]:
    """Every line that is not blank, those without an event among them."""
    for raw in payload.parts:
        if raw.strip():
            yield _exploded(raw, payload)


def _exploded(raw: bytes, payload: Payload) -> UpstreamRecord:
    try:
        line, whole = _line.decode(raw), _raw_values.decode(raw)
    except msgspec.DecodeError:
        line, whole = _Line(), {}
    try:
        fields = _raw_values.decode(line.properties)
    except msgspec.DecodeError:
        fields = {}

    def with_only(keys: Collection[str]) -> Payload:
        some = {key: value for key, value in fields.items() if key in keys}
        return payload._replace(parts=[msgspec.json.encode({**whole, "properties": some})])

    around = tuple(key for key in whole if key not in _READ)
    return UpstreamRecord(
        line.event, parse_time_ns(line.time), fields, around, payload._replace(parts=[raw]), with_only
    )


def reported_at_ns(line: bytes) -> int | None:
    """When a line was written, as it says, nanoseconds since the Unix epoch; None if it does not."""
    try:
        return parse_time_ns(_line.decode(line).time)
    except msgspec.DecodeError:
        return None


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
