"""What compares intakes with their source sees each item that is not as it should be."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from .received import Received, added, delta_totals, differing_items, misfits


def told(spans: dict[bytes, str], logs: dict[str, str]) -> Received:
    traces, records = ExportTraceServiceRequest(), ExportLogsServiceRequest()
    scope = traces.resource_spans.add().scope_spans.add()
    for span_id, name in spans.items():
        scope.spans.add(span_id=span_id, name=name)
    of_logs = records.resource_logs.add().scope_logs.add()
    for uid, body in logs.items():
        record = of_logs.log_records.add()
        record.body.string_value = body
        attribute = record.attributes.add(key="log.record.uid")
        attribute.value.string_value = uid
    return Received([traces], [], [records])


def points(*told: tuple[int, int, float]) -> list[ExportMetricsServiceRequest]:
    """Requests of one point each, of one counter: start, end, value."""
    requests = []
    for began_ns, at_ns, value in told:
        request = ExportMetricsServiceRequest()
        metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="cline.cost")
        metric.sum.data_points.add(start_time_unix_nano=began_ns, time_unix_nano=at_ns, as_double=value)
        requests.append(request)
    return requests


def test_each_span_and_log_record_that_is_not_the_expected_one_is_named() -> None:
    expected = told({b"a" * 8: "chat", b"b" * 8: "chat"}, {"1": "one", "2": "two"})
    assert differing_items(expected, expected) == []
    now = told({b"a" * 8: "tool", b"c" * 8: "chat"}, {"1": "one", "3": "two"})
    said = [line.partition(":")[0] for line in differing_items(now, expected)]
    assert said == [
        "span differs",
        "span is missing",
        "span is of nothing",
        "log record is missing",
        "log record is of nothing",
    ]


@pytest.mark.parametrize(("event", "is_named"), [("cline.error", True), ("cline.run.started", False)])
def test_an_attribute_of_a_log_record_counts_but_for_a_run_s_start(event: str, is_named: bool) -> None:
    made = [told({}, {"1": "one"}) for _ in range(2)]
    for received, model in zip(made, ("gpt-5", "gpt-4"), strict=True):
        (version,) = received.logs["1"]
        record = LogRecord.FromString(version)
        for name, value in (("event.name", event), ("gen_ai.request.model", model)):
            attribute = record.attributes.add(key=name)
            attribute.value.string_value = value
        received.logs["1"] = {record.SerializeToString(deterministic=True)}
    assert bool(differing_items(*made)) == is_named


def test_an_item_that_came_in_two_versions_is_named() -> None:
    expected = told({b"a" * 8: "chat"}, {"1": "one"})
    both = told({b"a" * 8: "chat"}, {"1": "one"})
    for more in (told({b"a" * 8: "tool"}, {}), told({}, {"1": "eins"})):
        for now, of in ((both.spans, more.spans), (both.logs, more.logs)):
            for item, versions in of.items():
                now[item] |= versions  # type: ignore[index]
    said = [line.partition(":")[0] for line in differing_items(both, expected)]
    assert said == ["span came in 2 versions", "log record came in 2 versions"]


def test_points_that_no_backend_could_take_for_what_they_are_are_named() -> None:
    assert misfits(points((1, 2, 1.0), (1, 3, 1.0), (1, 4, 2.5)), is_delta=False) == []
    assert misfits(points((1, 1, 0.0), (1, 2, 1.0), (1, 1, 0.0)), is_delta=False) == []
    assert len(misfits(points((1, 2, 1.0), (1, 3, 0.5)), is_delta=False)) == 1
    assert len(misfits(points((1, 2, 1.0), (1, 3, 0.0)), is_delta=False)) == 1
    assert len(misfits(points((3, 2, 1.0)), is_delta=False)) == 1
    assert misfits(points((1, 2, 1.0), (2, 3, 0.5), (1, 2, 1.0)), is_delta=True) == []
    assert len(misfits(points((1, 2, 1.0), (1, 2, 0.5)), is_delta=True)) == 1


def test_growth_that_was_sent_again_counts_once() -> None:
    sent = points((1, 2, 1.0), (2, 3, 0.5), (1, 2, 1.0))
    assert delta_totals(sent) == {("cline.cost", ()): (1.5, 0, ())}
    assert added(delta_totals(sent), delta_totals(sent)) == {("cline.cost", ()): (3.0, 0, ())}
