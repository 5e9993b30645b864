"""What reached the collector: the OTLP JSON lines of its file exporter, as spans, metric totals and log records."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

STATUS_ERROR = 2
"""OTLP ``Status.StatusCode.STATUS_CODE_ERROR``."""


@dataclass(frozen=True)
class Span:
    """A span; ids in hex, times in nanoseconds since the Unix epoch. ``links`` are (trace id, span id)."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    started_at_ns: int
    ended_at_ns: int
    attributes: dict[str, Any]
    status: int
    links: tuple[tuple[str, str], ...]

    @property
    def operation(self) -> str:
        """``invoke_agent``, ``chat`` or ``execute_tool``; the name of a span of another kind."""
        return str(self.attributes.get("gen_ai.operation.name", self.name))

    @property
    def failed(self) -> bool:
        """Whether its status is ERROR."""
        return self.status == STATUS_ERROR


@dataclass(frozen=True)
class Log:
    """A log record; times in nanoseconds since the Unix epoch."""

    event_name: str
    occurred_at_ns: int
    body: str
    attributes: dict[str, Any]
    trace_id: str
    span_id: str


@dataclass(frozen=True)
class MetricTotal:
    """The last cumulative total of a series: a counter's sum, or a histogram's sum and count."""

    metric: str
    attributes: dict[str, Any]
    sum: float
    count: int


class Telemetry:
    """Everything in the folder that a collector's file exporters wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def spans(self) -> list[Span]:
        """Every span, in the order it came, doubled ones twice."""
        return [_span(span) for span in _records(self.folder / "traces.jsonl", "resourceSpans", "scopeSpans", "spans")]

    @cached_property
    def logs(self) -> list[Log]:
        """Every log record, in the order it came."""
        records = _records(self.folder / "logs.jsonl", "resourceLogs", "scopeLogs", "logRecords")
        return [_log(record) for record in records]

    @cached_property
    def metrics(self) -> list[MetricTotal]:
        """The newest total of every series; what a gauge says is none."""
        newest: dict[tuple[str, str], tuple[int, MetricTotal]] = {}
        for metric in _records(self.folder / "metrics.jsonl", "resourceMetrics", "scopeMetrics", "metrics"):
            if "gauge" in metric:
                continue
            data = metric.get("sum") or metric["histogram"]
            for point in data["dataPoints"]:
                attributes = _attributes(point)
                key = metric["name"], json.dumps(attributes, sort_keys=True)
                at_ns = int(point["timeUnixNano"])
                if key not in newest or at_ns >= newest[key][0]:
                    newest[key] = at_ns, _total(metric["name"], attributes, point)
        return [total for _, total in newest.values()]

    @cached_property
    def by_operation(self) -> dict[str, list[Span]]:
        """Spans by their operation."""
        operations: dict[str, list[Span]] = {}
        for span in self.spans:
            operations.setdefault(span.operation, []).append(span)
        return operations

    @cached_property
    def by_id(self) -> dict[str, Span]:
        """Spans by span id."""
        return {span.span_id: span for span in self.spans}

    @cached_property
    def resources(self) -> list[dict[str, Any]]:
        """The attributes of every resource of every signal."""
        found = []
        for name, key in (("traces", "resourceSpans"), ("logs", "resourceLogs"), ("metrics", "resourceMetrics")):
            for request in _requests(self.folder / f"{name}.jsonl"):
                found += [_attributes(entry["resource"]) for entry in request.get(key, [])]
        return found

    def sum_of(self, metric: str, **attributes: Any) -> float:
        """The sum over the series of ``metric`` that have ``attributes`` (dots as underscores)."""
        return sum(total.sum for total in self._series(metric, attributes))

    def count_of(self, metric: str, **attributes: Any) -> int:
        """How many values the histogram ``metric`` holds in the series that have ``attributes``."""
        return sum(total.count for total in self._series(metric, attributes))

    def _series(self, metric: str, attributes: dict[str, Any]) -> Iterator[MetricTotal]:
        for total in self.metrics:
            named = {name.replace(".", "_"): value for name, value in total.attributes.items()}
            if total.metric == metric and attributes.items() <= named.items():
                yield total


def _requests(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        yield from (json.loads(line) for line in path.read_text().splitlines() if line.strip())


def _records(path: Path, resources: str, scopes: str, records: str) -> Iterator[dict[str, Any]]:
    for request in _requests(path):
        for resource in request.get(resources, []):
            for scope in resource.get(scopes, []):
                yield from scope.get(records, [])


def _attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {entry["key"]: _value(entry["value"]) for entry in holder.get("attributes", [])}


def _value(value: dict[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "intValue":
        return int(content)
    if kind == "arrayValue":
        return [_value(item) for item in content.get("values", [])]
    return content


def _span(span: dict[str, Any]) -> Span:
    return Span(
        span["traceId"],
        span["spanId"],
        span.get("parentSpanId", ""),
        span["name"],
        int(span["startTimeUnixNano"]),
        int(span["endTimeUnixNano"]),
        _attributes(span),
        int(span.get("status", {}).get("code", 0)),
        tuple((link["traceId"], link["spanId"]) for link in span.get("links", [])),
    )


def _log(record: dict[str, Any]) -> Log:
    attributes = _attributes(record)
    return Log(
        record.get("eventName") or str(attributes.get("event.name")),
        int(record["timeUnixNano"]),
        str(_value(record["body"])),
        attributes,
        record.get("traceId", ""),
        record.get("spanId", ""),
    )


def _total(metric: str, attributes: dict[str, Any], point: dict[str, Any]) -> MetricTotal:
    value = point.get("sum", point.get("asDouble", point.get("asInt", 0)))
    return MetricTotal(metric, attributes, float(value), int(point.get("count", 0)))
