"""A narrow view of OTLP log requests: only what is read is unpacked.

Protobuf reads bytes by the schema it is given, and schemas with the same field numbers and wire types
are interchangeable. This one declares a record's attributes and every ``AnyValue`` as plain bytes, so that
an attribute costs a look-up and most are never unpacked at all: what their bytes mean is remembered.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "cline_otel.partial_schema"


def _message(file: descriptor_pb2.FileDescriptorProto, name: str, **fields: tuple[int, int, bool, str]) -> None:
    message = file.message_type.add(name=name)
    for field_name, (number, field_type, is_repeated, type_name) in fields.items():
        field = message.field.add(number=number, name=field_name, type=field_type)
        field.label = _Field.LABEL_REPEATED if is_repeated else _Field.LABEL_OPTIONAL
        if type_name:
            field.type_name = f".{_PACKAGE}.{type_name}"


def _message_classes() -> tuple[Any, Any]:
    """A request's and an attribute's; numbers as in opentelemetry/proto, logs/v1, collector/logs/v1 and common/v1."""
    file = descriptor_pb2.FileDescriptorProto(name="cline_otel_partial_schema.proto", package=_PACKAGE, syntax="proto3")
    _message(file, "KeyValue", key=(1, _Field.TYPE_BYTES, False, ""), value=(2, _Field.TYPE_BYTES, False, ""))
    _message(
        file,
        "LogRecord",
        time_unix_nano=(1, _Field.TYPE_FIXED64, False, ""),
        body=(5, _Field.TYPE_BYTES, False, ""),
        attributes=(6, _Field.TYPE_BYTES, True, ""),
        observed_time_unix_nano=(11, _Field.TYPE_FIXED64, False, ""),
        event_name=(12, _Field.TYPE_BYTES, False, ""),
    )
    _message(file, "ScopeLogs", log_records=(2, _Field.TYPE_MESSAGE, True, "LogRecord"))
    _message(file, "ResourceLogs", scope_logs=(2, _Field.TYPE_MESSAGE, True, "ScopeLogs"))
    _message(file, "LogsRequest", resource_logs=(1, _Field.TYPE_MESSAGE, True, "ResourceLogs"))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    request, key_value = (pool.FindMessageTypeByName(f"{_PACKAGE}.{name}") for name in ("LogsRequest", "KeyValue"))
    return message_factory.GetMessageClass(request), message_factory.GetMessageClass(key_value)


_LogsRequest, _KeyValue = _message_classes()

LogsRequest: Final = _LogsRequest
"""``ExportLogsServiceRequest`` through the partial schema."""


def key_value(raw: bytes) -> tuple[str, bytes]:
    """An attribute's name and its value, still encoded.

    Raises:
        DecodeError: it is none.
    """
    pair = _KeyValue.FromString(raw)
    return pair.key.decode("utf-8", "replace"), pair.value


_STRING_TAG: Final = 0x0A
_ONE_BYTE_LENGTH: Final = 0x80


def any_value(raw: bytes) -> object:
    """The Python value of an encoded ``AnyValue``: a scalar, or None for what is empty, nested or broken."""
    if len(raw) > 1 and raw[0] == _STRING_TAG and raw[1] < _ONE_BYTE_LENGTH and len(raw) == raw[1] + 2:
        return raw[2:].decode("utf-8", "replace")
    message = AnyValue()
    try:
        message.ParseFromString(raw)
    except (DecodeError, UnicodeDecodeError):
        return None
    which = message.WhichOneof("value")
    return getattr(message, which) if which in _SCALARS else None


_SCALARS: Final = frozenset({"string_value", "bool_value", "int_value", "double_value"})
