"""The records of OTLP log requests, read as ``decode`` reads them, with what surrounds their fields."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

import msgspec

from cline_otel.decode.json_text import JsonDecoder
from cline_otel.encode.otlp_json import to_json_line
from cline_otel.sources.interface import MalformedPayload, Payload, UpstreamRecord
from cline_otel.sources.otlp.decode import LogRecord, json_name, json_records, read_json, time_ns

_Values = dict[str, msgspec.Raw]


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


_whole_request = JsonDecoder(msgspec.json.Decoder(_Request))
_resource = JsonDecoder(msgspec.json.Decoder(_Resource))
_pairs: Final = JsonDecoder[list[_Pair] | None](msgspec.json.Decoder(list[_Pair] | None))

_READ: Final = frozenset(LogRecord.__struct_fields__)


def explode(payload: Payload) -> Iterator[UpstreamRecord]:
    """Every record of a request; a request that is none is one without a name."""
    (body,) = payload.parts
    try:
        if payload.encoding == "protobuf":
            body = to_json_line("logs", body)
        records = list(json_records(read_json(body)))
    except (MalformedPayload, ValueError):
        yield UpstreamRecord("", None, {}, (), payload, lambda keys: payload)
        return
    for record, (whole, of_resource) in zip(records, _whole_records(body), strict=True):
        yield _exploded(record, whole, of_resource, payload)


def _whole_records(body: bytes) -> Iterator[tuple[_Values, tuple[str, ...]]]:
    """Every member of each record, with the names of its resource's attributes."""
    for resource_logs in _whole_request.decode(body).resourceLogs or ():
        try:
            named = _resource.decode(resource_logs.resource).attributes or ()
        except msgspec.DecodeError:
            named = ()
        of_resource = tuple(f"resource {pair.key}" for pair in named if pair.key)
        for scope_logs in resource_logs.scopeLogs or ():
            for whole in scope_logs.logRecords or ():
                yield whole, of_resource


def _exploded(record: LogRecord, whole: _Values, of_resource: tuple[str, ...], payload: Payload) -> UpstreamRecord:
    def alone(whole: _Values) -> Payload:
        body = msgspec.json.encode({"resourceLogs": [{"scopeLogs": [{"logRecords": [whole]}]}]})
        return payload._replace(parts=[body], encoding="json")

    def with_only(keys: Collection[str]) -> Payload:
        some = [{"key": key, "value": value} for key, value in fields.items() if key in keys]
        return alone({**whole, "attributes": msgspec.Raw(msgspec.json.encode(some))})

    try:
        fields = {pair.key: pair.value for pair in _pairs.decode(record.attributes) or ()}
    except msgspec.DecodeError:
        fields = {}
    reported_at_ns = time_ns(record.timeUnixNano, record.observedTimeUnixNano)
    around = (*(key for key in whole if key not in _READ), *of_resource)
    return UpstreamRecord(json_name(record), reported_at_ns, fields, around, alone(whole), with_only)
