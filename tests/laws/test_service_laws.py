"""Whose telemetry is whose: a fork of Cline has a ``service.name`` of its own, and everything else the bridge's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import pytest
from bench.fixed_key import CATALOGUE, recording_of
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.catalogue.profiles import profile_names
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.export.interface import EncodedRequest
from cline_otel.pipeline import FlushResult, Pipeline
from cline_otel.preview import items_of
from cline_otel.replay import ReplayResult, replay
from cline_otel.signals import MetricTotal, SignalName
from cline_otel.sources.interface import Payload
from cline_otel.sources.registry import SOURCES
from cline_otel.translate.silence import SILENCE_NS
from corpus import CAPTURES
from metric_points import points_of

BRIDGE = "cline"
ORIGIN = ResourceAndScope((("service.name", BRIDGE), ("service.instance.id", "i")), "cline-otel", "0", "")
RECORDED = {BRIDGE: "plugin_basic", "roo-code": "roo_code_task", "kilo-code": "kilo_code_task"}
"""A recording of each service."""

Places = dict[tuple[str, ...], list[str]]


def replayed(*names: str, catalogue: Catalogue = CATALOGUE) -> ReplayResult:
    return replay(recording_of([CAPTURES / name for name in names]), catalogue)


def payloads(name: str) -> list[Payload]:
    return [payload for stream in recording_of([CAPTURES / name]).streams for payload in stream]


def told(catalogue: Catalogue, rows: Iterable[tuple[str, bytes]], names: Sequence[str]) -> tuple[Pipeline, FlushResult]:
    """What a bridge makes of recordings that come in one after the other, from a state on."""
    pipeline = Pipeline(catalogue, ORIGIN, ORIGIN, rows, claim_wait_ns=0)
    for name in names:
        for payload in payloads(name):
            pipeline.take(payload)
    # Nobody says that a task is over: it is closed like whatever is silent.
    last_ns = max((run.last_at_ns for run in pipeline.state.runs.values()), default=0)
    for more in (1, 2):
        pipeline.advance_clock(last_ns + more * (SILENCE_NS + 1))
    return pipeline, pipeline.flush()


def sums(totals: Iterable[MetricTotal], service: str) -> dict[str, float]:
    return {repr((total.metric, total.attributes)): round(total.sum, 6) for total in totals if total.service == service}


def services_in(signal: SignalName, requests: Iterable[EncodedRequest]) -> dict[str, int]:
    """How many spans, log records or data points the requests have under each ``service.name``."""
    found: dict[str, int] = {}
    for request in requests:
        if signal == "metrics":
            for each in ExportMetricsServiceRequest.FromString(request.payload).resource_metrics:
                metrics = [metric for scope in each.scope_metrics for metric in scope.metrics]
                points = [
                    point
                    for metric in metrics
                    for point in getattr(metric, metric.WhichOneof("data") or "").data_points
                ]
                assert all(pair.key != "service.name" for point in points for pair in point.attributes)
                (name,) = [pair.value.string_value for pair in each.resource.attributes if pair.key == "service.name"]
                found[name] = found.get(name, 0) + len(points)
        else:
            for item in items_of(signal, request.payload):
                (name,) = [
                    pair["value"]["stringValue"]
                    for pair in item.sender.resource["attributes"]
                    if pair["key"] == "service.name"
                ]
                found[name] = found.get(name, 0) + 1
    return found


@pytest.mark.parametrize("profile", profile_names())
@pytest.mark.parametrize("service", RECORDED)
def test_all_that_comes_of_a_recording_has_its_service_under_whatever_names(service: str, profile: str) -> None:
    catalogue = SOURCES.catalogue(profile=profile)
    for signal, requests in replayed(RECORDED[service], catalogue=catalogue).requests.items():
        assert services_in(signal, requests).keys() == {service}, signal


def test_beside_one_another_each_has_what_it_has_alone_and_a_request_holds_them_all() -> None:
    together = replayed(*RECORDED.values())
    for service, name in RECORDED.items():
        alone, own = replayed(name), "" if service == BRIDGE else service
        assert [each for each in together.spans if each.service == own] == alone.spans
        assert [each for each in together.logs if each.service == own] == alone.logs
        assert sums(together.totals, own) == sums(alone.totals, own)
    for signal, requests in together.requests.items():
        of_signal = {name: services_in(signal, replayed(name).requests[signal]) for name in RECORDED.values()}
        assert services_in(signal, requests).keys() == RECORDED.keys()
        if signal != "metrics":
            assert len(requests) == 1
            assert services_in(signal, requests) == {
                each: number for by in of_signal.values() for each, number in by.items()
            }


@pytest.mark.parametrize(
    ("message_type", "made"),
    [
        (ExportTraceServiceRequest, FlushResult.traces_request),
        (ExportLogsServiceRequest, FlushResult.logs_request),
    ],
)
def test_of_cline_a_request_is_what_it_is_without_a_fork_beside_it(
    message_type: type[ExportTraceServiceRequest] | type[ExportLogsServiceRequest],
    made: Callable[[FlushResult], EncodedRequest],
) -> None:
    _, alone = told(CATALOGUE, [], [RECORDED[BRIDGE]])
    _, beside = told(CATALOGUE, [], [RECORDED[BRIDGE], RECORDED["roo-code"]])
    assert made(beside).payload.startswith(made(alone).payload)
    assert made(beside).item_count > made(alone).item_count
    message = message_type.FromString(made(beside).payload)
    assert len(getattr(message, message.DESCRIPTOR.fields[0].name)) == 2


def test_totals_go_on_after_a_restart_each_in_its_service() -> None:
    names = [*RECORDED.values()]
    pipeline, flushed = told(CATALOGUE, [], names[:2])
    first = {service: sums(pipeline.totals, "" if service == BRIDGE else service) for service in RECORDED}
    assert first["roo-code"]
    assert first["kilo-code"] == {}
    rows = {key: value for key, value in flushed.state.items() if value is not None}
    pipeline, flushed = told(CATALOGUE, rows.items(), [])
    assert sums(pipeline.totals, "roo-code") == first["roo-code"]
    pipeline, flushed = told(CATALOGUE, (rows | _kept(flushed)).items(), names[2:])
    assert sums(pipeline.totals, "") == first[BRIDGE]
    assert sums(pipeline.totals, "roo-code") == first["roo-code"]
    assert sums(pipeline.totals, "kilo-code") == sums(replayed(names[2]).totals, "kilo-code")
    request = EncodedRequest(pipeline.metrics_request(points_of(pipeline.totals), "cumulative"), 1)
    assert services_in("metrics", [request]).keys() == RECORDED.keys()


def _kept(flushed: FlushResult) -> dict[str, bytes]:
    return {key: value for key, value in flushed.state.items() if value is not None}


def test_what_the_user_calls_everything_has_everything() -> None:
    named = SOURCES.catalogue(service_name="agents")
    assert {each.service for name in RECORDED.values() for each in replayed(name, catalogue=named).totals} == {""}
    _, flushed = told(named, [], [*RECORDED.values()])
    assert services_in("traces", [flushed.traces_request()]).keys() == {BRIDGE}
    assert services_in("logs", [flushed.logs_request()]).keys() == {BRIDGE}


def test_a_service_that_is_no_more_keeps_its_totals_and_they_grow_no_more() -> None:
    named = SOURCES.catalogue(service_name="agents")
    pipeline, flushed = told(CATALOGUE, [], [RECORDED["roo-code"]])
    before = sums(pipeline.totals, "roo-code")
    pipeline, _ = told(named, _kept(flushed).items(), [RECORDED["kilo-code"]])
    assert sums(pipeline.totals, "roo-code") == before
    assert sums(pipeline.totals, "") == sums(replayed(RECORDED["kilo-code"], catalogue=named).totals, "")
    assert {point.total.service for point in pipeline.gauges(1)} == {""}
    assert all(total.service for total in pipeline.metric_totals.ended.values())
    assert not any(total.service for total in pipeline.metric_totals.by_key.values())


def test_a_fork_s_open_prompts_are_its_own_and_none_is_told_once_all_are_closed() -> None:
    pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN, claim_wait_ns=0)
    assert {point.total.service for point in pipeline.gauges(1)} == {""}
    (payload,) = payloads(RECORDED["roo-code"])
    pipeline.take(payload._replace(parts=payload.parts[:3]))
    for now_ns in (1, 2):
        pipeline.advance_clock(now_ns)

    def open_prompts() -> dict[str, float]:
        found: dict[str, float] = {}
        for point in pipeline.gauges(1):
            if point.total.metric == "cline.run.open":
                found[point.total.service] = found.get(point.total.service, 0) + point.total.sum
        return found

    assert open_prompts() == {"": 0, "roo-code": 1}
    pipeline.close_open_runs()
    assert open_prompts() == {"": 0, "roo-code": 0}


def test_where_the_service_is_on_every_data_point_a_fork_s_points_have_its_own() -> None:
    pipeline = Pipeline(
        CATALOGUE, ORIGIN, ORIGIN, claim_wait_ns=0, metric_attributes=(("service.name", BRIDGE), ("team.id", "a"))
    )
    for name in (RECORDED[BRIDGE], RECORDED["roo-code"]):
        for payload in payloads(name):
            pipeline.take(payload)
    pipeline.close_open_runs()
    flushed = pipeline.flush()
    for each in (*pipeline.totals, *(point.total for point in pipeline.gauges(1))):
        assert each.attributes[-2:] == (("service.name", each.service or BRIDGE), ("team.id", "a"))
    rows = _kept(flushed).items()
    again = Pipeline(CATALOGUE, ORIGIN, ORIGIN, rows, metric_attributes=(("service.name", BRIDGE), ("team.id", "a")))
    assert not again.metric_totals.ended
