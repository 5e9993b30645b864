"""The records of a recording, one by one and in time order, each with what its decoder makes of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from heapq import merge
from typing import Final

import msgspec

from cline_otel.catalogue.load import Catalogue, SourceEvent
from cline_otel.catalogue.values import milliseconds
from cline_otel.events import Event
from cline_otel.signals import Tally
from cline_otel.sources.cline_log import decode as cline_log
from cline_otel.sources.otlp import decode as otlp
from cline_otel.sources.plugin import decode as plugin
from cline_otel.sources.recording import Recording

_Values = dict[str, msgspec.Raw]
_Decode = Callable[[Mapping[str, msgspec.Raw], Tally], Event | None]

_ENVELOPE: Final = ("event", "time_unix_ms")
"""What a line of the spool has beside its event's fields."""

_LINE: Final = frozenset({"time", "event", "properties"})
_LOG_RECORD: Final = frozenset({"timeUnixNano", "observedTimeUnixNano", "body", "eventName", "attributes"})
"""What is read of a line of the log, and of a log record."""


class UpstreamRecord(msgspec.Struct):
    """One record as it was told, and what it was decoded to.

    Attributes:
        name: the event's name as it was told, which may be anything; empty if there is none.
        entry: what the catalogue knows of it.
        event: what it was decoded to; None if nothing came of it.
        tally: what its decoding counted.
        fields: the values, still encoded as JSON.
        around: names of what surrounds the fields and is never read.
        told_at_ns: when it happened, as it says; None if it does not.
        decode: decodes the record as if it had these fields only.
    """

    source: str
    name: str
    entry: SourceEvent | None
    event: Event | None
    tally: Tally
    fields: _Values
    around: tuple[str, ...]
    told_at_ns: int | None
    decode: _Decode

    def with_only(self, keys: Collection[str]) -> tuple[Event | None, Tally]:
        """What it would be decoded to, and what would be counted, if it had these of its fields only."""
        tally: Tally = {}
        event = self.decode({key: value for key, value in self.fields.items() if key in keys}, tally)
        return event, tally


def records_in_time(recording: Recording, catalogue: Catalogue) -> Iterator[UpstreamRecord]:
    """Every record that names an event, and those that are malformed.

    Those that become events come in the order in which a replay takes them.
    """
    streams = [_spool(lines, process, catalogue) for process, lines in recording.plugin]
    streams += [_cline_log(lines, catalogue) for lines in recording.cline_log]
    streams.append(_otlp(recording.otlp_logs, catalogue))
    ordered = merge(*map(_with_order, streams), key=lambda placed: placed[0])
    return (record for _, record in ordered)


def _with_order(records: Iterable[UpstreamRecord]) -> Iterator[tuple[int, UpstreamRecord]]:
    """Each record with a time that never goes back within its stream.

    That does not change how streams of events merge: a merge takes the least of the streams' heads, so an
    event that is earlier than the one before it comes right after it. Records without an event lie between.
    """
    latest_ns = 0
    waiting: list[UpstreamRecord] = []
    for record in records:
        if record.event is None:
            waiting.append(record)
            continue
        now_ns = max(latest_ns, record.event.occurred_at_ns)
        for eventless in waiting:
            latest_ns = min(max(latest_ns, eventless.told_at_ns or 0), now_ns)
            yield latest_ns, eventless
        waiting.clear()
        latest_ns = now_ns
        yield latest_ns, record
    for eventless in waiting:
        latest_ns = max(latest_ns, eventless.told_at_ns or 0)
        yield latest_ns, eventless


def count_without_event(recording: Recording) -> int:
    """Lines of ``cline.log`` that are no telemetry: free text, which is never read."""
    return sum(
        1
        for lines in recording.cline_log
        for raw in lines
        if (line := _object(raw)) is not None and not _event_of(line)
    )


# --- the three sources ----------------------------------------------------------------------------------


def _spool(lines: Iterable[bytes], process: str, catalogue: Catalogue) -> Iterator[UpstreamRecord]:
    def decode_line(line: bytes, tally: Tally) -> Event | None:
        return next(plugin.decode_lines([line], catalogue, tally, process), None)

    for raw in lines:
        if not raw.strip():
            continue
        tally: Tally = {}
        event = decode_line(raw, tally)
        record = _object(raw) or {}
        envelope: _Values = {key: record[key] for key in _ENVELOPE if key in record}
        fields = {key: value for key, value in record.items() if key not in envelope}

        def decode(some: Mapping[str, msgspec.Raw], tally: Tally, envelope: _Values = envelope) -> Event | None:
            return decode_line(msgspec.json.encode({**envelope, **some}), tally)

        name = _event_of(record)
        told_at_ns = milliseconds(_value(record.get("time_unix_ms")))
        entry = catalogue.vocabularies["plugin"].find(name)
        yield UpstreamRecord("plugin", name, entry, event, tally, fields, (), told_at_ns, decode)


