"""An OTLP request in two: what a destination refuses as a whole it may take in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cline_otel.signals import SignalName

_REQUESTS: Final[dict[SignalName, tuple[Any, str, str, str]]] = {
    "traces": (ExportTraceServiceRequest, "resource_spans", "scope_spans", "spans"),
    "metrics": (ExportMetricsServiceRequest, "resource_metrics", "scope_metrics", "metrics"),
    "logs": (ExportLogsServiceRequest, "resource_logs", "scope_logs", "log_records"),
}
"""The message of each signal, and the names of its lists, from the outside in."""


def halves(signal: SignalName, payload: bytes) -> Sequence[tuple[bytes, int]]:
    """The records of a request in two requests, in their order, and how many each holds.

    A trace stays together as long as there are others. Metrics are divided by points. Nothing where there are fewer
    than two records, or ``payload`` is no such request.
    """
    message_type, *names = _REQUESTS[signal]
    try:
        request = message_type.FromString(payload)
    except DecodeError:
        return ()
    records = list(_records(request, names))
    if len(records) < 2:
        return ()
    groups: dict[bytes, list[_Place]] = {}
    for record in records:
        groups.setdefault(_trace_of(request, names, record), []).append(record)
    pieces = list(groups.values()) if len(groups) > 1 else [[record] for record in records]
    middle = len(pieces) // 2
    parts = [{record for piece in half for record in piece} for half in (pieces[:middle], pieces[middle:])]
    return [(_only(request, names, part).SerializeToString(deterministic=True), len(part)) for part in parts]


_Place = tuple[int, int, int, int]
"""Where a record is: resource, scope, span or record or metric, and data point."""


def _records(request: Any, names: Sequence[str]) -> Iterator[_Place]:
    for r, resource in enumerate(getattr(request, names[0])):
        for s, scope in enumerate(getattr(resource, names[1])):
            for number, record in enumerate(getattr(scope, names[2])):
                for point in range(len(_points(record)) if names[2] == "metrics" else 1):
                    yield r, s, number, point


def _points(metric: Any) -> Any:
    data = metric.WhichOneof("data")
    return getattr(metric, data).data_points if data else ()


def _trace_of(request: Any, names: Sequence[str], place: _Place) -> bytes:
    if names[2] == "metrics":
        return b""
    r, s, number, _ = place
    trace_id: bytes = getattr(getattr(getattr(request, names[0])[r], names[1])[s], names[2])[number].trace_id
    return trace_id


def _only(request: Any, names: Sequence[str], kept: set[_Place]) -> Any:
    """The request with these records alone, and with the resources and scopes that have any of them."""
    part = type(request)()
    part.CopyFrom(request)
    for r, resource in _backwards(part, names[0]):
        for s, scope in _backwards(resource, names[1]):
            for number, record in _backwards(scope, names[2]):
                points = list(range(len(_points(record)))) if names[2] == "metrics" else [0]
                left = [point for point in points if (r, s, number, point) in kept]
                if not left:
                    del getattr(scope, names[2])[number]
                    continue
                for point in reversed(points):
                    if point not in left:
                        del _points(record)[point]
            if not getattr(scope, names[2]):
                del getattr(resource, names[1])[s]
        if not getattr(resource, names[1]):
            del getattr(part, names[0])[r]
    return part


def _backwards(message: Any, name: str) -> Iterator[tuple[int, Any]]:
    """Numbers and members of a list, the last first, so that one can be deleted meanwhile."""
    members = getattr(message, name)
    for number in reversed(range(len(members))):
        yield number, members[number]
