"""Spans to the bytes of an OTLP ``ExportTraceServiceRequest``."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from struct import Struct
from typing import Final

from cline_otel.bounded_cache import BoundedCache
from cline_otel.encode import attributes
from cline_otel.encode.resource_and_scope import ITEM_TAG, ResourceAndScope
from cline_otel.encode.wire import (
    FIXED32,
    FIXED64,
    LENGTH_DELIMITED,
    VARINT,
    encoded_once,
    length_delimited,
    pack_uint64,
    tag,
    text,
    uint64,
    varint,
)
from cline_otel.signals import SpanEvent, SpanKind, SpanLink, SpanRecord, StatusCode

# Field numbers of opentelemetry.proto.trace.v1 Span, Span.Event and Span.Link.
_TRACE_ID = tag(1, LENGTH_DELIMITED) + varint(16)
_SPAN_ID = tag(2, LENGTH_DELIMITED) + varint(8)
_PARENT_SPAN_ID = tag(4, LENGTH_DELIMITED) + varint(8)
_ATTRIBUTES = tag(9, LENGTH_DELIMITED)
_EVENT_TIME = tag(1, FIXED64)
_EVENT_ATTRIBUTES = tag(3, LENGTH_DELIMITED)
_LINK_ATTRIBUTES = tag(4, LENGTH_DELIMITED)

# SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK alone: it is known whether the parent is remote, and it is not.
_IS_LOCAL: Final = struct.pack("<I", 0x100)
_LINK_FLAGS: Final = tag(6, FIXED32) + _IS_LOCAL

_TIMES: Final = Struct("<cQcQ")
_START_TAG: Final = tag(7, FIXED64)
_END_TAG: Final = tag(8, FIXED64)

_NAMES: Final[BoundedCache[str, bytes]] = encoded_once(lambda name: text(5, name), max_entries=1024)
# By number, of which there is no 0.
_KINDS: Final = (b"", *[tag(6, VARINT) + varint(kind) for kind in SpanKind])
# The last two fields, a status that is written even when unset (as the SDK's spans have one) and the flags.
_STATUS_AND_FLAGS: Final[BoundedCache[tuple[StatusCode, str], bytes]] = encoded_once(
    lambda status: (
        length_delimited(15, text(2, status[1]) + (tag(3, VARINT) + varint(status[0]) if status[0] else b""))
        + tag(16, FIXED32)
        + _IS_LOCAL
    ),
    max_entries=1024,
)
_ITEM_PREFIXES: Final[BoundedCache[int, bytes]] = encoded_once(
    lambda length: ITEM_TAG + varint(length), max_entries=8192
)


def encode_traces(spans: Sequence[SpanRecord], resource_and_scope: ResourceAndScope) -> bytes:
    """An ``ExportTraceServiceRequest`` with all spans, in their order, under one resource and scope for each service.

    Requests merge by concatenation. No spans give no bytes. Times (nanoseconds) beyond 64 bits are
    clamped, strings that are no valid Unicode are repaired.

    Raises:
        ValueError: an id has not the length that OTLP demands, 16 bytes for a trace and 8 for a span.
    """
    return resource_and_scope.request_of(spans, _items)


def _items(spans: Sequence[SpanRecord]) -> list[bytes]:
    items: list[bytes] = []
    append = items.append
    for span in spans:
        trace_id, span_id, parent_span_id = span.trace_id, span.span_id, span.parent_span_id
        if len(trace_id) != 16 or len(span_id) != 8 or (parent_span_id and len(parent_span_id) != 8):
            raise _wrong_ids(f"span {span.name!r}", trace_id, span_id, parent_span_id)
        try:
            times = _TIMES.pack(_START_TAG, span.started_at_ns, _END_TAG, span.ended_at_ns)
        except struct.error:
            times = _TIMES.pack(_START_TAG, uint64(span.started_at_ns), _END_TAG, uint64(span.ended_at_ns))
        message = b"".join(
            (
                _TRACE_ID,
                trace_id,
                _SPAN_ID,
                span_id,
                _PARENT_SPAN_ID if parent_span_id else b"",
                parent_span_id,
                _NAMES[span.name],
                _KINDS[span.kind],
                times,
                attributes.field(_ATTRIBUTES, span.attributes),
                _encode_events(span.events) if span.events else b"",
                _encode_links(span.links) if span.links else b"",
                _STATUS_AND_FLAGS[span.status, span.status_message],
            )
        )
        append(_ITEM_PREFIXES[len(message)])
        append(message)
    return items


def _encode_events(events: Sequence[SpanEvent]) -> bytes:
    return b"".join(
        [
            length_delimited(
                11,
                b"%b%b%b%b"
                % (
                    _EVENT_TIME,
                    pack_uint64(event.occurred_at_ns),
                    text(2, event.name),
                    attributes.field(_EVENT_ATTRIBUTES, event.attributes),
                ),
            )
            for event in events
        ]
    )


def _encode_links(links: Sequence[SpanLink]) -> bytes:
    encoded: list[bytes] = []
    for link in links:
        if len(link.trace_id) != 16 or len(link.span_id) != 8:
            raise _wrong_ids("span link", link.trace_id, link.span_id)
        message = b"".join(
            (
                _TRACE_ID,
                link.trace_id,
                _SPAN_ID,
                link.span_id,
                attributes.field(_LINK_ATTRIBUTES, link.attributes),
                _LINK_FLAGS,
            )
        )
        encoded.append(length_delimited(13, message))
    return b"".join(encoded)


def _wrong_ids(what: str, *ids: bytes) -> ValueError:
    lengths = ", ".join([str(len(id_bytes)) for id_bytes in ids])
    return ValueError(
        f"{what} has ids of {lengths} bytes; OTLP wants 16 for a trace and 8 for a span: make ids by cline_otel.ids"
    )
