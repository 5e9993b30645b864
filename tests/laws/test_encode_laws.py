"""Laws of the encoder: whatever the records hold, what comes out parses, and equal data gives equal bytes."""

from __future__ import annotations

import itertools
import math
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from cline_otel.bounded_cache import BoundedCache
from cline_otel.encode.logs import encode_logs
from cline_otel.encode.metrics import encode_metrics
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.encode.traces import encode_traces
from cline_otel.encode.wire import utf8, varint
from cline_otel.events import AttributeValue
from cline_otel.signals import (
    Attributes,
    LogRecord,
    MetricDefinition,
    MetricTotal,
    Severity,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanRecord,
    StatusCode,
)
from metric_points import points_of
from waiting import PATIENCE_SECONDS

ORIGIN = ResourceAndScope(
    (("service.name", "cline"),), "cline-otel", "1.2.3", "https://opentelemetry.io/schemas/1.41.0"
)

TRACE_ID, SPAN_ID = b"\x01" * 16, b"\x02" * 8

unhurried = settings(deadline=None)

any_text = st.text(st.characters(codec=None), max_size=30)
lone_surrogates = st.text(st.characters(categories=["Cs"]), min_size=1, max_size=4)
texts = any_text | lone_surrogates | st.sampled_from(["", "\x00", "x" * 5000, "\ud800", "\udc00\ud800", "\ud83d\ude00"])
values = texts | st.booleans() | st.integers() | st.floats() | st.lists(texts, max_size=3).map(tuple)
attributes = st.lists(st.tuples(texts, values), max_size=6).map(tuple)
times = st.integers()

spans = st.builds(
    SpanRecord,
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=8, max_size=8),
    st.just(b"") | st.binary(min_size=8, max_size=8),
    texts,
    st.sampled_from(SpanKind),
    times,
    times,
    attributes,
    st.lists(st.builds(SpanEvent, texts, times, attributes), max_size=2).map(tuple),
    st.lists(st.builds(SpanLink, st.just(TRACE_ID), st.just(SPAN_ID), attributes), max_size=2).map(tuple),
    st.sampled_from(StatusCode),
)
logs = st.builds(LogRecord, times, texts, st.sampled_from(Severity), texts, attributes)
totals = st.builds(
    MetricTotal,
    st.sampled_from(["calls", "cost", "duration", "undefined"]),
    attributes,
    st.integers() | st.floats(),
    st.integers(),
    st.lists(st.integers(), max_size=4),
)
DEFINITIONS = {
    "duration": MetricDefinition("duration", "histogram", "s", "How long.", boundaries=(1.0, 2.0)),
    "calls": MetricDefinition("calls", "counter", "{call}", "Calls.", "int"),
    "cost": MetricDefinition("cost", "counter", "{USD}", "Cost."),
}


def span_with(pairs: Attributes, **changes: object) -> SpanRecord:
    fields = {"started_at_ns": 1, "ended_at_ns": 2, "kind": SpanKind.CLIENT, **changes}
    return SpanRecord(TRACE_ID, SPAN_ID, b"", "chat", attributes=pairs, **fields)  # type: ignore[arg-type]


def parsed_spans(request: bytes) -> list[Span]:
    message = ExportTraceServiceRequest.FromString(request)
    return [span for resource in message.resource_spans for scope in resource.scope_spans for span in scope.spans]


def parsed_value(value: AttributeValue, name: str = "name") -> AnyValue:
    (span,) = parsed_spans(encode_traces([span_with(((name, value),))], ORIGIN))
    (attribute,) = span.attributes
    return attribute.value


@unhurried
@given(st.lists(spans, max_size=3))
def test_any_spans_encode_to_bytes_that_parse(records: list[SpanRecord]) -> None:
    parsed = parsed_spans(encode_traces(records, ORIGIN))
    assert [span.name for span in parsed] == [utf8(span.name).decode() for span in records]
    assert [len(span.attributes) for span in parsed] == [len(span.attributes) for span in records]


@unhurried
@given(st.lists(logs, max_size=3), st.none() | times)
def test_any_log_records_encode_to_bytes_that_parse(records: list[LogRecord], observed_at_ns: int | None) -> None:
    message = ExportLogsServiceRequest.FromString(encode_logs(records, ORIGIN, observed_at_ns))
    parsed = [log for resource in message.resource_logs for scope in resource.scope_logs for log in scope.log_records]
    assert [log.body.string_value for log in parsed] == [utf8(record.body).decode() for record in records]


