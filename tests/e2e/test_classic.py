"""That what the classic command line sends over gRPC becomes its task, its tools and its tokens."""

from __future__ import annotations

import pytest

from .classic_over_grpc import AT_THE_END, CLASSIC_OVER_GRPC, PLAY, TOOLS_BEFORE_THE_END
from .live_evidence import LiveEvidence
from .planted import find_planted

pytestmark = pytest.mark.parametrize("live", [CLASSIC_OVER_GRPC], indirect=True, ids=["classic_over_grpc"])


def test_its_logs_and_its_metrics_arrive_over_grpc(live: LiveEvidence) -> None:
    status = live.stock(AT_THE_END).status
    counted = {(each["kind"], each["source"], each["name"]): each["count"] for each in status["counts"]}
    assert status["bridge"]["listening_on_grpc"].endswith(":4320")
    assert counted["received", "otlp", "records"] >= len(TOOLS_BEFORE_THE_END)
    assert counted["unsupported_signal", "otlp", "metrics"] > 0
    assert {kind for kind, source, _ in counted if source == "otlp"} == {"events", "received", "unsupported_signal"}


def test_its_task_is_one_span_from_the_prompt_to_the_result(live: LiveEvidence) -> None:
    (root,) = live.telemetry.spans
    (run,), answered = live.runs, live.requests
    assert root.operation == "invoke_agent"
    assert root.attributes["cline.telemetry.source"] == "otlp"
    assert root.attributes["cline.outcome"] == "completed"
    assert run["started_at_ns"] <= root.started_at_ns <= answered[0].started_at_ns
    # The result was said before the answer ended.
    assert answered[-1].started_at_ns <= root.ended_at_ns <= answered[-1].ended_at_ns
    assert root.attributes["cline.prompt.tool_calls"] == len(TOOLS_BEFORE_THE_END)


def test_each_tool_and_each_token_counts_once(live: LiveEvidence) -> None:
    for tool in TOOLS_BEFORE_THE_END:
        assert live.telemetry.sum_of("cline.tool.calls", gen_ai_tool_name=tool) == 1
        assert live.telemetry.sum_of("cline.approvals", gen_ai_tool_name=tool) == 1
    # Whether Cline's record of the last answer arrives, which ends the task, is Cline's affair.
    for kind in ("input", "output"):
        tokens = [getattr(request, f"{kind}_tokens") for request in live.requests]
        told = live.telemetry.sum_of("gen_ai.client.token.usage", gen_ai_token_type=kind)
        assert told in (sum(tokens[:-1]), sum(tokens))


def test_one_session_with_one_task_counts(live: LiveEvidence) -> None:
    for metric in ("cline.sessions", "cline.task.started", "cline.run.started"):
        assert live.telemetry.sum_of(metric) == 1
    assert live.telemetry.sum_of("cline.run.completed", cline_outcome="completed") == 1


def test_its_words_and_files_are_nowhere(live: LiveEvidence) -> None:
    (home,) = live.folder.glob("home-*")
    assert find_planted({"prompt_word": live.words["prompt_word"]}, [home / "classic", live.folder / "cline" / PLAY])
    assert find_planted(live.words, [live.folder / "endpoint", live.folder / "bridge" / "state"]) == []
