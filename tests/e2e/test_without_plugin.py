"""That the bridge tells every call by Cline's session files where Cline runs without the plugin."""

from __future__ import annotations

import pytest

from .conftest import Theatre
from .evidence import Evidence
from .matching import Matching
from .planted import find_planted
from .scenarios import HUB_WITHOUT_PLUGIN, WITHOUT_PLUGIN
from .telemetry import Telemetry


@pytest.fixture(scope="module")
def heard(theatre: Theatre) -> Matching:
    """What was told without the plugin, against what really happened."""
    folder = theatre.results(WITHOUT_PLUGIN)
    return Matching(Evidence(folder), Telemetry(folder / "collector"))


def test_session_files_tell_every_model_call(heard: Matching) -> None:
    assert not heard.evidence.failure, f"{heard.evidence.failure}; see {heard.evidence.folder}"
    assert len(heard.chats) == len(heard.evidence.model_calls)
    for call in heard.evidence.model_calls:
        (span,) = heard.chat_spans(call)
        assert span.started_at_ns <= call.started_at_ns
        assert span.ended_at_ns >= call.ended_at_ns // 1_000_000 * 1_000_000
        assert call.answer is not None
        assert span.attributes["gen_ai.usage.input_tokens"] == call.answer.input_tokens
        assert span.attributes["cline.timing"] == "inferred"


def test_session_files_tell_every_tool_call_with_its_outcome(heard: Matching) -> None:
    spans = sorted(heard.tools, key=lambda span: (span.started_at_ns, span.ended_at_ns))
    assert len(spans) == len(heard.evidence.tool_calls)
    for span, tool in zip(spans, heard.evidence.tool_calls, strict=True):
        if tool.hook is None:
            assert span.attributes["gen_ai.tool.name"] == "_OTHER"
            assert span.attributes["cline.outcome"] == "rejected"
        else:
            assert span.attributes["gen_ai.tool.name"] == tool.name
            assert span.started_at_ns <= tool.hook.started_at_ns
            assert tool.hook.ended_at_ns <= span.ended_at_ns
            assert span.attributes["cline.outcome"] in ("success", "error")


def test_session_files_tell_the_run_and_its_tokens(heard: Matching) -> None:
    (run,) = heard.agent_runs
    assert run.attributes["cline.outcome"] == "completed"
    assert run.attributes["cline.telemetry.source"] == "session-files"
    (session,) = heard.evidence.sessions.values()
    assert heard.telemetry.sum_of("gen_ai.client.token.usage", gen_ai_token_type="input") == session.input_tokens
    assert heard.telemetry.sum_of("gen_ai.client.token.usage", gen_ai_token_type="output") == session.output_tokens


def test_no_planted_word_leaves_without_the_plugin(heard: Matching) -> None:
    folder = heard.evidence.folder
    assert find_planted(heard.evidence.words, [folder / "collector", folder / "bridge" / "state"]) == []


def test_a_run_in_the_hub_is_told_with_its_subagents(theatre: Theatre) -> None:
    """Of which ``cline.log`` has nothing but that a session began."""
    folder = theatre.results(HUB_WITHOUT_PLUGIN)
    heard = Matching(Evidence(folder), Telemetry(folder / "collector"))
    assert not heard.evidence.failure, f"{heard.evidence.failure}; see {heard.evidence.folder}"
    assert len(heard.chats) == len(heard.evidence.model_calls)
    assert all(len(heard.chat_spans(call)) == 1 for call in heard.evidence.model_calls)
    roots = [run for run in heard.agent_runs if not run.parent_span_id]
    assert [run.attributes["cline.telemetry.source"] for run in roots] == ["session-files"] * 2
    assert len(heard.agent_runs) > len(roots)
    known = {span.span_id for span in [*heard.agent_runs, *heard.tools]}
    assert all(run.parent_span_id in known for run in heard.agent_runs if run.parent_span_id)
