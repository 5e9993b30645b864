"""What the task files of classic Cline say: prompts, calls, tools, by what was shown and the conversation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cline_otel.sources.conversations.told import Record
from cline_otel.sources.task_files.story import LONGEST_WAIT_MS
from tasks import (
    COMPLETED,
    DONE,
    READ,
    START_MS,
    TASK,
    ULID,
    answer,
    ask,
    only,
    records_of,
    request,
    say,
    told,
    user,
    write_task,
)


def records(directory: Path, chat: list[dict[str, Any]], history: list[dict[str, Any]] | None = None) -> list[Record]:
    return records_of(write_task(directory, chat, history))


# --- prompts ---------------------------------------------------------------------------------------------


def test_a_task_is_a_run_from_its_prompt_to_its_result(tmp_path: Path) -> None:
    found = records_of(write_task(tmp_path, *COMPLETED), ULID)
    started, ended = only(found, "run.started"), only(found, "run.finished")
    assert (started["session_id"], started["agent_id"], started["task_ulid"]) == (TASK, TASK, ULID)
    assert started["run_id"] == started["prompt_id"] == str(START_MS)
    assert (started["mode"], started["client_name"], started["timing"]) == ("act", "vscode", "inferred")
    assert (ended["status"], ended["time_unix_ms"]) == ("completed", START_MS + 900)


def test_who_ran_it_is_what_the_task_s_metadata_says_of_that_time(tmp_path: Path) -> None:
    hosts = [
        {"ts": START_MS - 5, "host_name": "Cline CLI - Node.js", "cline_version": "3.82.0"},
        {"ts": START_MS + 600, "host_name": "code-server", "cline_version": "4.0.12"},
    ]
    folder = write_task(tmp_path, *COMPLETED, metadata={"environment_history": hosts})
    started = only(records_of(folder), "run.started")
    assert (started["client_name"], started["client_version"]) == ("cline-cli", "3.82.0")


def test_the_user_s_next_message_is_another_run_and_ends_the_tool_that_it_answers(tmp_path: Path) -> None:
    question = "Which?\n<ask_followup_question>\n<question>which?</question>\n</ask_followup_question>"
    found = records(
        tmp_path,
        [
            say(0, "task", "x"),
            request(20, 1, 1),
            ask(390, "followup", "which?"),
            say(5_000, "user_feedback", "that"),
            request(5_050, 1, 1),
            say(5_400, "completion_result"),
            ask(5_500, "completion_result"),
        ],
        [
            user(30),
            answer(400, question),
            user(5_060, "[ask_followup_question for 'which?'] Result:\n<answer>\nthat\n</answer>"),
            answer(5_450, DONE),
        ],
    )
    assert [record["run_id"] for record in told(found, "run.started")] == [str(START_MS), str(START_MS + 5_000)]
    asked = told(found, "tool_call.finished")[0]
    assert (asked["run_id"], asked["time_unix_ms"], asked["outcome"]) == (str(START_MS), START_MS + 5_000, "success")
    ends = [(record["status"], int(record["time_unix_ms"]) - START_MS) for record in told(found, "run.finished")]
    assert ends == [("completed", 5_000), ("completed", 5_450)]


def test_a_run_that_was_interrupted_and_goes_on_without_a_word_is_another(tmp_path: Path) -> None:
    found = records(
        tmp_path,
        [say(0, "task", "x"), request(20, 1, 1), ask(900, "resume_task"), request(9_000, 1, 1)],
        [user(30), answer(400, READ), user(9_010, "[TASK RESUMPTION] go on"), answer(9_300, READ)],
    )
    assert [record["run_id"] for record in told(found, "run.started")] == [str(START_MS), str(START_MS + 9_000)]
    assert told(found, "run.finished")[0]["status"] == "aborted"


@pytest.mark.parametrize(("after_ms", "ended_ms"), [(LONGEST_WAIT_MS, LONGEST_WAIT_MS), (LONGEST_WAIT_MS + 1, 0)])
def test_the_question_whether_to_go_on_ends_a_run_unless_it_came_when_the_task_was_opened_again(
    after_ms: int, ended_ms: int, tmp_path: Path
) -> None:
    chat = [say(0, "task", "x"), request(20, 1, 1), ask(400 + after_ms, "resume_task")]
    ended = only(records(tmp_path, chat, [user(30), answer(400, READ)]), "run.finished")
    assert (ended["status"], ended["time_unix_ms"]) == ("aborted", START_MS + 400 + ended_ms)


def test_a_run_of_which_the_files_do_not_say_how_it_ended_is_incomplete(tmp_path: Path) -> None:
    found = records(tmp_path, [say(0, "task", "x"), request(20, 1, 1)], [user(30), answer(400, READ)])
    assert only(found, "run.finished")["status"] == "incomplete"
    assert not told(found, "tool_call.finished")


# --- model calls -----------------------------------------------------------------------------------------


def test_a_call_lasts_from_the_message_before_its_answer_to_the_answer(tmp_path: Path) -> None:
    first, second = told(records(tmp_path, *COMPLETED), "model_call.finished")
    assert (first["started_at_ms"], first["time_unix_ms"]) == (START_MS + 30, START_MS + 400)
    assert (second["started_at_ms"], second["time_unix_ms"]) == (START_MS + 510, START_MS + 900)
    assert [each["message_id"] for each in (first, second)] == [str(START_MS + 400), str(START_MS + 900)]
    assert (first["iteration"], second["iteration"], first["tool_calls"]) == (1, 2, 1)
    assert (first["model"], first["provider"]) == ("claude-sonnet-4-5", "anthropic")


def test_the_request_says_what_a_call_used_with_the_cache_in_its_input(tmp_path: Path) -> None:
    chat = [say(0, "task", "x"), request(20, 5, 7, cacheReads=30, cacheWrites=100, cost=0.25)]
    call = only(records(tmp_path, chat, [user(30), answer(400, DONE, 5, 7, 130)]), "model_call.finished")
    used = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_usd")
    assert [call[name] for name in used] == [135, 7, 30, 100, 0.25]


def test_where_the_request_does_not_know_it_the_answer_says_what_was_used(tmp_path: Path) -> None:
    chat = [say(0, "task", "x"), say(20, "api_req_started", '{"request": "x"}')]
    call = only(records(tmp_path, chat, [user(30), answer(400, DONE, 5, 7, 130)]), "model_call.finished")
    assert (call["input_tokens"], call["output_tokens"]) == (135, 7)
    assert "cost_usd" not in call


def test_zero_usage_is_none_that_is_known(tmp_path: Path) -> None:
    chat = [say(0, "task", "x"), request(20)]
    call = only(records(tmp_path, chat, [user(30), answer(400, DONE)]), "model_call.finished")
    assert not {"input_tokens", "output_tokens", "cost_usd"} & call.keys()


def test_a_call_that_the_conversation_lacks_is_told_by_what_was_shown(tmp_path: Path) -> None:
    chat, history = COMPLETED
    call = told(records(tmp_path, chat, history[:3]), "model_call.finished")[1]
    assert (call["started_at_ms"], call["time_unix_ms"]) == (START_MS + 510, START_MS + 800)
    assert (call["message_id"], call["input_tokens"], call["cost_usd"]) == (str(START_MS + 500), 200, 0.5)


def test_a_request_of_which_nothing_came_is_no_call(tmp_path: Path) -> None:
    chat = [say(0, "task", "x"), say(20, "api_req_started", '{"request": "x"}'), ask(90, "resume_task")]
    assert not told(records(tmp_path, chat, [user(30)]), "model_call.finished")


def test_an_answer_whose_request_was_not_shown_is_a_call(tmp_path: Path) -> None:
    calls = told(records(tmp_path, [say(0, "task", "x")], [user(30), answer(400, READ, 9, 1)]), "model_call.finished")
    assert [(call["started_at_ms"], call["input_tokens"]) for call in calls] == [(START_MS + 30, 9)]


def test_messages_without_times_are_told_by_their_places(tmp_path: Path) -> None:
    chat = [
        say(0, "text", "x", conversationHistoryIndex=-1),
        request(20, 0, 173, cacheWrites=11_145) | {"conversationHistoryIndex": -1, "modelInfo": None},
        say(300, "tool", '{"tool": "listFilesRecursive"}', conversationHistoryIndex=0),
        request(500, 0, 36, cacheReads=11_264) | {"conversationHistoryIndex": 1, "modelInfo": None},
        say(900, "text", "hm", conversationHistoryIndex=2),
    ]
    history = [user(30), answer(400, READ), user(500, "[read_file for 'a.py'] Result:\nx"), answer(900, READ)]
    for message in history:
        del message["ts"]
        message.pop("modelInfo", None)
    found = records(tmp_path, chat, history)
    calls = told(found, "model_call.finished")
    assert [(call["time_unix_ms"], call["input_tokens"]) for call in calls] == [
        (START_MS + 300, 11_145),
        (START_MS + 900, 11_264),
    ]
    assert all("model" not in call for call in calls)
    assert [call["time_unix_ms"] for call in told(found, "tool_call.finished")] == [START_MS + 300]


@pytest.mark.parametrize(
    "failed",
    [
        [request(20, cancelReason="streaming_failed", streamingFailedMessage="429 Too Many Requests")],
        [request(20), ask(90, "api_req_failed", "429 Too Many Requests")],
    ],
)
def test_a_call_that_failed_is_told_with_its_error(failed: list[dict[str, Any]], tmp_path: Path) -> None:
    found = records(tmp_path, [say(0, "task", "x"), *failed, ask(200, "resume_task")], [user(30)])
    assert only(found, "model_call.finished")["error_text"] == "429 Too Many Requests"
    assert only(found, "run.finished")["status"] == "failed"


def test_an_answer_that_was_cut_off_is_a_call_whose_tools_did_not_run(tmp_path: Path) -> None:
    chat = [say(0, "task", "x"), request(20, 7, 3, cancelReason="user_cancelled"), ask(600, "resume_task")]
    cut = "I read.\n<read_file>\n<path>a\n\n[Response interrupted by user]"
    found = records(tmp_path, chat, [user(30), answer(400, cut)])
    call = only(found, "model_call.finished")
    assert (call["input_tokens"], "error_text" in call) == (7, False)
    assert not told(found, "tool_call.started")
    assert only(found, "run.finished")["status"] == "aborted"


def test_what_subagents_used_is_one_sum_of_the_run(tmp_path: Path) -> None:
    chat, history = COMPLETED
    used = {"source": "subagents", "tokensIn": 50, "tokensOut": 16, "cacheWrites": 3, "cacheReads": 4, "cost": 0.125}
    found = records(tmp_path, [*chat[:4], say(450, "subagent_usage", json.dumps(used)), *chat[4:]], history)
    usage = only(found, "model_call.usage")
    assert (usage["input_tokens"], usage["output_tokens"], usage["cost_usd"], usage["is_sum"]) == (57, 16, 0.125, True)
    assert usage["message_id"] == str(START_MS + 450)


# --- tools -----------------------------------------------------------------------------------------------


def result_of(directory: Path, text: str, tool: str = "read_file", shown: list[dict[str, Any]] | None = None) -> Record:
    call = f"<{tool}>\n<path>a</path>\n</{tool}>"
    chat = [say(0, "task", "x"), request(20, 1, 1), *(shown or []), request(500, 1, 1)]
    history = [user(30), answer(400, call), user(510, f"[{tool} for 'a'] Result:\n{text}")]
    return only(records(directory, chat, history), "tool_call.finished")


@pytest.mark.parametrize(
    ("text", "outcome", "error_type"),
    [
        ("1 | x", "success", None),
        ("(tool did not return anything)", "success", None),
        ("Command executed successfully (exit code 0).\nOutput:\n3", "success", None),
        ("the file says: The user denied this operation.", "success", None),
        ("The user denied this operation.", "rejected", "denied"),
        ("The tool execution failed with the following error:\n<error>\nno such file\n</error>", "error", "tool_error"),
        ("The tool execution failed with the following error:\n<error>\ntimed out\n</error>", "error", "timeout"),
        ("Command failed with exit code 3.\nOutput:\noops", "error", "command_failed"),
        ("Command was cancelled by the user.", "error", "aborted"),
        ("Missing value for required parameter 'path'. Please retry.", "rejected", "invalid_input"),
        ("Tool [read_file] was not executed because a tool has already been used.", "rejected", "rejected"),
        ("Skipping tool [read_file for 'a'] due to user rejecting a previous tool.", "rejected", "rejected"),
        ("This tool cannot be used in PLAN MODE.", "rejected", "denied"),
        ("Access to a is blocked by the .clineignore file settings.", "rejected", "denied"),
    ],
)
def test_cline_s_own_phrases_say_what_became_of_a_tool(
    text: str, outcome: str, error_type: str | None, tmp_path: Path
) -> None:
    record = result_of(tmp_path, text)
    assert (record["outcome"], record.get("error_type")) == (outcome, error_type)
    assert (record["started_at_ms"], record["ended_at_ms"]) == (START_MS + 400, START_MS + 510)
    assert record["call_id"] == f"call_{START_MS + 400}_0"


def test_an_exit_code_is_a_number_of_the_tool(tmp_path: Path) -> None:
    assert result_of(tmp_path, "Command failed with exit code 3.\nOutput:", "execute_command")["exit_code"] == 3


@pytest.mark.parametrize(
    ("shown", "approved"),
    [
        ([say(420, "tool", '{"tool":"readFile"}')], True),
        ([ask(420, "tool", '{"tool":"readFile"}', partial=True)], False),
        ([say(420, "command", "ls")], None),
        ([], None),
    ],
)
def test_a_tool_that_was_asked_about_was_not_approved_by_settings(
    shown: list[dict[str, Any]], approved: bool | None, tmp_path: Path
) -> None:
    assert result_of(tmp_path, "x", shown=shown).get("auto_approved") is approved


@pytest.mark.parametrize(
    ("after", "answered_ms"),
    [
        ([say(470, "command_output", "hello")], 470),
        ([], 500),
        ([say(600, "command_output", "late")], 510),
    ],
)
def test_the_user_s_answer_came_before_the_next_message(
    after: list[dict[str, Any]], answered_ms: int, tmp_path: Path
) -> None:
    """At the latest: what an approved tool did before it showed anything is in between. It ends with the tool."""
    chat = [say(0, "task", "x"), request(20, 1, 1), ask(420, "command", "make"), *after]
    chat += [request(500 if not after else 700, 1, 1)]
    history = [user(30), answer(400, "<execute_command>\n<command>make</command>\n</execute_command>")]
    found = records(tmp_path, chat, [*history, user(510, "[execute_command for 'make'] Result:\nhello")])
    asked, end = only(found, "tool_call.requested"), only(found, "tool_call.finished")
    assert asked["time_unix_ms"] == START_MS + 420
    assert end["answered_at_ms"] == START_MS + answered_ms
    assert asked["call_id"] == end["call_id"]


def test_a_question_about_a_tool_that_the_task_was_left_with_has_no_answer(tmp_path: Path) -> None:
    chat = [say(0, "task", "x"), request(20, 1, 1), ask(420, "command", "make"), ask(900_000, "resume_task")]
    history = [user(30), answer(400, "<execute_command>\n<command>make</command>\n</execute_command>")]
    found = records(tmp_path, chat, history)
    assert only(found, "tool_call.requested")["time_unix_ms"] == START_MS + 420
    assert not told(found, "tool_call.finished")


@pytest.mark.parametrize("shown", [[say(420, "tool", '{"tool":"readFile"}')], []])
def test_nobody_was_asked_about_a_tool_that_settings_approve(shown: list[dict[str, Any]], tmp_path: Path) -> None:
    chat = [say(0, "task", "x"), request(20, 1, 1), *shown, request(500, 1, 1)]
    history = [user(30), answer(400, "<read_file>\n<path>a</path>\n</read_file>"), user(510, "[read_file] Result:\nx")]
    assert not told(records(tmp_path, chat, history), "tool_call.requested")


def test_a_native_call_has_the_model_s_id(tmp_path: Path) -> None:
    called = answer(400, "hm")
    called["content"] += [
        {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "a"}},
        {"type": "tool_use", "id": "toolu_2", "name": "use_subagents", "input": {"prompt_1": "a"}},
        {"type": "tool_use", "id": "toolu_3", "name": "abc0mcp0lookup", "input": {}},
    ]
    gave = user(510, "[subagents] Result:\nTotal: 1")
    gave["content"] += [
        {"type": "tool_result", "tool_use_id": "toolu_3", "content": [{"type": "text", "text": "Error:\ndown"}]},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "x"},
    ]
    found = records(tmp_path, [say(0, "task", "x"), request(20, 1, 1)], [user(30), called, gave])
    ends = {record["call_id"]: record for record in told(found, "tool_call.finished")}
    assert {key: (each["tool_name"], each["outcome"]) for key, each in ends.items()} == {
        "toolu_1": ("read_file", "success"),
        "toolu_2": ("use_subagents", "success"),
        "toolu_3": ("use_mcp_tool", "error"),
    }
    assert ends["toolu_3"]["is_mcp"] is True


def test_the_label_of_a_result_may_stand_alone_before_it(tmp_path: Path) -> None:
    history = [
        user(30),
        answer(400, READ),
        user(510, "[read_file for 'a.py'] Result:", "The user denied this operation."),
    ]
    found = records(tmp_path, [say(0, "task", "x"), request(20, 1, 1)], history)
    assert only(found, "tool_call.finished")["error_type"] == "denied"


def test_what_stands_in_a_tool_s_arguments_is_no_tool(tmp_path: Path) -> None:
    written = "<write_to_file>\n<path>a</path>\n<content>\n<read_file>\n</read_file>\nx\n</content>\n</write_to_file>"
    history = [user(30), answer(400, f"{written}\n<list_files>\n<path>.</path>\n</list_files> <b>bold</b>")]
    found = records(tmp_path, [say(0, "task", "x"), request(20, 1, 1)], history)
    assert [record["tool_name"] for record in told(found, "tool_call.started")] == ["write_to_file", "list_files"]


def test_edits_count_lines_and_files(tmp_path: Path) -> None:
    diff = "------- SEARCH\na\nb\n=======\na\nc\nd\n+++++++ REPLACE\n------- SEARCH\nx\n=======\n+++++++ REPLACE"
    edit = f"<replace_in_file>\n<path>a</path>\n<diff>\n{diff}\n</diff>\n</replace_in_file>"
    new = "<write_to_file>\n<path>b</path>\n<content>\none\ntwo\n</content>\n</write_to_file>"
    history = [
        user(30),
        answer(400, edit),
        user(510, "[replace_in_file for 'a'] Result:\nThe content was successfully saved to a."),
        answer(800, new),
        user(910, "[write_to_file for 'b'] Result:\nThe content was successfully saved to b."),
    ]
    chat = [
        say(0, "task", "x"),
        request(20, 1, 1),
        say(420, "tool", '{"tool": "editedExistingFile"}'),
        request(500, 1, 1),
        say(820, "tool", '{"tool": "newFileCreated"}'),
        request(900, 1, 1),
    ]
    edited, created = told(records(tmp_path, chat, history), "tool_call.finished")
    assert (edited["lines_added"], edited["lines_removed"], edited["files_modified"]) == (2, 2, 1)
    assert (created["lines_added"], created["lines_removed"], created["files_created"]) == (2, 0, 1)


def test_a_patch_says_what_became_of_each_file(tmp_path: Path) -> None:
    patch = "\n".join(
        [
            "*** Begin Patch",
            "*** Add File: a",
            "+one",
            "*** Update File: b",
            "*** Move to: c",
            "-two",
            "+three",
            "*** Update File: d",
            "*** Delete File: e",
            "*** End Patch",
        ]
    )
    history = [
        user(30),
        answer(400, f"<apply_patch>\n<input>\n{patch}\n</input>\n</apply_patch>"),
        user(510, "[apply_patch for 'a'] Result:\nSuccessfully applied patch."),
    ]
    chat = [say(0, "task", "x"), request(20, 1, 1), say(420, "tool", '{"tool": "editedExistingFile"}')]
    finished = only(records(tmp_path, chat, history), "tool_call.finished")
    changed = {name: finished[name] for name in finished if name.startswith(("lines_", "files_"))}
    assert changed == {
        "lines_added": 2,
        "lines_removed": 1,
        "files_created": 1,
        "files_modified": 1,
        "files_moved": 1,
        "files_deleted": 1,
    }


# --- what may be anything --------------------------------------------------------------------------------


def test_a_prompt_that_quotes_messages_is_text(tmp_path: Path) -> None:
    quoted = json.dumps([request(1, 999_999, 999_999, cost=99.0), answer(2, READ, 999_999, 9)])
    chat = [say(0, "task", quoted), request(20, 10, 26, request=quoted), say(300, "text", quoted)]
    history = [user(30, f"<task>{quoted}</task>"), answer(400, DONE, 10, 26)]
    found = records(tmp_path, chat, history)
    assert [call["input_tokens"] for call in told(found, "model_call.finished")] == [10]
    assert [use["tool_name"] for use in told(found, "tool_call.started")] == ["attempt_completion"]


def test_no_word_of_a_task_is_in_its_records(tmp_path: Path) -> None:
    secret = "the launch code is 0000"
    history = [
        user(30, secret),
        answer(400, f"{secret}<read_file><path>{secret}</path></read_file>"),
        user(510, f"[read_file for '{secret}'] Result:\n{secret}"),
        answer(900, secret),
    ]
    chat = [
        say(0, "task", secret),
        request(20, 1, 1, request=secret),
        say(300, "text", secret),
        ask(420, "tool", secret),
    ]
    assert secret not in repr(records(tmp_path, chat, history))


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [[]], True, 1e99, "2026"])
def test_fields_of_any_type_cost_no_more_than_themselves(value: object, tmp_path: Path) -> None:
    chat, history = COMPLETED
    for names, messages in (
        (("ts", "say", "text", "modelInfo", "conversationHistoryIndex"), chat),
        (
            ("ts", "content", "metrics", "modelInfo", "role"),
            history,
        ),
    ):
        for name in names:
            for number in range(len(messages)):
                changed = [dict(message) for message in messages]
                changed[number][name] = value
                pair = (changed, history) if messages is chat else (chat, changed)
                for record in records(tmp_path, *pair):
                    assert record["event"]
                    assert isinstance(record["time_unix_ms"], int)
