"""OTLP log requests, protobuf or JSON, as Cline sends them: the event's name is the body or ``event_name``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Final, Protocol, TypeVar

import msgspec
from google.protobuf.message import DecodeError

from cline_otel.bounded_cache import BoundedCache
from cline_otel.catalogue.compiled import Catalogue, Read, SourceEvent
from cline_otel.catalogue.values import Gate
from cline_otel.decode.fields import Answer, build_event, count_dropped, look_up, meets_conditions
from cline_otel.decode.json_text import JsonDecoder
from cline_otel.events import AttributeValue, Event
from cline_otel.signals import Diagnostics, count
from cline_otel.sources.interface import MalformedPayload, Payload
from cline_otel.sources.otlp.partial_schema import LogsRequest, any_value, key_value

Value = TypeVar("Value", contravariant=True)
Record = TypeVar("Record")
Meaning = TypeVar("Meaning")

_MEMORY: Final = 4_096
"""Raw values whose meaning is remembered, at most, of one kind."""

_LONGEST_REMEMBERED: Final = 256
"""Bytes of such a value: longer ones are no names, and would fill the memory."""

MOST_RECORDS: Final = 50_000
"""Log records in one request: about a second's work. Cline sends some hundreds."""


class _AnyValue(msgspec.Struct, gc=False):
    stringValue: str | None = None  # noqa: N815 - OTLP's JSON names, here and below
    intValue: int | str | None = None  # noqa: N815
    doubleValue: float | str | None = None  # noqa: N815
    boolValue: bool | None = None  # noqa: N815


class _KeyValue(msgspec.Struct, gc=False):
    key: str = ""
    value: _AnyValue | None = None


class LogRecord(msgspec.Struct, gc=False):
    """As much of a log record in JSON as is read; the names are OTLP's."""

    timeUnixNano: int | str = 0  # noqa: N815
    observedTimeUnixNano: int | str = 0  # noqa: N815
    body: _AnyValue | None = None
    eventName: str = ""  # noqa: N815
    attributes: msgspec.Raw = msgspec.Raw(b"[]")


class _ScopeLogs(msgspec.Struct, gc=False):
    logRecords: list[LogRecord] | None = None  # noqa: N815


class _ResourceLogs(msgspec.Struct, gc=False):
    scopeLogs: list[_ScopeLogs] | None = None  # noqa: N815


class Request(msgspec.Struct, gc=False):
    """As much of a request in JSON as is read."""

    resourceLogs: list[_ResourceLogs] | None = None  # noqa: N815


_request = JsonDecoder(msgspec.json.Decoder(Request))
_NOTHING: Final = _AnyValue()
_attributes: Final = JsonDecoder[list[_KeyValue] | None](msgspec.json.Decoder(list[_KeyValue] | None))


