"""Recordings of task files: whose they are, by what is in them, and what is told of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cline_otel.places import Places, cline_places
from cline_otel.sources.classic_tasks import CLASSIC_TASKS
from cline_otel.sources.interface import Recorded
from cline_otel.sources.kilo_code import KILO_CODE
from cline_otel.sources.registry import SOURCES
from cline_otel.sources.roo_code import ROO_CODE
from cline_otel.sources.task_files.task import CHAT, HISTORY
from tasks import COMPLETED, START_MS, TASK, ULID, Message, answer, ask, request, say, user, write_task


def recognised_by(messages: list[Any]) -> list[str]:
    content = json.dumps(messages, indent=2).encode()
    return [name for name, source in SOURCES.items() if source.recognises(content)]


def roo_request(**more: Any) -> Message:
    used = {"apiProtocol": "openai", "tokensIn": 9, "tokensOut": 1, **more}
    return say(20, "api_req_started", json.dumps(used), modelInfo=None)


def records_in(recorded: Recorded) -> list[dict[str, Any]]:
    return [msgspec.json.decode(part) for payload in recorded.payloads for part in payload.parts]


@pytest.mark.parametrize(
    ("messages", "source"),
    [
        (COMPLETED[0], "classic-tasks"),
        (COMPLETED[1], "classic-tasks"),
        ([say(0, "text", "x"), roo_request()], "roo-code"),
        ([say(0, "text", "x"), ask(9, "tool", "{}", isAnswered=True)], "roo-code"),
        ([say(0, "text", "x"), roo_request(inferenceProvider="x")], "kilo-code"),
        ([say(0, "text", "x", metadata={"kiloCode": {}}), roo_request()], "kilo-code"),
    ],
)
def test_whose_a_file_is_is_told_by_its_messages(messages: list[Any], source: str) -> None:
    assert recognised_by(messages) == [source]


def test_a_prompt_that_quotes_a_fork_s_messages_is_cline_s() -> None:
    quoted = json.dumps([say(0, "text", metadata={"kiloCode": {}}), roo_request(), ask(9, "tool", isAnswered=True)])
    assert recognised_by([say(0, "task", quoted), request(20, 1, 1, request=quoted)]) == ["classic-tasks"]


@pytest.mark.parametrize("messages", [[], [1], [{}], [{"role": "user"}], [{"ts": 1, "type": "say"}], {"messages": []}])
def test_what_is_no_task_is_nobody_s(messages: Any) -> None:
    assert recognised_by(messages) == []


def test_a_task_is_told_once_by_its_two_files(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "legacy" / "tasks", *COMPLETED)
    assert [path.name for path in CLASSIC_TASKS.recordings_in(tmp_path)] == [CHAT]
    told = records_in(CLASSIC_TASKS.recorded(folder / CHAT, b""))
    assert len([record for record in told if record["event"] == "model_call.finished"]) == 2
    assert CLASSIC_TASKS.recorded(folder / HISTORY, b"") == Recorded([], {})


def test_the_list_of_tasks_says_what_cline_s_telemetry_calls_one(tmp_path: Path) -> None:
    folder = write_task(tmp_path / "tasks", *COMPLETED)
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "taskHistory.json").write_text(json.dumps([{"id": "1"}, 5, {"id": TASK, "ulid": ULID}]))
    assert records_in(CLASSIC_TASKS.recorded(folder / CHAT, b""))[0]["task_ulid"] == ULID


@pytest.mark.parametrize("name", [CHAT, HISTORY])
def test_a_conversation_alone_is_told_too(name: str, tmp_path: Path) -> None:
    folder = write_task(tmp_path, *COMPLETED)
    for path in list(folder.iterdir()):
        if path.name == name:
            path.rename(tmp_path / f"A_{name}")
        else:
            path.unlink()
    told = records_in(CLASSIC_TASKS.recorded(tmp_path / f"A_{name}", b""))
    calls = [record for record in told if record["event"] == "model_call.finished"]
    assert [call["input_tokens"] for call in calls] == [100, 200]
    assert {record["agent_id"] for record in told} == {str(START_MS if name == CHAT else START_MS + 30)}


@pytest.mark.parametrize("name", [CHAT, HISTORY])
@pytest.mark.parametrize("content", [b"", b"[", b'[{"ts": 1, "say', b"\xff", b"[" * 1_000])
def test_a_file_that_is_no_json_costs_its_task_and_is_counted(name: str, content: bytes, tmp_path: Path) -> None:
    folder = write_task(tmp_path, *COMPLETED)
    (folder / name).write_bytes(content)
    assert CLASSIC_TASKS.recorded(folder / CHAT, b"") == Recorded([], {("malformed", "classic-tasks", "file"): 1})


# --- forks -----------------------------------------------------------------------------------------------


def roo_calls(tmp_path: Path, **used: Any) -> list[dict[str, Any]]:
    around = "<environment_details>\n# Current Mode\n<slug>code</slug>\n<model>gpt-5</model>\n</environment_details>"
    history = [user(30, "<task>x</task>", around), answer(400, "hm", modelInfo=None, metrics=None)]
    folder = write_task(tmp_path, [say(0, "text", "x", modelInfo=None), roo_request(**used)], history)
    told = records_in(ROO_CODE.recorded(folder / CHAT, b""))
    return [record for record in told if record["event"] == "model_call.finished"]


@pytest.mark.parametrize(("protocol", "input_tokens"), [("anthropic", 16), ("openai", 9)])
def test_roo_code_counts_the_cache_as_the_protocol_does(protocol: str, input_tokens: int, tmp_path: Path) -> None:
    (call,) = roo_calls(tmp_path, apiProtocol=protocol, cacheReads=5, cacheWrites=2)
    assert (call["input_tokens"], call["cache_read_tokens"], call["cache_write_tokens"]) == (input_tokens, 5, 2)


def test_roo_code_says_the_model_around_a_prompt(tmp_path: Path) -> None:
    (call,) = roo_calls(tmp_path)
    assert (call["model"], "provider" in call) == ("gpt-5", False)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_forks_are_sought_beside_cline_in_every_editor(platform: str, tmp_path: Path) -> None:
    installation = cline_places({}, tmp_path, platform)
    assert installation is not None
    places = Places(tmp_path, (installation,))
    clines = [str(path) for path in CLASSIC_TASKS.directories(places)]
    for source, extension in ((ROO_CODE, "rooveterinaryinc.roo-cline"), (KILO_CODE, "kilocode.kilo-code")):
        forks = [str(path) for path in source.directories(places)]
        assert forks == [each.replace("saoudrizwan.claude-dev", extension) for each in clines if "claude-dev" in each]
        assert len(forks) >= 10
    assert str(tmp_path / ".cline" / "data" / "tasks") in clines
