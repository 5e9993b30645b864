"""What destinations of metrics are told, across restarts, outages, changes of mind and of the clock: nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from bench.fixed_key import CATALOGUE
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from cline_otel.aggregation.totals import MAX_SERIES, OVERFLOW
from cline_otel.catalogue.compiled import Catalogue
from cline_otel.catalogue.load import load
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.events import RunFinished, RunStarted
from cline_otel.export.delta_reader import as_of
from cline_otel.export.interface import MetricSnapshot
from cline_otel.journal import Commit, Journal
from cline_otel.journal.metric_marks import MetricMarks
from cline_otel.metric_producer import MetricProducer
from cline_otel.pipeline import Pipeline
from cline_otel.signals import Attributes, HistogramAggregation, MetricDelta, Temporality

ORIGIN = ResourceAndScope((), "cline-otel", "", "")
START_NS = 1_790_000_000_000_000_000
SECOND_NS = 1_000_000_000
COST, DURATION = "cline.cost", "gen_ai.client.operation.duration"
OPEN = "cline.run.open"
GAUGE_POINTS = 10
"""Two gauges, for each of the four things that a prompt can wait for."""

EXPONENTIAL: HistogramAggregation = "base2_exponential_bucket_histogram"


class Bridge:
    """As much of a bridge as metrics need: a journal, a pipeline of its state, and a clock that the test moves."""

    def __init__(self, path: Path, aggregation: HistogramAggregation = "explicit_bucket_histogram") -> None:
        self.path = path
        self.now_ns = START_NS
        self.open(aggregation)

    def open(
        self,
        aggregation: HistogramAggregation = "explicit_bucket_histogram",
        catalogue: Catalogue = CATALOGUE,
        metric_attributes: Attributes = (),
    ) -> None:
        self.journal = Journal.open(self.path, clock_ns=lambda: self.now_ns)
        self.pipeline = Pipeline(
            catalogue,
            ORIGIN,
            ORIGIN,
            self.journal.load_state(),
            started_at_ns=self.journal.started_at_ns,
            histogram_aggregation=aggregation,
            metric_attributes=metric_attributes,
        )
        self.marks = MetricMarks(self.journal)
        self.producer = MetricProducer(self.marks, lambda: self.pipeline, lambda: self.now_ns)

    def restart(
        self,
        aggregation: HistogramAggregation = "explicit_bucket_histogram",
        catalogue: Catalogue = CATALOGUE,
        metric_attributes: Attributes = (),
    ) -> None:
        self.journal.close()
        self.open(aggregation, catalogue, metric_attributes)

    def measure(self, metric: str, value: float, service: str = "", **attributes: str) -> None:
        self.now_ns += SECOND_NS
        pairs = tuple((name.replace("__", "."), text) for name, text in attributes.items())
        self.pipeline.metric_totals.add(MetricDelta(metric, value, pairs, self.now_ns, service=service), self.now_ns)
        self.journal.commit(Commit(state=self.pipeline.flush(self.now_ns).state))

    def formed(self, destination: str = "d") -> list[bytes]:
        """What is queued for a destination after an interval; all of it is taken."""
        self.now_ns += SECOND_NS
        self.producer.form(destination)
        return list(self.take(destination))

    def take(self, destination: str = "d") -> Iterator[bytes]:
        while (row := self.marks.waiting(destination)) is not None:
            yield row.payload
            self.marks.delivered(row.id, delivered=row.item_count, rejected=0, message="")

    def snapshot(self, destination: str = "d") -> MetricSnapshot | None:
        self.now_ns += SECOND_NS
        return self.producer.snapshot(destination)


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    bridge = Bridge(tmp_path / "journal.db")
    yield bridge
    bridge.journal.close()


def points_of(payload: bytes, metric: str) -> list[tuple[int, int, float]]:
    """Start, time and value or sum of a metric's points."""
    request = ExportMetricsServiceRequest.FromString(payload)
    return [
        (
            point.start_time_unix_nano,
            point.time_unix_nano,
            point.sum if each.WhichOneof("data") not in ("sum", "gauge") else point.as_double or point.as_int,
        )
        for resource_metrics in request.resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for each in scope_metrics.metrics
        if each.name == metric
        for point in getattr(each, each.WhichOneof("data") or "").data_points
    ]


