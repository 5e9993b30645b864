"""That a command of ``cline-otel exec`` is told wholly when it ends, whatever its end, and that it is left alone."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from .executing import (
    BESIDE_A_BRIDGE,
    CTRL_C,
    EXECUTED,
    FAILS,
    OPTED_OUT,
    PASSES,
    RUN_ID,
    SPAN_ID,
    TRACE_ID,
    TRACE_URL,
)
from .live_evidence import LiveEvidence
from .planted import find_planted
from .telemetry import Span

pytestmark = pytest.mark.parametrize("live", [EXECUTED], indirect=True, ids=["executed"])

TOLD = (PASSES, FAILS, CTRL_C, BESIDE_A_BRIDGE)


def said(live: LiveEvidence, play: str) -> str:
    return (live.folder / "cline" / f"{play}.stderr").read_text()


def left(live: LiveEvidence, play: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((live.folder / "summaries" / f"{play}.json").read_text())
    return found


def root_of(live: LiveEvidence, play: str) -> Span:
    spans = live.spans_of(play)
    (root,) = (span for span in spans if span.operation == "invoke_agent")
    return root


def test_a_prompt_is_a_part_of_the_pipelines_trace(live: LiveEvidence) -> None:
    spans, root = live.spans_of(PASSES), root_of(live, PASSES)
    assert {span.trace_id for span in spans} == {TRACE_ID}
    assert root.parent_span_id == SPAN_ID
    assert {span.parent_span_id for span in spans if span is not root} == {root.span_id}
    session_id = root.attributes["gen_ai.conversation.id"]
    logs = [log for log in live.telemetry.logs if log.attributes.get("gen_ai.conversation.id") == session_id]
    assert {log.trace_id for log in logs if log.span_id} == {TRACE_ID}


def test_outside_of_a_trace_a_prompt_has_its_own(live: LiveEvidence) -> None:
    for play in (FAILS, CTRL_C, BESIDE_A_BRIDGE):
        root = root_of(live, play)
        assert root.trace_id != TRACE_ID
        assert not root.parent_span_id


def test_the_outcome_of_each_command_is_told(live: LiveEvidence) -> None:
    assert root_of(live, PASSES).attributes["cline.outcome"] == "completed"
    assert root_of(live, FAILS).attributes["cline.outcome"] == "failed"
    assert root_of(live, CTRL_C).attributes["cline.outcome"] == "aborted"
    assert root_of(live, BESIDE_A_BRIDGE).attributes["cline.outcome"] == "completed"


def test_every_call_is_told_once_when_the_command_has_ended(live: LiveEvidence) -> None:
    for play in TOLD:
        spans = live.spans_of(play)
        assert len({span.span_id for span in spans}) == len(spans)
        calls = [call for call in live.model_calls if call.agent[0] == play]
        assert len([span for span in spans if span.operation == "chat"]) == len(calls)
        tools = [tool for tool in live.tool_calls if tool.agent[0] == play]
        assert len([span for span in spans if span.operation == "execute_tool"]) == len(tools)


def test_no_hub_that_a_command_started_outlives_it(live: LiveEvidence) -> None:
    for play in (*TOLD, OPTED_OUT):
        assert left(live, play)["hubs"] == []


def test_nothing_is_sent_of_a_command_while_telemetry_is_off(live: LiveEvidence) -> None:
    assert left(live, OPTED_OUT)["requests"] == left(live, CTRL_C)["requests"]
    assert live.spans_of(OPTED_OUT) == []
    assert "DO_NOT_TRACK" in said(live, OPTED_OUT)
    assert not (live.folder / "summaries" / f"{OPTED_OUT}.md").exists()


def test_the_trace_of_each_command_is_printed_with_its_link(live: LiveEvidence) -> None:
    for play in TOLD:
        trace_id = root_of(live, play).trace_id
        link = TRACE_URL.format(trace_id=trace_id)
        assert re.findall("cline-otel: trace (.*)", said(live, play)) == [f"{trace_id} {link}"]
        assert f"[{trace_id}]({link})" in (live.folder / "summaries" / f"{play}.md").read_text()


def test_the_step_summary_counts_what_the_model_server_and_the_hooks_saw(live: LiveEvidence) -> None:
    text = (live.folder / "summaries" / f"{PASSES}.md").read_text()
    calls = [call for call in live.model_calls if call.agent[0] == PASSES]
    tools = [tool for tool in live.tool_calls if tool.agent[0] == PASSES]
    assert f"| Model calls | {len(calls)} |" in text
    assert f"| Tool calls | {len(tools)} |" in text
    assert "| Prompts | completed |" in text
    assert "| Prompts | failed (auth) |" in (live.folder / "summaries" / f"{FAILS}.md").read_text()
    assert "exit code 1" in (live.folder / "summaries" / f"{FAILS}.md").read_text()


def test_the_job_is_named_on_spans_and_log_records_alone(live: LiveEvidence) -> None:
    of_job = [resource for resource in live.telemetry.resources if "cline.ci.system" in resource]
    assert of_job
    for resource in of_job:
        assert resource["cline.ci.system"] == "github_actions"
        assert resource["cicd.pipeline.run.id"] == RUN_ID
        assert resource["cline.ci.attempt"] == 2
        assert re.fullmatch("[0-9a-f]{32}", resource["cline.ci.job.hash"])
        assert "cicd.pipeline.task.name" not in resource
    lines = (live.folder / "endpoint" / "metrics.jsonl").read_text()
    assert "cline.ci." not in lines
    assert "cicd." not in lines


def test_no_planted_word_is_sent_or_in_a_summary(live: LiveEvidence) -> None:
    assert find_planted(live.words, [live.folder / "endpoint", live.folder / "summaries"]) == []