@unhurried
@given(st.lists(totals, max_size=6), times, times)
def test_any_totals_encode_to_bytes_that_parse(records: list[MetricTotal], started_at_ns: int, now_ns: int) -> None:
    request = encode_metrics(points_of(records, started_at_ns, now_ns), DEFINITIONS, ORIGIN, "cumulative")
    points = sum(len(m.sum.data_points) + len(m.histogram.data_points) for m in parsed_metrics(request))
    assert points == sum(total.metric in DEFINITIONS for total in records)


def parsed_metrics(request: bytes) -> list[Metric]:
    message = ExportMetricsServiceRequest.FromString(request)
    return [
        metric for resource in message.resource_metrics for scope in resource.scope_metrics for metric in scope.metrics
    ]


@unhurried
@given(st.lists(spans, max_size=3), st.lists(spans, max_size=3))
def test_concatenated_trace_requests_are_one_request_with_the_spans_of_both(
    first: list[SpanRecord], second: list[SpanRecord]
) -> None:
    merged = encode_traces(first, ORIGIN) + encode_traces(second, ORIGIN)
    separate = parsed_spans(encode_traces(first, ORIGIN)) + parsed_spans(encode_traces(second, ORIGIN))
    assert [span.SerializeToString() for span in parsed_spans(merged)] == [
        span.SerializeToString() for span in separate
    ]


@unhurried
@given(st.lists(logs, max_size=3), st.lists(logs, max_size=3))
def test_concatenated_log_requests_are_one_request_with_the_records_of_both(
    first: list[LogRecord], second: list[LogRecord]
) -> None:
    merged = ExportLogsServiceRequest.FromString(encode_logs(first, ORIGIN) + encode_logs(second, ORIGIN))
    counts = [len(resource.scope_logs[0].log_records) for resource in merged.resource_logs]
    assert counts == [len(records) for records in (first, second) if records]


def test_a_span_is_the_same_bytes_alone_and_among_others() -> None:
    several = [span_with((("index", index),)) for index in range(20)]
    together = parsed_spans(encode_traces(several, ORIGIN))
    alone = [parsed_spans(encode_traces([span], ORIGIN))[0] for span in several]
    assert together == alone


@pytest.mark.parametrize("order", list(itertools.permutations([True, 1, 1.0, "1"])))
def test_values_that_python_holds_equal_keep_their_types_in_whatever_order_they_come(
    order: tuple[AttributeValue, ...],
) -> None:
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    (span,) = parsed_spans(encode_traces([span_with(tuple([("equal", value) for value in order]))], ORIGIN))
    assert [a.value.WhichOneof("value") for a in span.attributes] == [kinds[type(value)] for value in order]


def test_zero_and_minus_zero_stay_apart() -> None:
    signs = [math.copysign(1, parsed_value(value).double_value) for value in (0.0, -0.0, 0.0)]
    assert signs == [1, -1, 1]


@unhurried
@given(st.integers())
@example(2**63 - 1)
@example(2**63)
@example(-(2**63))
@example(-(2**63) - 1)
@example(10**5000)
def test_an_integer_is_exact_within_int64_and_clamped_beyond(value: int) -> None:
    parsed = parsed_value(value)
    assert parsed.WhichOneof("value") == "int_value"
    assert parsed.int_value == min(max(value, -(2**63)), 2**63 - 1)


def test_an_integer_is_exact_at_every_length_of_its_varint() -> None:
    edges = sorted({edge + offset for bits in range(64) for edge in [1 << bits] for offset in (-1, 0)} - {2**63})
    assert [parsed_value(value).int_value for value in edges] == edges


@pytest.mark.parametrize("length", [0, 1, *range(100, 129), 16_383, 16_384, 2**21])
def test_text_is_exact_at_every_length_of_its_length(length: int) -> None:
    assert parsed_value("x" * length).string_value == "x" * length
    assert parsed_value("v", name="n" * length).string_value == "v"
    assert parsed_value(("x" * length, "")).array_value.values[0].string_value == "x" * length
    (span,) = parsed_spans(
        encode_traces([SpanRecord(TRACE_ID, SPAN_ID, b"", "x" * length, SpanKind.CLIENT, 1, 2)], ORIGIN)
    )
    assert span.name == "x" * length


def test_attributes_keep_their_order_and_their_duplicates() -> None:
    pairs: Attributes = (("b", 1), ("a", "x"), ("b", 1), ("a", 2.5))
    (span,) = parsed_spans(encode_traces([span_with(pairs)], ORIGIN))
    assert [attribute.key for attribute in span.attributes] == ["b", "a", "b", "a"]


