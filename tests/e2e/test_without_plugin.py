"""That the bridge still tells what ``cline.log`` knows where Cline runs without the plugin."""

from __future__ import annotations

import pytest

from .conftest import Theatre
from .evidence import Evidence
from .matching import Matching
from .planted import find_planted
from .scenarios import WITHOUT_PLUGIN
from .telemetry import Telemetry


@pytest.fixture(scope="module")
def heard(theatre: Theatre) -> Matching:
    """What was told without the plugin, against what really happened."""
    folder = theatre.results(WITHOUT_PLUGIN)
    return Matching(Evidence(folder), Telemetry(folder / "collector"))


def test_cline_log_alone_tells_every_model_call_of_the_root_agent(heard: Matching) -> None:
    assert not heard.evidence.failure, f"{heard.evidence.failure}; see {heard.evidence.folder}"
    assert len(heard.chats) == len(heard.evidence.model_calls)
    for call in heard.evidence.model_calls:
        (span,) = heard.chat_spans(call)
        assert span.started_at_ns <= call.started_at_ns
        assert span.ended_at_ns >= call.ended_at_ns // 1_000_000 * 1_000_000
        assert call.answer is not None
        assert span.attributes["gen_ai.usage.input_tokens"] == call.answer.input_tokens


def test_cline_log_alone_tells_every_tool_call_by_name_but_not_whether_it_worked(heard: Matching) -> None:
    spans = sorted(heard.tools, key=lambda span: span.started_at_ns)
    assert len(spans) == len(heard.evidence.tool_calls)
    for span, tool in zip(spans, heard.evidence.tool_calls, strict=True):
        if tool.hook is None:
            assert span.attributes["gen_ai.tool.name"] == "_OTHER"
        else:
            assert span.attributes["gen_ai.tool.name"] == tool.name
            assert span.started_at_ns <= tool.hook.ended_at_ns <= span.ended_at_ns
        assert span.attributes["cline.outcome"] in ("unverified", "error")


def test_cline_log_alone_tells_the_run_and_its_tokens(heard: Matching) -> None:
    (run,) = heard.agent_runs
    assert run.attributes["cline.outcome"] == "completed"
    assert run.attributes["cline.telemetry.source"] == "cline-log"
    (session,) = heard.evidence.sessions.values()
    assert heard.telemetry.sum_of("gen_ai.client.token.usage", gen_ai_token_type="input") == session.input_tokens
    assert heard.telemetry.sum_of("gen_ai.client.token.usage", gen_ai_token_type="output") == session.output_tokens


def test_no_planted_word_leaves_without_the_plugin(heard: Matching) -> None:
    folder = heard.evidence.folder
    assert find_planted(heard.evidence.words, [folder / "collector", folder / "bridge" / "state"]) == []
