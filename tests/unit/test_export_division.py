"""A request in two holds what the whole held: every record once, in its resource and scope, traces kept together."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cline_otel.export.division import halves

Spans = list[tuple[str, str, bytes, str]]
"""Resource, scope, trace and name of each span."""


def spans_of(payload: bytes) -> Spans:
    request = ExportTraceServiceRequest.FromString(payload)
    return [
        (resource.schema_url, scope.scope.name, span.trace_id, span.name)
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def traces(layout: Sequence[Sequence[Sequence[int]]]) -> bytes:
    """Resources with scopes with the traces of their spans; every span has a name of its own."""
    request, number = ExportTraceServiceRequest(), 0
    for r, scopes in enumerate(layout):
        resource = request.resource_spans.add(schema_url=f"resource {r}")
        for s, ids in enumerate(scopes):
            scope = resource.scope_spans.add()
            scope.scope.name = f"scope {s}"
            for trace in ids:
                number += 1
                scope.spans.add(trace_id=bytes([trace]) * 16, name=f"span {number}")
    return request.SerializeToString()


@given(st.lists(st.lists(st.lists(st.integers(1, 4), max_size=5), max_size=3), max_size=3))
def test_every_span_is_in_one_half_where_it_was_and_no_trace_is_cut_that_is_not_alone(
    layout: list[list[list[int]]],
) -> None:
    whole = traces(layout)
    spans = spans_of(whole)
    parts = halves("traces", whole)
    if len(spans) < 2:
        assert parts == ()
        return
    (older, older_count), (newer, newer_count) = parts
    assert sorted(spans_of(older) + spans_of(newer)) == sorted(spans)
    assert (older_count, newer_count) == (len(spans_of(older)), len(spans_of(newer)))
    assert min(older_count, newer_count) > 0
    ids = [{trace for _, _, trace, _ in spans_of(part)} for part in (older, newer)]
    if len(ids[0] | ids[1]) > 1:
        assert not ids[0] & ids[1]


def test_log_records_and_points_are_divided_to_the_last() -> None:
    logs = ExportLogsServiceRequest()
    for name in "abc":
        logs.resource_logs.add().scope_logs.add().log_records.add(event_name=name)
    assert [count for _, count in halves("logs", logs.SerializeToString())] == [1, 2]
    metrics = ExportMetricsServiceRequest()
    metric = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="calls", unit="{call}")
    for value in range(3):
        metric.sum.data_points.add(as_int=value)
    (older, _), (newer, count) = halves("metrics", metrics.SerializeToString())
    assert count == 2
    for payload, values in ((older, [0]), (newer, [1, 2])):
        (part,) = ExportMetricsServiceRequest.FromString(payload).resource_metrics[0].scope_metrics[0].metrics
        assert (part.name, part.unit, [point.as_int for point in part.sum.data_points]) == ("calls", "{call}", values)


def test_what_is_no_request_or_one_record_has_no_halves() -> None:
    assert halves("traces", b"\xff\xff") == ()
    assert halves("traces", b"") == ()
    assert halves("traces", traces([[[1]]])) == ()
