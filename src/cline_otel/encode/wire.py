"""The protobuf wire format, as much of it as OTLP needs.

A message is a run of fields, each a tag (field number and wire type) and a value; a nested message,
a string or a packed list is its length and its bytes. Source: the Protocol Buffers encoding guide.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence, Sized
from struct import Struct
from typing import Final, TypeVar

from cline_otel.bounded_cache import BoundedCache

VARINT: Final = 0
FIXED64: Final = 1
LENGTH_DELIMITED: Final = 2
FIXED32: Final = 5

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
UINT64_MAX: Final = 2**64 - 1

_UINT64 = Struct("<Q")
_INT64 = Struct("<q")
_DOUBLE = Struct("<d")

pack_double: Final[Callable[[float], bytes]] = _DOUBLE.pack
"""A double's eight bytes."""

Key = TypeVar("Key")
Encoded = TypeVar("Encoded", bound=Sized)

_LONGEST_REMEMBERED: Final = 512
"""Bytes of what a cache keeps of one key."""


def encoded_once(encode: Callable[[Key], Encoded], max_entries: int) -> BoundedCache[Key, Encoded]:
    """What is encoded, bytes or several pieces of them, by what it is of."""
    return BoundedCache(encode, max_entries, lambda _key, encoded: len(encoded) <= _LONGEST_REMEMBERED)


def varint(value: int) -> bytes:
    """The base-128 varint of an integer, 0 to 2**64 - 1."""
    if value < 0x80:
        return b"%c" % value
    if value < 0x4000:
        return b"%c%c" % (value & 0x7F | 0x80, value >> 7)
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def zigzag(value: int) -> int:
    """A signed number as ``sint32`` and ``sint64`` have it: small ones of either sign stay small."""
    return value << 1 if value >= 0 else (-value << 1) - 1


def tag(field_number: int, wire_type: int) -> bytes:
    """What precedes a field's value."""
    return varint(field_number << 3 | wire_type)


def length_delimited(field_number: int, payload: bytes) -> bytes:
    """A nested message, a byte string, encoded text or a packed list as a field."""
    return b"%b%b%b" % (tag(field_number, LENGTH_DELIMITED), varint(len(payload)), payload)


def text(field_number: int, value: str) -> bytes:
    """A string field; nothing for an empty one, as proto3 has it for fields without presence."""
    return length_delimited(field_number, utf8(value)) if value else b""


def utf8(value: str) -> bytes:
    """Valid UTF-8 for any string: a lone surrogate, which UTF-8 cannot carry, becomes U+FFFD."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        # Through UTF-16, so that two halves of one character that were decoded apart become that character.
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def int64(value: int) -> int:
    """The nearest integer that a signed 64-bit field holds."""
    return min(max(value, INT64_MIN), INT64_MAX)


def uint64(value: int) -> int:
    """The nearest integer that an unsigned 64-bit field holds."""
    return min(max(value, 0), UINT64_MAX)


def pack_int64(value: int) -> bytes:
    """An sfixed64's eight bytes; what is out of range is clamped."""
    return _INT64.pack(int64(value))


def pack_uint64(value: int) -> bytes:
    """A fixed64's eight bytes; what is out of range is clamped."""
    try:
        return _UINT64.pack(value)
    except struct.error:
        return _UINT64.pack(uint64(value))


def pack_uint64s(values: Sequence[int]) -> bytes:
    """The payload of a packed list of fixed64; what is out of range is clamped."""
    try:
        return struct.pack(f"<{len(values)}Q", *values)
    except struct.error:
        return b"".join([pack_uint64(value) for value in values])


def pack_doubles(values: Sequence[float]) -> bytes:
    """The payload of a packed list of double."""
    return struct.pack(f"<{len(values)}d", *values)
