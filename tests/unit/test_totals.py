"""Cumulative totals: what the deltas add up to, within a budget of series, across restarts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.aggregation.totals import OVERFLOW, Totals
from cline_otel.signals import MetricDefinition, MetricDelta

COUNTER = MetricDefinition("c", "counter", "{x}", "", "int")
HISTOGRAM = MetricDefinition("h", "histogram", "s", "", "double", (1.0, 2.0))
NAMED = MetricDefinition("n", "counter", "{x}", "", "int", names=("cline.tool.hash",))
DEFINITIONS = {"c": COUNTER, "h": HISTOGRAM, "n": NAMED}


def new(max_series: int = 2_000) -> Totals:
    return Totals(DEFINITIONS, max_series)


def rows(totals: Totals) -> list[tuple[str, bytes]]:
    return [(key, value) for key, value in totals.changes().items() if value is not None]


@pytest.mark.parametrize(("value", "bucket"), [(0, 0), (1, 0), (1.5, 1), (2, 1), (2.1, 2), (1e9, 2)])
def test_a_value_equal_to_a_bound_falls_into_the_bucket_below_it(value: float, bucket: int) -> None:
    totals = new()
    totals.add(MetricDelta("h", value))
    (total,) = totals.all()
    assert total.bucket_counts == [int(number == bucket) for number in range(3)]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_a_histogram_s_count_is_the_sum_of_its_buckets(values: list[float]) -> None:
    totals = new()
    for value in values:
        totals.add(MetricDelta("h", value))
    (total,) = totals.all()
    assert total.count == sum(total.bucket_counts) == len(values)
    assert total.sum == pytest.approx(sum(values))


def test_what_exceeds_the_budget_is_collected_in_one_series() -> None:
    totals = new(max_series=3)
    for number in range(10):
        totals.add(MetricDelta("c", 1, (("cline.mode", str(number)),)))
    by_attributes = {total.attributes: total.sum for total in totals.all()}
    assert len(by_attributes) == 3
    assert by_attributes[OVERFLOW] == 8
    assert sum(by_attributes.values()) == 10


def test_what_exceeds_it_is_collected_for_each_service_apart_across_restarts() -> None:
    totals = new(max_series=3)
    stored: dict[str, bytes] = {}
    for restarts in range(3):
        for number in range(10):
            service = "roo-code" if number % 2 else ""
            totals.add(MetricDelta("c", 1, (("cline.mode", f"{restarts} {number}"),), service=service))
        stored |= rows(totals)
        totals = new(max_series=3)
        assert totals.restore(stored.items()) == 0
        overflow = {total.service: total.sum for total in totals.all() if total.attributes == OVERFLOW}
        assert overflow == {"": 5 * (restarts + 1) - 1, "roo-code": 5 * (restarts + 1) - 1}


def test_names_use_up_half_of_the_budget_and_what_has_a_new_one_then_counts_without_it() -> None:
    totals = new(max_series=8)
    for number in range(20):
        totals.add(MetricDelta("n", 1, (("gen_ai.tool.name", "_OTHER"), ("cline.tool.hash", str(number)))))
    for tool in ("editor", "read_files", "editor"):
        totals.add(MetricDelta("n", 1, (("gen_ai.tool.name", tool),)))
    totals.add(MetricDelta("n", 1, (("gen_ai.tool.name", "_OTHER"), ("cline.tool.hash", "3"))))
    sums = {total.attributes: total.sum for total in totals.all()}
    assert sums[("gen_ai.tool.name", "_OTHER"),] == 16
    assert sums[("gen_ai.tool.name", "editor"),] == 2
    assert sums[("gen_ai.tool.name", "_OTHER"), ("cline.tool.hash", "3")] == 2
    assert OVERFLOW not in sums
    assert sum(sums.values()) == 24


def test_a_metric_s_budget_is_its_own() -> None:
    totals = new(max_series=3)
    for number in range(5):
        totals.add(MetricDelta("c", 1, (("cline.mode", str(number)),)))
    totals.add(MetricDelta("h", 1.0, (("cline.mode", "act"),)))
    assert OVERFLOW not in [total.attributes for total in totals.all() if total.metric == "h"]


deltas = st.lists(
    st.builds(
        MetricDelta,
        st.just("h"),
        st.floats(0, 100),
        st.sampled_from([(), (("cline.mode", "act"),), (("a", ("x", "y")), ("n", 3), ("b", True))]),
    ),
    max_size=20,
)


@given(deltas, deltas)
def test_a_restart_never_resets_a_counter(before: list[MetricDelta], after: list[MetricDelta]) -> None:
    whole, first, second = new(), new(), new()
    for delta in before:
        whole.add(delta)
        first.add(delta)
    second.restore(rows(first))
    for delta in after:
        whole.add(delta)
        second.add(delta)
    assert whole.all() == second.all()


def test_the_budget_counts_restored_series_too() -> None:
    first = new(max_series=3)
    for number in range(10):
        first.add(MetricDelta("c", 1, (("cline.mode", str(number)),)))
    second = Totals(DEFINITIONS, 3)
    second.restore(rows(first))
    second.add(MetricDelta("c", 1, (("cline.mode", "new"),)))
    assert len(second.all()) == 3


def test_only_what_changed_is_stored() -> None:
    totals = new()
    totals.add(MetricDelta("c", 1))
    totals.changes()
    assert totals.changes() == {}
    totals.add(MetricDelta("h", 1.0))
    assert len(totals.changes()) == 1


def test_a_series_whose_buckets_have_changed_starts_anew() -> None:
    first = new()
    first.add(MetricDelta("h", 1.0))
    other = Totals({"h": MetricDefinition("h", "histogram", "s", "", "double", (5.0,))})
    other.restore(rows(first))
    assert other.all() == []


def test_a_metric_that_no_longer_exists_is_left_alone() -> None:
    first = new()
    first.add(MetricDelta("c", 1))
    other = Totals({"h": HISTOGRAM})
    other.restore(rows(first))
    assert other.all() == []


def test_an_int_counter_stays_an_int() -> None:
    totals = new()
    totals.add(MetricDelta("c", 2))
    assert type(totals.all()[0].sum) is int
