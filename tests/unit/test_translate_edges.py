"""The translator at its edges: clocks that run backwards, what is learnt late, what is beyond a limit."""

from __future__ import annotations

from itertools import product
from typing import Any, Final

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel import ids
from cline_otel.events import Event, tick
from cline_otel.signals import SpanRecord, StepOutput
from cline_otel.translate.observations import MOST_OBSERVATIONS
from cline_otel.translate.state import State
from cline_otel.translate.step import MEMORY_NS, Translator
from corpus import SECOND_NS, event_of, translate

START_NS: Final = 1_790_000_000 * SECOND_NS


def at(seconds: float) -> int:
    return START_NS + round(seconds * SECOND_NS)


def event(kind: str, seconds: float, source: str = "plugin", *, run: str = "a/r", **fields: Any) -> Event:
    """An event of a run ``AGENT/RUN``; two underscores in an attribute's name stand for a dot."""
    agent_id, _, run_id = run.partition("/")
    name, session_id = fields.pop("name", kind), fields.pop("session_id", "s")
    iteration, call_id, process = fields.pop("iteration", 1), fields.pop("call_id", ""), fields.pop("process", "p")
    attributes = {key.replace("__", "."): value for key, value in fields.items()}
    return event_of(
        kind, source, at(seconds), name, session_id, agent_id, run_id, iteration, call_id, process, attributes
    )


A_RUN_WITH_A_SUBAGENT: Final = (
    event("run.started", 0),
    event("run.started", 1, run="c/r", parent_agent_id="a", parent_run_id="r"),
)


def outputs_of(*steps: Event) -> StepOutput:
    """What comes of the steps alone, nothing closed by time."""
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    for step in (tick(START_NS), *steps):
        translator.step(step)
    return translator.take()


def named(outputs: StepOutput, operation: str) -> list[SpanRecord]:
    return [span for span in outputs.spans if span.name.startswith(operation)]


def values(outputs: StepOutput, metric: str) -> list[float]:
    return [delta.value for delta in outputs.metrics if delta.metric == metric]


# --- clocks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ended", [0, 1, 5])
def test_nothing_ends_before_it_begins_whatever_its_source_s_clock_does(ended: float) -> None:
    steps = [
        event("run.started", 3),
        event("model_call.started", 3),
        event("model_call.finished", ended),
        event("tool_call.started", 3, ordinal=0),
        event("tool_call.finished", ended, ordinal=0, gen_ai__tool__name="editor", cline__outcome="success"),
        event("run.finished", ended),
    ]
    spans = translate([tick(START_NS), *steps]).spans
    assert [(span.started_at_ns, span.ended_at_ns) for span in spans] == [(at(3), at(max(ended, 3)))] * 3


@pytest.mark.parametrize(("first_chunk", "seconds"), [(1, []), (0.5, []), (1.25, [0.25])])
def test_a_first_chunk_takes_time_only_if_it_comes_after_the_start(first_chunk: float, seconds: list[float]) -> None:
    steps = [
        event("run.started", 0),
        event("model_call.started", 1),
        event("model_call.finished", 2, first_chunk_at_ns=at(first_chunk)),
        event("run.finished", 3),
    ]
    outputs = outputs_of(*steps)
    assert values(outputs, "gen_ai.client.operation.time_to_first_chunk") == seconds
    (chat,) = named(outputs, "chat")
    assert dict(chat.attributes).get("gen_ai.response.time_to_first_chunk") == (seconds[0] if seconds else None)


def test_of_several_chunks_the_first_counts() -> None:
    chunks = [event("model_call.first_chunk", seconds, "cline-log") for seconds in (1.5, 1.75)]
    steps = [event("run.started", 0, "cline-log"), event("model_call.started", 1, "cline-log"), *chunks]
    ends = [event("model_call.ended", 2, "cline-log"), event("run.finished", 3, "cline-log")]
    outputs = translate([tick(START_NS), *steps, *ends])
    assert values(outputs, "gen_ai.client.operation.time_to_first_chunk") == [0.5]


# --- what is learnt late --------------------------------------------------------------------------------