def sums(payloads: list[bytes], metric: str) -> float:
    return sum(value for payload in payloads for _, _, value in points_of(payload, metric))


def test_growth_is_formed_once_across_restarts(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "delta"})
    sent: list[bytes] = []
    for value in (1.0, 2.0, 4.0):
        bridge.measure(COST, value)
        sent += bridge.formed()
        bridge.restart()
        bridge.producer.begin({"d": "delta"})
    assert sums(sent, COST) == 7.0
    assert bridge.formed() == []
    windows = [point[:2] for payload in sent for point in points_of(payload, COST)]
    assert all(start < end for start, end in windows)
    assert all(former[1] <= later[0] for former, later in pairwise(windows))


@pytest.mark.parametrize("aggregation", ["explicit_bucket_histogram", EXPONENTIAL])
@pytest.mark.parametrize("temporality", ["cumulative", "delta"])
def test_each_service_is_told_its_own_across_restarts(
    tmp_path: Path, temporality: Temporality, aggregation: HistogramAggregation
) -> None:
    bridge = Bridge(tmp_path / "journal.db", aggregation)
    bridge.producer.begin({"d": temporality})
    sent: list[bytes] = []
    for number in range(3):
        bridge.measure(DURATION, 1.0)
        bridge.measure(DURATION, 10.0, "roo-code")
        if number:
            bridge.measure(DURATION, 100.0, "kilo-code")
        if temporality == "delta":
            sent += bridge.formed()
        elif (snapshot := bridge.snapshot()) is not None:
            sent = [request.payload for request in snapshot.requests]
            bridge.producer.confirm("d", snapshot.at_ns, snapshot.changed)
        bridge.restart(aggregation)
        bridge.producer.begin({"d": temporality})
    bridge.journal.close()
    assert {name: sums(payloads, DURATION) for name, payloads in by_service(sent).items()} == {
        "": 3.0,
        "roo-code": 30.0,
        "kilo-code": 200.0,
    }


def by_service(payloads: list[bytes]) -> dict[str, list[bytes]]:
    """The requests apart, by the ``service.name`` of their resources; empty for none."""
    apart: dict[str, list[bytes]] = {}
    for payload in payloads:
        for each in ExportMetricsServiceRequest.FromString(payload).resource_metrics:
            named = {pair.key: pair.value.string_value for pair in each.resource.attributes}
            alone = ExportMetricsServiceRequest(resource_metrics=[each]).SerializeToString()
            apart.setdefault(named.get("service.name", ""), []).append(alone)
    return apart


def test_while_a_request_waits_nothing_else_is_formed_and_nothing_of_it_is_lost(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "delta"})
    bridge.measure(COST, 1.0)
    bridge.producer.form("d")
    waiting = bridge.marks.waiting("d")
    assert waiting is not None
    bridge.measure(COST, 2.0)
    bridge.producer.form("d")
    assert bridge.marks.waiting("d") == waiting
    assert sums(list(bridge.take()), COST) == 1.0
    assert sums(bridge.formed(), COST) == 2.0


def test_a_zero_is_sent_until_a_destination_has_it_and_never_again(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "cumulative"})
    bridge.measure(COST, 1.0)
    lost, taken = bridge.snapshot(), bridge.snapshot()
    assert lost is not None
    assert taken is not None
    for snapshot in (lost, taken):
        (zero, value) = points_of(snapshot.requests[0].payload, COST)
        assert zero[0] == zero[1] == value[0] < value[1]
        assert (zero[2], value[2]) == (0.0, 1.0)
    bridge.producer.confirm("d", taken.at_ns, taken.changed)
    bridge.restart()
    bridge.producer.begin({"d": "cumulative"})
    bridge.measure(COST, 1.0)
    again = bridge.snapshot()
    assert again is not None
    assert [point[2] for point in points_of(again.requests[0].payload, COST)] == [2.0]


