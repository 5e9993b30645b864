"""What came out of a bridge, from its files or from an endpoint, in a form that can be compared."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cline_otel.export.interface import EncodedRequest
from cline_otel.signals import SignalName
from integration.otlp_json import requests_from_lines

Totals = dict[tuple[str, tuple[tuple[str, str], ...]], tuple[float, int, tuple[int, ...]]]
"""By name, which another service than Cline has before it, and attributes: sum, count and bucket counts."""


class Received:
    """The requests of all signals.

    Attributes:
        spans: the distinct serialized spans by span id.
        bare_spans: the same without span events, which a weaker source adds only while the span is open.
        logs: the distinct serialized log records by ``log.record.uid``.
        bare_logs: the same without attributes: a record of a run's start says what is known by then.
        totals: the newest of every metric series.
        resources: the distinct resources by signal, as attributes.
    """

    def __init__(
        self,
        traces: Iterable[ExportTraceServiceRequest],
        metrics: Iterable[ExportMetricsServiceRequest],
        logs: Iterable[ExportLogsServiceRequest],
    ) -> None:
        traces, metrics, logs = list(traces), list(metrics), list(logs)
        self.spans: dict[bytes, set[bytes]] = {}
        self.bare_spans: dict[bytes, set[bytes]] = {}
        self.logs: dict[str, set[bytes]] = {}
        self.bare_logs: dict[str, set[bytes]] = {}
        for resource_spans in (each for request in traces for each in request.resource_spans):
            for span in (span for scope in resource_spans.scope_spans for span in scope.spans):
                self.spans.setdefault(span.span_id, set()).add(span.SerializeToString(deterministic=True))
                bare_span = Span()
                bare_span.CopyFrom(span)
                bare_span.ClearField("events")
                self.bare_spans.setdefault(span.span_id, set()).add(bare_span.SerializeToString(deterministic=True))
        for resource_logs in (each for request in logs for each in request.resource_logs):
            for record in (record for scope in resource_logs.scope_logs for record in scope.log_records):
                uid = next(pair.value.string_value for pair in record.attributes if pair.key == "log.record.uid")
                self.logs.setdefault(uid, set()).add(record.SerializeToString(deterministic=True))
                bare_record = LogRecord()
                bare_record.CopyFrom(record)
                bare_record.ClearField("attributes")
                self.bare_logs.setdefault(uid, set()).add(bare_record.SerializeToString(deterministic=True))
        self.snapshots = [totals_of(request) for request in metrics]
        self.totals: Totals = {}
        for snapshot in self.snapshots:
            self.totals |= snapshot
        self.resources = {
            "traces": _resources(each for request in traces for each in request.resource_spans),
            "metrics": _resources(each for request in metrics for each in request.resource_metrics),
            "logs": _resources(each for request in logs for each in request.resource_logs),
        }

    @classmethod
    def in_files(cls, directory: Path) -> Received:
        """What lies in ``traces.jsonl``, ``metrics.jsonl`` and ``logs.jsonl``; read anew where a file has grown."""
        paths = [directory / f"{signal}.jsonl" for signal in ("traces", "metrics", "logs")]
        return cls._in_files(directory, *[path.stat().st_size if path.exists() else 0 for path in paths])

    @classmethod
    @lru_cache(maxsize=4)
    def _in_files(cls, directory: Path, *sizes_bytes: int) -> Received:
        return cls(
            requests_from_lines(directory / "traces.jsonl", ExportTraceServiceRequest),
            requests_from_lines(directory / "metrics.jsonl", ExportMetricsServiceRequest),
            requests_from_lines(directory / "logs.jsonl", ExportLogsServiceRequest),
        )

    @classmethod
    def in_requests(cls, requests: dict[SignalName, list[EncodedRequest]]) -> Received:
        """What a replay's requests hold, by signal."""
        return cls(
            [ExportTraceServiceRequest.FromString(request.payload) for request in requests["traces"]],
            [ExportMetricsServiceRequest.FromString(request.payload) for request in requests["metrics"]],
            [ExportLogsServiceRequest.FromString(request.payload) for request in requests["logs"]],
        )


def start_times(request: ExportMetricsServiceRequest) -> dict[str, int]:
    """When each series of a request began, nanoseconds since the Unix epoch."""
    return {f"{name} {point.attributes}": point.start_time_unix_nano for name, point in _points(request)}


def assert_tells(received: Received, expected: Received) -> None:
    """The same spans, log records and totals; of a log record only that it is there."""
    assert received.bare_spans == expected.bare_spans
    assert received.logs.keys() == expected.logs.keys()
    assert received.totals == expected.totals


def totals_of(request: ExportMetricsServiceRequest) -> Totals:
    """The series of one request."""
    totals: Totals = {}
    for name, point in _points(request):
        attributes = tuple(sorted((pair.key, pair.value.string_value) for pair in point.attributes))
        if hasattr(point, "bucket_counts"):
            totals[name, attributes] = (point.sum, point.count, tuple(point.bucket_counts))
        else:
            totals[name, attributes] = (point.as_double or float(point.as_int), 0, ())
    return totals


def delta_totals(requests: Iterable[ExportMetricsServiceRequest]) -> Totals:
    """What the points of a destination that is told of growth add up to; one that was sent again counts once."""
    distinct: dict[Any, tuple[float, int, tuple[int, ...]]] = {}
    for request in requests:
        for name, point in _points(request):
            attributes = tuple(sorted((pair.key, pair.value.string_value) for pair in point.attributes))
            key = (name, attributes, point.start_time_unix_nano, point.time_unix_nano)
            if hasattr(point, "bucket_counts"):
                distinct[key] = (point.sum, point.count, tuple(point.bucket_counts))
            else:
                distinct[key] = (point.as_double or float(point.as_int), 0, ())
    totals: Totals = {}
    for (name, attributes, _, _), (total, count, buckets) in distinct.items():
        before = totals.get((name, attributes), (0.0, 0, (0,) * len(buckets)))
        summed = tuple(map(sum, zip(before[2], buckets, strict=True)))
        totals[name, attributes] = (before[0] + total, before[1] + count, summed)
    return totals


def _points(request: ExportMetricsServiceRequest) -> Iterable[tuple[str, Any]]:
    for resource_metrics in request.resource_metrics:
        service = next(
            (pair.value.string_value for pair in resource_metrics.resource.attributes if pair.key == "service.name"), ""
        )
        prefix = "" if service in ("", "cline") else f"{service}: "
        for scope in resource_metrics.scope_metrics:
            for metric in scope.metrics:
                for point in (*metric.sum.data_points, *metric.histogram.data_points):
                    yield prefix + metric.name, point


def _resources(parts: Iterable[Any]) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for part in parts:
        resource: Message = part.resource
        attributes = {pair.key: pair.value.string_value for pair in resource.attributes}  # type: ignore[attr-defined]
        if attributes not in found:
            found.append(attributes)
    return found
