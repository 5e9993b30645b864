"""OTLP log requests, protobuf or JSON, as Cline sends them: the event's name is the body or ``event_name``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from cline_otel.catalogue.load import Catalogue, FieldHandler, SourceEvent
from cline_otel.decode.fields import build_event, count_dropped, meets_conditions, nameable, to_event
from cline_otel.events import Event
from cline_otel.signals import Tally, count

Encoding = Literal["json", "protobuf"]


class MalformedPayload(Exception):  # noqa: N818 - the receiver's word for what it answers with 400
    """The bytes are no OTLP log request; the text never quotes them."""


class _AnyValue(msgspec.Struct, gc=False):
    stringValue: str | None = None  # noqa: N815 - OTLP's JSON names, here and below
    intValue: int | str | None = None  # noqa: N815
    doubleValue: float | str | None = None  # noqa: N815
    boolValue: bool | None = None  # noqa: N815

    def plain(self) -> object:
        if self.stringValue is not None:
            return self.stringValue
        if self.intValue is not None:
            return self.intValue
        return self.boolValue if self.boolValue is not None else self.doubleValue


_NOTHING = _AnyValue()


class _KeyValue(msgspec.Struct, gc=False):
    key: str = ""
    value: _AnyValue | None = None


class _LogRecord(msgspec.Struct, gc=False):
    timeUnixNano: int | str = 0  # noqa: N815
    observedTimeUnixNano: int | str = 0  # noqa: N815
    body: _AnyValue | None = None
    eventName: str = ""  # noqa: N815
    attributes: msgspec.Raw = msgspec.Raw(b"[]")


class _ScopeLogs(msgspec.Struct, gc=False):
    logRecords: list[_LogRecord] | None = None  # noqa: N815


class _ResourceLogs(msgspec.Struct, gc=False):
    scopeLogs: list[_ScopeLogs] | None = None  # noqa: N815


class _Request(msgspec.Struct, gc=False):
    resourceLogs: list[_ResourceLogs] | None = None  # noqa: N815


_request = msgspec.json.Decoder(_Request)
_attributes = msgspec.json.Decoder(list[_KeyValue] | None)


def decode_request(body: bytes, encoding: Encoding, catalogue: Catalogue, tally: Tally) -> list[Event]:
    """Events of one export request, in order.

    Raises:
        MalformedPayload: the body is not an ``ExportLogsServiceRequest`` in that encoding.
    """
    if encoding == "protobuf":
        return list(_decode_protobuf(body, catalogue, tally))
    try:
        request = _request.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise MalformedPayload("the body is not an OTLP log request in JSON") from None
    return list(_decode_json(request, catalogue, tally))


def _entry(name: str, catalogue: Catalogue, tally: Tally) -> SourceEvent | None:
    entry = catalogue.cline.find(name)
    if entry is None:
        count(tally, "unmapped_event", "otlp", nameable(name))
        return None
    return None if entry.kind == "ignored" else entry


def _time_ns(first: int | str, second: int | str) -> int | None:
    for candidate in (first, second):
        try:
            number = int(candidate)
        except ValueError:
            continue
        if 0 < number < 1 << 63:
            return number
    return None


def _decode_json(request: _Request, catalogue: Catalogue, tally: Tally) -> Iterator[Event]:
    for resource in request.resourceLogs or ():
        for scope in resource.scopeLogs or ():
            for record in scope.logRecords or ():
                name = record.eventName or (record.body and record.body.stringValue) or ""
                entry = _entry(name, catalogue, tally)
                if entry is None:
                    continue
                occurred_at_ns = _time_ns(record.timeUnixNano, record.observedTimeUnixNano)
                if occurred_at_ns is None:
                    count(tally, "malformed", "otlp", "time")
                    continue
                try:
                    pairs = _attributes.decode(record.attributes) or ()
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    count(tally, "malformed", "otlp", "attributes")
                    continue
                fields = [(pair.key, (pair.value or _NOTHING).plain()) for pair in pairs]
                event = to_event(entry, "otlp", occurred_at_ns, fields, tally)
                if event is not None:
                    yield event


def _decode_protobuf(body: bytes, catalogue: Catalogue, tally: Tally) -> Iterator[Event]:
    request = ExportLogsServiceRequest()
    try:
        request.ParseFromString(body)
    except (DecodeError, UnicodeDecodeError):
        raise MalformedPayload("the body is not an OTLP log request in protobuf") from None
    for resource in request.resource_logs:
        for scope in resource.scope_logs:
            for record in scope.log_records:
                entry = _entry(record.event_name or record.body.string_value, catalogue, tally)
                if entry is None:
                    continue
                occurred_at_ns = _time_ns(record.time_unix_nano, record.observed_time_unix_nano)
                if occurred_at_ns is None:
                    count(tally, "malformed", "otlp", "time")
                    continue
                if entry.when and not meets_conditions(entry, _conditions(record, entry)):
                    continue
                yield build_event(entry, "otlp", occurred_at_ns, _known_fields(record, entry, tally), tally)


def _known_fields(record: LogRecord, entry: SourceEvent, tally: Tally) -> list[tuple[FieldHandler, object]]:
    """Handler and value of the fields that the entry reads; values that are not read stay undecoded."""
    fields: list[tuple[FieldHandler, object]] = []
    handlers = entry.handlers
    for pair in record.attributes:
        handler = handlers.get(pair.key)
        if handler is None:
            count_dropped(entry, "otlp", pair.key, tally)
        elif handler[0] >= 0:
            value = pair.value
            fields.append((handler, value.string_value or _plain(value)))
    return fields


def _conditions(record: LogRecord, entry: SourceEvent) -> dict[str, object]:
    names = {name for name, _ in entry.when}
    return {pair.key: _plain(pair.value) for pair in record.attributes if pair.key in names}


def _plain(value: AnyValue) -> object:
    which = value.WhichOneof("value")
    return getattr(value, which) if which else None