def test_a_series_that_another_profile_names_otherwise_begins_at_0_under_that_name_once(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "cumulative"})
    bridge.measure(COST, 1.0)
    bridge.measure("cline.sessions", 1)
    bridge.measure("cline.errors", 1)
    confirmed(bridge)
    for catalogue, cost in ((load(profile="claude_code"), "claude_code.cost.usage"), (CATALOGUE, COST)):
        bridge.restart(catalogue=catalogue)
        bridge.producer.begin({"d": "cumulative"})
        zero, value = points_of(confirmed(bridge, "cline.errors"), cost)
        assert zero[0] == zero[1] == value[0] < value[1]
        assert (zero[2], value[2]) == (0.0, 1.0)
        assert [point[2] for point in points_of(confirmed(bridge, "cline.errors"), cost)] == [1.0]


def confirmed(bridge: Bridge, known: str = "") -> bytes:
    """What a destination is told, and takes; a metric that it knows has no point 0."""
    snapshot = bridge.snapshot()
    assert snapshot is not None
    bridge.producer.confirm("d", snapshot.at_ns, snapshot.changed)
    (request,) = snapshot.requests
    assert not known or [point[2] for point in points_of(request.payload, known)] == [1]
    return request.payload


def test_a_further_destination_is_not_told_of_what_was_before_whatever_the_profile(bridge: Bridge) -> None:
    bridge.restart(catalogue=load(profile="claude_code"))
    bridge.producer.begin({"d": "cumulative"})
    bridge.measure(COST, 1.0)
    bridge.producer.begin({"d": "cumulative", "more": "cumulative"})
    snapshot = bridge.snapshot("more")
    assert snapshot is not None
    assert [value for *_, value in points_of(snapshot.requests[0].payload, "claude_code.cost.usage")] == [1.0]


def test_a_destination_that_takes_the_place_of_another_is_told_what_that_one_was_not(bridge: Bridge) -> None:
    bridge.producer.begin({"mistyped": "delta"})
    bridge.measure(COST, 1.0)
    bridge.producer.form("mistyped")
    bridge.measure(COST, 2.0)
    bridge.restart()
    bridge.producer.begin({"right": "delta"})
    assert sums([*bridge.take("right"), *bridge.formed("right")], COST) == 3.0


def test_a_further_destination_is_told_of_what_comes(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "delta"})
    bridge.measure(COST, 1.0)
    bridge.producer.begin({"d": "delta", "more": "delta"})
    bridge.measure(COST, 2.0)
    assert sums(bridge.formed("d"), COST) == 3.0
    assert sums(bridge.formed("more"), COST) == 2.0


def test_what_waits_for_a_destination_that_is_gone_is_put_aside_and_counted(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "delta", "gone": "delta"})
    bridge.measure(COST, 1.0)
    bridge.producer.form("gone")
    bridge.producer.begin({"d": "delta"})
    status = bridge.journal.status().signals["metrics"]
    assert (status.pending_items, status.refused_items) == (0, 1 + GAUGE_POINTS)


def test_from_totals_to_growth_and_back_nothing_is_counted_twice(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "cumulative"})
    bridge.measure(COST, 1.0)
    snapshot = bridge.snapshot()
    assert snapshot is not None
    bridge.producer.confirm("d", snapshot.at_ns, snapshot.changed)
    bridge.measure(COST, 2.0)
    bridge.restart()
    bridge.producer.begin({"d": "delta"})
    assert sums(bridge.formed(), COST) == 2.0


@pytest.mark.parametrize("temporality", ["delta", "cumulative"])
def test_another_histogram_aggregation_begins_anew_and_what_was_before_is_told(
    bridge: Bridge, temporality: str
) -> None:
    bridge.producer.begin({"d": temporality})  # type: ignore[dict-item]
    bridge.measure(DURATION, 1.0)
    bridge.restart(EXPONENTIAL)
    bridge.producer.begin({"d": temporality})  # type: ignore[dict-item]
    before = list(bridge.take())
    assert sums(before, DURATION) == (1.0 if temporality == "delta" else 0.0)
    bridge.measure(DURATION, 2.0)
    bridge.restart(EXPONENTIAL)
    bridge.producer.begin({"d": temporality})  # type: ignore[dict-item]
    (total,) = bridge.pipeline.totals
    assert (total.sum, total.count, total.bucket_counts) == (2.0, 1, [])
    if temporality == "delta":
        assert sums(bridge.formed(), DURATION) == 2.0
    else:
        snapshot = bridge.snapshot()
        assert snapshot is not None
        assert [point[2] for point in points_of(snapshot.requests[0].payload, DURATION)] == [0.0, 2.0]


