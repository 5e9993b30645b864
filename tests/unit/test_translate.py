"""The pure step function: how runs, model calls and tool calls live and end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bench.fixed_key import CATALOGUE, recording_of

from cline_otel import ids
from cline_otel.events import Event, tick
from cline_otel.replay import replay
from cline_otel.signals import SpanRecord, StatusCode, StepOutput
from cline_otel.translate.log_events import MAX_SPAN_EVENTS
from cline_otel.translate.ownership import CLAIM_WAIT_NS
from cline_otel.translate.silence import SILENCE_NS
from cline_otel.translate.step import MEMORY_NS, Translator
from corpus import HOUR_NS, SECOND_NS, capture_paths, closing_ticks, event_of, translate

START_NS = 1_790_000_000 * SECOND_NS


def at(seconds: float) -> int:
    return START_NS + round(seconds * SECOND_NS)


def told(kind: str, seconds: float, source: str = "plugin", run: str = "a/r", **fields: Any) -> Event:
    """An event of a run ``AGENT/RUN``; ``name`` is needed for facts only."""
    agent_id, _, run_id = run.partition("/")
    known = {
        "session_id": "s",
        "iteration": 0,
        "call_id": "",
        "process": "p" if source == "plugin" else "",
        "name": kind,
    }
    event = {**known, **{key: fields.pop(key) for key in list(fields) if key in known}}
    attributes = {key.replace("__", "."): value for key, value in fields.items()}
    return event_of(
        kind, source, at(seconds), event["name"], event["session_id"], agent_id, run_id, event["iteration"],
        event["call_id"], event["process"], attributes,
    )  # fmt: skip


def spawned(seconds: float, run: str, parent: str, iteration: int, ordinal: int, kind: str = "subagent") -> Event:
    agent_id, _, run_id = parent.partition("/")
    where = {"parent_agent_id": agent_id, "parent_run_id": run_id, "agent_kind": kind}
    call = {"parent_iteration": iteration, "parent_ordinal": ordinal}
    return told("run.started", seconds, run=run, **where, **call)


def tool(seconds: float, iteration: int, ordinal: int, name: str = "spawn_agent", run: str = "a/r") -> list[Event]:
    call_id = f"call_{iteration}_{ordinal}"
    key = {"iteration": iteration, "call_id": call_id, "ordinal": ordinal, "gen_ai__tool__name": name, "run": run}
    end = {"started_at_ns": at(seconds), "ended_at_ns": at(seconds + 5), "cline__outcome": "success"}
    return [told("tool_call.started", seconds, **key), told("tool_call.finished", seconds + 5, **key, **end)]


def exited(seconds: float, process: str, **attributes: str) -> Event:
    """A plugin's process is gone."""
    told_so = dict(attributes)
    return event_of("process.exited", "plugin", at(seconds), "process.exited", process=process, attributes=told_so)  # type: ignore[arg-type]


def by_name(outputs: StepOutput, name: str) -> list[SpanRecord]:
    return [span for span in outputs.spans if span.name.startswith(name)]


def attribute(span: SpanRecord, name: str) -> object:
    return dict(span.attributes).get(name)


# --- the tree -------------------------------------------------------------------------------------------


def test_parallel_subagents_lie_under_the_calls_that_made_them() -> None:
    (start_0, end_0), (start_1, end_1) = tool(1, 1, 0), tool(1.1, 1, 1)
    steps = [
        told("run.started", 0), start_0, start_1,
        spawned(1.2, "c1/r1", "a/r", 1, 1), spawned(1.3, "c0/r0", "a/r", 1, 0),
        told("run.finished", 5, run="c0/r0"), told("run.finished", 5.5, run="c1/r1"),
        end_0, end_1, told("run.finished", 9),
    ]  # fmt: skip
    outputs = translate([tick(START_NS), *steps])
    parents = {
        attribute(span, "cline.agent.id"): span.parent_span_id for span in by_name(outputs, "invoke_agent subagent")
    }
    assert parents == {"c0": ids.tool_call_span_id("a", "r", 1, 0), "c1": ids.tool_call_span_id("a", "r", 1, 1)}
    assert {span.trace_id for span in outputs.spans} == {ids.trace_id("a", "r")}