CLAIM: Final = event(
    "session.claimed", 0, run="/", cline__client__name="cli", cline__version="3.0.1", user__hash="h", process="p"
)


@pytest.mark.parametrize("begins_with_session", [True, False])
def test_a_run_has_what_is_known_of_its_session_whenever_it_learns_which_it_is(begins_with_session: bool) -> None:
    session_id = "s" if begins_with_session else ""
    steps = [
        CLAIM,
        event("run.started", 1, session_id=session_id, cline__version="3.0.2"),
        event("model_call.started", 2),
        event("run.finished", 3, session_id=session_id),
    ]
    *_, run = outputs_of(*steps).spans
    attributes = dict(run.attributes)
    assert attributes["cline.client.name"] == "cli"
    assert attributes["cline.version"] == "3.0.2", "what the run says of itself stands"
    assert attributes["gen_ai.conversation.id"] == "s"


def test_a_later_run_of_an_agent_is_of_the_session_that_an_earlier_one_learnt() -> None:
    steps = [
        event("run.started", 1),
        event("run.finished", 2),
        event("run.started", 3, run="a/r2", session_id=""),
        event("run.finished", 4, run="a/r2", session_id=""),
    ]
    first, second = outputs_of(*steps).spans
    assert dict(second.attributes)["gen_ai.conversation.id"] == "s"
    assert [link.span_id for link in second.links] == [first.span_id]


def test_a_run_that_learns_its_session_with_its_end_is_of_it() -> None:
    (run,) = outputs_of(CLAIM, event("run.started", 1, session_id=""), event("run.finished", 3)).spans
    attributes = dict(run.attributes)
    assert (attributes["gen_ai.conversation.id"], attributes["cline.client.name"]) == ("s", "cli")


def test_the_end_of_a_subagent_is_a_sign_of_life_of_its_root() -> None:
    steps = [
        *A_RUN_WITH_A_SUBAGENT,
        event("run.finished", 7, run="c/r"),
        event("process.exited", 9, run="/"),
    ]
    assert [span.ended_at_ns for span in outputs_of(*steps).spans] == [at(7), at(7)]


def test_a_root_run_that_is_over_does_not_live_on_with_its_subagent() -> None:
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    for step in (
        tick(START_NS),
        *A_RUN_WITH_A_SUBAGENT,
        event("run.finished", 2),
        event("model_call.started", 5, run="c/r"),
    ):
        translator.step(step)
    assert {agent_id: run.last_at_ns for (agent_id, _), run in translator.state.runs.items()} == {
        "a": at(2),
        "c": at(5),
    }


@pytest.mark.parametrize("described", ["a", "c"])
def test_who_a_subagent_works_for_is_known_from_what_is_said_of_it_or_of_its_root(described: str) -> None:
    steps = [
        *A_RUN_WITH_A_SUBAGENT,
        event("agent.described", 2, "cline-log", run=f"{described}/", user__hash="h", cline__mode="act"),
        event("run.finished", 3, run="c/r"),
        event("run.finished", 4),
    ]
    child, root = outputs_of(*steps).spans
    assert dict(child.attributes)["user.hash"] == "h"
    assert dict(root.attributes).get("user.hash") == ("h" if described == "a" else None)


def test_what_names_its_session_alone_is_of_the_root_run_and_not_of_its_subagent() -> None:
    steps = [
        event("run.started", 0, "cline-log"),
        tick(at(0.5)),
        event("run.started", 1, "cline-log", run="c/r", parent_agent_id="a", parent_run_id="r"),
        event("log_event", 2, "cline-log", run="/", name="checkpoint.snapshot", cline__checkpoint__outcome="stash"),
    ]
    (checkpoint,) = [log for log in outputs_of(*steps).logs if log.event_name == "cline.checkpoint.taken"]
    assert dict(checkpoint.attributes)["cline.agent.id"] == "a"