def of_team(bridge: Bridge, team: str, temporality: Temporality = "delta") -> None:
    """The bridge starts again, and every measurement says of which team it is."""
    bridge.restart(metric_attributes=(("team.id", team),))
    bridge.producer.begin({"d": temporality})


def by_team(bridge: Bridge) -> dict[object, float]:
    return {dict(total.attributes).get("team.id"): total.sum for total in bridge.pipeline.totals}


@pytest.mark.parametrize("temporality", ["delta", "cumulative"])
def test_from_team_to_team_and_back_every_total_stays_and_growth_is_told_once(
    bridge: Bridge, temporality: Temporality
) -> None:
    told = 0.0
    for team, cost in (("a", 1.0), ("b", 2.0), ("a", 4.0), ("b", 8.0)):
        of_team(bridge, team, temporality)
        if temporality == "delta":
            told += sums(bridge.formed(), COST)
        bridge.measure(COST, cost, team__id=team)
    assert by_team(bridge) == {"a": 5.0, "b": 10.0}
    if temporality == "delta":
        assert told + sums(bridge.formed(), COST) == 15.0
        assert bridge.formed() == []
    else:
        snapshot = bridge.snapshot()
        assert snapshot is not None
        assert sums([request.payload for request in snapshot.requests], COST) == 15.0


def measure_teams(bridge: Bridge, teams: range) -> None:
    for number in teams:
        bridge.now_ns += 1
        delta = MetricDelta(COST, 1.0, (("team.id", f"t{number}"),), bridge.now_ns)
        bridge.pipeline.metric_totals.add(delta, bridge.now_ns)
    bridge.journal.commit(Commit(state=bridge.pipeline.flush(bridge.now_ns).state))


def test_former_teams_use_up_no_budget_and_the_oldest_of_too_many_go_when_they_are_told(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "delta"})
    told = 0.0
    for first in (0, MAX_SERIES - 1):
        measure_teams(bridge, range(first, first + MAX_SERIES - 1))
        of_team(bridge, "b")
        assert OVERFLOW not in {total.attributes for total in bridge.pipeline.totals}
    bridge.measure(COST, 1.0, team__id="b")
    assert by_team(bridge).keys() == {"b", *(f"t{number}" for number in range(2 * MAX_SERIES - 2))}
    told += sums(bridge.formed(), COST)
    of_team(bridge, "b")
    assert by_team(bridge).keys() == {"b", *(f"t{number}" for number in range(MAX_SERIES - 2, 2 * MAX_SERIES - 2))}
    told += sums(bridge.formed(), COST)
    bridge.measure(COST, 1.0, team__id="b")
    of_team(bridge, "t0")
    bridge.measure(COST, 1.0, team__id="t0")
    assert told + sums(bridge.formed(), COST) == 2 * MAX_SERIES - 2 + 3


@pytest.mark.parametrize("destinations", [{"d": "delta", "slow": "delta"}, {}])
def test_what_a_destination_has_not_been_told_of_former_teams_stays(
    bridge: Bridge, destinations: dict[str, Temporality]
) -> None:
    bridge.producer.begin({"d": "delta", "slow": "delta"})
    for first in (0, MAX_SERIES - 1):
        measure_teams(bridge, range(first, first + MAX_SERIES - 1))
        bridge.restart()
    bridge.producer.begin({"d": "delta", "slow": "delta"})
    assert sums(bridge.formed(), COST) == 2 * MAX_SERIES - 2
    bridge.restart()
    bridge.producer.begin(destinations)
    bridge.restart()
    bridge.producer.begin({"d": "delta", "slow": "delta"})
    assert sums(bridge.formed("slow"), COST) == 2 * MAX_SERIES - 2


def test_growth_that_waits_or_was_refused_is_no_span_and_no_log_record(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "delta", "gone": "delta"})
    bridge.measure(COST, 1.0)
    bridge.producer.form("d")
    bridge.producer.form("gone")
    bridge.producer.begin({"d": "delta"})
    assert bridge.journal.newest(9) == []
    assert bridge.journal.erase_pending() == 0
    assert bridge.journal.status().signals["metrics"].erased_items == 2 * (1 + GAUGE_POINTS)