def test_a_subagent_of_a_subagent_is_of_the_same_trace() -> None:
    (start, end), (inner_start, inner_end) = tool(1, 1, 0), tool(1.5, 2, 0, run="c/rc")
    steps = [
        told("run.started", 0), start, spawned(1.2, "c/rc", "a/r", 1, 0),
        inner_start, spawned(1.6, "d/rd", "c/rc", 2, 0), told("run.finished", 3, run="d/rd"), inner_end,
        told("run.finished", 7, run="c/rc"), end, told("run.finished", 9),
    ]  # fmt: skip
    outputs = translate([tick(START_NS), *steps])
    innermost = next(
        span for span in outputs.spans if attribute(span, "cline.agent.id") == "d" and "invoke" in span.name
    )
    assert innermost.parent_span_id == ids.tool_call_span_id("c", "rc", 2, 0)
    assert innermost.trace_id == ids.trace_id("a", "r")


@pytest.mark.parametrize("said", [{}, {"parent_iteration": 1}, {"parent_ordinal": 0}])
def test_an_agent_whose_call_is_not_known_lies_under_its_parent_s_run(said: dict[str, int]) -> None:
    parent = {"parent_agent_id": "a", "parent_run_id": "r", "agent_kind": "subagent"}
    unknown = told("run.started", 1, run="c/rc", **parent, **said)
    outputs = translate([tick(START_NS), told("run.started", 0), unknown, told("run.finished", 9)])
    (child,) = by_name(outputs, "invoke_agent subagent")
    assert child.parent_span_id == ids.run_span_id("a", "r")


@pytest.mark.parametrize(("parent_run_id", "parent"), [("r", "r"), ("_OTHER", "r2"), (None, "r2")])
def test_an_agent_lies_in_the_run_that_it_names_or_else_in_its_parent_s_last(
    parent_run_id: str | None, parent: str
) -> None:
    named = {} if parent_run_id is None else {"parent_run_id": parent_run_id}
    child = told("run.started", 3, run="c/rc", parent_agent_id="a", agent_kind="subagent", **named)
    prompts = [told("run.started", 0), told("run.finished", 1), told("run.started", 2, run="a/r2")]
    outputs = translate([tick(START_NS), *prompts, child, told("run.finished", 4, run="c/rc")])
    (span,) = by_name(outputs, "invoke_agent subagent")
    assert (span.trace_id, span.parent_span_id) == (ids.trace_id("a", parent), ids.run_span_id("a", parent))


def test_an_agent_whose_parent_was_never_seen_is_a_root() -> None:
    outputs = translate([tick(START_NS), spawned(1, "c/rc", "a/r", 1, 0), told("run.finished", 2, run="c/rc")])
    assert [span.parent_span_id for span in outputs.spans] == [b""]


def test_a_session_s_next_run_links_to_the_one_before() -> None:
    steps = [
        told("run.started", 0),
        told("run.finished", 1),
        told("run.started", 5, run="a/r2"),
        told("run.finished", 6, run="a/r2"),
    ]
    first, second = translate([tick(START_NS), *steps]).spans
    assert first.links == ()
    assert [(link.trace_id, link.span_id) for link in second.links] == [(first.trace_id, first.span_id)]


def test_runs_of_another_session_are_not_linked() -> None:
    other = {"session_id": "t", "run": "b/r"}
    steps = [
        told("run.started", 0),
        told("run.finished", 1),
        told("run.started", 5, **other),
        told("run.finished", 6, **other),
    ]
    assert [span.links for span in translate([tick(START_NS), *steps]).spans] == [(), ()]


# --- ends -----------------------------------------------------------------------------------------------


def log(kind: str, seconds: float, **fields: Any) -> Event:
    return told(kind, seconds, "cline-log", **fields)


