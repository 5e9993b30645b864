"""Replay: what a recording is taken for, and what is written of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bench.fixed_key import CATALOGUE, recording_of, replay_of

from cline_otel.events import Event
from cline_otel.replay import claims, decode_recording, replay, write
from cline_otel.signals import Diagnostics
from cline_otel.sources.recording import Recording
from corpus import CAPTURES, event_of
from payloads import log_lines, otlp_request, recorded


def told(source: str, agent_id: str, number: int = 1, **attributes: str) -> list[Event]:
    return [event_of("run.started", source, 1, "x", "s", agent_id, "r", attributes=dict(attributes))] * number  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("streams", "owner"),
    [
        ([told("cline-log", "a", 9), told("plugin", "a")], "plugin"),
        ([told("cline-log", "a", 3), told("otlp", "a", 2)], "cline-log"),
        ([told("otlp", "a", 3), told("cline-log", "a", 2)], "otlp"),
    ],
)
def test_a_replay_gives_a_run_to_the_better_source_then_to_the_one_that_says_more(
    streams: list[list[Event]], owner: str
) -> None:
    assert [(claim.source, claim.agent_id) for claim in claims(streams, CATALOGUE)] == [(owner, "a")]


def test_a_run_within_another_is_not_claimed() -> None:
    assert [
        claim.agent_id
        for claim in claims([[*told("plugin", "a"), *told("plugin", "c", parent_agent_id="a")]], CATALOGUE)
    ] == ["a"]


def test_what_cline_sends_besides_logs_is_counted(tmp_path: Path) -> None:
    lines = [b'{"resourceMetrics":[]}'] * 3 + [b'{"resourceSpans":[]}'] * 2 + [b'{"resourceLogs":[]}', b"no request"]
    path = tmp_path / "otlp.jsonl"
    path.write_bytes(b"\n".join(lines))
    result = replay_of([path])
    assert result.diagnostics == {
        ("unsupported_signal", "otlp", "metrics"): 3,
        ("unsupported_signal", "otlp", "traces"): 2,
        ("malformed", "otlp", "line"): 1,
    }


def test_a_malformed_request_is_counted_and_the_others_are_taken() -> None:
    sound = recording_of([CAPTURES / "classic_full"])
    broken = Recording([*sound.streams, [otlp_request(b"{")]])
    diagnostics: Diagnostics = {}
    assert decode_recording(broken, CATALOGUE, diagnostics) == [*decode_recording(sound, CATALOGUE, {}), []]
    assert diagnostics["malformed", "otlp", "request"] == 1


def test_requests_hold_a_bounded_number_of_items() -> None:
    lines = []
    for number in range(1_100):
        line = {"level": 30, "time": 1_790_000_000_000 + number, "msg": "telemetry.event", "event": "session.stopped"}
        lines.append(json.dumps({**line, "properties": {"sessionId": f"s{number}"}}).encode())
    result = replay(recorded(log_lines(lines)), CATALOGUE)
    assert len(result.logs) == 1_100
    assert len(result.requests["logs"]) == 3


def test_each_line_that_is_written_is_one_export_request(tmp_path: Path) -> None:
    result = replay_of([CAPTURES / "plugin_basic"])
    keys = {"traces": "resourceSpans", "metrics": "resourceMetrics", "logs": "resourceLogs"}
    for path in write(result, tmp_path / "new" / "folder"):
        for line in path.read_bytes().splitlines():
            assert list(json.loads(line)) == [keys[path.stem]]


def test_a_replay_s_resource_is_its_own(tmp_path: Path) -> None:
    result = replay(recording_of([CAPTURES / "plugin_basic"]), CATALOGUE, (("service.name", "other"),))
    traces = json.loads(write(result, tmp_path)[0].read_bytes().splitlines()[0])
    attributes = traces["resourceSpans"][0]["resource"]["attributes"]
    assert [(a["key"], a["value"]) for a in attributes] == [("service.name", {"stringValue": "other"})]


@pytest.mark.parametrize("only", ["plugin", "cline-log", "otlp"])
def test_one_source_alone_can_be_replayed(only: str) -> None:
    result = replay_of([CAPTURES / "subagents_plugin"], only)  # type: ignore[arg-type]
    owners = {dict(span.attributes).get("cline.telemetry.source") for span in result.spans} - {None}
    assert owners == {only}
    subagents = [span for span in result.spans if span.name.startswith("invoke_agent subagent ")]
    assert bool(subagents) == (only == "plugin")
