"""JSON lines back into OTLP requests: the inverse of what the product writes, and what a reader of them must do."""

from __future__ import annotations

from base64 import b64decode

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from cline_otel.encode.otlp_json import _FLOAT_TYPES, _HEX_FIELDS, _INT64_TYPES, _REQUESTS
from cline_otel.signals import SignalName


def from_json_line(signal: SignalName, line: bytes) -> bytes:
    """An export request's protobuf bytes for one line of OTLP JSON.

    Unknown fields are ignored, integers are taken as numbers or strings, ids in either case of hex.

    Raises:
        ValueError: the line is not JSON, or a value does not fit its field.
    """
    message = _REQUESTS[signal]()
    try:
        _fill(message, msgspec.json.decode(line))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, _MisfitError) as error:
        raise ValueError(f"{signal} line of {len(line)} bytes: not OTLP JSON: {error}") from None
    return message.SerializeToString(deterministic=True)


class _MisfitError(Exception):
    """A value that does not fit its field. It names the field, never the value."""


def _fill(message: Message, decoded: object) -> None:
    message_name = message.DESCRIPTOR.name
    if not isinstance(decoded, dict):
        raise _MisfitError(f"{message_name} is no object")
    fields = message.DESCRIPTOR.fields_by_camelcase_name
    for name, value in decoded.items():
        field = fields.get(name)
        if field is None or value is None:
            continue
        if field.is_repeated and not isinstance(value, list):
            raise _MisfitError(f"{message_name}.{name} is no list")
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            child = getattr(message, field.name)
            if field.is_repeated:
                for element in value:
                    _fill(child.add(), element)
            else:
                child.SetInParent()
                _fill(child, value)
            continue
        try:
            if field.is_repeated:
                getattr(message, field.name).extend([_scalar(field.name, field.type, element) for element in value])
            else:
                setattr(message, field.name, _scalar(field.name, field.type, value))
        except (TypeError, ValueError, OverflowError):
            raise _MisfitError(f"{message_name}.{name} has a value that does not fit") from None


def _scalar(name: str, field_type: int, value: object) -> object:
    if field_type == FieldDescriptor.TYPE_BYTES and isinstance(value, str):
        return bytes.fromhex(value) if name in _HEX_FIELDS else b64decode(value, validate=True)
    if field_type in _FLOAT_TYPES and isinstance(value, str | int | float):
        return float(value)
    if field_type in _INT64_TYPES and isinstance(value, str):
        return int(value)
    return value