def test_a_failed_run_takes_its_open_model_call_with_it() -> None:
    steps = [
        log("run.started", 0),
        log("model_call.started", 1, iteration=1),
        log("run.finished", 3, cline__outcome="failed"),
    ]
    chat, run = translate([tick(START_NS), *steps]).spans
    assert (chat.status, run.status) == (StatusCode.ERROR, StatusCode.ERROR)
    assert chat.ended_at_ns == run.ended_at_ns == at(3)
    assert attribute(chat, "cline.incomplete") is None


def test_an_aborted_run_cuts_its_open_calls_short() -> None:
    steps = [
        log("run.started", 0),
        log("model_call.started", 1, iteration=1),
        log("run.finished", 3, cline__outcome="aborted"),
    ]
    outputs = translate([tick(START_NS), *steps])
    chat, run = outputs.spans
    assert attribute(chat, "cline.incomplete") is True
    assert (chat.status, chat.status_message, chat.ended_at_ns) == (StatusCode.ERROR, "aborted", at(3))
    assert run.status == StatusCode.UNSET
    assert durations(outputs) == [(2.0, "aborted")]
    assert [record.event_name for record in outputs.logs] == [
        "cline.run.started",
        "cline.model_call.failed",
        "cline.run.finished",
    ]


def durations(outputs: StepOutput) -> list[tuple[float, object]]:
    """Of the model calls, with their class of errors."""
    measured = [delta for delta in outputs.metrics if delta.metric == "gen_ai.client.operation.duration"]
    return [(delta.value, dict(delta.attributes).get("error.type")) for delta in measured]


def test_a_model_call_whose_end_is_lost_was_over_when_the_agent_went_on() -> None:
    steps = [
        told("run.started", 0),
        told("model_call.started", 1, iteration=1),
        told("tool_call.started", 4, iteration=1, ordinal=0, gen_ai__tool__name="editor"),
        told("tool_call.finished", 5, iteration=1, ordinal=0, cline__outcome="success"),
        told("run.finished", 900, cline__outcome="failed", error__type="auth"),
    ]
    outputs = translate([tick(START_NS), *steps])
    (chat,) = by_name(outputs, "chat")
    assert (chat.status, chat.ended_at_ns) == (StatusCode.UNSET, at(4))
    assert attribute(chat, "cline.incomplete") is True
    assert durations(outputs) == [(3.0, "_OTHER")]


@pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)
def test_in_every_recording_each_chat_span_has_one_duration_in_the_metric(path: Path) -> None:
    result = replay(recording_of([path]), CATALOGUE)
    spans = [span for span in result.spans if span.name.startswith("chat ")]
    totals = [total for total in result.totals if total.metric == "gen_ai.client.operation.duration"]
    assert sum(total.count for total in totals) == len(spans)
    took = sum(span.ended_at_ns - span.started_at_ns for span in spans) / 1e9
    assert sum(total.sum for total in totals) == pytest.approx(took)


def test_a_run_that_falls_silent_ends_at_its_last_sign_of_life_a_day_later() -> None:
    steps = [tick(START_NS), told("run.started", 0), told("model_call.started", 7, iteration=1)]
    assert translate_open([*steps, tick(at(7) + SILENCE_NS)]).spans == []
    chat, run = translate_open([*steps, tick(at(7) + SILENCE_NS + 1)]).spans
    assert chat.ended_at_ns == run.ended_at_ns == at(7)
    assert attribute(run, "cline.outcome") == "incomplete"


def translate_open(steps: list[Event]) -> StepOutput:
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    for step in steps:
        translator.step(step)
    return translator.take()


def test_a_bridge_that_is_days_late_closes_nothing_early() -> None:
    now_ns = at(0) + 40 * 24 * HOUR_NS
    steps = [tick(now_ns), told("run.started", 0), tick(now_ns + SECOND_NS), told("run.finished", 5)]
    (run,) = translate_open(steps).spans
    assert attribute(run, "cline.incomplete") is None


def test_a_bridge_that_has_not_told_the_time_yet_closes_nothing_early() -> None:
    steps = [told("run.started", 0), tick(at(0) + 40 * 24 * HOUR_NS), told("run.finished", 5)]
    (run,) = translate_open(steps).spans
    assert attribute(run, "cline.incomplete") is None


