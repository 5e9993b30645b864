"""Attributes to OTLP ``KeyValue`` messages, each distinct one encoded once.

A field of attributes is its tag before every chunk, and all signals share the chunks: see ``field``.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from cline_otel.bounded_cache import BoundedCache
from cline_otel.encode.wire import (
    FIXED64,
    LENGTH_DELIMITED,
    UINT64_MAX,
    VARINT,
    encoded_once,
    int64,
    length_delimited,
    pack_double,
    tag,
    utf8,
    varint,
)
from cline_otel.events import AttributeValue
from cline_otel.signals import Attributes

_KEY = 1
_VALUE = 2

_STRING_VALUE = 1
_BOOL_VALUE = 2
_INT_VALUE = 3
_DOUBLE_VALUE = 4
_ARRAY_VALUE = 5

_LONGEST_NUMBER_BYTES = 10

# The seven bits of a varint's byte, as the last one and as one that more follow: then its highest bit is set.
_LAST = tuple([bytes((byte,)) for byte in range(0x100)])
_MORE = _LAST[0x80:]

# Besides strings: equal values of these types have equal bytes.
_SHARED: Final = frozenset({bool, tuple})


def _any_value(value: AttributeValue) -> bytes:
    """An ``AnyValue`` message. An integer beyond int64 is clamped to it: its type must not vary with its value."""
    if isinstance(value, str):
        return length_delimited(_STRING_VALUE, utf8(value))
    if isinstance(value, bool):
        return tag(_BOOL_VALUE, VARINT) + varint(value)
    if isinstance(value, int):
        return tag(_INT_VALUE, VARINT) + varint(int64(value) & UINT64_MAX)
    if isinstance(value, float):
        return tag(_DOUBLE_VALUE, FIXED64) + pack_double(value)
    elements = b"".join([length_delimited(1, _any_value(element)) for element in value])
    return length_delimited(_ARRAY_VALUE, elements)


def _key(name: str) -> bytes:
    """All of a ``KeyValue`` message that comes before the length of its value."""
    return length_delimited(_KEY, utf8(name)) + tag(_VALUE, LENGTH_DELIMITED)


_KEYS: Final[BoundedCache[str, bytes]] = encoded_once(_key, max_entries=1024)


def _chunk(pair: tuple[str, AttributeValue]) -> bytes:
    """A ``KeyValue`` message behind its length."""
    name, value = pair
    key = _KEYS[name]
    if type(value) is str:
        text = utf8(value)
        length = len(key) + 3 + len(text)
        if length < 0x80:
            return b"%c%b%c\x0a%c%b" % (length, key, 2 + len(text), len(text), text)
    encoded = _any_value(value)
    message = b"%b%b%b" % (key, varint(len(encoded)), encoded)
    return varint(len(message)) + message


def _number_prefixes(value_tag: bytes, name: str) -> tuple[bytes, ...]:
    """All of an attribute's chunk that comes before a number, by how many bytes the number has."""
    prefixes = []
    for number_length in range(_LONGEST_NUMBER_BYTES + 1):
        head = b"%b%b%b" % (_KEYS[name], varint(len(value_tag) + number_length), value_tag)
        prefixes.append(varint(len(head) + number_length) + head)
    return tuple(prefixes)


# Strings, booleans and tuples never equal one another, so they can share a cache. Numbers cannot
# join it: 1, 1.0 and True are one dict key, and so are 0.0 and -0.0.
_PAIRS: Final[BoundedCache[tuple[str, AttributeValue], bytes]] = encoded_once(_chunk, max_entries=8192)
_INT_PREFIXES: Final[BoundedCache[str, tuple[bytes, ...]]] = encoded_once(
    partial(_number_prefixes, tag(_INT_VALUE, VARINT)), max_entries=512
)
_DOUBLE_PREFIXES: Final[BoundedCache[str, tuple[bytes, ...]]] = encoded_once(
    partial(_number_prefixes, tag(_DOUBLE_VALUE, FIXED64)), max_entries=512
)


def field(field_tag: bytes, attributes: Attributes) -> bytes:
    """A repeated ``KeyValue`` field, in the order given.

    Args:
        field_tag: the tag that the message in question has for its attributes.
        attributes: name and value pairs. Lone surrogates become U+FFFD, integers beyond int64 are clamped.
    """
    pairs = _PAIRS
    # The empty first chunk gives the join its leading tag.
    chunks = [b""]
    append = chunks.append
    for pair in attributes:
        value = pair[1]
        kind = type(value)
        # By exact type and with the commonest first: this loop is most of what encoding a span costs.
        if kind is str:
            append(pairs[pair])
        elif kind is int:
            append(_int_chunk(pair[0], value))  # type: ignore[arg-type]
        elif kind is float:
            append(_DOUBLE_PREFIXES[pair[0]][8] + pack_double(value))  # type: ignore[arg-type]
        elif kind in _SHARED:
            append(pairs[pair])
        else:
            append(_chunk(pair))
    return field_tag.join(chunks)


def _int_chunk(name: str, value: int) -> bytes:
    prefixes = _INT_PREFIXES[name]
    if value < 0:
        return prefixes[10] + varint(int64(value) & UINT64_MAX)
    if value < 0x80:
        return prefixes[1] + _LAST[value]
    if value < 0x4000:
        return prefixes[2] + _MORE[value & 0x7F] + _LAST[value >> 7]
    if value < 0x20_0000:
        return prefixes[3] + _MORE[value & 0x7F] + _MORE[value >> 7 & 0x7F] + _LAST[value >> 14]
    encoded = varint(int64(value))
    return prefixes[len(encoded)] + encoded