@unhurried
@given(any_text | lone_surrogates)
def test_text_with_surrogates_becomes_valid_utf8_and_all_else_stays(text: str) -> None:
    def repair(match: re.Match[str]) -> str:
        found = match.group()
        return chr(0x10000 + (ord(found[0]) - 0xD800 << 10) + ord(found[1]) - 0xDC00) if len(found) == 2 else "\ufffd"

    repaired = re.sub("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]", repair, text)
    assert utf8(text).decode() == repaired


@pytest.mark.parametrize(
    ("text", "repaired"),
    [("a\ud800b", "a\ufffdb"), ("\udc00\ud800", "\ufffd\ufffd"), ("\ud83d\ude00", "\U0001f600"), ("\udfff", "\ufffd")],
)
def test_a_lone_surrogate_becomes_the_replacement_character_and_a_pair_its_character(text: str, repaired: str) -> None:
    assert parsed_value(text).string_value == repaired
    assert parsed_value((text,)).array_value.values[0].string_value == repaired


@pytest.mark.parametrize(("time", "clamped"), [(-1, 0), (0, 0), (2**64 - 1, 2**64 - 1), (2**64, 2**64 - 1)])
def test_a_time_beyond_64_bits_is_clamped(time: int, clamped: int) -> None:
    (span,) = parsed_spans(encode_traces([span_with((), ended_at_ns=time, events=(SpanEvent("e", time),))], ORIGIN))
    assert (span.start_time_unix_nano, span.end_time_unix_nano, span.events[0].time_unix_nano) == (1, clamped, clamped)
    log = ExportLogsServiceRequest.FromString(encode_logs([LogRecord(time, "", Severity.INFO, "")], ORIGIN))
    assert log.resource_logs[0].scope_logs[0].log_records[0].time_unix_nano == clamped


@pytest.mark.parametrize(
    "span",
    [
        SpanRecord(b"short", SPAN_ID, b"", "chat", SpanKind.CLIENT, 1, 2),
        SpanRecord(TRACE_ID, b"", b"", "chat", SpanKind.CLIENT, 1, 2),
        SpanRecord(TRACE_ID, SPAN_ID, SPAN_ID, "chat", SpanKind.CLIENT, 1, 2, links=(SpanLink(TRACE_ID, b""),)),
        SpanRecord(TRACE_ID, SPAN_ID, b"seven b", "chat", SpanKind.CLIENT, 1, 2),
    ],
)
def test_a_span_with_an_id_of_a_wrong_length_is_refused(span: SpanRecord) -> None:
    with pytest.raises(ValueError, match="OTLP wants 16 for a trace and 8 for a span"):
        encode_traces([span], ORIGIN)


@pytest.mark.parametrize(("trace_id", "span_id"), [(b"x", b""), (TRACE_ID, b"x"), (b"", b"x"), (b"x", SPAN_ID)])
def test_a_log_record_with_an_id_of_a_wrong_length_is_refused(trace_id: bytes, span_id: bytes) -> None:
    with pytest.raises(ValueError, match=f"log record 'n' has ids of {len(trace_id)} and {len(span_id)} bytes"):
        encode_logs([LogRecord(1, "n", Severity.INFO, "", trace_id=trace_id, span_id=span_id)], ORIGIN)


@unhurried
@given(st.lists(totals, max_size=8), st.randoms(use_true_random=False))
def test_equal_totals_in_another_order_give_equal_bytes(records: list[MetricTotal], order: random.Random) -> None:
    shuffled = order.sample(records, len(records))
    assert encode_metrics(points_of(shuffled), DEFINITIONS, ORIGIN, "delta") == encode_metrics(
        points_of(records), DEFINITIONS, ORIGIN, "delta"
    )


def test_metrics_stand_in_the_order_of_their_definitions_and_undefined_ones_are_left_out() -> None:
    records = [
        MetricTotal("cost", (), 0.5),
        MetricTotal("gone", (), 7),
        MetricTotal("calls", (("tool", "b"),), 2),
        MetricTotal("duration", (), 1.5, 1, [0, 1, 0]),
        MetricTotal("calls", (("tool", "a"),), 1),
    ]
    metrics = parsed_metrics(encode_metrics(points_of(records), DEFINITIONS, ORIGIN, "cumulative"))
    assert [metric.name for metric in metrics] == ["duration", "calls", "cost"]
    assert [point.as_int for point in metrics[1].sum.data_points] == [1, 2]


