"""Compares requests by what they tell, however a collector grouped it.

A batch processor moves spans, metrics and log records between requests and groups; which resource
and scope each one has, and everything inside it, must stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

Told = tuple[str, str, str, str, str]
"""Resource, its schema URL, scope, its schema URL and one span, metric or log record, as text."""

ExportRequest = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest


def told_by(requests: Iterable[ExportRequest]) -> list[Told]:
    """Everything that the requests tell, each item once as often as it is told, in a fixed order."""
    told: list[Told] = []
    for request in requests:
        for _, groups in request.ListFields():
            for group in groups:
                for scope_group, items in _scopes(group):
                    of = (str(group.resource), group.schema_url, str(scope_group.scope), scope_group.schema_url)
                    told.extend((*of, str(item)) for item in items)
    return sorted(told)


def _scopes(group: Any) -> Iterator[tuple[Any, Iterable[Any]]]:
    for name, items in (("scope_spans", "spans"), ("scope_metrics", "metrics"), ("scope_logs", "log_records")):
        for scope_group in getattr(group, name, ()):
            yield scope_group, getattr(scope_group, items)