def test_a_subagent_s_sign_of_life_is_its_root_s() -> None:
    assert SILENCE_NS == 24 * HOUR_NS
    day = SILENCE_NS / SECOND_NS
    steps = [
        tick(START_NS), told("run.started", 0), spawned(1, "c/rc", "a/r", 1, 0),
        told("model_call.started", day - 10, run="c/rc", iteration=1), tick(at(day + 10)),
    ]  # fmt: skip
    assert translate_open(steps).spans == []


def test_a_subagent_is_not_silent_while_its_root_lives() -> None:
    day = SILENCE_NS / SECOND_NS
    steps = [
        tick(START_NS), told("run.started", 0), spawned(1, "c/rc", "a/r", 1, 0),
        told("model_call.started", day - 10, iteration=1), tick(at(day + 10)),
    ]  # fmt: skip
    assert translate_open(steps).spans == []


def test_a_process_that_is_gone_ends_its_own_runs_only() -> None:
    other = told("run.started", 0, run="b/r", session_id="t", process="q")
    gone = event_of("process.exited", "plugin", at(9), "process.exited", process="p")
    outputs = translate_open([tick(START_NS), told("run.started", 0), other, gone])
    assert [attribute(span, "cline.agent.id") for span in outputs.spans] == ["a"]


def test_what_comes_after_the_end_is_counted_as_late() -> None:
    steps = [told("run.started", 0), told("run.finished", 1), told("model_call.started", 2, iteration=2)]
    outputs = translate([tick(START_NS), *steps])
    assert len(outputs.spans) == 1
    assert outputs.diagnostics["late", "plugin", "model_call.started"] == 1


def test_a_call_whose_start_was_lost_begins_when_the_plugin_says() -> None:
    finished = told("model_call.finished", 5, iteration=3, started_at_ns=at(2))
    chat, _ = translate([tick(START_NS), told("run.started", 0), finished, told("run.finished", 6)]).spans
    assert (chat.started_at_ns, chat.ended_at_ns) == (at(2), at(5))


@pytest.mark.parametrize("source", ["plugin", "cline-log"])
def test_a_model_that_is_asked_again_within_an_iteration_is_two_calls(source: str) -> None:
    steps = [told("run.started", 0, source), told("model_call.started", 1, source, iteration=1)]
    if source == "plugin":
        steps.append(told("model_call.finished", 2, iteration=1, error__type="context_window_exceeded"))
        steps.append(told("model_call.started", 3, iteration=1, attempt=2))
        steps.append(told("model_call.finished", 4, iteration=1, attempt=2))
    else:
        steps.append(told("model_call.started", 3, source, iteration=1))
        steps.append(told("model_call.ended", 4, source, iteration=1))
    outputs = translate([tick(START_NS), *steps, told("run.finished", 5, source)])
    first, second = by_name(outputs, "chat")
    assert first.span_id == ids.model_call_span_id("a", "r", 1)
    assert second.span_id == ids.model_call_span_id("a", "r", 1, 2)
    assert first.ended_at_ns <= second.started_at_ns == at(3)
    assert attribute(outputs.spans[-1], "cline.run.model_calls") == 2


def test_a_run_that_goes_on_in_another_process_ends_with_that_one() -> None:
    steps = [
        tick(START_NS), told("run.started", 0),
        exited(1, "p", exit_reason="terminated"),
        told("model_call.started", 2, iteration=1, process="q"),
    ]  # fmt: skip
    assert translate_open(steps).spans == []
    assert len(translate_open([*steps, exited(3, "q")]).spans) == 2


def test_a_tool_s_times_are_cline_s_own() -> None:
    start = told("tool_call.started", 1.004, iteration=1, ordinal=0, call_id="c", gen_ai__tool__name="editor")
    times = {"started_at_ns": at(1), "ended_at_ns": at(2), "cline__outcome": "success"}
    end = told("tool_call.finished", 2.5, iteration=1, ordinal=0, call_id="c", **times)
    span, _ = translate([tick(START_NS), told("run.started", 0), start, end, told("run.finished", 6)]).spans
    assert (span.started_at_ns, span.ended_at_ns) == (at(1), at(2))