def test_totals_whose_buckets_do_not_fit_their_definition_keep_count_and_sum() -> None:
    records = [MetricTotal("duration", (), 1.5, 3, [1, 2])]
    (metric,) = parsed_metrics(encode_metrics(points_of(records), DEFINITIONS, ORIGIN, "cumulative"))
    (point,) = metric.histogram.data_points
    assert (point.count, point.sum, list(point.bucket_counts), list(point.explicit_bounds)) == (3, 1.5, [], [])


@pytest.mark.parametrize(
    ("total", "as_int"),
    [(2.9, 2), (math.nan, 0), (math.inf, 2**63 - 1), (-math.inf, -(2**63)), (2**70, 2**63 - 1), (1e300, 2**63 - 1)],
)
def test_a_total_that_does_not_fit_its_integer_metric_is_brought_into_range(total: int | float, as_int: int) -> None:
    (metric,) = parsed_metrics(
        encode_metrics(points_of([MetricTotal("calls", (), total)]), DEFINITIONS, ORIGIN, "delta")
    )
    assert metric.sum.data_points[0].as_int == as_int


def test_more_distinct_values_than_are_remembered_still_encode_right() -> None:
    wanted = [f"value {index}" for index in range(20_000)]
    parsed = parsed_spans(encode_traces([span_with((("name", value),)) for value in wanted], ORIGIN))
    assert [span.attributes[0].value.string_value for span in parsed] == wanted


@unhurried
@given(st.lists(st.integers(0, 40), max_size=60))
def test_a_bounded_cache_answers_right_and_never_outgrows_its_bound(keys: list[int]) -> None:
    cache = BoundedCache(lambda length: b"x" * length, 5, lambda _key, value: len(value) <= 20)
    for key in keys:
        assert cache[key] == b"x" * key
        assert len(cache) <= 5
        assert all(len(value) <= 20 for value in cache.values())


@unhurried
@given(st.integers(0, 2**64 - 1))
def test_a_varint_reads_back(value: int) -> None:
    encoded = varint(value)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded)) == value
    assert [byte >= 0x80 for byte in encoded] == [True] * (len(encoded) - 1) + [False]


PRINT_DIGEST = """
import hashlib
from cline_otel.encode.logs import encode_logs
from cline_otel.encode.metrics import encode_metrics
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.encode.otlp_json import to_json_line
from cline_otel.encode.traces import encode_traces
from cline_otel.signals import *

origin = ResourceAndScope((("service.name", "cline"),), "cline-otel", "1.2.3", "")
pairs = (("s", "\\xe9"), ("b", True), ("i", -5), ("d", 0.1), ("a", ("x", "y")))
span = SpanRecord(b"t" * 16, b"s" * 8, b"", "chat", SpanKind.CLIENT, 1, 2, pairs)
log = LogRecord(3, "n", Severity.INFO, "body", pairs)
definitions = {name: MetricDefinition(name, "counter", "", "") for name in ("b", "a", "c")}
totals = {MetricTotal(name, (("k", key),), 1.5).metric + key: MetricTotal(name, (("k", key),), 1.5)
          for name in {"a", "b", "c"} for key in {"x", "y", "z"}}
requests = {
    "traces": encode_traces([span], origin),
    "logs": encode_logs([log], origin),
    "metrics": encode_metrics([MetricPoint(totals[key], 1, 2) for key in set(totals)], definitions, origin, "delta"),
}
print(hashlib.sha256(repr([(r, to_json_line(s, r)) for s, r in requests.items()]).encode()).hexdigest())
"""


def test_bytes_do_not_depend_on_hash_seed_time_zone_locale_or_directory(tmp_path: Path) -> None:
    def digest(**environment: str) -> bytes:
        return subprocess.run(
            [sys.executable, "-c", PRINT_DIGEST],
            env={"PATH": os.environ.get("PATH", ""), **environment},
            cwd=tmp_path if environment["TZ"] == "UTC" else None,
            capture_output=True,
            check=True,
            timeout=PATIENCE_SECONDS,
        ).stdout

    first = digest(PYTHONHASHSEED="1", TZ="UTC", LC_ALL="C")
    second = digest(PYTHONHASHSEED="2", TZ="Asia/Kathmandu", LC_ALL="de_DE.UTF-8", PYTHONUTF8="0")
    assert first == second != b""
