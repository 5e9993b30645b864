"""Whatever a backend can sum equals what the bridges were told: by metric and labels, whatever goes wrong on the way.

The source is a replay of the same input, which knows nothing of delivery.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from bridge.workload import EXAMPLE, Recording
from corpus import CAPTURES
from intakes.intake import Fault
from intakes.points import points_of
from waiting import PATIENCE_SECONDS, wait_until

from .destinations import Destination, IntakeDestination, PrometheusDestination
from .forwarder import Forwarder
from .prometheus import Prometheus
from .story import Story, with_model

Make = Callable[[str], Destination]

DIRECT_INTAKES: Final = (
    "Datadog",
    "Datadog with exponential histograms",
    "New Relic",
    "New Relic with exponential histograms",
)
DESTINATIONS: Final = (
    "Prometheus",
    "Prometheus with exponential histograms",
    "collector to Prometheus",
    *DIRECT_INTAKES,
    "collector to Datadog",
    "collector to New Relic",
)

OUTAGE_SECONDS: Final = 130.0

SUBAGENTS: Final = Recording.read(EXAMPLE, "plugin")
OTLP_RUN: Final = Recording.read(CAPTURES / "plugin_basic", "otlp")
REFUSED_KEY: Final = Recording.read(CAPTURES / "plugin_api_fatal_401", "plugin")
PROVIDER_FAILED: Final = Recording.read(CAPTURES / "plugin_api_500_exhaust", "plugin")
MISTAKES: Final = Recording.read(CAPTURES / "plugin_mistakes", "plugin")
MCP_FAILED: Final = Recording.read(CAPTURES / "plugin_mcp_tools", "plugin")
PARALLEL_TOOLS: Final = Recording.read(CAPTURES / "plugin_parallel_anthropic", "plugin")


@pytest.mark.parametrize("name", DESTINATIONS)
def test_through_late_models_restarts_kills_and_an_outage(make_destination: Make, name: str, tmp_path: Path) -> None:
    destination = make_destination(name)
    with Story(destination, tmp_path) as story:
        one, two = story.bridges
        story.export((one, SUBAGENTS), (two, OTLP_RUN))
        story.export((one, with_model(SUBAGENTS, "claude-sonnet-4-5")), (two, MISTAKES))
        story.export((one, REFUSED_KEY), (two, PROVIDER_FAILED))

        assert one.bridge.stop() == 0
        one.tell(with_model(SUBAGENTS, "claude-haiku-4-5"))
        one.bridge.start()
        two.tell(OTLP_RUN)
        two.tell(MCP_FAILED)
        two.bridge.kill()
        two.bridge.start()
        two.send_again()

        destination.go_down()
        one.tell(PARALLEL_TOOLS)
        two.tell(with_model(SUBAGENTS, "gpt-5-mini"))
        destination.wait_for_trouble(story.bridges)
        assert one.bridge.stop() == 0
        one.bridge.start()
        two.bridge.kill()
        two.bridge.start()
        one.tell(MISTAKES)
        destination.come_back()
        story.export((one, REFUSED_KEY), (two, OTLP_RUN))

        if destination.collector is not None:
            destination.collector.stop()
            one.tell(with_model(SUBAGENTS, "gemini-2.5-pro"))
            destination.collector.start()
            story.export((two, PARALLEL_TOOLS))
            destination.collector.kill()
            two.tell(PROVIDER_FAILED)
            destination.collector.start()
            story.export((one, MCP_FAILED))
        sources = story.end()
    destination.assert_adds_up(sources)


@pytest.mark.parametrize("name", ["Prometheus", "New Relic", "collector to Datadog"])
def test_through_an_outage_of_minutes(make_destination: Make, name: str, tmp_path: Path) -> None:
    destination = make_destination(name)
    with Story(destination, tmp_path) as story:
        one, two = story.bridges
        story.export((one, SUBAGENTS), (two, OTLP_RUN))
        destination.go_down()
        for number, recording in enumerate((MISTAKES, SUBAGENTS, PARALLEL_TOOLS, MCP_FAILED)):
            one.tell(with_model(recording, f"claude-{number}"))
            two.tell(recording)
            time.sleep(OUTAGE_SECONDS / 4)  # nothing is waited for: that it lasts is what is tried
        destination.come_back()
        story.export((one, REFUSED_KEY), (two, OTLP_RUN))
        sources = story.end()
    destination.assert_adds_up(sources)


@pytest.mark.parametrize("name", [*DIRECT_INTAKES, "collector to Datadog", "collector to New Relic"])
def test_when_an_answer_is_lost_or_late_or_says_not_now(make_destination: Make, name: str, tmp_path: Path) -> None:
    destination = make_destination(name)
    assert isinstance(destination, IntakeDestination)
    intake = destination.intake
    with Story(destination, tmp_path, bridges=1) as story:
        (one,) = story.bridges
        story.export((one, SUBAGENTS))
        faults: list[list[Fault]] = [["answer lost"], ["unavailable"], ["unavailable", "answer lost"]]
        for number, one_after_the_other in enumerate(faults):
            intake.faults.extend(one_after_the_other)
            story.export((one, with_model(SUBAGENTS, f"claude-{number}")))
            wait_until(lambda: not intake.faults, "the faults happened")
        came, let_go = intake.hold()
        one.tell(MISTAKES)
        assert came.wait(PATIENCE_SECONDS)
        one.tell(REFUSED_KEY)
        if destination.collector is None:
            destination.wait_for_trouble(story.bridges)
        let_go.set()
        story.export((one, PARALLEL_TOOLS))
        sources = story.end()
    destination.assert_adds_up(sources)
    assert intake.refusals == []
    assert intake.repeats > 0
    if destination.collector is None:
        # Two answers were lost and one came too late: what went unanswered was sent again, byte for byte.
        distinct = set(intake.requests)
        assert len(intake.requests) - len(distinct) >= 3
        in_distinct = [point for body in distinct for point in points_of(ExportMetricsServiceRequest.FromString(body))]
        assert len(in_distinct) == len(intake.points)


def test_when_prometheus_answer_to_a_series_first_request_is_lost(
    make_prometheus: Callable[[str], Prometheus], tmp_path: Path
) -> None:
    prometheus = make_prometheus("")
    with Forwarder(prometheus.url).listen() as between:
        destination = PrometheusDestination(prometheus, forwarder=between)
        with Story(destination, tmp_path, bridges=1) as story:
            (one,) = story.bridges
            story.export((one, SUBAGENTS))
            for number in (1, 2):
                model = f"claude-opus-4-{number}"
                between.loses_answer_about = model.encode()
                one.tell(with_model(SUBAGENTS, model))
                wait_until(lambda: not between.loses_answer_about, "an answer was lost")
            story.export((one, MISTAKES))
            sources = story.end()
        destination.assert_adds_up(sources)
    assert between.lost == 2


@pytest.mark.parametrize("name", DIRECT_INTAKES)
def test_what_was_refused_as_too_old_is_formed_again_and_counts_once(
    make_destination: Make, name: str, tmp_path: Path
) -> None:
    destination = make_destination(name)
    assert isinstance(destination, IntakeDestination)
    intake = destination.intake
    with Story(destination, tmp_path, bridges=1) as story:
        (one,) = story.bridges
        story.export((one, SUBAGENTS))
        intake.faults.append("too old")
        one.tell(with_model(SUBAGENTS, "claude-sonnet-4-5"))
        wait_until(lambda: not intake.faults, "a request was refused")
        story.export((one, MISTAKES))
        sources = story.end()
    destination.assert_adds_up(sources)
    assert set(intake.reasons()) == {intake.too_old}


@pytest.mark.parametrize("name", ["Prometheus", "Datadog", "New Relic"])
def test_at_the_limit_of_series(make_destination: Make, name: str, tmp_path: Path) -> None:
    destination = make_destination(name)
    with Story(destination, tmp_path, bridges=1) as story:
        (one,) = story.bridges
        story.export((one, SUBAGENTS))
        story.export((one, calls_of(1_990)))
        story.export((one, calls_of(30)))
        sources = story.end()
    (source,) = sources.values()
    assert ("cline.cost", (("otel.metric.overflow", "true"),)) in source
    destination.assert_adds_up(sources)


def calls_of(models: int) -> Recording:
    """A run that calls so many models, each once."""
    lines = [msgspec.json.decode(line) for line in SUBAGENTS.spool]
    root = next(line for line in lines if line["event"] == "run.started")
    of_root = [line for line in lines if line.get("run_id") == root["run_id"]]
    claimed = next(line for line in lines if line["event"] == "session.claimed")
    started, finished = (
        next(line for line in of_root if line["event"] == event)
        for event in ("model_call.started", "model_call.finished")
    )
    ended = next(line for line in of_root if line["event"] == "run.finished")
    calls = [
        call
        for number in range(1, models + 1)
        for call in (
            started | {"iteration": number},
            finished | {"iteration": number, "model": f"llama-{number}-{models}b", "cost_usd": 0.001 * number},
        )
    ]
    return Recording(tuple(msgspec.json.encode(line) for line in (claimed, root, *calls, ended)))