def decode(payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> list[Event]:
    """Events of one export request, in order.

    Raises:
        MalformedPayload: the body is not an ``ExportLogsServiceRequest`` in its encoding, or has more than
            ``MOST_RECORDS`` records.
    """
    (body,) = payload.parts
    source = payload.source
    find = catalogue.sources[source].vocabulary.find
    if payload.encoding == "protobuf":
        return list(_decode_protobuf(body, source, find, diagnostics))
    return list(_decode_json(read_json(body, diagnostics, source), source, find, diagnostics))


def read_json(body: bytes, diagnostics: Diagnostics | None = None, source: str = "") -> Request:
    """A request in JSON, its records' attributes still encoded.

    Raises:
        MalformedPayload: it is none.
    """
    try:
        return _request.decode(body, diagnostics, source)
    except msgspec.DecodeError:
        raise MalformedPayload("the body is not an OTLP log request in JSON") from None


class _JsonReader:
    """Values as the JSON decoder left them."""

    def name(self, body: _AnyValue) -> str:
        """The event name that a record's body holds; empty if the body is no string."""
        return body.stringValue or ""

    def plain(self, value: _AnyValue) -> object:
        """A value as it is."""
        if value.stringValue is not None:
            return value.stringValue
        if value.intValue is not None:
            return value.intValue
        return value.boolValue if value.boolValue is not None else value.doubleValue

    def answers(self, read: Read, fields: Mapping[str, _AnyValue]) -> list[Answer]:
        """What the gates say of the values that are read."""
        return [(handler, handler[2](self.plain(fields[key]))) for key, handler in read]


def _memory(mean: Callable[[bytes], Meaning]) -> BoundedCache[bytes, Meaning]:
    """What bytes mean, by these."""
    return BoundedCache(mean, _MEMORY, lambda raw, _meaning: len(raw) <= _LONGEST_REMEMBERED)


class _Answers(dict[Gate, BoundedCache[bytes, AttributeValue | None]]):
    """What each gate says of raw values, as far as it is remembered."""

    def __missing__(self, gate: Gate) -> BoundedCache[bytes, AttributeValue | None]:
        answers = self[gate] = _memory(lambda raw: gate(any_value(raw)))
        return answers


class _ProtobufReader:
    """Values still encoded; what one came to is remembered, so that a repeated one is never unpacked again."""

    def __init__(self) -> None:
        self._answers = _Answers()
        self._names = _memory(self._name_of)
        self._pairs = _memory(key_value)

    def name(self, body: bytes) -> str:
        """The event name that a record's body holds; empty if the body is no string."""
        return self._names[body]

    def fields(self, attributes: Iterable[bytes], diagnostics: Diagnostics, source: str) -> dict[str, bytes]:
        """The values by name; of several with one name the last. What is no attribute is counted."""
        try:
            return dict(map(self._pairs.__getitem__, attributes))
        except DecodeError:
            pass
        fields: dict[str, bytes] = {}
        for raw in attributes:
            try:
                name, value = key_value(raw)
            except DecodeError:
                count(diagnostics, "malformed", source, "value")
            else:
                fields[name] = value
        return fields

    def plain(self, value: bytes) -> object:
        """A value as it is."""
        return any_value(value)

    def answers(self, read: Read, fields: Mapping[str, bytes]) -> list[Answer]:
        """What the gates say of the values that are read."""
        remembered = self._answers
        return [(handler, remembered[handler[2]][fields[key]]) for key, handler in read]

    def _name_of(self, body: bytes) -> str:
        value = any_value(body)
        return value if isinstance(value, str) else ""


class _Reader(Protocol[Value]):
    def plain(self, value: Value) -> object: ...

    def answers(self, read: Read, fields: Mapping[str, Value]) -> list[Answer]: ...


_json = _JsonReader()
_protobuf = _ProtobufReader()

_Find = Callable[[str], SourceEvent | None]


def json_name(record: LogRecord) -> str:
    """The event's name; empty if there is none."""
    return record.eventName or _json.name(record.body or _NOTHING)


def json_records(request: Request) -> Iterator[LogRecord]:
    """The records of a request, in order.

    Raises:
        MalformedPayload: there are more than ``MOST_RECORDS``.
    """
    scopes = (scope for resource in request.resourceLogs or () for scope in resource.scopeLogs or ())
    return _bounded(record for scope in scopes for record in scope.logRecords or ())


def time_ns(first: int | str, second: int | str) -> int | None:
    """The first of the two that is a time, nanoseconds since the Unix epoch."""
    for candidate in (first, second):
        try:
            number = int(candidate)
        except ValueError:
            continue
        if 0 < number < 1 << 63:
            return number
    return None


def _bounded(records: Iterator[Record]) -> Iterator[Record]:
    """The records of a request, refused as a whole where there are too many."""
    bounded = list(islice(records, MOST_RECORDS))
    if next(records, None) is not None:
        raise MalformedPayload(f"more than {MOST_RECORDS} log records in one request: send smaller ones")
    return iter(bounded)


def _decode_json(request: Request, source: str, find: _Find, diagnostics: Diagnostics) -> Iterator[Event]:
    for record in json_records(request):
        entry = look_up(find, json_name(record), source, diagnostics)
        if entry is None:
            continue
        try:
            pairs = _attributes.decode(record.attributes, diagnostics, source) or ()
        except msgspec.DecodeError:
            count(diagnostics, "malformed", source, "attributes")
            continue
        fields = {pair.key: pair.value or _NOTHING for pair in pairs}
        event = _event(entry, source, _json, record.timeUnixNano, record.observedTimeUnixNano, fields, diagnostics)
        if event is not None:
            yield event


def _decode_protobuf(body: bytes, source: str, find: _Find, diagnostics: Diagnostics) -> Iterator[Event]:
    request = LogsRequest()
    try:
        request.ParseFromString(body)
    except (DecodeError, UnicodeDecodeError):
        raise MalformedPayload("the body is not an OTLP log request in protobuf") from None
    scopes = (scope for resource in request.resource_logs for scope in resource.scope_logs)
    for record in _bounded(chain.from_iterable(scope.log_records for scope in scopes)):
        name = record.event_name.decode("utf-8", "replace") or _protobuf.name(record.body)
        entry = look_up(find, name, source, diagnostics)
        if entry is None:
            continue
        first_ns, second_ns = record.time_unix_nano, record.observed_time_unix_nano
        fields = _protobuf.fields(record.attributes, diagnostics, source)
        event = _event(entry, source, _protobuf, first_ns, second_ns, fields, diagnostics)
        if event is not None:
            yield event


def _event(
    entry: SourceEvent,
    source: str,
    reader: _Reader[Value],
    first_ns: int | str,
    second_ns: int | str,
    fields: Mapping[str, Value],
    diagnostics: Diagnostics,
) -> Event | None:
    """The event of a record whose attributes are still raw; values that are not read stay so."""
    occurred_at_ns = time_ns(first_ns, second_ns)
    if occurred_at_ns is None:
        count(diagnostics, "malformed", source, "time")
        return None
    if entry.when and not meets_conditions(
        entry, {name: reader.plain(fields[name]) for name, _ in entry.when if name in fields}
    ):
        return None
    read, unlisted = entry.plan(tuple(fields))
    for key in unlisted:
        count_dropped(entry, source, key, diagnostics)
    return build_event(entry, source, occurred_at_ns, reader.answers(read, fields), diagnostics)
