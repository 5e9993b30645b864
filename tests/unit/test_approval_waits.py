"""How long the user was asked whether a tool may run is a span of its own, with what was decided."""

from __future__ import annotations

from typing import Any

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel import ids
from cline_otel.events import Event, tick
from cline_otel.signals import MetricDelta, SpanRecord
from cline_otel.translate.spans import SHORTEST_APPROVAL_NS
from cline_otel.translate.state import State
from cline_otel.translate.step import Translator
from corpus import SECOND_NS, event_of

START_NS = 1_790_000_000 * SECOND_NS
RUN_SPAN = ids.run_span_id("a", "r")
SHORTEST = SHORTEST_APPROVAL_NS / SECOND_NS
SAID = {"cline.outcome": "success", "gen_ai.tool.name": "run_commands"}
DENIED = {"cline.outcome": "rejected", "error.type": "denied", "gen_ai.tool.name": "run_commands"}


def told(kind: str, seconds: float, call_id: str = "", iteration: int = 1, process: str = "p1", **values: Any) -> Event:
    attributes = {name.replace("__", "."): value for name, value in values.items()}
    key = ("s", "a", "r") if kind != "process.exited" else ("", "", "")
    at_ns = START_NS + round(seconds * SECOND_NS)
    return event_of(kind, "plugin", at_ns, kind, *key, iteration, call_id, process, attributes)


def requested(seconds: float, call_id: str = "c0", **values: Any) -> Event:
    return told("tool_call.requested", seconds, call_id, gen_ai__tool__name="run_commands", **values)


def started(seconds: float, call_id: str = "c0", ordinal: int = 0, **values: Any) -> Event:
    return told("tool_call.started", seconds, call_id, ordinal=ordinal, **values)


def finished(seconds: float, call_id: str = "c0", ordinal: int = 0, **values: Any) -> Event:
    outcome = {name.replace(".", "__"): value for name, value in (values or SAID).items()}
    return told("tool_call.finished", seconds, call_id, ordinal=ordinal, **outcome)


BEGINNING = (
    told("run.started", 0),
    told("model_call.started", 1),
    told("model_call.finished", 2),
)
ANSWERED = told("run.finished", 3_000, cline__outcome="completed")


def signals(*events: Event) -> tuple[list[SpanRecord], list[MetricDelta]]:
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    for event in (tick(START_NS), *BEGINNING, *events):
        translator.step(event)
    output = translator.take()
    return output.spans, output.metrics


def approvals(*events: Event) -> list[tuple[float, float, object]]:
    """From and to, in seconds, and what was decided."""
    return [
        (
            (span.started_at_ns - START_NS) / SECOND_NS,
            (span.ended_at_ns - START_NS) / SECOND_NS,
            dict(span.attributes).get("cline.approval.decision"),
        )
        for span in signals(*events)[0]
        if span.name == "cline.approval"
    ]


def decisions(*events: Event) -> list[object]:
    metrics = signals(*events)[1]
    return [dict(delta.attributes)["cline.approval.decision"] for delta in metrics if delta.metric == "cline.approvals"]


def durations(*events: Event) -> list[float]:
    return [delta.value for delta in signals(*events)[1] if delta.metric == "cline.approval.duration"]


def test_it_is_beside_the_tool_s_span_which_begins_when_it_ends() -> None:
    spans, _ = signals(requested(3), started(7), finished(8), ANSWERED)
    approval = next(span for span in spans if span.name == "cline.approval")
    tool = next(span for span in spans if span.name == "execute_tool run_commands")
    assert (approval.parent_span_id, tool.parent_span_id) == (RUN_SPAN, RUN_SPAN)
    assert approval.ended_at_ns == tool.started_at_ns == START_NS + 7 * SECOND_NS
    assert approval.trace_id == tool.trace_id
    values = dict(approval.attributes)
    assert values["gen_ai.tool.call.id"] == dict(tool.attributes)["gen_ai.tool.call.id"] == "c0"
    assert (values["gen_ai.tool.name"], values["cline.approval.decision"]) == ("run_commands", "approved")


@pytest.mark.parametrize(("end", "decision"), [(SAID, "approved"), (DENIED, "denied")])
def test_it_says_and_counts_what_was_decided(end: dict[str, str], decision: str) -> None:
    events = (requested(3), started(7), finished(8, **end), ANSWERED)
    assert approvals(*events) == [(3, 7, decision)]
    assert decisions(*events) == [decision]
    assert durations(*events) == [4.0]


