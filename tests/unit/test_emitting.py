"""A bridge in an agent's own process takes typed events, keeps them, and makes the traces that Cline's runs make."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from cline_otel import (
    AgentEvent,
    AgentModelCallFinished,
    AgentModelCallStarted,
    AgentRun,
    AgentRunFinished,
    AgentRunStarted,
    AgentToolCallFinished,
    AgentToolCallStarted,
    Bridge,
    BridgeError,
    InvalidEvent,
)
from cline_otel.state_directory import OFF_FILE_NAME
from loopback_server import HttpRequest, LoopbackServer

ROOT = Path(__file__).parents[2]
BEGAN_NS = 1_780_000_000_000_000_000
CONTENT = "the customer's secret"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("OTEL_", "CLINE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_STATE_DIR", str(tmp_path / "state"))


def run_of(agent: str, run: str = "run_00000001") -> AgentRun:
    return AgentRun(session_id="session_00000001", agent_id=agent, run_id=run)


def events() -> list[AgentEvent]:
    """A prompt with a tool that fails and a subagent."""
    lead, helper = run_of("agent_00000001"), run_of("agent_00000002")

    def at(seconds: int) -> int:
        return BEGAN_NS + seconds * 10**9

    first, second = {"model_call_id": "msg_00000001"}, {"model_call_id": "msg_00000002"}
    model = {"provider": "anthropic", "model": "claude-sonnet-4-5", "input_tokens": 100, "output_tokens": 20}
    spawn = {**first, "tool_call_id": "call_00000001", "tool_name": "spawn_agent"}
    command = {**first, "tool_call_id": "call_00000002", "tool_name": "run_commands"}
    return [
        AgentRunStarted(run=lead, at_ns=at(0), mode="act"),
        AgentModelCallStarted(run=lead, at_ns=at(1), **first),
        AgentModelCallFinished(run=lead, at_ns=at(2), **first, **model, started_at_ns=at(1), tool_calls=2),
        AgentToolCallStarted(run=lead, at_ns=at(2), **spawn),
        AgentRunStarted(
            run=helper,
            at_ns=at(3),
            parent=lead,
            parent_model_call_id="msg_00000001",
            parent_tool_call_id="call_00000001",
        ),
        AgentModelCallFinished(run=helper, at_ns=at(5), **first, **model, started_at_ns=at(3), error_text=CONTENT),
        AgentRunFinished(run=helper, at_ns=at(6), outcome="failed", error_text=CONTENT),
        AgentToolCallFinished(run=lead, at_ns=at(7), **spawn, outcome="error", error_type="tool_error"),
        AgentToolCallStarted(run=lead, at_ns=at(7), **command),
        AgentToolCallFinished(run=lead, at_ns=at(8), **command, outcome="success", exit_code=0),
        AgentModelCallFinished(run=lead, at_ns=at(9), **second, **model, started_at_ns=at(8), tool_calls=0),
        AgentRunFinished(run=lead, at_ns=at(9), outcome="completed"),
    ]


def spans_in(directory: Path) -> list[dict[str, Any]]:
    lines = [line for path in directory.glob("**/traces.jsonl") for line in path.read_text("utf-8").splitlines()]
    return [
        span
        for line in lines
        for resource in json.loads(line)["resourceSpans"]
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    ]


def emit_all(name: str = "own-agent") -> None:
    with Bridge(name) as bridge:
        for event in events():
            bridge.emit(event)


def test_what_is_emitted_becomes_the_trace_of_its_run(tmp_path: Path) -> None:
    emit_all()
    spans = {span["spanId"]: span for span in spans_in(tmp_path)}
    names = sorted(
        (span["name"], spans[parent]["name"] if (parent := span.get("parentSpanId")) else "") for span in spans.values()
    )
    assert names == [
        ("chat claude-sonnet-4-5", "invoke_agent cline"),
        ("chat claude-sonnet-4-5", "invoke_agent cline"),
        ("chat claude-sonnet-4-5", "invoke_agent subagent 1"),
        ("execute_tool run_commands", "invoke_agent cline"),
        ("execute_tool spawn_agent", "invoke_agent cline"),
        ("invoke_agent cline", ""),
        ("invoke_agent subagent 1", "execute_tool spawn_agent"),
    ]
    assert len({span["traceId"] for span in spans.values()}) == 1
    (root,) = (span for span in spans.values() if span["name"] == "invoke_agent cline")
    assert (int(root["startTimeUnixNano"]), int(root["endTimeUnixNano"])) == (BEGAN_NS, BEGAN_NS + 9 * 10**9)


def test_the_same_events_once_more_add_nothing(tmp_path: Path) -> None:
    emit_all()
    once = spans_in(tmp_path)
    emit_all()
    assert spans_in(tmp_path) == once


def test_nothing_of_an_error_s_text_is_kept_or_leaves(tmp_path: Path) -> None:
    emit_all()
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(written) > 3
    assert [path for path, content in written.items() if CONTENT.encode() in content] == []


def test_what_was_emitted_is_delivered_by_the_next_bridge_if_no_destination_was_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    taken: list[bytes] = []

    def answer(request: HttpRequest) -> tuple[int, bytes]:
        taken.append(request.unpacked())
        return 200, b""

    with LoopbackServer(answer) as server:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.url)
        emit_all()
        server.listen()
        with Bridge("own-agent"):
            pass
    assert any(b"invoke_agent cline" in body for body in taken)


def test_while_the_user_s_telemetry_is_off_nothing_is_kept(tmp_path: Path) -> None:
    off = tmp_path / "state" / OFF_FILE_NAME
    off.parent.mkdir()
    off.write_text("off\n")
    emit_all()
    assert spans_in(tmp_path) == []


@pytest.mark.parametrize(
    ("event", "says"),
    [
        (AgentRunStarted(run=run_of("")), "AgentRunStarted.run.agent_id: Expected `str` of length >= 1"),
        (AgentRunStarted(run=run_of("a", 3)), "AgentRunStarted.run.run_id: Expected `str`, got `int`"),  # type: ignore[arg-type]
        (
            AgentRunFinished(run=run_of("a"), outcome="done"),  # type: ignore[arg-type]
            "AgentRunFinished.outcome: Invalid enum value 'done'; it is one of completed, failed, aborted",
        ),
        (
            AgentModelCallFinished(run=run_of("a"), model_call_id="m", input_tokens=-1),
            "AgentModelCallFinished.input_tokens: Expected `int` >= 0",
        ),
        (AgentRunStarted(run=run_of("a"), mode={1}), "AgentRunStarted.mode: "),  # type: ignore[arg-type]
        (AgentEvent(run=run_of("a")), "AgentEvent: no event"),
        ("run.started", "str: no event"),
    ],
)
def test_what_cannot_be_is_refused_by_name(event: Any, says: str) -> None:
    with Bridge("own-agent") as bridge, pytest.raises(InvalidEvent) as raised:
        bridge.emit(event)
    assert str(raised.value).startswith(says)


def test_events_of_several_threads_are_all_taken(tmp_path: Path) -> None:
    def work(bridge: Bridge, number: int) -> None:
        bridge.emit(AgentRunStarted(run=run_of(f"agent_0000000{number}")))
        bridge.emit(AgentRunFinished(run=run_of(f"agent_0000000{number}"), outcome="completed"))

    with Bridge("own-agent") as bridge:
        threads = [threading.Thread(target=work, args=(bridge, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [span["name"] for span in spans_in(tmp_path)] == ["invoke_agent cline"] * 8


def test_a_bridge_that_does_not_run_says_so(tmp_path: Path) -> None:
    bridge = Bridge("own-agent")
    with pytest.raises(BridgeError, match="does not run"):
        bridge.emit(events()[0])
    with bridge, pytest.raises(BridgeError, match="own-agent"), Bridge("own-agent"):
        pass
    with pytest.raises(BridgeError, match="does not run"):
        bridge.emit(events()[0])


def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "carrier-pigeon")
    with pytest.raises(BridgeError, match="OTEL_EXPORTER_OTLP_PROTOCOL"), Bridge("own-agent"):
        pass


def test_the_example_runs(tmp_path: Path) -> None:
    program = ROOT / "examples" / "own-agent" / "agent.py"
    subprocess.run([sys.executable, str(program)], check=True)
    assert sorted(span["name"] for span in spans_in(tmp_path)) == [
        *["chat claude-sonnet-4-5"] * 3,
        *["execute_tool read_files"] * 2,
        "invoke_agent cline",
    ]
