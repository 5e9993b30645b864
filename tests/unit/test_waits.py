"""What prompts that are worked on wait for: told by events, as of now, and the same after a restart."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bench.fixed_key import CATALOGUE
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.pipeline import Pipeline
from cline_otel.translate.waits import open_runs
from payloads import log_lines, spool_lines

ORIGIN = ResourceAndScope((), "cline-otel", "", "")
START_MS = 1_790_000_000_000
AGENT, RUN = "agent_1790000000100_root00", "run_Golden01"
CHILD = "agent_1790000000200_child0"


def line(event: str, at_ms: int, run_id: str = RUN, agent_id: str = AGENT, **fields: Any) -> bytes:
    known = {"v": 1, "event": event, "time_unix_ms": START_MS + at_ms, "agent_id": agent_id, "run_id": run_id}
    return json.dumps(known | fields).encode()


def started(at_ms: int = 0, run_id: str = RUN) -> bytes:
    return line("run.started", at_ms, run_id, session_id="1790000000000_ab12c", agent_kind="root", mode="act")


def asks(at_ms: int) -> bytes:
    return line("model_call.started", at_ms, iteration=1)


def answers(at_ms: int, tool_calls: int = 0) -> bytes:
    return line("model_call.finished", at_ms, iteration=1, model="gpt-5", tool_calls=tool_calls)


def calls(at_ms: int, tool: str = "read_files", ordinal: int = 0) -> bytes:
    return line("tool_call.started", at_ms, iteration=1, ordinal=ordinal, call_id=f"call_{ordinal}", tool_name=tool)


def returns(at_ms: int, tool: str = "read_files", ordinal: int = 0) -> bytes:
    ended = {"started_at_ms": START_MS + at_ms - 1, "ended_at_ms": START_MS + at_ms, "outcome": "success"}
    call_id = f"call_{ordinal}"
    return line("tool_call.finished", at_ms, iteration=1, ordinal=ordinal, call_id=call_id, tool_name=tool, **ended)


def told(*lines: bytes) -> Pipeline:
    pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN)
    pipeline.take(spool_lines(lines))
    return pipeline


def waiting(pipeline: Pipeline, at_ms: int) -> dict[str, tuple[float, float]]:
    """Prompts and the longest wait in seconds, of those waits that any prompt is in."""
    values: dict[str, dict[str, float]] = {}
    for point in pipeline.gauges((START_MS + at_ms) * 1_000_000):
        values.setdefault(str(dict(point.total.attributes)["cline.run.waits_for"]), {})[point.total.metric] = (
            point.total.sum
        )
    return {
        waits_for: (each["cline.run.open"], each["cline.run.longest_wait"])
        for waits_for, each in values.items()
        if each["cline.run.open"]
    }


@pytest.mark.parametrize(
    ("lines", "waits_for", "since_ms"),
    [
        ([started()], "nothing", 0),
        ([started(), asks(100)], "model", 100),
        ([started(), asks(100), answers(900)], "nothing", 900),
        ([started(), asks(100), answers(900, tool_calls=1)], "approval", 900),
        ([started(), asks(100), answers(900, tool_calls=1), calls(950)], "tool", 950),
        ([started(), asks(100), answers(900, tool_calls=1), calls(950), returns(1_000)], "nothing", 1_000),
        ([started(), asks(100), answers(900, tool_calls=2), calls(950), returns(1_000)], "approval", 1_000),
        ([started(), asks(100), answers(900, tool_calls=1), calls(950, "ask_question")], "user", 950),
        (
            [started(), asks(100), answers(900, tool_calls=2), calls(950, "ask_question"), calls(970, ordinal=1)],
            "tool",
            970,
        ),
    ],
)
def test_a_prompt_waits_for_what_is_open_of_it(lines: list[bytes], waits_for: str, since_ms: int) -> None:
    assert waiting(told(*lines), 10_000) == {waits_for: (1, (10_000 - since_ms) / 1e3)}


def test_the_longest_wait_of_a_kind_is_told_and_every_prompt_counts() -> None:
    others = [started(at_ms, f"run_Golden0{number}") for number, at_ms in enumerate((3_000, 1_000), 2)]
    assert waiting(told(started(), asks(500), *others), 4_000) == {"model": (1, 3.5), "nothing": (2, 3.0)}


def test_a_subagent_is_a_tool_that_its_prompt_waits_for() -> None:
    child = line(
        "run.started",
        1_000,
        "run_Golden09",
        CHILD,
        parent_agent_id=AGENT,
        parent_run_id=RUN,
        parent_iteration=1,
        parent_ordinal=0,
        agent_kind="subagent",
    )
    asked = line("model_call.started", 1_100, "run_Golden09", CHILD, iteration=1)
    pipeline = told(started(), asks(100), answers(900, tool_calls=1), calls(950, "spawn_agent"), child, asked)
    assert waiting(pipeline, 2_950) == {"tool": (1, 2.0)}


def test_a_prompt_that_is_over_waits_for_nothing_and_neither_does_one_whose_process_is_gone() -> None:
    over = told(started(), asks(100), line("run.finished", 200, status="completed"))
    gone = told(started(), asks(100), line("process.exited", 200, reason="disconnected"))
    assert waiting(over, 300) == waiting(gone, 300) == {}


def test_after_a_restart_the_same_is_waited_for() -> None:
    before = told(started(), asks(100), answers(900, tool_calls=1))
    rows = [(key, value) for key, value in before.flush().state.items() if value is not None]
    after = Pipeline(CATALOGUE, ORIGIN, ORIGIN, rows)
    assert waiting(after, 5_900) == waiting(before, 5_900) == {"approval": (1, 5.0)}


def test_the_log_says_not_whether_a_tool_is_still_to_come() -> None:
    def telemetry(event: str, **properties: Any) -> bytes:
        known = {"agentId": AGENT, "runId": RUN, "ulid": "1790000000000_ab12c"}
        record = {"time": "2026-09-21T14:13:20.000Z", "msg": "telemetry.event", "event": event}
        return json.dumps(record | {"properties": known | properties}).encode()

    pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN, claim_wait_ns=0)
    pipeline.take(log_lines([telemetry("agent.run-started"), telemetry("agent.usage-updated", iteration=1)]))
    pipeline.advance_clock(START_MS * 1_000_000)
    pipeline.advance_clock((START_MS + 3_000) * 1_000_000)
    assert waiting(pipeline, 4_000) == {"nothing": (1, 4.0)}


def test_every_wait_is_told_each_time_so_that_what_ends_falls_to_0() -> None:
    points = told().gauges(START_MS * 1_000_000)
    request = ExportMetricsServiceRequest.FromString(told().metrics_request(points, "cumulative"))
    metrics = {each.name: each for each in request.resource_metrics[0].scope_metrics[0].metrics}
    assert metrics.keys() == {"cline.run.open", "cline.run.longest_wait"}
    for metric in metrics.values():
        said = {point.attributes[0].value.string_value: point for point in metric.gauge.data_points}
        assert said.keys() == {"model", "tool", "approval", "user", "nothing"}
        assert {(point.as_int, point.as_double) for point in said.values()} == {(0, 0.0)}
        assert {(point.start_time_unix_nano, point.time_unix_nano) for point in said.values()} == {
            (0, START_MS * 1_000_000)
        }


def test_a_model_call_whose_end_is_lost_is_not_waited_for_once_the_agent_went_on() -> None:
    pipeline = told(started(), asks(1_000), calls(2_000))
    assert waiting(pipeline, 9_000) == {"tool": (1, 7.0)}
    assert waiting(told(started(), asks(1_000), calls(2_000), returns(3_000)), 9_000) == {"nothing": (1, 6.0)}


def test_a_run_under_way_is_listed_with_what_it_waits_for_until_it_is_over() -> None:
    pipeline = told(started(), asks(100), answers(900, tool_calls=1), calls(950))
    (run,) = open_runs(pipeline.state)
    assert (run.agent_id, run.run_id, run.session_id) == (AGENT, RUN, "1790000000000_ab12c")
    assert (run.waits_for, run.tool_name) == ("tool", "read_files")
    assert (run.since_ns, run.started_at_ns) == ((START_MS + 950) * 1_000_000, START_MS * 1_000_000)
    pipeline.take(spool_lines([line("run.finished", 1_200, status="completed")]))
    assert open_runs(pipeline.state) == []


def test_a_run_that_waits_for_its_owner_is_listed() -> None:
    pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN)
    record = {"time": START_MS, "event": "agent.run-started", "properties": {"agentId": AGENT, "runId": RUN}}
    pipeline.take(log_lines([json.dumps(record).encode()]))
    assert [(run.run_id, run.waits_for) for run in open_runs(pipeline.state)] == [(RUN, "owner")]


LIMIT_S = 60


def watching(rows: list[tuple[str, bytes]] | None = None) -> Pipeline:
    return Pipeline(CATALOGUE, ORIGIN, ORIGIN, rows or [], call_limit_ns=LIMIT_S * 10**9)


def overdue(pipeline: Pipeline) -> list[dict[str, Any]]:
    return [dict(log.attributes) for log in pipeline.flush().logs if log.event_name == "cline.call.overdue"]


def tick_at(pipeline: Pipeline, at_s: float) -> None:
    pipeline.advance_clock(START_MS * 1_000_000 + round(at_s * 1e9))


@pytest.mark.parametrize(
    ("lines", "waits_for"),
    [
        ([started(), asks(0)], "model"),
        ([started(), asks(0), answers(0, tool_calls=1), calls(0)], "tool"),
        ([started(), asks(0), answers(0, tool_calls=1), calls(0, "ask_question")], ""),
        ([started(), asks(0), answers(0, tool_calls=1)], ""),
        ([started(), asks(0), answers(30_000)], ""),
    ],
)
def test_a_call_that_passes_the_limit_is_said_once_within_seconds_and_who_waits_for_a_person_is_not(
    lines: list[bytes], waits_for: str
) -> None:
    pipeline = watching()
    pipeline.take(spool_lines(lines))
    for at_s in range(0, LIMIT_S, 5):
        tick_at(pipeline, at_s)
    assert overdue(pipeline) == []
    said = []
    for at_s in range(LIMIT_S, LIMIT_S + 10):
        tick_at(pipeline, at_s)
    said += overdue(pipeline)
    rows = [(key, value) for key, value in watching_rows(pipeline).items() if value is not None]
    after = watching(rows)
    for at_s in range(LIMIT_S + 10, 3 * LIMIT_S):
        tick_at(after, at_s)
    said += overdue(after)
    assert [each["cline.run.waits_for"] for each in said] == ([waits_for] if waits_for else [])
    assert all(LIMIT_S * 1e3 <= each["cline.duration_ms"] <= (LIMIT_S + 10) * 1e3 for each in said)


def watching_rows(pipeline: Pipeline) -> dict[str, bytes | None]:
    for run in pipeline.state.runs.values():
        pipeline.state.touch_run(run)
    return pipeline.flush().state


def test_the_end_of_an_overdue_call_makes_the_span_that_it_makes_anyway() -> None:
    lines = [started(), asks(0), answers(90_000), line("run.finished", 90_001, status="completed")]
    plain, late = told(*lines), watching()
    late.take(spool_lines(lines[:2]))
    tick_at(late, LIMIT_S + 1)
    late.take(spool_lines(lines[2:]))
    said = late.flush()
    assert [log.event_name for log in said.logs].count("cline.call.overdue") == 1
    assert said.spans == plain.flush().spans


def test_without_a_limit_nothing_is_said() -> None:
    pipeline = told(started(), asks(0))
    tick_at(pipeline, 20 * 3_600)
    assert overdue(pipeline) == []


def test_what_is_still_to_be_read_may_end_a_call_so_it_is_not_said_to_be_overdue() -> None:
    pipeline = watching()
    pipeline.take(spool_lines([started(), asks(0)]))
    pipeline.advance_clock((START_MS + 600_000) * 1_000_000, is_behind=True)
    assert overdue(pipeline) == []