def test_tools_of_one_iteration_are_numbered_in_the_order_of_their_start() -> None:
    steps = [log("run.started", 0)]
    for number in range(3):
        steps += [
            log("tool_call.started", 1 + number, iteration=1),
            log("tool_call.finished", 1.5 + number, iteration=1),
        ]
        steps += [log("tool_call.named", 1.6 + number, gen_ai__tool__name="editor")]
    outputs = translate([tick(START_NS), *steps, log("run.finished", 9)])
    expected = [ids.tool_call_span_id("a", "r", 1, number) for number in range(3)]
    assert [span.span_id for span in by_name(outputs, "execute_tool")] == expected


def test_a_span_has_no_more_events_than_opentelemetry_allows() -> None:
    log_event = {"name": "checkpoint.snapshot", "cline__checkpoint__outcome": "stash"}
    log_events = [log("log_event", 5 * number, **log_event) for number in range(200)]
    outputs = translate([tick(START_NS), log("run.started", 0), *log_events, log("run.finished", 1_000)])
    assert len(outputs.spans[0].events) == MAX_SPAN_EVENTS == 128
    assert sum(delta.value for delta in outputs.metrics if delta.metric == "cline.checkpoints") == 200


def test_a_fact_after_the_run_is_a_log_record_of_its_trace() -> None:
    log_event = log("log_event", 5, name="checkpoint.snapshot", cline__checkpoint__outcome="stash")
    outputs = translate([tick(START_NS), log("run.started", 0), log("run.finished", 2), tick(at(3)), log_event])
    (checkpoint,) = [item for item in outputs.logs if item.event_name == "cline.checkpoint.taken"]
    assert checkpoint.trace_id == ids.trace_id("a", "r")
    assert outputs.spans[0].events == ()


# --- numbers --------------------------------------------------------------------------------------------


def test_the_log_s_disjoint_token_counts_are_one_input() -> None:
    usage = log("model_call.usage", 3, uncached_input_tokens=2000, gen_ai__usage__cache_read__input_tokens=4000,
                gen_ai__usage__cache_creation__input_tokens=3000)  # fmt: skip
    steps = [
        log("run.started", 0),
        log("model_call.started", 1, iteration=1),
        log("model_call.ended", 2, iteration=1),
        usage,
    ]
    chat, run = translate([tick(START_NS), *steps, log("run.finished", 4)]).spans
    assert attribute(chat, "gen_ai.usage.input_tokens") == 9000
    assert attribute(run, "cline.run.input_tokens") == 9000


def test_the_plugin_s_token_count_is_inclusive_already() -> None:
    usage = {"gen_ai__usage__input_tokens": 9000, "gen_ai__usage__cache_read__input_tokens": 4000}
    finished = told("model_call.finished", 3, iteration=1, started_at_ns=at(1), **usage)
    chat, _ = translate([tick(START_NS), told("run.started", 0), finished, told("run.finished", 4)]).spans
    assert attribute(chat, "gen_ai.usage.input_tokens") == 9000


def test_a_cost_of_nothing_is_an_amount_too() -> None:
    finished = told("model_call.finished", 3, iteration=1, started_at_ns=at(1), cline__cost_usd=0.0)
    outputs = translate([tick(START_NS), told("run.started", 0), finished, told("run.finished", 4)])
    assert [delta.value for delta in outputs.metrics if delta.metric == "cline.cost"] == [0.0]
    assert attribute(outputs.spans[0], "cline.cost_usd") == 0.0
    assert attribute(outputs.spans[-1], "cline.cost_usd") == 0.0


def test_a_metric_s_value_is_its_span_s_duration() -> None:
    steps = [
        told("run.started", 0),
        told("model_call.finished", 3, iteration=1, started_at_ns=at(1)),
        told("run.finished", 4),
    ]
    outputs = translate([tick(START_NS), *steps])
    seconds = {delta.metric: delta.value for delta in outputs.metrics}
    assert seconds["gen_ai.client.operation.duration"] == 2.0
    assert seconds["gen_ai.invoke_agent.duration"] == seconds["cline.run.duration"] == 4.0


