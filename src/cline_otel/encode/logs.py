"""Log records to the bytes of an OTLP ``ExportLogsServiceRequest``."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import partial
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
    pack_uint64,
    tag,
    text,
    utf8,
    varint,
)
from cline_otel.signals import LogRecord, Severity

# Field numbers of opentelemetry.proto.logs.v1 LogRecord.
_TIME = tag(1, FIXED64)
_BODY = tag(5, LENGTH_DELIMITED)
_ATTRIBUTES = tag(6, LENGTH_DELIMITED)
_TRACE_ID = tag(9, LENGTH_DELIMITED) + varint(16)
_SPAN_ID = tag(10, LENGTH_DELIMITED) + varint(8)
_OBSERVED_TIME = tag(11, FIXED64)

# The W3C sampled flag: a record that names a trace was made within a span that is exported, and the
# SDK marks such records so.
_SAMPLED: Final = tag(8, FIXED32) + struct.pack("<I", 1)

_BODY_STRING = tag(1, LENGTH_DELIMITED)


_SEVERITIES: Final = {severity: tag(2, VARINT) + varint(severity) + text(3, severity.name) for severity in Severity}
_EVENT_NAMES: Final[BoundedCache[str, bytes]] = encoded_once(lambda name: text(12, name), max_entries=1024)
_LENGTHS: Final[BoundedCache[int, bytes]] = encoded_once(varint, max_entries=8192)


def encode_logs(
    records: Sequence[LogRecord], resource_and_scope: ResourceAndScope, observed_at_ns: int | None = None
) -> bytes:
    """An ``ExportLogsServiceRequest`` with all records, in their order, under one resource and scope for each service.

    Requests merge by concatenation. No records give no bytes. Times (nanoseconds) beyond 64 bits are
    clamped, strings that are no valid Unicode are repaired.

    Args:
        records: what to encode.
        resource_and_scope: of whom the request is.
        observed_at_ns: when the records were seen; by default, when each of them occurred, so that a
            replay gives the same bytes.

    Raises:
        ValueError: an id is neither empty nor of the length that OTLP demands, 16 bytes for a trace
            and 8 for a span.
    """
    return resource_and_scope.request_of(records, partial(_items, observed_at_ns=observed_at_ns))


def _items(records: Sequence[LogRecord], observed_at_ns: int | None) -> list[bytes]:
    lengths = _LENGTHS
    given_observed_time = None if observed_at_ns is None else pack_uint64(observed_at_ns)
    items: list[bytes] = []
    extend = items.extend
    for record in records:
        trace_id, span_id = record.trace_id, record.span_id
        if (trace_id and len(trace_id) != 16) or (span_id and len(span_id) != 8):
            raise ValueError(
                f"log record {record.event_name!r} has ids of {len(trace_id)} and {len(span_id)} bytes; "
                "OTLP wants 16 for a trace and 8 for a span: make ids by cline_otel.ids"
            )
        time = pack_uint64(record.occurred_at_ns)
        body = utf8(record.body)
        body_length = lengths[len(body)]
        message = b"".join(
            (
                _TIME,
                time,
                _SEVERITIES[record.severity],
                _BODY,
                lengths[1 + len(body_length) + len(body)],
                _BODY_STRING,
                body_length,
                body,
                attributes.field(_ATTRIBUTES, record.attributes),
                b"".join((_SAMPLED, _TRACE_ID, trace_id)) if trace_id else b"",
                _SPAN_ID + span_id if span_id else b"",
                _OBSERVED_TIME,
                given_observed_time or time,
                _EVENT_NAMES[record.event_name],
            )
        )
        extend((ITEM_TAG, lengths[len(message)], message))
    return items
