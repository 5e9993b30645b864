"""The stream of ``cline --json``: what it tells of every agent, and nothing of which it cannot say whose it is."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bench.fixed_key import CATALOGUE, recording_of

from cline_otel.privacy.pseudonyms import Pseudonyms
from cline_otel.replay import replay
from cline_otel.signals import SpanRecord
from cline_otel.sources.json_stream import JSON_STREAM
from cline_otel.sources.json_stream.inbox import PassingStream, StreamsInput
from cline_otel.sources.json_stream.names import HiddenNames
from cline_otel.sources.json_stream.story import StreamStory
from corpus import CAPTURES, DATA

STREAMS = DATA / "streams"
START = "2026-09-21T14:13:%06.3fZ"
AGENT = "agent_1790000000000_root00"


def line(at_seconds: float, type: str, **fields: Any) -> bytes:  # noqa: A002 - as Cline has it
    return json.dumps({"ts": START % (20 + at_seconds), "type": type, **fields}).encode()


def event(at_seconds: float, type: str, **fields: Any) -> bytes:  # noqa: A002 - as Cline has it
    return line(at_seconds, "agent_event", event={"type": type, **fields})


def hook(at_seconds: float, name: str, agent: str = AGENT, parent: str | None = None) -> bytes:
    return line(at_seconds, "hook_event", hookEventName=name, agentId=agent, parentAgentId=parent)


def told(*lines: bytes) -> list[dict[str, Any]]:
    story = StreamStory()
    for each in lines:
        story.take(each)
    return list(story.end())


def spans(name: str) -> list[SpanRecord]:
    return replay(recording_of([STREAMS / f"{name}.jsonl"]), CATALOGUE).spans


def sums(name: str) -> tuple[object, ...]:
    """Model calls, tool calls, tokens and cost of the prompts, as their root spans have them."""
    roots = [dict(span.attributes) for span in spans(name) if not span.parent_span_id]
    names = ("model_calls", "tool_calls", "input_tokens", "output_tokens")
    return tuple(sum(int(str(root[f"cline.prompt.{each}"])) for root in roots) for each in names)


@pytest.mark.parametrize("path", sorted(STREAMS.glob("*.jsonl")), ids=lambda path: path.stem)
def test_the_stream_s_own_totals_are_those_of_its_prompts(path: Path) -> None:
    lines = [json.loads(each) for each in path.read_bytes().splitlines()]
    results = [each["aggregateUsage"] for each in lines if each["type"] == "run_result"]
    tools = {each["event"]["toolCallId"] for each in lines if each.get("event", {}).get("contentType") == "tool"}
    tools |= {
        each["event"]["event"]["toolCallId"]
        for each in lines
        if "toolCallId" in str(each.get("event", {}).get("event", ""))
    }
    _, tool_calls, input_tokens, output_tokens = sums(path.stem)
    assert tool_calls == len(tools)
    for result in results:
        # The sum that Cline gives has what agents do that are made by others only where they are teammates.
        assert int(str(input_tokens)) >= result["inputTokens"]
        assert int(str(output_tokens)) >= result["outputTokens"]
        if path.stem not in ("subagents_plugin", "second_run_plugin_hub"):
            assert (input_tokens, output_tokens) == (result["inputTokens"], result["outputTokens"])


@pytest.mark.parametrize(
    "name", ["plugin_basic", "plugin_parallel_anthropic", "plugin_mcp_tools", "plugin_team", "yolo"]
)
def test_where_one_agent_works_at_a_time_every_call_and_tool_is_as_the_best_source_has_it(name: str) -> None:
    def calls(of: list[SpanRecord]) -> Counter[tuple[object, ...]]:
        seen = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.tool.name", "cline.outcome")
        return Counter(
            (span.name.partition(" ")[0], *(dict(span.attributes).get(each) for each in seen))
            for span in of
            if not span.name.startswith("invoke_agent")
        )

    best = replay(recording_of([CAPTURES / name], "session-files"), CATALOGUE).spans
    assert calls(spans(name)) == calls(best)


@pytest.mark.parametrize("name", ["subagents_plugin", "second_run_plugin_hub"])
def test_of_agents_that_work_at_the_same_time_the_sums_are_told_and_no_call_is_invented(name: str) -> None:
    made = Counter(span.name.partition(" ")[0] for span in spans(name))
    assert made == {"invoke_agent": 4, "chat": 3, "execute_tool": 3}
    assert sums(name)[:2] == (11, 8)
    roots = {span.span_id for span in spans(name) if not span.parent_span_id}
    known = {span.span_id for span in spans(name)}
    assert all(span.parent_span_id in known for span in spans(name) if span.span_id not in roots)


@pytest.mark.parametrize(
    ("name", "outcome", "error"),
    [("plugin_api_fatal_401", "failed", "auth"), ("plugin_mistakes", "aborted", None), ("yolo", "completed", None)],
)
def test_a_prompt_ends_as_the_stream_says(name: str, outcome: str, error: str | None) -> None:
    (root,) = [dict(span.attributes) for span in spans(name) if not span.parent_span_id]
    assert (root["cline.outcome"], root.get("error.type")) == (outcome, error)


def test_a_stream_that_breaks_off_leaves_what_was_open_incomplete() -> None:
    cut = {span.name: dict(span.attributes).get("cline.incomplete") for span in spans("plugin_cancel_sigint_cmd")}
    assert cut["execute_tool run_commands"] is True
    assert cut["execute_tool read_files"] is None
    (root,) = [dict(each.attributes) for each in spans("plugin_cancel_sigint_cmd") if not each.parent_span_id]
    assert root["cline.outcome"] == "incomplete"


def test_a_stream_without_hooks_has_an_agent_whose_beginning_is_inferred() -> None:
    (root,) = [dict(span.attributes) for span in spans("yolo") if not span.parent_span_id]
    assert root["cline.timing"] == "inferred"
    (other,) = [dict(span.attributes) for span in spans("plugin_basic") if not span.parent_span_id]
    assert "cline.timing" not in other


def test_a_teammate_s_usage_that_comes_twice_counts_once() -> None:
    usage = {"inputTokens": 10, "outputTokens": 1}
    mate = "agent_1790000000500_mate00"
    records = told(
        hook(0, "agent_start"),
        event(0.1, "iteration_start", iteration=1),
        line(
            0.2, "team_event", event={"type": "teammate_spawned", "agentId": "Bo", "teammate": {"runtimeAgentId": mate}}
        ),
        hook(0.3, "agent_start", mate),
        line(
            0.4,
            "team_event",
            event={"type": "agent_event", "agentId": "Bo", "event": {"type": "iteration_start", "iteration": 1}},
        ),
        event(0.5, "usage", **usage),
        line(0.5, "team_event", event={"type": "agent_event", "agentId": "Bo", "event": {"type": "usage", **usage}}),
        event(0.6, "usage", **usage),
    )
    calls = [record for record in records if record["event"].startswith("model_call")]
    assert [(call["event"], call["agent_id"]) for call in calls] == [
        ("model_call.finished", mate),
        ("model_call.finished", AGENT),
    ]


@pytest.mark.parametrize(
    "garbage",
    [b"", b"{", b"\xff\xfe", b"[]", b'{"ts":1,"type":2}', b'{"ts":"x","type":"agent_event","event":{"type":"usage"}}'],
)
def test_what_is_no_line_of_it_says_nothing(garbage: bytes) -> None:
    assert told(garbage) == []
    whole = (STREAMS / "plugin_basic.jsonl").read_bytes().split(b"\n")
    mixed = [each for known in whole for each in (garbage, known)]
    assert told(*mixed) == told(*whole)


def test_what_is_left_for_a_bridge_has_no_content_and_no_chosen_name(tmp_path: Path) -> None:
    stream = PassingStream(tmp_path / "streams", HiddenNames(Pseudonyms(bytes(32)), {"read_files"}))
    for each in (
        hook(0, "agent_start"),
        event(0.1, "iteration_start", iteration=1),
        event(0.2, "content_start", contentType="text", text="SECRET"),
        event(0.3, "usage", inputTokens=10, outputTokens=1),
        event(
            0.4,
            "content_start",
            contentType="tool",
            toolName="SECRET__tool",
            toolCallId="call_1",
            input={"a": "SECRET"},
        ),
        event(
            0.5,
            "content_end",
            contentType="tool",
            toolName="SECRET__tool",
            toolCallId="call_1",
            output={"content": ["SECRET"]},
        ),
        event(0.6, "error", error={"message": "SECRET"}),
        line(
            0.7,
            "run_result",
            finishReason="completed",
            text="SECRET",
            model={"id": "SECRET-model", "provider": "openai"},
        ),
    ):
        stream.take(each)
    stream.end()
    (path,) = (tmp_path / "streams").iterdir()
    assert b"SECRET" not in path.read_bytes()
    assert path.stat().st_mode & 0o077 == 0


def test_a_stream_that_waits_is_read_once_and_deleted(tmp_path: Path) -> None:
    waiting = StreamsInput(JSON_STREAM.name, tmp_path)
    assert waiting.read({}, 1) == []
    for number in (1, 2):
        (tmp_path / f"{number}.jsonl").write_bytes(b'{"event":"run.finished"}\n')
    (first,) = waiting.read({}, 1)
    cursors = {first.key: first.cursor}
    (second,) = waiting.read(cursors, 1)
    assert waiting.unread(cursors).records == 1
    waiting.remove(waiting.finished(cursors), cursors)
    assert [path.name for path in tmp_path.iterdir()] == ["2.jsonl"]
    assert waiting.missing([first.key, second.key]) == [first.key]
    assert waiting.ends() == {second.key: second.cursor}
    assert waiting.erase() == 1


def test_no_stream_of_nothing_is_left(tmp_path: Path) -> None:
    PassingStream(tmp_path / "streams", HiddenNames(Pseudonyms(bytes(32)), ())).end()
    assert not (tmp_path / "streams").exists()