@pytest.mark.parametrize("ordinal", [0, 1, 2])
def test_the_end_of_a_tool_call_without_an_id_is_of_the_call_with_its_iteration_and_ordinal(ordinal: int) -> None:
    calls = [event("tool_call.started", 1 + number, ordinal=number) for number in range(3)]
    other = event("tool_call.finished", 8, iteration=2, ordinal=ordinal)
    end = event("tool_call.finished", 9, ordinal=ordinal, gen_ai__tool__name="editor", cline__outcome="success")
    outputs = outputs_of(event("run.started", 0), *calls, other, end)
    assert [span.started_at_ns for span in outputs.spans] == [at(1 + ordinal)]
    assert outputs.diagnostics == {("late", "plugin", "tool_call.finished"): 1}


@pytest.mark.parametrize(("waited_ns", "runs"), [(0, ["a", "c"]), (1, [])])
def test_a_subagent_that_ends_with_its_root_is_remembered_for_thirty_days_from_there(
    waited_ns: int, runs: list[str]
) -> None:
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    for step in (
        tick(START_NS),
        *A_RUN_WITH_A_SUBAGENT,
        event("model_call.started", 7),
        event("process.exited", 9, run="/"),
        tick(at(7) + MEMORY_NS + waited_ns),
    ):
        translator.step(step)
    translator.forget()
    assert [agent_id for agent_id, _ in translator.state.runs] == runs


def test_a_session_counts_as_one_task_whose_runs_each_link_to_the_one_before() -> None:
    steps = [
        step
        for number in range(3)
        for step in (
            event("run.started", 2 * number, run=f"a/r{number}"),
            event("run.finished", 2 * number + 1, run=f"a/r{number}"),
        )
    ]
    outputs = outputs_of(*steps)
    assert values(outputs, "cline.task.started") == [1]
    links = [[link.span_id for link in span.links] for span in outputs.spans]
    assert links == [[], [ids.run_span_id("a", "r0")], [ids.run_span_id("a", "r1")]]


@pytest.mark.parametrize(
    ("agent_kind", "name"),
    [(None, "subagent"), ("subagent", "subagent"), ("teammate", "teammate"), ("something else", "cline")],
)
def test_an_agent_is_named_by_its_kind_and_counted_as_a_feature(agent_kind: str | None, name: str) -> None:
    parent = {"parent_agent_id": "a", "parent_run_id": "r"}
    steps = [
        event("run.started", 0),
        event("run.started", 1, run="c/r", **parent, **({} if agent_kind is None else {"agent_kind": agent_kind})),
        event("run.finished", 2, run="c/r"),
        event("run.finished", 3),
    ]
    outputs = outputs_of(*steps)
    shown = "cline" if name == "cline" else f"{name} 1"
    assert [dict(span.attributes)["gen_ai.agent.name"] for span in outputs.spans] == [shown, "cline"]
    assert [span.name for span in outputs.spans] == [f"invoke_agent {shown}", "invoke_agent cline"]
    used = [dict(delta.attributes) for delta in outputs.metrics if delta.metric == "cline.feature.used"]
    assert used == ([{"cline.feature.kind": name}] if name != "cline" else [])
    assert values(outputs, "cline.run.started") == values(outputs, "cline.run.completed") == [1]


@pytest.mark.parametrize("last", ["r1", "r2"])
def test_what_names_its_agent_alone_is_of_the_run_that_its_source_last_said_started(last: str) -> None:
    starts = [event("run.started", number, run=f"a/{name}", session_id="") for number, name in enumerate(("r1", "r2"))]
    steps = [
        *(starts if last == "r2" else reversed(starts)),
        event("tool_call.started", 5, run="a/", session_id="", call_id="c"),
        event("run.finished", 6, run="a/r1", session_id=""),
        event("run.finished", 6, run="a/r2", session_id=""),
    ]
    (tool,) = named(outputs_of(*steps), "execute_tool")
    assert dict(tool.attributes)["cline.run.id"] == last


