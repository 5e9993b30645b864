"""Task files say the same, whether they are followed while the program rewrites them or read once at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import pytest

from cline_otel.sources.classic_tasks.dialect import DIALECT
from cline_otel.sources.conversations.folders_input import (
    FIRST_LOOK_BACK_NS,
    SETTLED_AFTER_NS,
    TORN_FOR_NS,
)
from cline_otel.sources.conversations.looks import OLD_AFTER_NS
from cline_otel.sources.task_files.folders_input import TaskFoldersInput
from cline_otel.sources.task_files.task import CHAT, HISTORY
from tasks import (
    COMPLETED,
    DONE,
    READ,
    START_MS,
    TASK,
    ULID,
    Message,
    answer,
    ask,
    records_of,
    request,
    say,
    told,
    user,
    write_file,
    write_task,
)

SECOND_NS: Final = 1_000_000_000
QUESTION: Final = "Which?\n<ask_followup_question>\n<question>which?</question>\n</ask_followup_question>"
SUBAGENTS: Final = (
    '{"source": "subagents", "tokensIn": 5, "tokensOut": 1, "cacheWrites": 0, "cacheReads": 0, "cost": 0}'
)

STORIES: Final[dict[str, tuple[list[Message], list[Message]]]] = {
    "completed": COMPLETED,
    "asked and answered": (
        [
            say(0, "task", "x"),
            request(20, 9, 1),
            say(440, "subagent_usage", SUBAGENTS),
            ask(460, "followup", "which?"),
            say(5_000, "user_feedback", "that"),
            request(5_050, 8, 1),
            say(5_400, "completion_result"),
            ask(5_500, "completion_result"),
            say(90_000, "user_feedback", "more"),
            request(90_050, 7, 1),
            ask(91_000, "resume_task"),
        ],
        [
            user(30),
            answer(450, QUESTION),
            user(5_060, "[ask_followup_question for 'which?'] Result:\n<answer>\nthat\n</answer>"),
            answer(5_450, DONE),
            user(90_060, "[attempt_completion] Result:\n<feedback>\nmore\n</feedback>"),
            answer(90_500, READ + "\n\n[Response interrupted by user]"),
        ],
    ),
    "the last answer is lacking": ([*COMPLETED[0][:-1], ask(1_200, "resume_task")], COMPLETED[1][:3]),
    "failed": (
        [say(0, "task", "x"), request(20), ask(90, "api_req_failed", "429"), ask(99, "resume_task")],
        [user(30)],
    ),
}


class Followed:
    """A directory of tasks as a bridge follows it, by a clock of its own."""

    def __init__(self, directory: Path, now_ms: int = START_MS) -> None:
        self.directory = directory
        self.now_ns = now_ms * 1_000_000
        self.cursors: dict[str, bytes] = {}
        self.records: list[dict[str, Any]] = []
        self.restart()
        self.poll()

    def restart(self) -> None:
        self.input = TaskFoldersInput(
            "classic-tasks", self.directory / "tasks", DIALECT, lambda: self.now_ns, lambda: self.now_ns
        )

    def poll(self) -> None:
        for reading in self.input.read(self.cursors, 1 << 20):
            self.cursors[reading.key] = reading.cursor
            self.records += [json.loads(part) for part in reading.payload.parts]

    def wait(self, duration_ns: int) -> None:
        self.now_ns += duration_ns
        self.poll()

    def write(self, chat: list[Message], history: list[Message], name: str = TASK) -> None:
        write_task(self.directory / "tasks", chat, history, name=name, changed_at_ns=self.now_ns)
        self.poll()

    def told(self, event: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["event"] == event]


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "taskHistory.json").write_text(json.dumps([{"id": TASK, "ulid": ULID}]))
    return Followed(tmp_path)


def comparable(records: list[Any]) -> list[str]:
    return sorted(json.dumps(each, sort_keys=True) for each in records)


def rewritten(chat: list[Message], history: list[Message]) -> Iterator[tuple[int, str, str]]:
    """Every state in which the program leaves the files: when, which file, its text. What a request used is known only
    when its answer is written."""
    steps = sorted([(message["ts"], CHAT) for message in chat] + [(message["ts"], HISTORY) for message in history])
    answered = [message["ts"] for message in history if message["role"] == "assistant"]
    for at_ms, name in steps:
        messages = [dict(each) for each in (chat if name == CHAT else history) if each["ts"] <= at_ms]
        open_request = next((each for each in reversed(messages) if each.get("say") == "api_req_started"), None)
        if open_request is not None and not any(open_request["ts"] < each <= at_ms for each in answered):
            open_request["text"] = '{"request": "x"}'
        yield at_ms, name, json.dumps(messages)
    yield max(at_ms for at_ms, _ in steps), CHAT, json.dumps(chat)


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("story", STORIES)
def test_a_task_that_is_followed_says_what_it_says_at_its_end(story: str, restarts: bool, followed: Followed) -> None:
    chat, history = STORIES[story]
    folder = followed.directory / "tasks" / TASK
    folder.mkdir()
    for at_ms, name, whole in rewritten(chat, history):
        followed.now_ns = max(followed.now_ns, at_ms * 1_000_000 - 1)
        followed.poll()
        followed.now_ns = max(followed.now_ns, at_ms * 1_000_000)
        for content in (whole[: len(whole) // 2], whole):
            write_file(folder / name, content, followed.now_ns)
            followed.poll()
            if restarts:
                followed.restart()
    for _ in range(15):
        followed.wait(SECOND_NS)
    assert comparable(followed.records) == comparable(list(records_of(folder, ULID)))
    assert not followed.input.problems


@pytest.mark.parametrize("order", [(CHAT, HISTORY), (HISTORY, CHAT)])
@pytest.mark.parametrize("story", STORIES)
def test_a_task_that_is_copied_file_by_file_is_told_whole_whichever_comes_first(
    story: str, order: tuple[str, str], followed: Followed
) -> None:
    chat, history = STORIES[story]
    folder = followed.directory / "tasks" / TASK
    folder.mkdir()
    followed.wait(3_600 * SECOND_NS)
    for name in order:
        write_file(folder / name, json.dumps(chat if name == CHAT else history), followed.now_ns)
        followed.wait(SECOND_NS // 2)
    for _ in range(15):
        followed.wait(SECOND_NS)
    assert comparable(followed.records) == comparable(list(records_of(folder, ULID)))


def test_a_call_is_told_once_the_next_message_to_the_model_confirms_it(followed: Followed) -> None:
    chat, history = COMPLETED
    followed.write(chat[:4], history[:2])
    assert not followed.told("model_call.finished")
    followed.write(chat[:5], history[:3])
    assert [call["message_id"] for call in followed.told("model_call.finished")] == [str(START_MS + 400)]
    assert len(followed.told("tool_call.finished")) == 1


def test_quiet_ends_no_run_but_that_of_a_day(followed: Followed) -> None:
    chat, history = COMPLETED
    followed.write(chat[:4], history[:2])
    followed.wait(OLD_AFTER_NS - 1)
    assert not followed.told("run.finished")
    followed.wait(1)
    assert [run["status"] for run in followed.told("run.finished")] == ["incomplete"]


def test_the_program_s_waiting_for_the_user_counts_once_its_files_are_still(followed: Followed) -> None:
    followed.write(*COMPLETED)
    followed.wait(SETTLED_AFTER_NS - 1)
    assert not followed.told("run.finished")
    followed.wait(1)
    assert [run["status"] for run in followed.told("run.finished")] == ["completed"]


def test_history_is_left_alone_and_told_from_where_it_goes_on(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    write_task(tmp_path / "tasks", *COMPLETED, changed_at_ns=START_MS * 1_000_000)
    later = 2 * FIRST_LOOK_BACK_NS // 1_000_000
    followed = Followed(tmp_path, START_MS + later)
    followed.wait(SECOND_NS)
    assert followed.records == []
    chat, history = COMPLETED
    chat = [*chat, say(later, "user_feedback", "more"), request(later + 5, 1, 1), ask(later + 99, "completion_result")]
    followed.write(chat, [*history, user(later + 9), answer(later + 90, DONE)])
    followed.wait(SETTLED_AFTER_NS)
    assert {record["run_id"] for record in followed.records} == {str(START_MS + later)}


def test_what_was_written_while_telemetry_was_off_is_never_told(followed: Followed) -> None:
    followed.write([], [])
    write_task(followed.directory / "tasks", *COMPLETED, changed_at_ns=followed.now_ns)
    followed.now_ns += SECOND_NS
    for key, cursor in followed.input.ends().items():
        if cursor is None:
            followed.cursors.pop(key, None)
        else:
            followed.cursors[key] = cursor
    followed.wait(OLD_AFTER_NS)
    assert followed.records == []


def test_a_checkpoint_that_is_restored_tells_nothing_twice(followed: Followed) -> None:
    chat, history = COMPLETED
    followed.write(chat, history)
    followed.wait(SETTLED_AFTER_NS)
    count = len(followed.records)
    followed.write(chat[:5], history[:3])
    followed.wait(SECOND_NS)
    more = [say(7_000, "user_feedback", "other"), request(7_020, 1, 1), ask(7_900, "completion_result")]
    followed.write([*chat[:5], *more], [*history[:3], user(7_030), answer(7_400, DONE)])
    followed.wait(SETTLED_AFTER_NS)
    rewritten = [record for record in followed.records[count:] if record["event"] == "records.rewritten"]
    assert rewritten[0]["count"] == 3, "what the checkpoint took away"
    said = [record["run_id"] for record in followed.records[count:] if record not in rewritten]
    assert set(said) == {str(START_MS + 7_000)}


def test_a_task_that_is_no_json_is_said_and_costs_itself_alone(followed: Followed) -> None:
    followed.write(*COMPLETED)
    other = followed.directory / "tasks" / "1795717412999"
    other.mkdir()
    write_file(other / CHAT, '[{"ts": 1795717412470, "type": "say", "say": "task"}, ', followed.now_ns)
    followed.poll()
    followed.wait(TORN_FOR_NS - 1)
    assert not followed.input.problems
    followed.wait(1)
    assert [other.name in problem for problem in followed.input.problems.values()] == [True]
    assert len(followed.told("run.finished")) == 1


def test_a_torn_task_that_does_not_change_is_read_no_more_and_said_all_the_same(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[Path] = []
    read_task = followed.input.read_task
    monkeypatch.setattr(followed.input, "read_task", lambda folder: (reads.append(folder.path), read_task(folder))[1])
    folder = followed.directory / "tasks" / TASK
    folder.mkdir()
    write_file(folder / CHAT, '[{"ts": 1795717412470, "type": "say", "say": "task"}, ', followed.now_ns)
    for _ in range(60):
        followed.wait(SECOND_NS // 2)
    assert len(reads) == 2, "when it is found, and when nobody writes it any more"
    assert len(followed.input.problems) == 1
    followed.write(*COMPLETED)
    followed.wait(SETTLED_AFTER_NS)
    assert len(followed.told("run.finished")) == 1
    assert not followed.input.problems


def test_a_folder_that_is_deleted_is_forgotten(followed: Followed) -> None:
    followed.write(*COMPLETED)
    folder = followed.directory / "tasks" / TASK
    for path in folder.iterdir():
        path.unlink()
    assert followed.input.missing(followed.cursors) == []
    folder.rmdir()
    (missing,) = followed.input.missing(followed.cursors)
    assert followed.input.owns(missing)


def test_a_directory_that_is_away_costs_no_folder_its_cursor(followed: Followed) -> None:
    followed.write(*COMPLETED)
    (followed.directory / "tasks").rename(followed.directory / "elsewhere")
    assert followed.input.missing(followed.cursors) == []


def test_the_name_of_a_folder_that_stays_is_hashed_once(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    followed.write(*COMPLETED)
    hashed: list[bytes] = []
    monkeypatch.setattr(
        "cline_otel.sources.conversations.folders_input.blake2b",
        lambda content, digest_size: (hashed.append(content), blake2b(content, digest_size=digest_size))[1],
    )
    for _ in range(3):
        followed.wait(SECOND_NS)
        followed.input.missing(followed.cursors)
    assert hashed, "what the files look like"
    assert TASK.encode() not in hashed


def test_what_is_unread_is_the_size_of_tasks_that_have_changed(followed: Followed) -> None:
    assert followed.input.unread(followed.cursors).size_bytes == 0
    write_task(followed.directory / "tasks", *COMPLETED, changed_at_ns=followed.now_ns)
    unread = followed.input.unread(followed.cursors)
    assert (unread.size_bytes > 1_000, unread.records) == (True, None)
    followed.poll()
    assert followed.input.unread(followed.cursors).size_bytes == 0


def test_neither_a_path_nor_a_word_of_a_task_is_in_a_cursor(followed: Followed) -> None:
    secret = "the launch code is 0000"
    chat, history = COMPLETED
    followed.write([say(0, "task", secret), *chat[1:]], [user(30, secret), *history[1:]])
    stored = repr(followed.cursors)
    assert secret not in stored
    assert str(followed.directory) not in stored


def test_a_task_is_told_with_the_name_that_cline_s_own_telemetry_has_for_it(followed: Followed) -> None:
    followed.write(*COMPLETED)
    assert [run["task_ulid"] for run in told(followed.records, "run.started")] == [ULID]
