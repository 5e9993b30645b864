"""What a destination's answer says, as text for people and as counts."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

import msgspec
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from cline_otel.export.outcome import Delivered
from cline_otel.signals import SignalName

_TEXT_LIMIT: Final = 200

_RESPONSES: Final[dict[SignalName, tuple[type[Message], str]]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records"),
}
_JSON_REJECTED: Final[dict[SignalName, str]] = {
    "traces": "rejectedSpans",
    "metrics": "rejectedDataPoints",
    "logs": "rejectedLogRecords",
}


def clipped(text: str) -> str:
    """One line of at most 200 printable characters."""
    cleaned = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(cleaned.split())[:_TEXT_LIMIT]


def delivered_from_protobuf(signal: SignalName, body: bytes) -> Delivered:
    """The outcome told by an ``Export*ServiceResponse``; an empty body is full success.

    Raises:
        ValueError: the body is no such message.
    """
    response_type, rejected_field = _RESPONSES[signal]
    response = response_type()
    try:
        response.ParseFromString(body)
    except DecodeError:
        raise ValueError("not an OTLP response") from None
    partial: Message = getattr(response, "partial_success")  # noqa: B009
    rejected: int = getattr(partial, rejected_field)
    message: str = getattr(partial, "error_message")  # noqa: B009
    return Delivered(max(rejected, 0), clipped(message))


def delivered_from_json(signal: SignalName, body: bytes) -> Delivered:
    """As :func:`delivered_from_protobuf`, for OTLP's JSON encoding, where 64 bit integers are strings.

    Raises:
        ValueError: the body is no such object.
    """
    try:
        partial = msgspec.json.decode(body)["partialSuccess"] if body.strip() not in {b"", b"{}"} else {}
        return Delivered(
            max(int(partial.get(_JSON_REJECTED[signal], 0)), 0), clipped(str(partial.get("errorMessage", "")))
        )
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError):
        raise ValueError("not an OTLP response") from None


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """What a ``Retry-After`` header asks for: seconds, or a date (RFC 9110, 10.2.3); None if it says nothing usable.

    ``now`` is an aware time, by default the present.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (TypeError, ValueError):
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
