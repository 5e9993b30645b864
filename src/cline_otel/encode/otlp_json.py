"""OTLP requests as JSON lines: what the collector's otlpjsonfile receiver reads.

Source: "JSON Protobuf Encoding" of the OTLP specification. It is protobuf's JSON mapping with three
differences: trace and span ids are hex, enums are integers, and field names only lowerCamelCase.
"""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Final

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from cline_otel.signals import SignalName

_REQUESTS: Final[dict[SignalName, type[Message]]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}

_HEX_FIELDS: Final = frozenset({"trace_id", "span_id", "parent_span_id"})

_INT64_TYPES: Final = frozenset(
    {
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_FIXED64,
        FieldDescriptor.TYPE_SFIXED64,
    }
)
_FLOAT_TYPES: Final = frozenset({FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT})

_Converter = Callable[..., object]


def to_json_line(signal: SignalName, request: bytes) -> bytes:
    """One line of OTLP JSON, without its newline, for an export request's protobuf bytes.

    Equal requests give equal bytes: fields stand in the order of their numbers, repeated ones in
    theirs. Doubles that JSON has no number for are the strings ``NaN``, ``Infinity``, ``-Infinity``.

    Raises:
        ValueError: the bytes are no such request.
    """
    message = _REQUESTS[signal]()
    try:
        message.ParseFromString(request)
    except DecodeError as error:
        raise ValueError(f"{signal} request of {len(request)} bytes: not an OTLP protobuf message") from error
    return msgspec.json.encode(_to_object(message))


class _Writers(dict[FieldDescriptor, tuple[str, _Converter | None, bool]]):
    """By field: its JSON name, what makes its JSON value (None: it stands as it is), and whether it repeats."""

    def __missing__(self, field: FieldDescriptor) -> tuple[str, _Converter | None, bool]:
        converter: _Converter | None = None
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            converter = _attribute if field.message_type is KeyValue.DESCRIPTOR else _to_object
        elif field.type == FieldDescriptor.TYPE_BYTES:
            converter = bytes.hex if field.name in _HEX_FIELDS else _base64
        elif field.type in _INT64_TYPES:
            converter = str
        elif field.type in _FLOAT_TYPES:
            converter = _number
        self[field] = writer = (field.json_name, converter, field.is_repeated)
        return writer


_WRITERS: Final = _Writers()


def _to_object(message: Message) -> dict[str, object]:
    writers = _WRITERS
    fields: dict[str, object] = {}
    for field, value in message.ListFields():
        name, converter, repeated = writers[field]
        if converter is None:
            fields[name] = list(value) if repeated else value
        elif repeated:
            fields[name] = [converter(element) for element in value]
        else:
            fields[name] = converter(value)
    return fields


def _attribute(pair: KeyValue) -> msgspec.Raw:
    """Most of a request is attributes, and most of these are the same again and again."""
    return _attribute_of(pair.SerializeToString())


@lru_cache(4_096)
def _attribute_of(pair: bytes) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(_to_object(KeyValue.FromString(pair))))


def _number(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value == math.inf else "-Infinity"


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")
