"""A narrow view of OTLP log requests: only what is read is unpacked.

Protobuf reads bytes by the schema it is given, and schemas with the same field numbers and wire types
are interchangeable. This one declares a record's attributes as a map (on the wire a map is a list of
key and value) and every ``AnyValue`` as plain bytes, so that an attribute costs a look-up and most
values are never unpacked at all: what a raw value means is remembered.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "cline_otel.partial_schema"


def _message(file: descriptor_pb2.FileDescriptorProto, name: str, *fields: tuple[int, str, int, str]) -> None:
    message = file.message_type.add(name=name)
    for number, field_name, field_type, type_name in fields:
        field = message.field.add(number=number, name=field_name, type=field_type)
        field.label = _Field.LABEL_REPEATED if field_type == _Field.TYPE_MESSAGE else _Field.LABEL_OPTIONAL
        if type_name:
            field.type_name = f".{_PACKAGE}.{type_name}"


def _request_class() -> Any:
    """The message class; numbers as in opentelemetry/proto/logs/v1/logs.proto and collector/logs/v1."""
    file = descriptor_pb2.FileDescriptorProto(name="cline_otel_partial_schema.proto", package=_PACKAGE, syntax="proto3")
    _message(
        file,
        "LogRecord",
        (1, "time_unix_nano", _Field.TYPE_FIXED64, ""),
        (5, "body", _Field.TYPE_BYTES, ""),
        (6, "attributes", _Field.TYPE_MESSAGE, "LogRecord.AttributesEntry"),
        (11, "observed_time_unix_nano", _Field.TYPE_FIXED64, ""),
        (12, "event_name", _Field.TYPE_BYTES, ""),
    )
    entry = file.message_type[0].nested_type.add(name="AttributesEntry")
    entry.options.map_entry = True
    entry.field.add(number=1, name="key", type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
    entry.field.add(number=2, name="value", type=_Field.TYPE_BYTES, label=_Field.LABEL_OPTIONAL)
    _message(file, "ScopeLogs", (2, "log_records", _Field.TYPE_MESSAGE, "LogRecord"))
    _message(file, "ResourceLogs", (2, "scope_logs", _Field.TYPE_MESSAGE, "ScopeLogs"))
    _message(file, "LogsRequest", (1, "resource_logs", _Field.TYPE_MESSAGE, "ResourceLogs"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.LogsRequest"))


LogsRequest: Final = _request_class()
"""``ExportLogsServiceRequest`` through the partial schema."""

_STRING_TAG: Final = 0x0A
_ONE_BYTE_LENGTH: Final = 0x80


def any_value(raw: bytes) -> object:
    """The Python value of an encoded ``AnyValue``: a scalar, or None for what is empty, nested or broken."""
    if len(raw) >= 2 and raw[0] == _STRING_TAG and raw[1] < _ONE_BYTE_LENGTH and len(raw) == raw[1] + 2:
        try:
            return raw[2:].decode()
        except UnicodeDecodeError:
            return None
    message = AnyValue()
    try:
        message.ParseFromString(raw)
    except (DecodeError, UnicodeDecodeError):
        return None
    which = message.WhichOneof("value")
    return getattr(message, which) if which in _SCALARS else None


_SCALARS: Final = frozenset({"string_value", "bool_value", "int_value", "double_value"})
