"""What destinations are told of series: whatever they add up is what was measured, whenever they are told."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View

from cline_otel.aggregation import exponential
from cline_otel.aggregation.history import INTERVAL_NS, history
from cline_otel.aggregation.points import (
    CLOCK_TOLERANCE_NS,
    DELTA_STEP_NS,
    STEP_NS,
    copy_of,
    cumulative_points,
    delta_points,
    next_time_ns,
)
from cline_otel.aggregation.totals import EARLIEST_START_NS, Totals
from cline_otel.signals import (
    ExponentialBuckets,
    HistogramAggregation,
    MetricDefinition,
    MetricDelta,
    MetricPoint,
    MetricTotal,
)

NOW_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
END_OF_AN_INTERVAL_NS = (NOW_NS // INTERVAL_NS + 1) * INTERVAL_NS
DEFINITIONS = {
    "c": MetricDefinition("c", "counter", "{x}", "", "int"),
    "h": MetricDefinition("h", "histogram", "s", "", "double", (1.0, 2.0, 4.0)),
}
AGGREGATIONS: list[HistogramAggregation] = ["explicit_bucket_histogram", "base2_exponential_bucket_histogram"]

series = st.sampled_from([(), (("cline.mode", "act"),), (("cline.mode", "plan"),)])
measurements = st.one_of(
    st.builds(MetricDelta, st.just("c"), st.integers(0, 5), series, st.integers(NOW_NS - 10**12, NOW_NS + 10**12)),
    st.builds(
        MetricDelta,
        st.just("h"),
        st.integers(0, 4_000).map(lambda number: number / 16),
        series,
        st.integers(NOW_NS - 10**12, NOW_NS + 10**12),
        st.just(b"t" * 16),
        st.binary(min_size=8, max_size=8),
    ),
)
jumps_ns = st.integers(-(10**11), 10**11) | st.integers(-(10**12), 10**12)
rounds = st.lists(st.tuples(st.lists(measurements, max_size=5), jumps_ns), max_size=8)


def no_exemplars(key: str) -> tuple[()]:
    return ()


def widened(buckets: ExponentialBuckets, scale: int) -> dict[int, int]:
    copy = ExponentialBuckets(buckets.scale, buckets.zero_count, buckets.offset, list(buckets.counts))
    exponential.lower_scale(copy, copy.scale - scale)
    return {index: count for index, count in enumerate(copy.counts, copy.offset) if count}


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@given(rounds)
def test_growth_adds_up_to_the_totals_and_its_windows_overlap_only_where_the_clock_was_wrong(
    aggregation: HistogramAggregation, told: list[tuple[list[MetricDelta], int]]
) -> None:
    totals = Totals(DEFINITIONS, aggregation=aggregation)
    marks: dict[str, MetricTotal] = {}
    windows: dict[str, list[MetricPoint]] = {}
    last_ns = 0
    for number, (taken, jump_ns) in enumerate(told, 1):
        now_ns = NOW_NS + number * SECOND_NS + jump_ns
        for measurement in taken:
            totals.add(measurement, now_ns)
        at_ns = next_time_ns(now_ns, last_ns)
        points = delta_points(totals.by_key, marks, last_ns, at_ns, no_exemplars)
        for key, point in points.items():
            assert point.started_at_ns < point.at_ns
            windows.setdefault(key, []).append(MetricPoint(copy_of(point.total), point.started_at_ns, point.at_ns))
            marks[key] = copy_of(totals.by_key[key])
        last_ns = at_ns if points else last_ns
    for key, total in totals.by_key.items():
        sent = [point.total for point in windows.get(key, [])]
        assert sum(each.sum for each in sent) == total.sum
        assert sum(each.count for each in sent) == total.count
        assert [sum(counts) for counts in zip(*(each.bucket_counts for each in sent), strict=True)] == (
            total.bucket_counts if sent else []
        )
        if total.exponential is not None:
            every: dict[int, int] = {}
            for each in sent:
                assert each.exponential is not None
                for index, count in widened(each.exponential, total.exponential.scale).items():
                    every[index] = every.get(index, 0) + count
            assert every == widened(total.exponential, total.exponential.scale)
    if all(abs(jump_ns) < CLOCK_TOLERANCE_NS // 3 for _, jump_ns in told):
        for points_of_series in windows.values():
            assert all(former.at_ns <= later.started_at_ns for former, later in pairwise(points_of_series))


@given(rounds)
def test_a_cumulative_series_has_a_point_zero_at_its_start_before_its_first_value_and_no_other(
    told: list[tuple[list[MetricDelta], int]],
) -> None:
    totals = Totals(DEFINITIONS)
    known: set[str] = set()
    for number, (taken, _) in enumerate(told, 1):
        now_ns = NOW_NS + number * SECOND_NS
        for measurement in taken:
            totals.add(measurement, now_ns)
        points = cumulative_points(totals.by_key, known, now_ns, no_exemplars)
        zeros = [point for point in points if point.started_at_ns == point.at_ns]
        assert {(each.total.metric, each.total.attributes) for each in zeros} == {
            (total.metric, total.attributes) for key, total in totals.by_key.items() if key not in known
        }
        assert all(each.total.sum == 0 and each.total.count == 0 for each in zeros)
        assert all(each.started_at_ns <= each.at_ns <= now_ns for each in points)
        known |= totals.by_key.keys()


@pytest.mark.parametrize(
    ("occurred_at_ns", "start_ns"),
    [
        (NOW_NS - SECOND_NS, NOW_NS - SECOND_NS - STEP_NS),
        (NOW_NS + SECOND_NS, NOW_NS - STEP_NS),
        (NOW_NS - 10 * EARLIEST_START_NS, NOW_NS - EARLIEST_START_NS - STEP_NS),
    ],
)
def test_a_series_starts_just_before_its_first_measurement_within_what_backends_take(
    occurred_at_ns: int, start_ns: int
) -> None:
    totals = Totals(DEFINITIONS)
    totals.add(MetricDelta("c", 1, (), occurred_at_ns), NOW_NS)
    assert totals.all()[0].started_at_ns == start_ns
    of_history = Totals(DEFINITIONS)
    of_history.add(MetricDelta("c", 1, (), occurred_at_ns))
    assert of_history.all()[0].started_at_ns == occurred_at_ns - STEP_NS


def test_a_clock_that_is_set_back_a_little_stands_still_and_one_that_was_wrong_is_followed() -> None:
    assert next_time_ns(NOW_NS, NOW_NS - 1) == NOW_NS - 1 + STEP_NS
    assert next_time_ns(NOW_NS, NOW_NS + CLOCK_TOLERANCE_NS) == NOW_NS + CLOCK_TOLERANCE_NS + STEP_NS
    assert next_time_ns(NOW_NS, NOW_NS + CLOCK_TOLERANCE_NS + 1) == NOW_NS


@given(
    st.lists(
        st.just(0.0) | st.floats(1e-9, 1e12) | st.integers(0, 40).map(lambda power: 2.0**power),
        min_size=1,
        max_size=300,
    )
)
def test_exponential_buckets_are_those_of_the_official_sdk(values: list[float]) -> None:
    reader = InMemoryMetricReader()
    view = View(instrument_name="h", aggregation=ExponentialBucketHistogramAggregation())
    histogram = MeterProvider([reader], views=[view], shutdown_on_exit=False).get_meter("m").create_histogram("h")
    buckets = ExponentialBuckets(exponential.MAX_SCALE)
    for value in values:
        histogram.record(value)
        exponential.record(buckets, value)
    data = reader.get_metrics_data()
    assert data is not None
    (point,) = data.resource_metrics[0].scope_metrics[0].metrics[0].data.data_points
    assert point.zero_count == buckets.zero_count
    # Either may be finer: at the same scale they are the same.
    scale = min(point.scale, buckets.scale)
    official = ExponentialBuckets(
        point.scale, point.zero_count, point.positive.offset, list(point.positive.bucket_counts)
    )
    assert widened(buckets, scale) == widened(official, scale)
    assert len(buckets.counts) <= exponential.MAX_BUCKETS


@given(st.floats(min_value=5e-324, allow_infinity=False), st.integers(-10, 20))
def test_a_value_lies_within_its_bucket(value: float, scale: int) -> None:
    index = exponential.bucket_index(value, scale)
    exact = math.log2(value) * 2.0**scale
    assert index <= exact + 1e-6 * max(1, abs(exact))
    assert exact <= index + 1 + 1e-6 * max(1, abs(exact))


def of(points: list[MetricPoint], series: MetricTotal) -> list[MetricPoint]:
    key = (series.metric, series.attributes)
    return [point for point in points if (point.total.metric, point.total.attributes) == key]


near_the_end_of_an_interval = st.builds(
    MetricDelta,
    st.sampled_from(["c", "h"]),
    st.integers(1, 5),
    series,
    st.integers(-10 * STEP_NS, 10 * STEP_NS).map(lambda apart_ns: END_OF_AN_INTERVAL_NS + apart_ns),
)


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
@given(
    st.lists(measurements | near_the_end_of_an_interval, max_size=20),
    st.integers(0, 2 * STEP_NS) | st.integers(0, 3 * INTERVAL_NS),
)
def test_history_ends_with_the_totals_in_either_temporality(
    aggregation: HistogramAggregation, taken: list[MetricDelta], quiet_ns: int
) -> None:
    ended_at_ns = max((each.occurred_at_ns for each in taken), default=NOW_NS) + quiet_ns
    taken.sort(key=lambda each: each.occurred_at_ns)
    points = list(history(taken, DEFINITIONS, ended_at_ns, "cumulative", aggregation))
    growth = list(history(taken, DEFINITIONS, ended_at_ns, "delta", aggregation))
    totals = Totals(DEFINITIONS, aggregation=aggregation)
    for measurement in taken:
        totals.add(measurement)
    newest_ns = max((point.at_ns for point in points), default=ended_at_ns)
    assert ended_at_ns <= newest_ns <= ended_at_ns + STEP_NS
    for total in totals.all():
        of_series = of(points, total)
        assert of_series[0].total.sum == 0
        assert of_series[-1].total == total
        assert of_series[-1].at_ns == newest_ns, "each ends with the recording"
        assert all(later.at_ns - former.at_ns >= STEP_NS for former, later in pairwise(of_series))
        grown = of(growth, total)
        assert (sum(each.total.sum for each in grown), sum(each.total.count for each in grown)) == (
            total.sum,
            total.count,
        )
        assert all(later.at_ns - former.at_ns >= DELTA_STEP_NS for former, later in pairwise(grown))
        assert all(later.started_at_ns >= former.at_ns for former, later in pairwise(grown))


def test_a_bucket_s_exemplar_is_its_newest_measurement_and_is_told_once() -> None:
    totals = Totals(DEFINITIONS)
    for number, value in enumerate((0.5, 0.6, 3.0)):
        totals.add(MetricDelta("h", value, (), NOW_NS + number, b"t" * 16, b"%08d" % number))
    (key,) = totals.by_key
    assert [(each.value, each.span_id) for each in totals.exemplars(key)] == [(0.6, b"00000001"), (3.0, b"00000002")]
    assert totals.exemplars(key, after=totals.measurements) == ()
    totals.add(MetricDelta("h", 9.0, (), NOW_NS))
    assert len(totals.exemplars(key)) == 2, "what is of no span is no exemplar"