@pytest.mark.parametrize(("seconds", "count"), [(SHORTEST, 1), (SHORTEST - 0.001, 0), (0, 0)])
def test_a_wait_that_is_too_short_for_anybody_is_none(seconds: float, count: int) -> None:
    events = (requested(3), started(3 + seconds), finished(8), ANSWERED)
    assert len(approvals(*events)) == len(decisions(*events)) == len(durations(*events)) == count


def test_what_a_policy_denies_at_once_is_counted_and_was_no_wait() -> None:
    events = (requested(3), started(3.01), finished(3.02, **DENIED), ANSWERED)
    assert (approvals(*events), decisions(*events)) == ([], ["denied"])


def test_cline_s_own_time_of_the_start_ends_the_wait() -> None:
    """The plugin hears of it some ms later."""
    end = finished(8, started_at_ns=START_NS + 6 * SECOND_NS, **SAID)
    assert approvals(requested(3), started(7), end, ANSWERED) == [(3, 6, "approved")]


def test_of_calls_of_one_answer_each_waits_until_the_next_is_asked_about_and_none_while_another_runs() -> None:
    asked = (requested(2, "c0"), requested(5, "c1"), requested(9, "c2"))
    ran = [each for n in range(3) for each in (started(15 + 10 * n, f"c{n}", n), finished(24 + 10 * n, f"c{n}", n))]
    assert approvals(*asked, *ran, ANSWERED) == [(2, 5, "approved"), (5, 9, "approved"), (9, 15, "approved")]


def test_the_time_of_the_user_s_hooks_is_no_wait() -> None:
    """They run before each call is asked about: of the first, 1.5 s after the answer."""
    asked = (requested(3.5, "c0"), requested(5.1, "c1"), requested(10, "c2"))
    ran = [each for n in range(3) for each in (started(11 + 2 * n, f"c{n}", n), finished(12 + 2 * n, f"c{n}", n))]
    assert approvals(*asked, *ran, ANSWERED) == [(5.1, 8.5, "approved"), (10, 11, "approved")]


def test_two_answers_may_name_their_calls_alike() -> None:
    first = (requested(3), started(7), finished(8))
    second = (
        told("model_call.started", 9, iteration=2),
        told("model_call.finished", 10, iteration=2),
        requested(11, iteration=2),
        started(13, iteration=2),
        told("tool_call.finished", 14, "c0", 2, ordinal=0, **{k.replace(".", "__"): v for k, v in SAID.items()}),
    )
    spans, _ = signals(*first, *second, ANSWERED)
    found = [span for span in spans if span.name == "cline.approval"]
    assert [(span.ended_at_ns - span.started_at_ns) / SECOND_NS for span in found] == [4, 2]
    assert len({span.span_id for span in found}) == 2


@pytest.mark.parametrize("outcome", ["aborted", "failed", "completed"])
def test_one_that_the_run_s_end_cuts_short_was_never_answered(outcome: str) -> None:
    events = (requested(3), told("run.finished", 9, cline__outcome=outcome))
    assert approvals(*events) == [(3, 9, "unanswered")]
    assert (decisions(*events), durations(*events)) == (["unanswered"], [6.0])
    spans, _ = signals(*events)
    assert not [span for span in spans if span.name.startswith("execute_tool")]


def test_a_run_that_ends_at_once_left_nobody_waiting() -> None:
    assert approvals(requested(3), told("run.finished", 3.1, cline__outcome="aborted")) == []


def test_what_was_decided_of_a_call_that_never_began_is_not_known() -> None:
    """Of three calls the first two were answered, and the run was aborted while the third was asked about."""
    events = (requested(2, "c0"), requested(5, "c1"), requested(9, "c2"))
    cut = told("run.finished", 11, cline__outcome="aborted")
    assert approvals(*events, cut) == [(2, 5, None), (5, 9, None), (9, 11, "unanswered")]
    assert decisions(*events, cut) == ["unanswered"]