def test_an_agent_is_of_the_session_of_its_root_whatever_it_says_itself() -> None:
    child = told("run.started", 1, run="c/rc", session_id="", parent_agent_id="a", parent_run_id="r")
    end = told("run.finished", 2, run="c/rc", session_id="")
    outputs = translate([tick(START_NS), told("run.started", 0), child, end, told("run.finished", 3)])
    assert {attribute(span, "gen_ai.conversation.id") for span in outputs.spans} == {"s"}


def test_what_waited_for_an_owner_goes_to_the_run_that_it_is_of() -> None:
    child = log("run.started", 1, run="c/rc", parent_agent_id="a", parent_run_id="r")
    ends = [log("run.finished", 2, run="c/rc"), log("run.finished", 3)]
    spans = translate([tick(START_NS), log("run.started", 0), child, *ends, tick(at(9))], CLAIM_WAIT_NS).spans
    assert {span.span_id for span in spans} == {ids.run_span_id("a", "r"), ids.run_span_id("c", "rc")}


def test_the_mode_of_a_subagent_is_no_switch_of_its_session() -> None:
    child = told("run.started", 1, run="c/rc", parent_agent_id="a", parent_run_id="r", cline__mode="plan")
    ends = [told("run.finished", 2, run="c/rc"), told("run.finished", 3)]
    outputs = translate([tick(START_NS), told("run.started", 0, cline__mode="act"), child, *ends])
    assert [log.event_name for log in outputs.logs if log.event_name == "cline.mode.switched"] == []


# --- waiting --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("waited_ns", "owner"), [(1_999_999_999, "plugin"), (2_000_000_000, "cline-log")])
def test_a_weaker_source_waits_two_seconds_for_the_plugin(waited_ns: int, owner: str) -> None:
    steps = [tick(START_NS), log("run.started", 0), tick(START_NS + waited_ns), told("run.started", 0)]
    spans = translate([*steps, told("run.finished", 1), log("run.finished", 1)], CLAIM_WAIT_NS).spans
    assert [attribute(span, "cline.telemetry.source") for span in spans] == [owner]


def test_the_two_equals_are_told_apart_by_who_speaks_first() -> None:
    other = told("run.started", 0, "otlp")
    spans = translate([tick(START_NS), other, log("run.started", 0), log("run.finished", 1)], CLAIM_WAIT_NS).spans
    assert [attribute(span, "cline.telemetry.source") for span in spans] == ["otlp"]


def test_the_end_is_told_though_nothing_else_is() -> None:
    (span,) = translate([tick(START_NS), told("run.finished", 4)]).spans
    assert span.started_at_ns == span.ended_at_ns == at(4)


def test_memory_is_dropped_a_month_after_the_last_sign_of_life() -> None:
    translator = Translator(CATALOGUE)
    for step in [tick(START_NS), told("run.started", 0), told("run.finished", 1), tick(at(2) + MEMORY_NS - HOUR_NS)]:
        translator.step(step)
    translator.forget()
    assert translator.state.runs
    translator.step(tick(at(2) + MEMORY_NS + HOUR_NS))
    translator.forget()
    assert not translator.state.runs


def test_a_session_that_was_heard_of_before_there_was_a_clock_is_remembered_as_long() -> None:
    translator = Translator(CATALOGUE)
    for step in [told("run.started", 0), told("run.finished", 1), tick(at(2))]:
        translator.step(step)
    translator.forget()
    assert translator.state.sessions
    assert translator.state.agents
    translator.step(tick(at(2) + MEMORY_NS + 1))
    translator.forget()
    assert not translator.state.sessions
    assert not translator.state.agents


def test_an_empty_stream_says_nothing() -> None:
    outputs = translate(closing_ticks([]))
    assert (outputs.spans, outputs.logs, outputs.metrics, outputs.diagnostics) == ([], [], [], {})
