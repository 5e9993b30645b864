"""The stand-ins count what the official SDK sends as deltas, and refuse what the vendors' documents refuse."""

from __future__ import annotations

import gzip
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from http.client import HTTPException

import pytest
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Meter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import AggregationTemporality, MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
)
from opentelemetry.sdk.resources import Resource

from waiting import PATIENCE_SECONDS, wait_until

from .datadog import DatadogIntake
from .intake import SECOND_NS, Intake
from .new_relic import NewRelicIntake
from .points import NOTHING, Exponential, points_of, sums_of

HOUR_NS = 3_600 * SECOND_NS
KEYS = {DatadogIntake: {"dd-api-key": "0"}, NewRelicIntake: {"api-key": "0"}}
EXPLICIT = ExplicitBucketHistogramAggregation([1.0, 10.0])
EXPONENTIAL = ExponentialBucketHistogramAggregation()

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(params=[DatadogIntake, NewRelicIntake])
def intake(request: pytest.FixtureRequest) -> Iterator[Intake]:
    with request.param() as made:
        yield made.listen()


@pytest.fixture
def datadog() -> Iterator[DatadogIntake]:
    with DatadogIntake() as made:
        yield made.listen()


@pytest.fixture
def new_relic() -> Iterator[NewRelicIntake]:
    with NewRelicIntake() as made:
        yield made.listen()


def exporter_to(
    intake: Intake,
    *,
    temporality: AggregationTemporality = AggregationTemporality.DELTA,
    aggregation: Aggregation = EXPLICIT,
    compression: Compression = Compression.Gzip,
    timeout_seconds: float = PATIENCE_SECONDS,
) -> MetricExporter:
    return OTLPMetricExporter(
        endpoint=f"{intake.url}/v1/metrics",
        headers=KEYS[type(intake)],
        timeout=timeout_seconds,
        compression=compression,
        preferred_temporality={Counter: temporality, Histogram: temporality},
        preferred_aggregation={Histogram: aggregation},
    )


@contextmanager
def sending(exporter: MetricExporter) -> Iterator[tuple[Meter, Callable[[], bool]]]:
    """The official SDK's meter, and what sends the measurements since the last time."""
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=math.inf)
    provider = MeterProvider([reader], resource=Resource({"service.name": "cline"}), shutdown_on_exit=False)
    try:
        yield provider.get_meter("test"), lambda: provider.force_flush(PATIENCE_SECONDS * 1_000)
    finally:
        provider.shutdown()


def post(intake: Intake, body: bytes, headers: dict[str, str] | None = None, *, packed: bool = False) -> int:
    """Posts a request; returns the status.

    Raises:
        OSError, HTTPException: there was no answer.
    """
    sent = {"Content-Type": "application/x-protobuf", **(KEYS[type(intake)] if headers is None else headers)}
    if packed:
        sent["Content-Encoding"], body = "gzip", gzip.compress(body)
    request = urllib.request.Request(f"{intake.url}/v1/metrics", body, sent)
    try:
        with _OPENER.open(request, timeout=PATIENCE_SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def a_delta(
    value: int = 1,
    *,
    starts_at_ns: int | None = None,
    ends_at_ns: int | None = None,
    is_monotonic: bool = True,
    labels: dict[str, str] | None = None,
) -> ExportMetricsServiceRequest:
    """One point of a counter, of the last minute where nothing else is said."""
    now_ns = time.time_ns()
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="calls")
    metric.sum.aggregation_temporality = 1  # type: ignore[assignment]
    metric.sum.is_monotonic = is_monotonic
    point = metric.sum.data_points.add(
        as_int=value,
        start_time_unix_nano=now_ns - 60 * SECOND_NS if starts_at_ns is None else starts_at_ns,
        time_unix_nano=now_ns if ends_at_ns is None else ends_at_ns,
    )
    for name, text in (labels or {}).items():
        point.attributes.add(key=name).value.string_value = text
    return request


