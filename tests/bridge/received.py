"""What came out of a bridge, from its files or from an endpoint, in a form that can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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

Taken = tuple[float, int, tuple[int, ...]]
"""What a series has taken: sum, count and bucket counts."""

Series = tuple[str, tuple[tuple[str, str], ...]]
"""A name, which another service than Cline has before it, and attributes."""

Totals = dict[Series, Taken]
"""What each series has taken."""


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

    @property
    def owners(self) -> set[str]:
        """The sources whose spans these are."""
        spans = (Span.FromString(version) for versions in self.spans.values() for version in versions)
        return {
            pair.value.string_value
            for span in spans
            for pair in span.attributes
            if pair.key == "cline.telemetry.source"
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


def differing_items(received: Received, expected: Received) -> list[str]:
    """What is not as it is expected, item by item, a line each: spans by their id, log records by ``log.record.uid``.

    Each must be there once, in one version, and be the expected one: a span without its events, a log record of a
    run's start without its attributes (both hold what was known by then).
    """
    found: list[str] = []
    kinds: tuple[tuple[str, Mapping[Any, set[bytes]], Mapping[Any, set[bytes]], Mapping[Any, set[bytes]]], ...] = (
        ("span", received.spans, received.bare_spans, expected.bare_spans),
        ("log record", received.logs, _settled(received), _settled(expected)),
    )
    for kind, whole, bare, wanted in kinds:
        for item in sorted(whole.keys() | wanted.keys()):
            if item not in whole:
                found.append(f"{kind} is missing: {_described(kind, wanted[item])}")
            elif item not in wanted:
                found.append(f"{kind} is of nothing: {_described(kind, whole[item])}")
            elif len(whole[item]) > 1:
                found.append(f"{kind} came in {len(whole[item])} versions: {_described(kind, whole[item])}")
            elif bare[item] != wanted[item]:
                said, meant = _described(kind, bare[item]), _described(kind, wanted[item])
                found.append(f"{kind} differs: {said}\n  and not {meant}")
    return found


def _settled(received: Received) -> dict[str, set[bytes]]:
    """The log records, those of a run's start without attributes."""
    return {
        uid: received.bare_logs[uid] if any(b"cline.run.started" in version for version in versions) else versions
        for uid, versions in received.logs.items()
    }


def _described(kind: str, versions: set[bytes]) -> str:
    """A span or log record, in a line."""
    known: Span | LogRecord = (Span if kind == "span" else LogRecord)()
    known.ParseFromString(min(versions))
    return " ".join(str(known).split())[:600]


def totals_of(request: ExportMetricsServiceRequest) -> Totals:
    """The series of one request."""
    return {_series(name, point): _taken(point) for name, point in _points(request)}


def delta_totals(requests: Iterable[ExportMetricsServiceRequest]) -> Totals:
    """What the points of a destination that is told of growth add up to; one that was sent again counts once."""
    distinct: dict[tuple[Series, int, int], Taken] = {}
    for request in requests:
        for name, point in _points(request):
            distinct[_series(name, point), point.start_time_unix_nano, point.time_unix_nano] = _taken(point)
    totals: Totals = {}
    for (series, _, _), taken in distinct.items():
        totals = added(totals, {series: taken})
    return totals


def added(totals: Totals, more: Totals) -> Totals:
    """Totals, and what came besides."""
    summed = dict(totals)
    for series, (total, count, buckets) in more.items():
        before = totals.get(series, (0.0, 0, (0,) * len(buckets)))
        summed[series] = (before[0] + total, before[1] + count, tuple(map(sum, zip(before[2], buckets, strict=True))))
    return summed


def misfits(requests: Iterable[ExportMetricsServiceRequest], *, is_delta: bool) -> list[str]:
    """Points that no backend could take for what they are, a line each.

    A point ends before it began; one of growth is told twice, with another value; a total goes back, but for the one
    of nothing with which each series begins and which is told again when its answer was lost.
    """
    found: list[str] = []
    newest: dict[tuple[Any, ...], Taken] = {}
    for request in requests:
        for name, point in _points(request):
            series, taken = _series(name, point), _taken(point)
            began_ns, at_ns = point.start_time_unix_nano, point.time_unix_nano
            if not is_delta and at_ns == began_ns and not any((*taken[:2], *taken[2])):
                continue
            key = (series, began_ns, at_ns) if is_delta else (series, began_ns)
            before = newest.get(key, taken)
            is_less = taken[:2] < before[:2] or any(now < then for now, then in zip(taken[2], before[2], strict=True))
            if at_ns < began_ns or (taken != before if is_delta else is_less):
                found.append(f"{series} from {began_ns} to {at_ns}: {taken} after {before}")
            newest[key] = taken
    return found


def _series(name: str, point: Any) -> Series:
    return name, tuple(sorted((pair.key, pair.value.string_value) for pair in point.attributes))


def _taken(point: Any) -> Taken:
    if hasattr(point, "bucket_counts"):
        return point.sum, point.count, tuple(point.bucket_counts)
    return point.as_double or float(point.as_int), 0, ()


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