def test_what_is_closed_by_hand_is_incomplete_and_ends_at_its_last_sign_of_life() -> None:
    """One that still waits for its owner is the first's that spoke of it."""
    translator = Translator(CATALOGUE)
    for step in (
        tick(START_NS),
        event("run.started", 0),
        event("model_call.started", 2),
        event("run.started", 1, "cline-log", run="b/r", session_id="t"),
        tick(at(1.5)),
    ):
        translator.step(step)
    translator.close_open_runs()
    spans = translator.take().spans
    ends = {(span.name, dict(span.attributes)["cline.agent.id"]): span.ended_at_ns for span in spans}
    assert ends == {("chat _OTHER", "a"): at(2), ("invoke_agent cline", "a"): at(2), ("invoke_agent cline", "b"): at(1)}
    assert all(dict(span.attributes)["cline.incomplete"] is True for span in spans)
    assert (translator.state.open_runs, translator.state.awaiting_owner) == (set(), set())


# --- numbers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcomes", "failed"),
    [(("success",), 0), (("error",), 1), (("rejected",), 1), (("unverified", "error", "rejected"), 2)],
)
def test_a_run_counts_its_failed_tool_calls_among_all(outcomes: tuple[str, ...], failed: int) -> None:
    calls = [
        step
        for number, outcome in enumerate(outcomes)
        for step in (
            event("tool_call.started", 1, call_id=f"c{number}"),
            event("tool_call.finished", 2, call_id=f"c{number}", gen_ai__tool__name="t", cline__outcome=outcome),
        )
    ]
    *_, run = outputs_of(event("run.started", 0), *calls, event("run.finished", 3)).spans
    attributes = dict(run.attributes)
    assert (attributes["cline.run.tool_calls"], attributes["cline.run.failed_tool_calls"]) == (len(outcomes), failed)


def test_a_run_s_tokens_and_cost_are_those_of_its_calls() -> None:
    usage: dict[str, Any] = {
        "gen_ai__usage__input_tokens": 7,
        "gen_ai__usage__output_tokens": 5,
        "cline__cost_usd": 0.25,
    }
    calls = [
        event("model_call.finished", number, iteration=number, started_at_ns=at(number - 0.5), **usage)
        for number in (1, 2, 3)
    ]
    outputs = outputs_of(event("run.started", 0), *calls, event("run.finished", 4))
    attributes = dict(outputs.spans[-1].attributes)
    names = ("cline.run.model_calls", "cline.run.input_tokens", "cline.run.output_tokens", "cline.cost_usd")
    assert [attributes[name] for name in names] == [3, 21, 15, 0.75]
    assert sorted(values(outputs, "gen_ai.client.token.usage")) == [5, 5, 5, 7, 7, 7]
    assert values(outputs, "cline.cost") == [0.25] * 3


def test_a_run_is_of_the_model_that_its_first_call_names_and_later_calls_of_the_run_s() -> None:
    steps = [
        event("run.started", 0),
        event("model_call.started", 1, gen_ai__request__model="gpt-5", gen_ai__provider__name="openai"),
        event("model_call.finished", 2),
        event("model_call.started", 3, iteration=2),
        event("model_call.finished", 4, iteration=2),
        event("model_call.started", 5, iteration=3, gen_ai__request__model="gpt-6"),
        event("model_call.finished", 6, iteration=3),
        event("run.finished", 7),
    ]
    spans = outputs_of(*steps).spans
    assert [dict(span.attributes)["gen_ai.request.model"] for span in spans] == ["gpt-5", "gpt-5", "gpt-6", "gpt-5"]
    assert {dict(span.attributes)["gen_ai.provider.name"] for span in spans} == {"openai"}


# --- errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({}, None),
        ({"error__type": "timeout"}, "timeout"),
        ({"gen_ai__response__finish_reasons": ("error",)}, "_OTHER"),
        ({"gen_ai__response__finish_reasons": ("stop",)}, None),
        ({"gen_ai__response__finish_reasons": ("error",), "error__type": "timeout"}, "timeout"),
    ],
)
def test_a_model_call_failed_if_it_has_an_error_or_ended_for_one(fields: dict[str, Any], error: str | None) -> None:
    steps = [event("run.started", 0), event("model_call.started", 1), event("model_call.finished", 2, **fields)]
    outputs = outputs_of(*steps, event("run.finished", 3, cline__outcome="failed"))
    chat, run = outputs.spans
    assert dict(chat.attributes).get("error.type") == error
    assert dict(run.attributes)["error.type"] == (error or "_OTHER"), "a failed run has the error of its last call"
    failures = [log for log in outputs.logs if log.event_name == "cline.model_call.failed"]
    assert [dict(log.attributes)["cline.duration_ms"] for log in failures] == ([1000.0] if error else [])


