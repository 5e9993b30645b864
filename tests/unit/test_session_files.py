"""What Cline's session files say: runs, calls and tools by their messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cline_otel.sources.session_files.session import read_session
from cline_otel.sources.session_files.walk import Record
from conversations import SESSION, START_MS, answer, ask, gave, text, user, write_session

DONE = answer(300, text("done"))


def records(directory: Path, *messages: dict[str, Any], is_over: bool = True, **more: Any) -> list[Record]:
    return read_session(write_session(directory, messages, **more), is_over=is_over).records


def told(found: list[Record], event: str) -> list[Record]:
    return [record for record in found if record["event"] == event]


def only(found: list[Record], event: str) -> Record:
    (record,) = told(found, event)
    return record


# --- runs ------------------------------------------------------------------------------------------------


def test_a_run_begins_at_a_user_s_text_and_ends_with_the_session(tmp_path: Path) -> None:
    found = records(tmp_path, user(0, text('<user_input mode="plan">hi</user_input>')), DONE)
    started = only(found, "run.started")
    assert (started["run_id"], started["prompt_id"], started["mode"]) == ("msg_u0000000", "msg_u0000000", "plan")
    assert (started["session_id"], started["agent_id"], started["time_unix_ms"]) == (SESSION, SESSION, START_MS)
    ended = only(found, "run.finished")
    assert (ended["status"], ended["time_unix_ms"]) == ("completed", START_MS + 300)


def test_the_next_prompt_ends_a_run_and_what_cline_inserts_does_not(tmp_path: Path) -> None:
    found = records(
        tmp_path,
        user(0, text("one")),
        user(1, text("[SYSTEM] go on"), metadata={"userRunSpan": 0}),
        user(2, text("what went before"), metadata={"kind": "compaction_summary"}),
        DONE,
        user(400, text("two"), metadata={"userRunSpan": 1}),
        answer(500, text("done")),
    )
    assert [record["run_id"] for record in told(found, "run.started")] == ["msg_u0000000", "msg_u0000400"]
    ends = [(record["run_id"], record["time_unix_ms"]) for record in told(found, "run.finished")]
    assert ends == [("msg_u0000000", START_MS + 300), ("msg_u0000400", START_MS + 500)]


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("cancelled", "aborted"),
        ("failed", "failed"),
        ("idle", "aborted"),
        ("running", "incomplete"),
        ("", "incomplete"),
    ],
)
def test_a_run_without_a_last_answer_ended_as_the_session_did(tmp_path: Path, status: str, outcome: str) -> None:
    found = records(tmp_path, user(0, text("one")), answer(300, ask("call_1", "read_files")), status=status)
    assert only(found, "run.finished")["status"] == outcome


def test_an_unfinished_run_that_another_prompt_follows_was_stopped(tmp_path: Path) -> None:
    found = records(tmp_path, user(0, text("one")), answer(300, ask("c", "read_files")), user(400, text("two")))
    assert told(found, "run.finished")[0]["status"] == "aborted"


def test_a_cancelled_run_lasts_until_the_session_s_end(tmp_path: Path) -> None:
    ended_at = "2026-09-21T14:13:30.000Z"
    found = records(tmp_path, user(0, text("one")), answer(9, ask("c", "x")), status="cancelled", ended_at=ended_at)
    assert only(found, "run.finished")["time_unix_ms"] == START_MS + 10_000


def test_an_answer_that_is_only_shown_is_a_failed_call_and_a_failed_run(tmp_path: Path) -> None:
    failed = answer(200, text("Invalid API key"), metadata={"displayOnly": True}, metrics={})
    found = records(tmp_path, user(0, text("one")), failed, status="completed")
    call = only(found, "model_call.finished")
    assert (call["error_text"], call["started_at_ms"], call["time_unix_ms"]) == (
        "Invalid API key", START_MS, START_MS + 200,
    )  # fmt: skip
    assert only(found, "run.finished")["status"] == "failed"


def test_a_tool_that_ends_the_run_completes_it(tmp_path: Path) -> None:
    found = records(
        tmp_path, user(0, text("one")), answer(9, ask("c", "submit_and_exit")), user(20, gave("c", "ok")), status="idle"
    )
    assert only(found, "run.finished")["status"] == "completed"


# --- model calls -------------------------------------------------------------------------------------------


def test_a_model_call_lasts_from_the_message_before_to_its_answer(tmp_path: Path) -> None:
    found = records(tmp_path, user(0, text("x")), answer(100, ask("c", "read_files")), user(150, gave("c", "ok")), DONE)
    calls = told(found, "model_call.finished")
    assert [(call["started_at_ms"], call["time_unix_ms"]) for call in calls] == [
        (START_MS, START_MS + 100),
        (START_MS + 150, START_MS + 300),
    ]
    assert [(call["iteration"], call["message_id"], call["tool_calls"]) for call in calls] == [
        (1, "msg_a0000100", 1),
        (2, "msg_a0000300", 0),
    ]
    assert (calls[0]["input_tokens"], calls[0]["output_tokens"], calls[0]["cost_usd"]) == (100, 10, 0.25)
    assert (calls[0]["model"], calls[0]["provider"]) == ("gpt-5", "openai")


def test_zero_usage_is_unknown_and_a_free_call_is_not(tmp_path: Path) -> None:
    nothing = {"inputTokens": 0, "outputTokens": 0, "cacheReadTokens": 0, "cacheWriteTokens": 0, "cost": 0}
    found = records(tmp_path, user(0, text("x")), answer(9, text("a"), metrics=nothing))
    assert not {"input_tokens", "output_tokens", "cost_usd"} & only(found, "model_call.finished").keys()
    found = records(tmp_path, user(0, text("x")), answer(9, text("a"), metrics={**nothing, "inputTokens": 7}))
    assert (only(found, "model_call.finished")["input_tokens"], only(found, "model_call.finished")["cost_usd"]) == (
        7,
        0,
    )


def test_a_trailing_message_of_the_user_s_proves_no_call(tmp_path: Path) -> None:
    assert told(records(tmp_path, user(0, text("x")), status="failed"), "model_call.finished") == []


def test_the_last_answer_is_told_when_something_confirms_it(tmp_path: Path) -> None:
    begun = records(tmp_path, user(0, text("x")), DONE, status="running", is_over=False)
    assert [record["event"] for record in begun] == ["run.started"]
    over = records(tmp_path, user(0, text("x")), DONE, status="idle", is_over=False)
    assert [record["event"] for record in over] == ["run.started", "model_call.finished", "run.finished"]


def test_a_manifest_of_before_the_last_prompt_ends_nothing_that_is_not_answered(tmp_path: Path) -> None:
    found = records(tmp_path, user(0, text("x")), answer(9, ask("c", "x")), status="idle", is_over=False)
    assert told(found, "run.finished") == []


# --- tool calls --------------------------------------------------------------------------------------------


def test_tools_of_one_answer_run_one_after_the_other_and_agents_beside_one_another(tmp_path: Path) -> None:
    found = records(
        tmp_path,
        user(0, text("x")),
        answer(100, ask("a", "read_files"), ask("b", "spawn_agent", task="t"), ask("c", "read_files")),
        user(150, gave("a", "ok")),
        user(190, gave("c", "ok")),
        user(250, gave("b", '{"text": "t", "iterations": 1, "finishReason": "completed"}')),
        DONE,
    )
    times = {r["call_id"]: (r["started_at_ms"], r["ended_at_ms"]) for r in told(found, "tool_call.finished")}
    begin = START_MS + 100
    assert times == {"a": (begin, begin + 50), "c": (begin + 50, begin + 90), "b": (begin, begin + 150)}
    assert [record["ordinal"] for record in told(found, "tool_call.started")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "is_error", "outcome", "error_type"),
    [
        ([{"success": True}], False, "success", None),
        ([{"success": False, "error": "Command failed: no"}], False, "error", "tool_error"),
        ('{"error":"User denied the tool execution"}', True, "rejected", "denied"),
        ('{"isError":true,"content":[]}', False, "error", "tool_error"),
    ],
)
def test_a_tool_has_its_real_outcome(
    tmp_path: Path, content: object, is_error: bool, outcome: str, error_type: str | None
) -> None:
    asked = answer(9, ask("c", "crm__find"))
    found = records(tmp_path, user(0, text("x")), asked, user(20, gave("c", content, is_error=is_error)), DONE)
    call = only(found, "tool_call.finished")
    assert (call["outcome"], call.get("error_type")) == (outcome, error_type)


def test_a_call_without_a_result_stays_open(tmp_path: Path) -> None:
    found = records(tmp_path, user(0, text("x")), answer(9, ask("c", "run_commands")), status="cancelled")
    assert told(found, "tool_call.started")
    assert not told(found, "tool_call.finished")


def test_an_edit_has_its_lines(tmp_path: Path) -> None:
    asked = answer(9, ask("c", "editor", path="p", old_text="a\nb", new_text="a\nc\nd"))
    result = user(20, gave("c", '{"result":"Edited p","success":true}'))
    call = only(records(tmp_path, user(0, text("x")), asked, result, DONE), "tool_call.finished")
    assert (call["lines_added"], call["lines_removed"], call["files_modified"]) == (2, 1, 1)


# --- agents --------------------------------------------------------------------------------------------------


def agent(at: int, task: str) -> list[dict[str, Any]]:
    return [user(at, text(task)), answer(at + 40, text("found"))]


def test_an_agent_belongs_to_the_oldest_call_with_its_task_word_for_word(tmp_path: Path) -> None:
    asked = answer(100, ask("a", "spawn_agent", task="look"), ask("b", "spawn_agent", task="look"))
    agents = {
        "agent_1790000000200_aaaaaa": agent(200, '<user_input mode="act">look</user_input>'),
        "agent_1790000000210_bbbbbb": agent(210, "look"),
    }
    results = [user(260, gave("a", "ok")), user(270, gave("b", "ok"))]
    found = records(tmp_path, user(0, text("x")), asked, *results, DONE, agents=agents)
    started = told(found, "run.started")
    assert [(run["agent_kind"], run.get("parent_call_id")) for run in started] == [
        ("root", None), ("subagent", "a"), ("subagent", "b"),
    ]  # fmt: skip
    assert {run.get("parent_message_id") for run in started[1:]} == {"msg_a0000100"}
    assert {run["parent_run_id"] for run in started[1:]} == {"msg_u0000000"}


def test_an_agent_s_run_ends_with_the_result_of_its_call_while_the_session_goes_on(tmp_path: Path) -> None:
    asked = answer(100, ask("a", "spawn_agent", task="look"))
    agents = {"agent_1790000000200_aaaaaa": agent(200, "look")}
    more: dict[str, Any] = {"status": "running", "is_over": False, "agents": agents}
    assert not told(records(tmp_path, user(0, text("x")), asked, **more), "run.finished")
    ended = told(records(tmp_path, user(0, text("x")), asked, user(260, gave("a", "ok")), **more), "run.finished")
    assert [(run["agent_id"], run["status"]) for run in ended] == [("agent_1790000000200_aaaaaa", "completed")]


def test_an_agent_whose_call_is_not_found_belongs_to_the_run_at_work(tmp_path: Path) -> None:
    agents = {"agent_1790000000200_aaaaaa": agent(200, "something else")}
    found = records(tmp_path, user(0, text("x")), DONE, user(400, text("y")), answer(500, text("z")), agents=agents)
    (run,) = [run for run in told(found, "run.started") if run["agent_kind"] == "subagent"]
    assert (run["parent_agent_id"], run["parent_run_id"]) == (SESSION, "msg_u0000000")
    assert "parent_call_id" not in run


def test_a_teammate_s_name_is_nowhere(tmp_path: Path) -> None:
    agents = {"reviewer-of-secrets__TfgSoB": agent(200, "look")}
    found = records(tmp_path, user(0, text("x")), DONE, agents=agents)
    assert "reviewer" not in json.dumps(found)
    assert {run["agent_kind"] for run in told(found, "run.started")} == {"root", "teammate"}


def test_a_copy_of_a_conversation_adds_nothing(tmp_path: Path) -> None:
    folder = write_session(tmp_path, [user(0, text("x")), DONE])
    once = read_session(folder, is_over=True)
    content = (folder / f"{SESSION}.messages.json").read_bytes()
    (folder / "backup.messages.json").write_bytes(content)
    assert read_session(folder, is_over=True) == once


# --- what may be in a file -----------------------------------------------------------------------------------


def test_no_text_of_a_conversation_is_in_its_records(tmp_path: Path) -> None:
    secret = "the launch code is 0000"
    asked = answer(9, text(secret), ask("c", "run_commands", commands=[secret], path=secret))
    result = user(20, gave("c", [{"query": secret, "result": secret, "success": False, "error": secret}]))
    found = records(tmp_path, user(0, text(secret)), asked, result, DONE, prompt=secret, cwd=secret)
    assert secret not in json.dumps(found)


@pytest.mark.parametrize("cut", [1, 60, 300, 500])
def test_a_torn_file_says_what_comes_before_the_tear(tmp_path: Path, cut: int) -> None:
    folder = write_session(tmp_path, [user(0, text("x")), answer(9, text("a")), user(20, text("y")), DONE])
    path = folder / f"{SESSION}.messages.json"
    whole = read_session(folder, is_over=True)
    path.write_bytes(path.read_bytes()[:-cut])
    torn = read_session(folder, is_over=True)
    assert torn.torn == (SESSION,)
    assert [r for r in torn.records if r["event"] != "run.finished"] == [
        r for r in whole.records if r["event"] != "run.finished"
    ][: len([r for r in torn.records if r["event"] != "run.finished"])]


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"role": "user"},
        {"role": "assistant", "ts": "now", "content": []},
        {"role": "assistant", "ts": START_MS + 10, "content": 7, "metrics": "x", "modelInfo": [], "metadata": 1},
        {"role": "user", "ts": START_MS + 10, "content": [None, 7, {"type": "tool_result", "tool_use_id": []}]},
        {"role": "assistant", "ts": -1, "content": [{"type": "tool_use", "id": {}, "name": [], "input": None}]},
        {"role": "assistant", "ts": START_MS + 10, "content": [{"type": "tool_use"}, {"type": "tool_use"}]},
        {"role": "system", "ts": START_MS + 10, "content": "x"},
    ],
)
def test_an_odd_message_costs_itself_alone(tmp_path: Path, message: dict[str, Any]) -> None:
    found = records(tmp_path, user(0, text("x")), message, DONE)
    assert told(found, "run.started")
    assert told(found, "model_call.finished")[-1]["message_id"] == DONE["id"]


@pytest.mark.parametrize("manifest", [b"", b"{", b"[]", b'{"status": 7, "pid": "x", "ended_at": 3, "metadata": []}'])
def test_a_manifest_that_says_nothing_costs_nothing_of_the_conversation(tmp_path: Path, manifest: bytes) -> None:
    folder = write_session(tmp_path, [user(0, text("x")), DONE])
    (folder / f"{SESSION}.json").write_bytes(manifest)
    assert only(read_session(folder, is_over=True).records, "run.finished")["status"] == "completed"


@pytest.mark.parametrize("depth", [60, 100_000])
def test_what_is_nested_too_deeply_costs_itself_alone_and_no_time(tmp_path: Path, depth: int) -> None:
    folder = write_session(
        tmp_path, [user(0, text("x")), answer(9, ask("c", "x", a=[])), user(20, gave("c", "ok")), DONE]
    )
    path = folder / f"{SESSION}.messages.json"
    once = read_session(folder, is_over=True)
    path.write_text(path.read_text().replace('"a": []', f'"a": {"[" * depth}{"]" * depth}'))
    deep = read_session(folder, is_over=True)
    assert [record["event"] for record in deep.records] == [record["event"] for record in once.records]
