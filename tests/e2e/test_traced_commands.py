"""That a command which is traced itself hangs below the tool call that ran it, and that nobody but it sees how."""

from __future__ import annotations

import pytest

from .live_evidence import LiveEvidence
from .scripts import OWN_SPAN_ID, OWN_TRACE_ID
from .telemetry import Span, Telemetry
from .tracing_commands import IN_HUB, LOCAL, TRACED_COMMANDS

pytestmark = pytest.mark.parametrize("live", [TRACED_COMMANDS], indirect=True, ids=["traced_commands"])

PLAYS = (LOCAL, IN_HUB)


def builds(live: LiveEvidence, play: str) -> dict[str, Span]:
    """The commands' own spans, by the names that the script gives them."""
    spans = Telemetry(live.folder / "builds").spans
    of_play = {name.removeprefix(f"{play}-"): span for span in spans if (name := span.name).startswith(f"{play}-")}
    assert of_play.keys() == {"first", "second", "third", "helpers", "own"}
    return of_play


@pytest.mark.parametrize("play", PLAYS)
def test_a_commands_span_is_a_child_of_its_tool_call(live: LiveEvidence, play: str) -> None:
    spans = {span.span_id: span for span in live.spans_of(play)}
    of_builds = builds(live, play)
    parents = {name: spans[span.parent_span_id] for name, span in of_builds.items() if name != "own"}
    for name, parent in parents.items():
        build = of_builds[name]
        assert parent.name == "execute_tool run_commands"
        assert build.trace_id == parent.trace_id
        assert parent.started_at_ns <= build.started_at_ns
        assert build.ended_at_ns <= parent.ended_at_ns
    assert parents["first"] == parents["second"]
    assert len({parent.span_id for parent in parents.values()}) == 3
    agent = spans[parents["helpers"].parent_span_id]
    assert agent.operation == "invoke_agent"
    assert agent.parent_span_id


@pytest.mark.parametrize("play", PLAYS)
def test_a_command_with_a_span_of_its_own_keeps_it(live: LiveEvidence, play: str) -> None:
    own = builds(live, play)["own"]
    assert (own.trace_id, own.parent_span_id) == (OWN_TRACE_ID, OWN_SPAN_ID)


@pytest.mark.parametrize("play", PLAYS)
def test_every_call_is_told_as_without(live: LiveEvidence, play: str) -> None:
    live.assert_is_told_once_and_wholly(play)
    failed = [span for span in live.spans_of(play) if span.failed]
    assert [span.attributes["error.type"] for span in failed] == ["command_failed"]
    assert failed[0].attributes["process.exit.code"] == 3


def test_neither_the_model_nor_the_files_are_shown_what_was_put_before_a_command(live: LiveEvidence) -> None:
    texts = [path.read_text() for path in live.folder.glob("home-*/.cline/data/sessions/*/*.messages.json")]
    assert texts
    assert any(OWN_SPAN_ID in text for text in texts)
    assert any("command truncated: " in text for text in texts)
    assert not any("export TRACEPARENT" in text for text in texts)


def test_the_spool_holds_nothing_of_it(live: LiveEvidence) -> None:
    lines = "".join(path.read_text() for path in (live.folder / "bridge" / "spool").iterdir())
    assert "tool_call.finished" in lines
    assert "TRACEPARENT" not in lines