def test_after_an_erasure_growth_is_what_came_since(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "delta"})
    bridge.measure(COST, 1.0)
    bridge.formed()
    bridge.measure(COST, 2.0)
    keys = dict.fromkeys(bridge.pipeline.metric_totals.by_key)
    bridge.journal.erase_pending(dict(keys))
    bridge.restart()
    bridge.producer.begin({"d": "delta"})
    bridge.measure(COST, 4.0)
    assert sums(bridge.formed(), COST) == 4.0


@pytest.mark.parametrize("jump_ns", [-3_600 * SECOND_NS, -SECOND_NS, 3_600 * SECOND_NS])
def test_whatever_the_clock_does_every_start_is_before_its_time(bridge: Bridge, jump_ns: int) -> None:
    bridge.producer.begin({"c": "cumulative", "d": "delta"})
    sent: list[bytes] = []
    totals: list[bytes] = []
    for _ in range(4):
        bridge.measure(COST, 1.0)
        sent += bridge.formed()
        snapshot = bridge.snapshot("c")
        assert snapshot is not None
        bridge.producer.confirm("c", snapshot.at_ns, snapshot.changed)
        totals += [request.payload for request in snapshot.requests]
        bridge.now_ns += jump_ns
    assert sums(sent, COST) == 4.0
    assert all(start <= end for payload in [*sent, *totals] for start, end, _ in points_of(payload, COST))


def begin_a_run(bridge: Bridge) -> None:
    event = RunStarted("plugin", bridge.now_ns, "run.started", agent_id="agent", run_id="run", session_id="session")
    bridge.pipeline.take_events([event])
    bridge.journal.commit(Commit(state=bridge.pipeline.flush(bridge.now_ns).state))


def test_what_holds_now_goes_with_totals_and_has_no_start(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "cumulative"})
    begin_a_run(bridge)
    bridge.restart()
    bridge.producer.begin({"d": "cumulative"})
    snapshot = bridge.snapshot()
    assert snapshot is not None
    points = points_of(snapshot.requests[0].payload, OPEN)
    assert sorted(points) == [
        (0, snapshot.at_ns, 0),
        (0, snapshot.at_ns, 0),
        (0, snapshot.at_ns, 0),
        (0, snapshot.at_ns, 0),
        (0, snapshot.at_ns, 1),
    ]


def test_while_a_run_is_open_its_wait_is_told_though_nothing_grows_and_its_end_once(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "delta"})
    assert bridge.formed() == []
    begin_a_run(bridge)
    for _ in range(3):
        (request,) = bridge.formed()
        assert sum(value for _, _, value in points_of(request, OPEN)) == 1
    ended = RunFinished("plugin", bridge.now_ns, "run.finished", agent_id="agent", run_id="run")
    bridge.pipeline.take_events([ended])
    bridge.journal.commit(Commit(state=bridge.pipeline.flush(bridge.now_ns).state))
    (request,) = bridge.formed()
    assert [value for _, _, value in points_of(request, OPEN)] == [0, 0, 0, 0, 0]
    assert bridge.formed() == []


def test_growth_that_is_formed_again_says_nothing_of_what_held_then(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "delta"})
    begin_a_run(bridge)
    bridge.measure(COST, 1.0)
    (request,) = bridge.formed()
    again = as_of(request, bridge.now_ns + SECOND_NS)
    assert len(points_of(request, OPEN)) == 5
    assert points_of(again, OPEN) == []
    assert [point[2] for point in points_of(again, COST)] == [1.0]
    (only_gauges,) = bridge.formed()
    assert as_of(only_gauges, bridge.now_ns) == b""
    bridge.measure(COST, 1.0, "roo-code")
    (of_both,) = bridge.formed()
    assert by_service([of_both]).keys() == {"", "roo-code"}
    assert by_service([as_of(of_both, bridge.now_ns)]).keys() == {"roo-code"}


def test_growth_of_many_series_is_several_requests_that_hold_each_once(bridge: Bridge) -> None:
    bridge.producer.begin({"d": "delta"})
    for number in range(900):
        bridge.measure(COST, 1.0, gen_ai__request__model=f"m{number}")
    sent = bridge.formed()
    assert [len(points_of(payload, COST)) for payload in sent] == [400, 400, 100]
