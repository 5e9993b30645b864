"""What Prometheus makes of totals: why a series must begin with 0, and how to ask."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Final

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from intakes.points import Amount, Exponential, Series
from integration.transport import carry_by_http

from .destinations import PrometheusDestination
from .prometheus import TAKES_OLDER_SAMPLES, WINDOW, Prometheus
from .source import differences, flattened

SECOND_NS: Final = 1_000_000_000
INSTANCE: Final = "a1b2c3d4"
COST: Final[Series] = ("cline.cost", (("gen_ai.request.model", "claude-sonnet-4-5"),))
DURATION: Final[Series] = ("cline.run.duration", ())
SOURCE: Final = {COST: Amount(Fraction(5, 8)), DURATION: Amount(Fraction(9, 2), 2, {2.5: 1, 5.0: 1})}


def totals(at: int, of: Mapping[Series, Amount]) -> ExportMetricsServiceRequest:
    """Cumulative totals as of so many seconds before or after now."""
    request = ExportMetricsServiceRequest()
    resource_metrics = request.resource_metrics.add()
    resource_metrics.resource.attributes.add(key="service.instance.id").value.string_value = INSTANCE
    metrics = resource_metrics.scope_metrics.add().metrics
    at_ns = time.time_ns() + at * SECOND_NS
    for (name, labels), amount in of.items():
        if name == "cline.run.duration":
            metric = metrics.add(name=name, unit="s")
            edges = [2.5, 5.0]
            counts = [amount.buckets.get(edge, 0) for edge in edges]
            metric.histogram.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
            metric.histogram.data_points.add(
                time_unix_nano=at_ns,
                sum=float(amount.sum),
                count=amount.count,
                explicit_bounds=edges,
                bucket_counts=[*counts, amount.count - sum(counts)],
            )
            continue
        metric = metrics.add(name=name, unit="{USD}")
        metric.sum.aggregation_temporality = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
        metric.sum.is_monotonic = True
        point = metric.sum.data_points.add(time_unix_nano=at_ns, as_double=float(amount.sum))
        for label, value in labels:
            point.attributes.add(key=label).value.string_value = value
    return request


def send(prometheus: Prometheus, *requests: ExportMetricsServiceRequest) -> None:
    """Sends requests as one."""
    body = b"".join(request.SerializeToString() for request in requests)
    carry_by_http(prometheus.otlp_endpoint, "metrics", body)


NOTHING_YET: Final = {COST: Amount(Fraction(0)), DURATION: Amount(Fraction(0))}


@pytest.fixture
def prometheus(make_prometheus: Callable[[str], Prometheus]) -> Prometheus:
    return make_prometheus("")


@pytest.mark.parametrize("in_one_request", [True, False], ids=["0 in the same request", "0 in a request before"])
def test_series_that_begin_with_0_add_up(prometheus: Prometheus, in_one_request: bool) -> None:
    born, first, newest = totals(-30, NOTHING_YET), totals(-20, SOURCE), totals(-10, SOURCE)
    for batch in [(born, first), (newest,)] if in_one_request else [(born,), (first,), (newest,)]:
        send(prometheus, *batch)
    found = PrometheusDestination(prometheus).differences({INSTANCE: {COST: SOURCE[COST]}})
    assert [line for line in found if "cline_cost" in line] == []
    for name, value in (("cline_run_duration_seconds_count", 2.0), ("cline_run_duration_seconds_sum", 4.5)):
        (series,) = (each for each in prometheus.samples() if each.name == name)
        ((_, increase),) = prometheus.ask(series.increase, series.samples[-1][0])
        assert series.samples[-1][1] - series.samples[0][1] == increase == value


def test_a_series_that_begins_with_its_first_value_loses_it(prometheus: Prometheus) -> None:
    send(prometheus, totals(-20, SOURCE))
    send(prometheus, totals(-10, SOURCE))
    found = PrometheusDestination(prometheus).differences({INSTANCE: {COST: SOURCE[COST]}})
    assert {line.partition(":")[0] for line in found if "cline_cost" in line} == {"newest minus first", "increase()"}


def test_elsewhere_than_at_the_newest_sample_increase_can_be_half_as_much_again(
    prometheus: Prometheus,
) -> None:
    send(prometheus, totals(-30, NOTHING_YET))
    send(prometheus, totals(-20, SOURCE))
    (series,) = (each for each in prometheus.samples() if each.name == "cline_cost_total")
    newest = series.samples[-1][0]
    ((_, at_newest),) = prometheus.ask(series.increase, newest)
    ((_, later),) = prometheus.ask(series.increase, newest + 60)
    exact = f"max_over_time(cline_cost_total[{WINDOW}]) - min_over_time(cline_cost_total[{WINDOW}])"
    ((_, exactly_later),) = prometheus.ask(exact, newest + 60)
    assert at_newest == exactly_later == 0.625
    assert later == pytest.approx(0.625 * 1.5, rel=1e-3)


def test_one_sample_older_than_the_newest_of_its_series_has_the_whole_request_refused(prometheus: Prometheus) -> None:
    born = totals(-30, NOTHING_YET)
    send(prometheus, born, totals(-20, {COST: SOURCE[COST]}))
    with pytest.raises(urllib.error.HTTPError, match="400"):
        send(prometheus, born, totals(-10, SOURCE))
    samples = {each.name: [value for _, value in each.samples] for each in prometheus.samples()}
    assert samples["cline_cost_total"] == [0.0, 0.625]
    assert samples["cline_run_duration_seconds_count"] == [0.0]


def test_what_is_sent_again_as_it_was_is_taken(prometheus: Prometheus) -> None:
    newest = totals(-10, SOURCE)
    send(prometheus, totals(-20, NOTHING_YET))
    send(prometheus, newest)
    send(prometheus, newest)
    (series,) = (each for each in prometheus.samples() if each.name == "cline_cost_total")
    assert [value for _, value in series.samples] == [0.0, 0.625]


def test_behind_a_collector_prometheus_takes_older_samples_too(make_prometheus: Callable[[str], Prometheus]) -> None:
    prometheus = make_prometheus(TAKES_OLDER_SAMPLES)
    send(prometheus, totals(-20, SOURCE))
    send(prometheus, totals(-30, NOTHING_YET))
    (series,) = (each for each in prometheus.samples() if each.name == "cline_cost_total")
    assert [value for _, value in series.samples] == [0.0, 0.625]


def test_whatever_differs_from_the_source_is_found() -> None:
    whole, double, buckets = (
        Amount(Fraction(3)),
        Amount(Fraction(1, 3)),
        Amount(Fraction(2), 2, {2.5: 2}),
    )
    source = {COST: whole, DURATION: buckets}
    assert differences(source, dict(source)) == []
    assert differences({COST: double}, {COST: Amount(double.sum + Fraction(1, 10**12))}) == []
    assert differences(source, {COST: whole}) != []
    assert differences({COST: whole}, source) != []
    assert differences({COST: whole}, {COST: Amount(Fraction(4))}) != []
    assert differences({COST: double}, {COST: Amount(double.sum + Fraction(1, 10**6))}) != []
    assert differences({DURATION: buckets}, {DURATION: Amount(Fraction(2), 2, {5.0: 2})}) != []
    assert differences({DURATION: buckets}, {DURATION: Amount(Fraction(2), 3, {2.5: 2})}) != []


def test_exponential_buckets_that_do_not_fit_the_source_are_found() -> None:
    source = {DURATION: Amount(Fraction(9, 2), 2, {2.5: 1, 5.0: 1})}

    def of(positive: Mapping[int, int]) -> Mapping[Series, Amount]:
        return {DURATION: Amount(Fraction(9, 2), 2, {}, Exponential(0, 0, positive, {}))}

    assert differences(source, of({0: 1, 1: 1})) == []
    assert differences(source, of({0: 1})) != []
    assert differences(source, of({0: 1, 5: 1})) != []


def test_a_histogram_is_flattened_into_count_sum_and_cumulative_buckets() -> None:
    flat = flattened({DURATION: Amount(Fraction(9, 2), 2, {2.5: 1, 5.0: 1})})
    assert flat["cline_run_duration_seconds_count", frozenset()] == 2
    assert flat["cline_run_duration_seconds_sum", frozenset()] == 4.5
    below = {
        dict(labels)["le"]: value
        for (name, labels), value in flat.items()
        if name == "cline_run_duration_seconds_bucket"
    }
    assert (below["1.0"], below["2.5"], below["5.0"], below["inf"]) == (0, 1, 2, 2)