@pytest.mark.parametrize("outcome", ["completed", "failed", "aborted", "something else", None])
def test_a_run_s_outcome_is_one_of_three_and_only_a_failed_one_has_an_error(outcome: str | None) -> None:
    said = {} if outcome is None else {"cline__outcome": outcome}
    (run,) = outputs_of(event("run.started", 0), event("run.finished", 1, error__type="timeout", **said)).spans
    attributes = dict(run.attributes)
    assert attributes["cline.outcome"] == (outcome if outcome in ("failed", "aborted") else "completed")
    assert attributes.get("error.type") == ("timeout" if outcome == "failed" else None)


# --- late and lost --------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", ["plugin", "cline-log"])
def test_what_ends_a_call_that_nobody_began_is_counted_as_late(source: str) -> None:
    run = [event("run.started", 0, source), event("tool_call.finished", 1, source)]
    if source == "cline-log":
        run.append(event("model_call.ended", 1, source))
    outputs = translate([tick(START_NS), *run, event("run.finished", 2, source)])
    assert len(outputs.spans) == 1
    assert dict(outputs.diagnostics) == {("late", source, step.name): 1 for step in run[1:]}


@pytest.mark.parametrize("said", [{"ordinal": 0}, {"started_at_ns": at(1)}])
def test_the_end_of_a_tool_call_that_nobody_began_says_which_it_was_and_when_it_began_or_is_late(
    said: dict[str, Any],
) -> None:
    outputs = outputs_of(event("run.started", 0), event("tool_call.finished", 2, call_id="c", **said))
    assert (outputs.spans, outputs.diagnostics) == ([], {("late", "plugin", "tool_call.finished"): 1})


def test_a_session_that_could_not_be_read_is_forgotten_thirty_days_after_it_was_missed() -> None:
    translator = Translator(CATALOGUE, State.restore([("session/s", b"\xc1")]))
    for now_ns, sessions in ((START_NS, 1), (START_NS + MEMORY_NS, 1), (START_NS + MEMORY_NS + 1, 0)):
        translator.step(tick(now_ns))
        translator.forget()
        assert len(translator.state.sessions) == sessions


def test_without_a_session_no_mode_is_a_switch() -> None:
    modes = [
        event("log_event", number, "cline-log", run="/", session_id="", name="task.mode", cline__mode=mode)
        for number, mode in enumerate(("plan", "act", "plan"))
    ]
    assert outputs_of(*modes).logs == []


@pytest.mark.parametrize(("count", "missing"), [(None, 1), (1, 1), (7, 7)])
def test_records_that_a_source_dropped_are_counted_as_missing(count: int | None, missing: int) -> None:
    fields: dict[str, Any] = {} if count is None else {"count": count}
    assert outputs_of(event("records.dropped", 0, run="/", **fields)).diagnostics == {
        ("missing", "plugin", "records.dropped"): missing
    }


@pytest.mark.parametrize(("process", "source"), list(product(["p", "q"], ["plugin", "cline-log"])))
def test_a_process_ends_the_runs_of_its_own_alone(process: str, source: str) -> None:
    gone = event("process.exited", 2, source, run="/", process=process)
    spans = outputs_of(event("run.started", 0), event("model_call.started", 1), gone).spans
    assert len(spans) == (2 if (process, source) == ("p", "plugin") else 0)


# --- matching -------------------------------------------------------------------------------------------


def checkpoint(source: str, occurred_at_ns: int, **identity: str) -> Event:
    attributes = {"cline.checkpoint.outcome": "stash", **identity}
    return event_of("log_event", source, occurred_at_ns, "checkpoint.snapshot", "s", attributes=attributes)