def _cline_log(lines: Iterable[bytes], catalogue: Catalogue) -> Iterator[UpstreamRecord]:
    def decode_line(line: bytes, tally: Tally) -> Event | None:
        return next(cline_log.decode_lines([line], catalogue, tally), None)

    for raw in lines:
        if not raw.strip():
            continue
        tally: Tally = {}
        event = decode_line(raw, tally)
        line = _object(raw) or {}
        name = _event_of(line)
        if not name and not tally:
            continue

        def decode(some: Mapping[str, msgspec.Raw], tally: Tally, line: _Values = line) -> Event | None:
            return decode_line(msgspec.json.encode({**line, "properties": some}), tally)

        time = _value(line.get("time"))
        told_at_ns = cline_log.parse_time_ns(time if isinstance(time, str | int | float) else None)
        fields = _object(line.get("properties", b"{}")) or {}
        around = tuple(key for key in line if key not in _LINE)
        entry = catalogue.vocabularies["cline"].find(name)
        yield UpstreamRecord("cline-log", name, entry, event, tally, fields, around, told_at_ns, decode)


def _otlp(bodies: Iterable[bytes], catalogue: Catalogue) -> Iterator[UpstreamRecord]:
    for body in bodies:
        try:
            otlp.decode_request(body, "json", catalogue, {})
        except otlp.MalformedPayload:
            tally: Tally = {("malformed", "otlp", "request"): 1}
            yield UpstreamRecord("otlp", "", None, None, tally, {}, (), None, lambda some, tally: None)
            continue
        request = msgspec.json.decode(body, type=_Request)
        for resource_logs in request.resourceLogs or ():
            of_resource = tuple(
                f"resource {pair.key}" for pair in _resource(resource_logs.resource).attributes or () if pair.key
            )
            for scope_logs in resource_logs.scopeLogs or ():
                for record in scope_logs.logRecords or ():
                    yield _log_record(record, of_resource, catalogue)


def _log_record(record: _Values, around: tuple[str, ...], catalogue: Catalogue) -> UpstreamRecord:
    def decode(some: Mapping[str, msgspec.Raw], tally: Tally) -> Event | None:
        pairs = [{"key": key, "value": value} for key, value in some.items()]
        return decode_record({**record, "attributes": msgspec.Raw(msgspec.json.encode(pairs))}, tally)

    def decode_record(record: _Values, tally: Tally) -> Event | None:
        body = msgspec.json.encode({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
        return next(iter(otlp.decode_request(body, "json", catalogue, tally)), None)

    tally: Tally = {}
    event = decode_record(record, tally)
    name = _value(record.get("eventName")) or _value((_object(record.get("body", b"{}")) or {}).get("stringValue"))
    name = name if isinstance(name, str) else ""
    around = (*(key for key in record if key not in _LOG_RECORD), *around)
    entry = catalogue.vocabularies["cline"].find(name)
    fields = _attributes(record.get("attributes", b"[]"))
    return UpstreamRecord("otlp", name, entry, event, tally, fields, around, _otlp_time_ns(record), decode)


# --- reading what is still encoded ----------------------------------------------------------------------


class _Pair(msgspec.Struct):
    key: str = ""
    value: msgspec.Raw = msgspec.Raw(b"{}")


class _Resource(msgspec.Struct):
    attributes: list[_Pair] | None = None


class _ScopeLogs(msgspec.Struct):
    logRecords: list[_Values] | None = None  # noqa: N815 - OTLP's JSON names, here and below


class _ResourceLogs(msgspec.Struct):
    resource: msgspec.Raw = msgspec.Raw(b"{}")
    scopeLogs: list[_ScopeLogs] | None = None  # noqa: N815


class _Request(msgspec.Struct):
    resourceLogs: list[_ResourceLogs] | None = None  # noqa: N815


_MOST_DIGITS: Final = 19
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _object(raw: bytes) -> _Values | None:
    try:
        return msgspec.json.decode(raw, type=_Values)
    except _UNREADABLE:
        return None


def _value(raw: bytes | None) -> object:
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except _UNREADABLE:
        return None


def _event_of(line: _Values) -> str:
    name = _value(line.get("event"))
    return name if isinstance(name, str) else ""


def _attributes(raw: bytes) -> _Values:
    try:
        pairs = msgspec.json.decode(raw, type=list[_Pair] | None) or []
    except _UNREADABLE:
        return {}
    return {pair.key: pair.value for pair in pairs}


def _resource(raw: bytes) -> _Resource:
    try:
        return msgspec.json.decode(raw, type=_Resource)
    except _UNREADABLE:
        return _Resource()


def _otlp_time_ns(record: _Values) -> int | None:
    for key in ("timeUnixNano", "observedTimeUnixNano"):
        digits = str(_value(record.get(key)))
        if digits.isascii() and digits.isdigit() and len(digits) <= _MOST_DIGITS and int(digits):
            return int(digits)
    return None
