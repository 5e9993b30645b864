"""What a poll of folders costs does not grow with those that are finished, and what happens in one is seen soon."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cline_otel.sources.conversations.folders_input import Folder
from cline_otel.sources.conversations.told import Told
from cline_otel.sources.interface import Reading
from cline_otel.sources.session_files.input import SessionFilesInput
from conversations import SESSION, answer, text, user, write_session
from presences import NoProcesses

SECOND_NS = 1_000_000_000
HOUR_NS = 3_600 * SECOND_NS
POLL_NS = SECOND_NS // 2
START_NS = 1_800_000_000 * SECOND_NS


class Counting(SessionFilesInput):
    """Sessions, by a clock of its own, and how often each was looked at."""

    def __init__(self, directory: Path) -> None:
        self.now_ns = START_NS
        super().__init__("session-files", directory, NoProcesses(), lambda: self.now_ns, lambda: self.now_ns)
        self.looks = 0
        self.cursors: dict[str, bytes] = {}
        self.poll()

    def look(self, path: Path) -> Folder | None:
        self.looks += 1
        return super().look(path)

    def poll(self) -> list[Reading]:
        readings = self.read(self.cursors, 1 << 20)
        self.cursors |= {reading.key: reading.cursor for reading in readings}
        self.now_ns += POLL_NS
        return readings

    def poll_for(self, duration_ns: int) -> int:
        """How often a folder was looked at meanwhile."""
        before, until_ns = self.looks, self.now_ns + duration_ns
        while self.now_ns < until_ns:
            self.poll()
        return self.looks - before

    def session(self, number: int) -> Path:
        """A session that has just ended."""
        folder = write_session(self.directory / f"{number}", [user(0, text("x")), answer(300, text("done"))])
        named = self.directory / SESSION.replace("k3x9p", f"k3x{number:02}")
        for path in sorted(folder.iterdir()):
            path.rename(path.with_name(path.name.replace(SESSION, named.name)))
        shutil.move(folder, named)
        shutil.rmtree(self.directory / f"{number}")
        self.touch(*named.iterdir())
        return named

    def touch(self, *paths: Path) -> None:
        for path in paths:
            os.utime(path, ns=(self.now_ns, self.now_ns))


@pytest.fixture
def sessions(tmp_path: Path) -> Counting:
    return Counting(tmp_path)


@contextmanager
def counted_calls(monkeypatch: pytest.MonkeyPatch, *names: str) -> Iterator[list[str]]:
    """The paths that these functions of ``os`` were called with."""
    called: list[str] = []

    def counting(true: Callable[..., Any]) -> Callable[..., Any]:
        def count(path: Any, *arguments: Any, **more: Any) -> Any:
            called.append(str(path))
            return true(path, *arguments, **more)

        return count

    with monkeypatch.context() as patch:
        for name in names:
            patch.setattr(os, name, counting(getattr(os, name)))
        yield called


def test_a_poll_asks_one_file_at_most_of_a_folder_that_is_finished(
    sessions: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [sessions.session(number) for number in range(20)]
    sessions.poll_for(600 * SECOND_NS)
    polls = 120
    with counted_calls(monkeypatch, "stat", "lstat", "scandir") as called:
        looks = sessions.poll_for(polls * POLL_NS)
    assert looks <= 2 * len(folders)
    in_folders = [path for path in called if Path(path).parent != sessions.directory.parent]
    assert len(in_folders) <= polls * len(folders) + looks + polls


def test_the_longer_a_folder_is_finished_the_less_is_asked_of_it(
    sessions: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions.session(1)
    asked: list[int] = []
    for _ in range(4):
        with counted_calls(monkeypatch, "lstat") as called:
            sessions.poll_for(600 * SECOND_NS)
        asked.append(len(called))
        sessions.poll_for(HOUR_NS)
    assert asked[0] > 5 * asked[1] > 5 * asked[3] > 0


@pytest.mark.parametrize(("finished_for_s", "within_s"), [(20, 0.5), (600, 0.5), (3_600, 2.5), (20 * 3_600, 60)])
def test_who_goes_on_with_a_finished_conversation_is_heard(
    sessions: Counting, finished_for_s: int, within_s: float
) -> None:
    folder = sessions.session(1)
    sessions.poll_for(finished_for_s * SECOND_NS)
    conversation = folder / f"{folder.name}.messages.json"
    conversation.write_bytes(conversation.read_bytes() + b" ")
    sessions.touch(conversation)
    changed_at_ns = sessions.now_ns
    while not sessions.poll():
        pass
    assert sessions.now_ns - changed_at_ns <= within_s * SECOND_NS + POLL_NS


def test_a_file_that_is_new_or_was_not_the_last_to_change_is_seen_within_an_eighth_of_that_time(
    sessions: Counting,
) -> None:
    folder = sessions.session(1)
    older = folder / f"{folder.name}.json"
    sessions.poll_for(80 * SECOND_NS)
    for path in (older, folder / "agent_1.messages.json"):
        conversation = folder / f"{folder.name}.messages.json"
        path.write_bytes(path.read_bytes() + b" " if path.exists() else conversation.read_bytes())
        sessions.touch(path)
        changed_at_ns = sessions.now_ns
        while not sessions.poll():
            pass
        assert sessions.now_ns - changed_at_ns <= 11 * SECOND_NS
        sessions.poll_for(80 * SECOND_NS)


def test_what_was_read_and_not_taken_is_read_at_the_next_poll(sessions: Counting) -> None:
    sessions.session(1)
    assert len(sessions.read(sessions.cursors, 1 << 20)) == 1
    assert len(sessions.read(sessions.cursors, 1 << 20)) == 1
    assert len(sessions.poll()) == 1
    assert sessions.poll() == []


def test_a_problem_is_said_at_each_poll_however_long_nothing_changes(
    sessions: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = sessions.session(1)

    def unreadable(folder: Folder, told: Told) -> Reading | None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(sessions, "read_folder", unreadable)
        for _ in range(3):
            sessions.poll()
            assert list(sessions.problems) == [sessions.key(folder)]
            sessions.now_ns += HOUR_NS
    assert len(sessions.poll()) == 1
    assert sessions.problems == {}


def test_folders_that_come_and_go_are_noticed_at_the_next_poll(sessions: Counting) -> None:
    sessions.poll_for(60 * SECOND_NS)
    folder = sessions.session(1)
    assert [reading.key for reading in sessions.poll()] == [sessions.key(folder)]
    sessions.poll_for(60 * SECOND_NS)
    assert sessions.missing(sessions.cursors) == []
    shutil.rmtree(folder)
    assert sessions.missing(sessions.cursors) == [sessions.key(folder)]


def test_a_folder_that_is_empty_at_first_is_read_once_it_is_filled(sessions: Counting) -> None:
    folder = sessions.session(1)
    beside = sessions.directory / "beside"
    files = [path.rename(sessions.directory.parent / path.name) for path in sorted(folder.iterdir())]
    assert sessions.poll() == []
    sessions.poll_for(600 * SECOND_NS)
    for path in files:
        path.rename(folder / path.name)
    sessions.touch(*folder.iterdir())
    assert [reading.key for reading in sessions.poll()] == [sessions.key(folder)]
    assert not beside.exists()


def test_a_directory_that_does_not_say_that_it_has_changed_is_listed_all_the_same(sessions: Counting) -> None:
    sessions.poll_for(60 * SECOND_NS)
    before = sessions.directory.stat()
    folder = sessions.session(1)
    os.utime(sessions.directory, ns=(before.st_atime_ns, before.st_mtime_ns))
    sessions.poll_for(10 * SECOND_NS)
    assert sessions.key(folder) in sessions.cursors