@pytest.mark.parametrize(("waited_ns", "reports"), [(600 * SECOND_NS, 1), (600 * SECOND_NS + 1, 2)])
def test_an_observation_waits_ten_minutes_for_another_source_s(waited_ns: int, reports: int) -> None:
    outputs = outputs_of(checkpoint("cline-log", START_NS), tick(START_NS + waited_ns), checkpoint("otlp", START_NS))
    assert len(outputs.logs) == reports


def test_an_observation_is_remembered_for_ten_minutes_from_its_last_report() -> None:
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    again_ns = START_NS + 300 * SECOND_NS
    kept = []
    for step in (
        *(tick(START_NS), checkpoint("cline-log", START_NS)),
        *(tick(again_ns), checkpoint("otlp", START_NS)),
        *(tick(again_ns + 600 * SECOND_NS), tick(again_ns + 660 * SECOND_NS)),
    ):
        translator.step(step)
        kept.append(len(translator.state.observations))
    assert kept == [0, 1, 1, 1, 1, 0]


@pytest.mark.parametrize(("outcome", "ended"), [("completed", 5), (None, 3)])
def test_a_tool_call_that_nobody_ends_ends_with_its_run(outcome: str | None, ended: int) -> None:
    steps = [
        event("run.started", 0),
        event("tool_call.started", 1, ordinal=0),
        event("model_call.started", 3, iteration=2),
    ]
    steps.append(event("run.finished", 5) if outcome else event("process.exited", 9, run="/"))
    (tool,) = named(outputs_of(*steps), "execute_tool")
    assert (tool.started_at_ns, tool.ended_at_ns) == (at(1), at(ended))
    assert dict(tool.attributes)["cline.incomplete"] is True


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_model_call_that_nobody_ends_ends_when_its_agent_goes_on_or_with_its_run(goes_on: bool) -> None:
    steps = [event("run.started", 0), event("model_call.started", 1)]
    steps += [event("tool_call.started", 3, ordinal=0), event("tool_call.started", 4, ordinal=1)] * goes_on
    (chat,) = named(outputs_of(*steps, event("run.finished", 5)), "chat")
    assert (chat.started_at_ns, chat.ended_at_ns) == (at(1), at(3 if goes_on else 5))
    assert dict(chat.attributes)["cline.incomplete"] is True


def test_observations_that_still_wait_are_not_stored_again_by_each_look_for_old_ones() -> None:
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    for step in (tick(START_NS), checkpoint("cline-log", START_NS)):
        translator.step(step)
    is_stored = []
    for waited_ns in (0, 600 * SECOND_NS, 700 * SECOND_NS):
        translator.step(tick(START_NS + waited_ns))
        is_stored.append([value for key, value in translator.state.changes().items() if key.startswith("log_event/")])
    assert [bool(written) for written in is_stored] == [True, False, True]
    assert is_stored[-1] == [None], "what is too old is gone from the store too"


@pytest.mark.parametrize("others", [MOST_OBSERVATIONS - 1, MOST_OBSERVATIONS])
def test_beyond_so_many_observations_the_oldest_is_no_longer_matched(others: int) -> None:
    first, *rest = [checkpoint("cline-log", START_NS + 10 * number * SECOND_NS) for number in range(others + 1)]
    outputs = outputs_of(first, *rest, checkpoint("otlp", START_NS))
    assert len(outputs.logs) == others + 1 + (others == MOST_OBSERVATIONS == 256)


@pytest.mark.parametrize("reported", [(1.8, -0.2), (-0.2, 1.8)])
def test_a_report_is_matched_to_the_nearest_observation(reported: tuple[float, ...]) -> None:
    """Else the later of two would take the earlier one's, and that would be passed on again."""
    log = [checkpoint("cline-log", at(seconds)) for seconds in (0, 1.9)]
    otlp = [checkpoint("otlp", at(seconds)) for seconds in reported]
    assert len(outputs_of(*log, *otlp).logs) == len(outputs_of(*otlp, *log).logs) == 2


def test_of_two_observations_equally_near_the_earlier_is_matched() -> None:
    log = [checkpoint("cline-log", at(seconds)) for seconds in (0, 2)]
    otlp = [checkpoint("otlp", at(seconds)) for seconds in (1, 3)]
    assert len(outputs_of(*log, *otlp).logs) == 2
