"""Session files say the same, whether they are followed while Cline rewrites them or read once at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from cline_otel.operating_system.process_interface import LivingProcess
from cline_otel.sources.conversations.folders_input import FIRST_LOOK_BACK_NS, TORN_FOR_NS
from cline_otel.sources.interface import Payload
from cline_otel.sources.session_files.input import GONE_FOR_NS, SessionFilesInput
from cline_otel.sources.session_files.session import MESSAGES, read_session
from conversations import SESSION, START_MS, answer, ask, text, user, write_session
from corpus import capture_paths
from presences import NoProcesses

SESSIONS = [folder for path in capture_paths() for folder in sorted(path.glob("sessions/*")) if folder.is_dir()]
SECOND_NS = 1_000_000_000


class Followed:
    """A directory of sessions as a bridge follows it, by a clock of its own."""

    def __init__(self, directory: Path, now_ms: int) -> None:
        self.now_ns = now_ms * 1_000_000
        self.set_by_ns = 0
        self.cursors: dict[str, bytes] = {}
        self.records: list[dict[str, Any]] = []
        self.input = SessionFilesInput(
            "session-files", directory, NoProcesses(), lambda: self.now_ns + self.set_by_ns, lambda: self.now_ns
        )
        self.poll()

    def poll(self) -> list[Payload]:
        payloads = []
        for reading in self.input.read(self.cursors, 1 << 20):
            self.cursors[reading.key] = reading.cursor
            payloads.append(reading.payload)
            self.records += [json.loads(part) for part in reading.payload.parts]
        return payloads

    def wait(self, duration_ns: int) -> None:
        self.now_ns += duration_ns
        self.poll()

    def told(self, event: str) -> list[dict[str, Any]]:
        return [record for record in self.records if record["event"] == event]

    def restart(self) -> None:
        self.input = SessionFilesInput(
            "session-files", self.input.directory, NoProcesses(), lambda: self.now_ns, lambda: self.now_ns
        )


def comparable(records: list[Any]) -> list[str]:
    return sorted(json.dumps(each, sort_keys=True) for each in records if each["event"] != "session.announced")


def rewritten(folder: Path) -> Iterator[tuple[int, str, str]]:
    """Every state in which Cline leaves the files of a session: when, which file, its text."""
    documents = {path.name: json.loads(path.read_bytes()) for path in folder.glob(f"*{MESSAGES}")}
    steps = sorted(
        (message["ts"], name, number)
        for name, document in documents.items()
        for number, message in enumerate(document["messages"])
    )
    for at_ms, name, number in steps:
        messages = documents[name]["messages"][: number + 1]
        yield at_ms, name, json.dumps(documents[name] | {"messages": messages})


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("folder", SESSIONS, ids=lambda folder: f"{folder.parts[-3]}-{folder.name}")
def test_a_session_that_is_followed_says_what_it_says_at_its_end(folder: Path, restarts: bool, tmp_path: Path) -> None:
    target = tmp_path / folder.name
    target.mkdir()
    manifest = json.loads((folder / f"{folder.name}.json").read_bytes())
    states = list(rewritten(folder))
    followed = Followed(tmp_path, states[0][0])
    place = target / f"{folder.name}.json"
    place.write_text(json.dumps(manifest | {"status": "running", "ended_at": None}))
    for at_ms, name, whole in states:
        followed.now_ns = at_ms * 1_000_000
        for content in (whole[: len(whole) // 2], whole):
            (target / name).write_text(content)
            for path in (place, target / name):
                os.utime(path, ns=(followed.now_ns, followed.now_ns))
            followed.poll()
            if restarts:
                followed.restart()
    place.write_text(json.dumps(manifest))
    os.utime(place, ns=(followed.now_ns, followed.now_ns + 1_000_000))
    for _ in range(15):
        followed.wait(SECOND_NS)
    assert comparable(followed.records) == comparable(list(read_session(folder, is_over=True).records))
    assert not followed.input.problems


def begun(directory: Path, *messages: dict[str, Any], status: str = "running") -> Followed:
    followed = Followed(directory, START_MS)
    write_session(directory, messages, status, changed_at_ns=followed.now_ns)
    followed.poll()
    return followed


PROMPT = user(0, text("x"))
ANSWER = answer(100, text("done"))


def test_a_session_is_announced_once_before_it_has_a_prompt(tmp_path: Path) -> None:
    followed = begun(tmp_path)
    write_session(tmp_path, [PROMPT, ANSWER], "running", changed_at_ns=followed.now_ns + SECOND_NS)
    followed.wait(SECOND_NS)
    assert [record["event"] for record in followed.records] == ["session.announced", "run.started"]
    assert followed.told("session.announced")[0]["session_id"] == SESSION


def test_a_session_that_is_resumed_is_announced_again(tmp_path: Path) -> None:
    followed = begun(tmp_path, PROMPT, ANSWER, status="idle")
    write_session(tmp_path, [PROMPT, ANSWER], "running", changed_at_ns=followed.now_ns + SECOND_NS)
    followed.wait(SECOND_NS)
    assert len(followed.told("session.announced")) == 1


@pytest.mark.parametrize("hours", [-30, -3, 3, 30])
def test_a_session_rests_as_long_before_it_is_over_though_the_clock_is_set(tmp_path: Path, hours: int) -> None:
    followed = Followed(tmp_path, START_MS)
    followed.wait(SECOND_NS)
    write_session(tmp_path, [PROMPT, answer(100, ask("c1", "read_files"))], "idle", changed_at_ns=followed.now_ns)
    followed.poll()
    followed.set_by_ns = hours * 3_600 * SECOND_NS
    for seconds, ended in ((0, 0), (2, 0), (1, 1), (1, 1)):
        followed.wait(seconds * SECOND_NS)
        assert len(followed.told("run.finished")) == ended, seconds


def test_history_is_left_alone_and_told_from_where_it_is_resumed(tmp_path: Path) -> None:
    later_ms = START_MS + 2 * FIRST_LOOK_BACK_NS // 1_000_000
    write_session(tmp_path, [PROMPT, ANSWER], changed_at_ns=START_MS * 1_000_000)
    followed = Followed(tmp_path, later_ms)
    followed.wait(SECOND_NS)
    assert followed.records == []
    late = later_ms - START_MS
    messages = [PROMPT, ANSWER, user(late, text("again")), answer(late + 100, text("done"))]
    write_session(tmp_path, messages, "idle", changed_at_ns=followed.now_ns)
    followed.poll()
    assert [record["event"] for record in followed.records] == ["run.started", "model_call.finished", "run.finished"]


def test_what_was_written_while_telemetry_was_off_is_never_told(tmp_path: Path) -> None:
    followed = begun(tmp_path)
    write_session(tmp_path, [PROMPT, ANSWER], "idle", changed_at_ns=followed.now_ns)
    followed.now_ns += SECOND_NS
    for key, cursor in followed.input.ends().items():
        if cursor is None:
            followed.cursors.pop(key, None)
        else:
            followed.cursors[key] = cursor
    followed.wait(SECOND_NS)
    assert not followed.told("run.started")
    messages = [PROMPT, ANSWER, user(5_000, text("again")), answer(5_100, text("done"))]
    write_session(tmp_path, messages, "idle", changed_at_ns=followed.now_ns)
    followed.poll()
    assert [record["prompt_id"] for record in followed.told("run.started")] == ["msg_u0005000"]


def test_a_file_that_is_rewritten_shorter_tells_nothing_twice(tmp_path: Path) -> None:
    again = [user(400, text("y")), answer(500, text("z"))]
    followed = begun(tmp_path, PROMPT, ANSWER, *again, status="idle")
    count = len(followed.records)
    write_session(tmp_path, [PROMPT, ANSWER], "idle", changed_at_ns=followed.now_ns + SECOND_NS)
    followed.wait(SECOND_NS)
    other = [user(900, text("other")), answer(950, text("way"))]
    write_session(tmp_path, [PROMPT, ANSWER, *other], "idle", changed_at_ns=followed.now_ns + SECOND_NS)
    followed.wait(SECOND_NS)
    rewritten = [record["count"] for record in followed.told("records.rewritten")]
    assert rewritten == [2], "the prompt that was taken back, and its answer"
    said = [record["run_id"] for record in followed.records[count:] if record["event"] != "records.rewritten"]
    assert said == ["msg_u0000900"] * 3


def test_an_answer_that_is_changed_after_it_was_told_is_counted_and_not_told_again(tmp_path: Path) -> None:
    again = [user(400, text("y")), answer(500, text("z"))]
    followed = begun(tmp_path, PROMPT, ANSWER, *again, status="idle")
    count = len(followed.records)
    changed = ANSWER | {"modelInfo": {"id": "another", "provider": "anthropic"}}
    write_session(tmp_path, [PROMPT, changed, *again], "idle", changed_at_ns=followed.now_ns + SECOND_NS)
    followed.wait(SECOND_NS)
    followed.wait(SECOND_NS)
    assert [(record["event"], record["count"]) for record in followed.records[count:]] == [("records.rewritten", 1)]


def test_an_unanswered_run_ends_when_its_process_is_gone(tmp_path: Path) -> None:
    followed = begun(tmp_path, PROMPT, answer(100, ask("c", "run_commands")))
    followed.wait(GONE_FOR_NS - 1)
    assert not followed.told("run.finished")
    followed.wait(1)
    assert [record["status"] for record in followed.told("run.finished")] == ["incomplete"]
    followed.wait(GONE_FOR_NS)
    assert len(followed.told("run.finished")) == 1


def test_whether_a_container_still_bears_a_process_is_looked_for_once_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bearers: list[LivingProcess] = [LivingProcess(7_000, 1, 0)]
    looking = Mock(side_effect=lambda _: bearers)
    monkeypatch.setattr(NoProcesses, "bearers", looking)
    followed = begun(tmp_path, PROMPT)
    followed.wait(GONE_FOR_NS)
    for _ in range(59):
        followed.wait(SECOND_NS)
    assert looking.call_count == 1
    bearers.clear()
    followed.wait(SECOND_NS)
    assert looking.call_count == 2
    assert len(followed.told("run.finished")) == 1


def test_a_torn_file_is_waited_for_and_then_told_as_far_as_it_goes(tmp_path: Path) -> None:
    followed = begun(tmp_path)
    folder = write_session(tmp_path, [PROMPT, answer(50, text("a")), user(60, text("y")), ANSWER], "running")
    path = folder / f"{SESSION}{MESSAGES}"
    path.write_bytes(path.read_bytes()[:-40])
    os.utime(path, ns=(followed.now_ns, followed.now_ns))
    followed.poll()
    followed.wait(TORN_FOR_NS - 1)
    assert not followed.told("run.started")
    followed.wait(1)
    assert len(followed.told("run.started")) == 2
    assert any(SESSION in problem for problem in followed.input.problems.values())


def test_a_torn_session_that_does_not_change_is_read_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Mock(wraps=read_session)
    monkeypatch.setattr("cline_otel.sources.session_files.input.read_session", reading)
    followed = begun(tmp_path, PROMPT, ANSWER)
    path = tmp_path / SESSION / f"{SESSION}{MESSAGES}"
    path.write_bytes(path.read_bytes()[:-40])
    os.utime(path, ns=(followed.now_ns, followed.now_ns))
    reading.reset_mock()
    for _ in range(60):
        followed.wait(SECOND_NS // 2)
    assert reading.call_count == 2, "when it is torn, and when nobody writes it any more"


def test_a_folder_that_is_deleted_is_forgotten(tmp_path: Path) -> None:
    followed = begun(tmp_path, PROMPT, ANSWER, status="idle")
    for path in sorted((tmp_path / SESSION).iterdir()):
        path.unlink()
    assert followed.input.missing(followed.cursors) == []
    (tmp_path / SESSION).rmdir()
    missing = followed.input.missing(followed.cursors)
    assert len(missing) == 1
    assert all(followed.input.owns(key) for key in missing)


def test_neither_a_path_nor_a_word_of_a_conversation_is_in_a_cursor(tmp_path: Path) -> None:
    secret = "the launch code is 0000"
    call = ask("call_of_the_model_s", "x", a=secret)
    followed = begun(tmp_path, user(0, text(secret)), answer(9, text(secret), call), status="idle")
    stored = repr(followed.cursors)
    assert secret not in stored
    assert "call_of_the_model_s" not in stored, "what is erased leaves no trace"
    assert str(tmp_path) not in stored