def of_size(size_bytes: int, *, compressible: bool) -> bytes:
    """A request of exactly so many bytes."""
    request = a_delta()
    filler = request.resource_metrics[0].scope_metrics[0].metrics[0]
    make = (lambda count: "x" * count) if compressible else (lambda count: os.urandom(count // 2 + 1).hex()[:count])
    filler.description = make(size_bytes)
    filler.description = filler.description[: size_bytes - (request.ByteSize() - size_bytes)]
    assert request.ByteSize() == size_bytes
    return request.SerializeToString()


def test_what_the_official_sdk_sends_as_deltas_adds_up(intake: Intake) -> None:
    with sending(exporter_to(intake)) as (meter, flush):
        calls, tokens = meter.create_counter("calls"), meter.create_histogram("tokens")
        for amount in (3, 4):
            calls.add(amount, {"model": "a"})
            calls.add(0.125, {"model": "b"})
            tokens.record(amount)
            tokens.record(25)
            assert flush()
            # Datadog keeps the last point of each second, and the SDK is faster than that.
            if isinstance(intake, DatadogIntake):
                wait_for_the_next_second()
    sums = intake.sums()
    assert sums["calls", (("model", "a"),)].sum == 7
    assert sums["calls", (("model", "b"),)].sum == Fraction(1, 4)
    assert sums["tokens", ()].count == 4
    assert sums["tokens", ()].sum == 57
    assert sums["tokens", ()].buckets == {10.0: 2, math.inf: 2}
    assert intake.overlaps() == []
    assert intake.refusals == []


def wait_for_the_next_second() -> None:
    second = time.time_ns() // SECOND_NS
    wait_until(lambda: time.time_ns() // SECOND_NS > second, "the next second")


def test_exponential_histograms_add_up_whatever_their_scales(intake: Intake) -> None:
    measured = [0.0, 1.5, 1.5, 1_000_000.0, 0.125]
    with sending(exporter_to(intake, aggregation=EXPONENTIAL)) as (meter, flush):
        seconds = meter.create_histogram("seconds")
        for batch in (measured[:3], measured[3:]):
            for value in batch:
                seconds.record(value)
            assert flush()
            wait_for_the_next_second()
    scales = {point.amount.exponential.scale for point in intake.points if point.amount.exponential}
    assert len(scales) == 2
    total = intake.sums()["seconds", ()]
    assert (total.count, total.sum) == (5, sum(map(Fraction, measured)))
    assert total.exponential is not None
    assert total.exponential.zero_count == 1
    assert total.exponential.count == 5
    assert total.exponential.scale == min(scales)


def test_buckets_of_two_scales_merge_as_the_data_model_says() -> None:
    fine = Exponential(1, 0, {-1: 1, 0: 2, 1: 3}, {})
    assert fine.at_scale(0) == Exponential(0, 0, {-1: 1, 0: 5}, {})
    assert fine + Exponential(0, 1, {0: 1}, {2: 4}) == Exponential(0, 1, {-1: 1, 0: 6}, {2: 4})


def test_what_exponential_buckets_say_of_an_edge_brackets_what_was_measured(new_relic: NewRelicIntake) -> None:
    measured = [0.0, 0.3, 1.0, 1.1, 3.9, 4.0, 4.1, 900.0]
    with sending(exporter_to(new_relic, aggregation=EXPONENTIAL)) as (meter, flush):
        seconds = meter.create_histogram("seconds")
        for value in measured:
            seconds.record(value)
        assert flush()
    exponential = new_relic.sums()["seconds", ()].exponential
    assert exponential is not None
    for edge in (0.1, 1.0, 2.5, 4.0, 5.0, 1_000.0):
        surely, possibly = exponential.below(edge)
        assert surely <= sum(value <= edge for value in measured) <= possibly
    # Powers of two are edges at every scale from 0 up.
    assert exponential.below(4.0) == (6, 6)


def test_a_request_without_its_key_is_refused(intake: Intake) -> None:
    assert post(intake, a_delta().SerializeToString(), {}) == 403
    assert post(intake, a_delta().SerializeToString(), {"authorization": "0"}) == 403
    assert intake.sums() == {}
    assert set(intake.reasons()) == {f"no {intake.api_key_header} header"}


def test_what_is_no_protobuf_request_is_refused(intake: Intake) -> None:
    assert post(intake, b"{}", KEYS[type(intake)] | {"Content-Type": "application/json"}) == 415
    assert post(intake, b"\xff\xff") == 400
    assert intake.sums() == {}


def test_a_point_that_is_sent_again_counts_once(intake: Intake) -> None:
    body = a_delta(5).SerializeToString()
    assert [post(intake, body), post(intake, body, packed=True)] == [200, 200]
    assert intake.sums()["calls", ()].sum == 5
    assert intake.repeats == 1
    assert intake.contradictions == []


def test_a_point_that_comes_again_with_another_amount_is_a_contradiction(intake: Intake) -> None:
    first = a_delta(5)
    second = ExportMetricsServiceRequest.FromString(first.SerializeToString())
    second.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].as_int = 6
    post(intake, first.SerializeToString())
    post(intake, second.SerializeToString())
    assert len(intake.contradictions) == 1
    assert intake.sums()["calls", ()].sum == 5


def test_deltas_whose_times_overlap_are_found(intake: Intake) -> None:
    now_ns = time.time_ns()
    for starts, ends in ((30, 20), (20, 10), (15, 5)):
        delta = a_delta(starts_at_ns=now_ns - starts * SECOND_NS, ends_at_ns=now_ns - ends * SECOND_NS)
        post(intake, delta.SerializeToString())
    ((one, two),) = intake.overlaps()
    assert (one.ends_at_ns - two.starts_at_ns) == 5 * SECOND_NS


def test_datadog_refuses_cumulative_totals_as_a_whole(datadog: DatadogIntake) -> None:
    exporter = exporter_to(datadog, temporality=AggregationTemporality.CUMULATIVE)
    with sending(exporter) as (meter, flush):
        meter.create_counter("calls").add(1)
        meter.create_histogram("tokens").record(1)
        flush()
    assert datadog.points == []
    assert set(datadog.reasons()) == {"cumulative temporality"}


@pytest.mark.parametrize("instrument", ["gauge", "up_down_counter"])
def test_datadog_takes_what_is_no_delta_by_nature(datadog: DatadogIntake, instrument: str) -> None:
    with sending(exporter_to(datadog)) as (meter, flush):
        made = getattr(meter, f"create_{instrument}")("open_runs")
        (made.set if instrument == "gauge" else made.add)(2)
        assert flush()
    assert [point.amount.sum for point in datadog.points] == [2]
    assert datadog.sums() == {}


def test_new_relic_takes_cumulative_totals_and_sums_none_of_them(new_relic: NewRelicIntake) -> None:
    exporter = exporter_to(new_relic, temporality=AggregationTemporality.CUMULATIVE)
    with sending(exporter) as (meter, flush):
        meter.create_counter("calls").add(1)
        meter.create_histogram("tokens").record(1)
        assert flush()
    assert {point.metric for point in new_relic.cumulative_counts()} == {"calls", "tokens"}
    assert new_relic.sums() == {}


def test_new_relic_drops_deltas_that_go_up_and_down_without_a_word(new_relic: NewRelicIntake) -> None:
    assert post(new_relic, a_delta(is_monotonic=False).SerializeToString()) == 200
    assert new_relic.reasons() == {"a delta that goes up and down": 1}
    assert new_relic.sums() == {}


@pytest.mark.parametrize(
    ("size_bytes", "packed", "compressible", "status"),
    [
        (512_000, False, True, 200),
        (512_001, False, True, 413),
        (5_242_880, True, True, 200),
        (5_242_881, True, True, 413),
        (1_500_000, True, False, 413),
    ],
)
def test_datadog_refuses_more_than_500_kilobytes_packed_or_5_megabytes_unpacked(
    datadog: DatadogIntake, size_bytes: int, packed: bool, compressible: bool, status: int
) -> None:
    assert post(datadog, of_size(size_bytes, compressible=compressible), packed=packed) == status
    assert len(datadog.points) == (status == 200)


@pytest.mark.parametrize(
    ("size_bytes", "packed", "status"), [(999_999, False, 200), (1_000_000, False, 413), (5_000_000, True, 200)]
)
def test_new_relic_refuses_a_million_bytes(
    new_relic: NewRelicIntake, size_bytes: int, packed: bool, status: int
) -> None:
    assert post(new_relic, of_size(size_bytes, compressible=True), packed=packed) == status
    assert len(new_relic.points) == (status == 200)


@pytest.mark.parametrize(("minutes", "status"), [(-61, 400), (-59, 200), (9, 200), (11, 400)])
def test_datadog_refuses_what_is_older_than_an_hour_or_of_the_future(
    datadog: DatadogIntake, minutes: int, status: int
) -> None:
    ends_at_ns = time.time_ns() + minutes * 60 * SECOND_NS
    assert (
        post(datadog, a_delta(starts_at_ns=ends_at_ns - HOUR_NS, ends_at_ns=ends_at_ns).SerializeToString()) == status
    )
    assert len(datadog.points) == (status == 200)


@pytest.mark.parametrize(("hours", "kept"), [(-49, 0), (-47, 1), (23, 1), (25, 0)])
def test_new_relic_drops_what_began_more_than_48_hours_ago_or_in_the_far_future_without_a_word(
    new_relic: NewRelicIntake, hours: int, kept: int
) -> None:
    starts_at_ns = time.time_ns() + hours * HOUR_NS
    delta = a_delta(starts_at_ns=starts_at_ns, ends_at_ns=max(starts_at_ns, time.time_ns()))
    assert post(new_relic, delta.SerializeToString()) == 200
    assert len(new_relic.points) == kept
    assert len(new_relic.refusals) == 1 - kept


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [("n", "v" * 4_095, 1), ("n", "v" * 4_096, 0), ("n" * 255, "v", 1), ("n" * 256, "v", 0)],
    ids=["longest value", "value too long", "longest name", "name too long"],
)
def test_new_relic_drops_points_with_attributes_that_are_too_long(
    new_relic: NewRelicIntake, name: str, value: str, kept: int
) -> None:
    assert post(new_relic, a_delta(labels={name: value}).SerializeToString()) == 200
    assert len(new_relic.points) == kept


def test_of_two_deltas_in_one_second_datadog_keeps_the_last(datadog: DatadogIntake) -> None:
    second_ns = (time.time_ns() // SECOND_NS - 5) * SECOND_NS
    for number, value in enumerate((3, 4)):
        starts_at_ns = second_ns + number * 1_000_000
        delta = a_delta(value, starts_at_ns=starts_at_ns, ends_at_ns=starts_at_ns + 1_000_000)
        assert post(datadog, delta.SerializeToString()) == 200
    assert datadog.sums()["calls", ()].sum == 4
    assert [point.amount.sum for point in datadog.overwritten()] == [3]


def test_an_intake_that_is_down_refuses_connections_and_comes_back_at_its_address(intake: Intake) -> None:
    url = intake.url
    assert post(intake, a_delta(1).SerializeToString()) == 200
    intake.go_down()
    with pytest.raises(urllib.error.URLError, match="refused"):
        post(intake, a_delta(2).SerializeToString())
    intake.listen()
    assert intake.url == url
    assert post(intake, a_delta(3).SerializeToString()) == 200
    assert sum(point.amount.sum for point in intake.points) == 4


def test_a_slow_intake_answers_when_it_is_let_go(intake: Intake) -> None:
    came, let_go = intake.hold()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, intake, a_delta(2).SerializeToString())
        assert came.wait(PATIENCE_SECONDS)
        assert intake.points == []
        let_go.set()
        assert answer.result(PATIENCE_SECONDS) == 200
    assert intake.sums()["calls", ()].sum == 2


def test_a_fault_is_for_one_request_and_a_standing_fault_until_it_is_taken_back(intake: Intake) -> None:
    body = a_delta(2).SerializeToString()
    intake.standing_fault = "unavailable"
    assert [post(intake, body) for _ in range(2)] == [503, 503]
    intake.standing_fault = None
    intake.faults.extend(["unavailable", "too old"])
    assert [post(intake, body) for _ in range(3)] == [503, 400, 200]
    assert intake.reasons() == {intake.too_old: 1}
    assert intake.sums()["calls", ()].sum == 2


def test_an_answer_that_is_lost_leaves_the_request_taken(intake: Intake) -> None:
    body = a_delta(2).SerializeToString()
    intake.faults.append("answer lost")
    with pytest.raises((OSError, HTTPException)):
        post(intake, body)
    assert intake.sums()["calls", ()].sum == 2
    assert post(intake, body) == 200
    assert intake.sums()["calls", ()].sum == 2
    assert intake.repeats == 1


def test_the_official_exporter_loses_nothing_and_doubles_nothing_when_an_answer_is_lost(intake: Intake) -> None:
    intake.faults.append("answer lost")
    with sending(exporter_to(intake)) as (meter, flush):
        meter.create_counter("calls").add(9)
        assert flush()
    assert intake.sums()["calls", ()].sum == 9
    assert intake.asked == 2


def test_traces_and_logs_are_taken_and_not_counted(intake: Intake) -> None:
    request = urllib.request.Request(f"{intake.url}/v1/traces", b"", KEYS[type(intake)])
    with _OPENER.open(request, timeout=PATIENCE_SECONDS) as response:
        assert response.status == 200
    assert intake.asked == 0


def test_sums_are_exact_in_any_order() -> None:
    values = [0.1, 1e16, -1e16, 0.2]
    requests = []
    for value in values:
        request = a_delta()
        request.resource_metrics[0].scope_metrics[0].metrics[0].sum.data_points[0].as_double = value
        requests.append(request)
    points = [point for request in requests for point in points_of(request)]
    assert sums_of(points) == sums_of(reversed(points))
    assert sums_of(points)["calls", ()].sum == sum(map(Fraction, values))
    assert NOTHING.is_nothing
    assert not sums_of(points)["calls", ()].is_nothing
