"""That the plugin tells of Cline in an editor: what the user was asked, and two plugin hosts of one session as one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import Theatre
from .in_an_editor import IN_AN_EDITOR, witness_of
from .planted import find_planted
from .telemetry import Span, Telemetry

MILLISECOND_NS = 1_000_000


@dataclass(frozen=True)
class Editor:
    """What an editor's host was asked, and what the endpoint took."""

    folder: Path
    telemetry: Telemetry

    def asked(self, host: str) -> list[dict[str, Any]]:
        """The questions that a host put to the user, in order."""
        return [json.loads(line) for line in witness_of(self.folder, host).read_text().splitlines()]

    def approvals_of(self, call_id: str) -> list[Span]:
        """The spans of the wait for the approval of a tool call."""
        spans = self.telemetry.by_operation["cline.approval"]
        return [span for span in spans if span.attributes["gen_ai.tool.call.id"] == call_id]

    def tools_of(self, call_id: str) -> list[Span]:
        """The spans of a tool call."""
        spans = self.telemetry.by_operation["execute_tool"]
        return [span for span in spans if span.attributes["gen_ai.tool.call.id"] == call_id]

    def roots(self, session_id: str) -> list[Span]:
        """A session's prompts, in order."""
        spans = self.telemetry.by_operation["invoke_agent"]
        of_session = [span for span in spans if span.attributes["gen_ai.conversation.id"] == session_id]
        return sorted(of_session, key=lambda span: span.started_at_ns)


@pytest.fixture(scope="module")
def editor(theatre: Theatre) -> Editor:
    """The play of an editor, once it is played."""
    folder = theatre.results(IN_AN_EDITOR)
    outcome = json.loads((folder / "outcome.json").read_text())
    assert outcome["failure"] == ""
    assert outcome["bridge_exit_code"] == 0
    assert [run["exit_code"] for run in outcome["runs"]] == [0]
    return Editor(folder, Telemetry(folder / "endpoint"))


def test_each_question_is_one_span_that_holds_it_and_says_the_answer(editor: Editor) -> None:
    asked = editor.asked("first")
    assert len(asked) == 4
    for question in asked:
        (approval,) = editor.approvals_of(question["call_id"])
        assert approval.started_at_ns <= (question["asked_at_ms"] + 1) * MILLISECOND_NS
        assert approval.ended_at_ns >= question["answered_at_ms"] * MILLISECOND_NS
        decision = "approved" if question["approved"] else "denied"
        assert approval.attributes["cline.approval.decision"] == decision
        assert approval.attributes["gen_ai.tool.name"] == question["tool"]


def test_the_tool_begins_when_the_wait_is_over_and_both_are_the_run_s(editor: Editor) -> None:
    for question in editor.asked("first"):
        (approval,), (tool,) = editor.approvals_of(question["call_id"]), editor.tools_of(question["call_id"])
        assert tool.started_at_ns >= approval.ended_at_ns
        assert tool.parent_span_id == approval.parent_span_id


def test_what_the_user_denied_was_rejected_with_and_without_a_reason(editor: Editor) -> None:
    for question in editor.asked("first"):
        (tool,) = editor.tools_of(question["call_id"])
        if question["approved"]:
            assert tool.attributes["cline.outcome"] == "success"
        else:
            assert (tool.attributes["cline.outcome"], tool.attributes["error.type"]) == ("rejected", "denied")


def test_nobody_waited_for_what_settings_approve(editor: Editor) -> None:
    asked = {question["call_id"] for host in ("first", "second") for question in editor.asked(host)}
    told = {span.attributes["gen_ai.tool.call.id"] for span in editor.telemetry.by_operation["cline.approval"]}
    assert told == asked
    assert {span.attributes["gen_ai.tool.call.id"] for span in editor.telemetry.by_operation["execute_tool"]} - asked


def test_a_question_that_the_host_died_with_was_never_answered(editor: Editor) -> None:
    (question,) = editor.asked("second")
    (approval,) = editor.approvals_of(question["call_id"])
    assert approval.attributes["cline.approval.decision"] == "unanswered"
    assert approval.attributes["cline.incomplete"] is True
    assert approval.ended_at_ns >= question["asked_at_ms"] * MILLISECOND_NS
    assert editor.tools_of(question["call_id"]) == []


def test_the_metrics_say_the_same(editor: Editor) -> None:
    for decision, count in (("approved", 2), ("denied", 2), ("unanswered", 1)):
        found = editor.telemetry.sum_of("cline.approvals", cline_approval_decision=decision)
        assert found == count
    spans = [
        span for span in editor.telemetry.by_operation["cline.approval"] if not span.attributes.get("cline.incomplete")
    ]
    seconds = sum(span.ended_at_ns - span.started_at_ns for span in spans) / 1e9
    assert editor.telemetry.count_of("cline.approval.duration") == len(spans)
    assert editor.telemetry.sum_of("cline.approval.duration") == pytest.approx(seconds)


def test_two_plugin_hosts_of_one_session_are_one_story(editor: Editor) -> None:
    """From Plan to Act the editor ends the host with its plugin, and starts another one for the same session."""
    (approval, *_) = editor.approvals_of(editor.asked("first")[0]["call_id"])
    session_id = approval.attributes["gen_ai.conversation.id"]
    planned, worked = editor.roots(session_id)
    assert (planned.attributes["cline.mode"], worked.attributes["cline.mode"]) == ("plan", "act")
    assert worked.links == ((planned.trace_id, planned.span_id),)
    assert {root.attributes["cline.outcome"] for root in (planned, worked)} == {"completed"}
    assert editor.telemetry.sum_of("cline.sessions") == 2
    assert editor.telemetry.sum_of("cline.task.started") == 2
    processes = {path.name.split("-")[0] for path in (editor.folder / "bridge" / "spool").iterdir()}
    assert len(processes) == 3


def test_a_client_s_name_with_spaces_arrives(editor: Editor) -> None:
    roots = editor.telemetry.by_operation["invoke_agent"]
    assert {root.attributes["cline.client.name"] for root in roots} == {"vscode"}
    assert {root.attributes["cline.telemetry.source"] for root in roots} == {"plugin"}


def test_nothing_of_what_the_user_said_leaves(editor: Editor) -> None:
    words = json.loads((editor.folder / "words.json").read_text())
    assert find_planted(words, [editor.folder / "endpoint", editor.folder / "bridge" / "spool"]) == []
