"""That metric totals and log records at the collector agree with what really happened."""

from __future__ import annotations

from collections import Counter

import pytest

from .evidence import Evidence
from .matching import Matching
from .telemetry import Telemetry


def test_token_totals_equal_the_session_files(evidence: Evidence, telemetry: Telemetry) -> None:
    sessions = evidence.sessions.values()
    tokens = "gen_ai.client.token.usage"
    assert telemetry.sum_of(tokens, gen_ai_token_type="input") == sum(each.input_tokens for each in sessions)
    assert telemetry.sum_of(tokens, gen_ai_token_type="output") == sum(each.output_tokens for each in sessions)
    assert telemetry.count_of(tokens, gen_ai_token_type="output") == sum(each.model_calls for each in sessions)
    assert telemetry.sum_of("cline.cost") == pytest.approx(sum(each.cost_usd for each in sessions))


def test_call_totals_equal_the_calls_that_were_made(evidence: Evidence, telemetry: Telemetry) -> None:
    assert telemetry.count_of("gen_ai.client.operation.duration") == len(evidence.model_calls)
    outcomes = Counter(tool.outcome for tool in evidence.tool_calls)
    for outcome in ("success", "error", "rejected", "incomplete"):
        assert telemetry.sum_of("cline.tool.calls", cline_outcome=outcome) == outcomes[outcome]
    assert telemetry.sum_of("cline.tool.calls") == len(evidence.tool_calls)


def test_run_totals_equal_the_runs(matching: Matching) -> None:
    roots = [run for run in matching.agent_runs if not run.parent_span_id]
    telemetry = matching.telemetry
    assert telemetry.sum_of("cline.run.started") == len(roots)
    for outcome in ("completed", "failed", "aborted", "incomplete"):
        count = sum(root.attributes["cline.outcome"] == outcome for root in roots)
        assert telemetry.sum_of("cline.run.completed", cline_outcome=outcome) == count
    assert telemetry.sum_of("cline.task.started") == len(matching.evidence.sessions)
    ended = [run for run in matching.agent_runs if run.attributes["cline.outcome"] != "incomplete"]
    assert telemetry.count_of("gen_ai.invoke_agent.duration") == len(ended)


def test_no_metric_tells_of_a_session_a_run_an_agent_or_a_call(telemetry: Telemetry) -> None:
    ids = {"gen_ai.conversation.id", "cline.agent.id", "cline.run.id", "gen_ai.tool.call.id", "gen_ai.response.id"}
    assert telemetry.metrics
    assert [total for total in telemetry.metrics if ids & total.attributes.keys()] == []


def test_a_log_record_tells_of_each_start_end_and_failure(matching: Matching) -> None:
    telemetry = matching.telemetry
    told = [log.event_name for log in telemetry.logs]
    assert told.count("cline.run.started") == len(matching.agent_runs)
    assert told.count("cline.run.finished") == len(matching.agent_runs)
    assert told.count("cline.model_call.failed") == sum(chat.failed for chat in matching.chats)
    failed = [log.span_id for log in telemetry.logs if log.event_name == "cline.tool_call.failed"]
    assert sorted(failed) == sorted(tool.span_id for tool in matching.tools if tool.failed)


def test_a_log_record_belongs_to_a_span_that_is_there_and_comes_once(telemetry: Telemetry) -> None:
    uids = [log.attributes["log.record.uid"] for log in telemetry.logs]
    assert len(set(uids)) == len(uids)
    for log in telemetry.logs:
        if log.span_id:
            assert telemetry.by_id[log.span_id].trace_id == log.trace_id, log.event_name


def test_every_signal_names_the_service_and_the_installation(telemetry: Telemetry) -> None:
    assert {resource["service.name"] for resource in telemetry.resources} == {"cline"}
    assert len({resource["service.instance.id"] for resource in telemetry.resources}) == 1