@pytest.mark.parametrize("reason", ["disconnected", "exit"])
def test_a_process_that_is_gone_waited_until_then(reason: str) -> None:
    spans, metrics = signals(requested(3), told("process.exited", 60, exit_reason=reason))
    approval, run = (next(span for span in spans if span.name.startswith(name)) for name in ("cline.app", "invoke"))
    assert approval.ended_at_ns == run.ended_at_ns == START_NS + 60 * SECOND_NS
    values = dict(approval.attributes)
    assert (values["cline.approval.decision"], values["cline.incomplete"]) == ("unanswered", True)
    assert [each.metric for each in metrics if "approval" in each.metric] == ["cline.approvals"]


def test_one_that_nobody_saw_the_end_of_is_told_as_incomplete_however_short() -> None:
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    for event in (tick(START_NS), *BEGINNING, requested(3)):
        translator.step(event)
    translator.close_open_runs()
    (approval,) = [span for span in translator.take().spans if span.name == "cline.approval"]
    assert approval.ended_at_ns == approval.started_at_ns
    assert dict(approval.attributes)["cline.incomplete"] is True


@pytest.mark.parametrize("is_restarted", [False, True])
def test_it_goes_on_while_cline_ends_the_idle_plugin_and_the_bridge_is_restarted(is_restarted: bool) -> None:
    """Cline ends a plugin that it has not called for half an hour, and starts another one when it calls it again."""
    translator = Translator(CATALOGUE, claim_wait_ns=0)
    events = (
        *(tick(START_NS), *BEGINNING, requested(3)),
        told("process.exited", 1_803, exit_reason="terminated"),
        started(2_700, process="p2"),
        finished(2_701),
        ANSWERED,
    )
    rows: dict[str, bytes | None] = {}
    spans: list[SpanRecord] = []
    for event in events:
        translator.step(event)
        spans += translator.take().spans
        if is_restarted:
            rows |= translator.state.changes()
            state = State.restore((key, row) for key, row in rows.items() if row is not None)
            state.now_ns = translator.state.now_ns
            translator = Translator(CATALOGUE, state, claim_wait_ns=0)
    (approval,) = [span for span in spans if span.name == "cline.approval"]
    assert approval.ended_at_ns - approval.started_at_ns == 2_697 * SECOND_NS


def test_a_call_whose_start_was_lost_waited_until_it_began() -> None:
    end = finished(9, started_at_ns=START_NS + 7 * SECOND_NS, **SAID)
    assert approvals(requested(3), end, ANSWERED) == [(3, 7, "approved")]


def test_of_a_call_whose_fate_was_lost_nothing_is_told() -> None:
    assert approvals(requested(3), told("model_call.started", 9, iteration=2), ANSWERED) == []


def test_a_wait_is_no_work() -> None:
    metrics = signals(requested(3), started(7), finished(8), ANSWERED)[1]
    assert sum(delta.value for delta in metrics if delta.metric == "cline.active.time") == 2.0


def test_of_what_files_show_the_length_is_an_upper_bound_and_feeds_no_metric() -> None:
    """The tool's span holds it, and the answer is counted with the end of the tool, as before."""
    timing = {"cline__timing": "inferred", "cline__message__id": "m1"}
    key = ("s", "a", "r", 1, "c0", "")

    def classic(kind: str, seconds: float, **values: Any) -> Event:
        attributes = {name.replace("__", "."): value for name, value in (timing | values).items()}
        return event_of(kind, "classic-tasks", START_NS + round(seconds * SECOND_NS), kind, *key, attributes)

    translator = Translator(CATALOGUE, claim_wait_ns=0)
    answered = {"answered_at_ns": START_NS + 7 * SECOND_NS, "auto_approved": False, "cline__outcome": "success"}
    for event in (
        tick(START_NS),
        classic("run.started", 0),
        classic("tool_call.started", 3),
        classic("tool_call.requested", 4),
        classic("tool_call.finished", 9, gen_ai__tool__name="execute_command", **answered),
        classic("run.finished", 10),
        tick(START_NS + 20 * SECOND_NS),
    ):
        translator.step(event)
    output = translator.take()
    approval, tool = (
        next(span for span in output.spans if span.name.startswith(name)) for name in ("cline.approval", "execute")
    )
    assert tool.started_at_ns < approval.started_at_ns < approval.ended_at_ns < tool.ended_at_ns
    values = dict(approval.attributes)
    assert (values["cline.approval.decision"], values["cline.timing"]) == ("approved", "inferred")
    assert [delta.metric for delta in output.metrics if "approval" in delta.metric] == ["cline.approvals"]
