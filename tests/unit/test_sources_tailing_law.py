"""The law of tailing, over any history of a file: what stayed readable is delivered once and in order."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cline_otel.sources.files.tailing import MAX_GENERATIONS, Position, Tail

_NAME = "cline.log"
_MAX_LINE_BYTES = 400


class Tailing(RuleBasedStateMachine):
    """A file with its predecessors beside a model: the lines that are due, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="tailing-law-"))
        self.path = self.directory / _NAME
        self.path.touch()
        self.tail = self.new_tail()
        self.position: Position | None = None
        self.lines = 0
        self.rotations = 0
        # What is due before the lines of the file that is there now, those lines, and its torn end.
        self.settled: list[bytes] = []
        self.current: list[bytes] = []
        self.torn = b""
        self.delivered: list[bytes] = []
        # The file that was read last was removed, and nothing of a later one was read yet.
        self.is_lost = True
        # Something of what the file holds now was read.
        self.is_begun = False

    def teardown(self) -> None:
        self.tail.close()
        shutil.rmtree(self.directory)

    def new_tail(self) -> Tail:
        return Tail(self.path, max_line_bytes=_MAX_LINE_BYTES)

    def drain(self) -> None:
        while self.read_one():
            pass

    def read_one(self) -> bool:
        chunk = self.tail.read(self.position, limit_bytes=64)
        if chunk is None:
            return False
        self.position = chunk.position
        self.delivered += chunk.lines
        self.is_begun = self.position.inode == self.path.stat().st_ino
        self.is_lost = self.is_lost and not self.is_begun
        return True

    def due(self) -> list[bytes]:
        return [line for line in self.settled + self.current if len(line) <= _MAX_LINE_BYTES]

    def begin_a_file(self, *, torn_end_stays: bool) -> None:
        self.settled += self.current
        if self.torn and torn_end_stays:
            self.settled.append(self.torn)
        self.current, self.torn = [], b""
        self.is_begun = False

    def shift_predecessors(self) -> None:
        self.rotations += 1
        for generation in range(MAX_GENERATIONS - 1, 0, -1):
            older = self.path.with_name(f"{_NAME}.{generation}")
            if older.exists():
                older.rename(self.path.with_name(f"{_NAME}.{generation + 1}"))

    @rule(size=st.integers(0, 300), newline=st.booleans())
    def append(self, size: int, newline: bool) -> None:
        # A line begins with a number of its own, as each line of a log begins with its time.
        self.lines += not self.torn
        content = (b"" if self.torn else b"%d:" % self.lines) + b"x" * size
        with self.path.open("ab") as file:
            file.write(content + (b"\n" if newline else b""))
        self.torn += content
        if newline:
            self.current.append(self.torn)
            self.torn = b""

    @rule()
    def read(self) -> None:
        self.read_one()

    @rule()
    def restart(self) -> None:
        self.tail.close()
        self.tail = self.new_tail()

    @precondition(lambda self: not self.is_lost and self.rotations < MAX_GENERATIONS)
    @rule()
    def rename(self) -> None:
        self.shift_predecessors()
        self.path.rename(self.path.with_name(f"{_NAME}.1"))
        self.path.touch()
        self.begin_a_file(torn_end_stays=True)

    @precondition(lambda self: not self.is_lost and self.rotations < MAX_GENERATIONS)
    @rule()
    def copy_and_truncate(self) -> None:
        if not self.is_begun:
            # The copy of a file of which nothing was read could not be told from an older one.
            return
        self.shift_predecessors()
        shutil.copy(self.path, self.path.with_name(f"{_NAME}.1"))
        os.truncate(self.path, 0)
        self.begin_a_file(torn_end_stays=True)

    @rule()
    def truncate_after_all_was_read(self) -> None:
        self.drain()
        if self.delivered == self.due():
            os.truncate(self.path, 0)
            self.begin_a_file(torn_end_stays=False)

    @rule(size=st.integers(0, 300))
    def remove_a_file_that_is_held_open(self, size: int) -> None:
        self.drain()
        if not self.is_begun:
            return
        self.append(size, True)
        self.path.unlink()
        self.path.touch()
        self.is_lost = True
        self.begin_a_file(torn_end_stays=True)
        self.drain()

    @invariant()
    def delivered_is_the_beginning_of_what_is_due(self) -> None:
        assert self.delivered == self.due()[: len(self.delivered)]

    @rule()
    def all_that_is_due_is_delivered_once_a_line_follows_it(self) -> None:
        if self.torn or not self.current:
            self.append(1, True)
        self.drain()
        assert self.delivered == self.due()


Tailing.TestCase.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
TestTailing = Tailing.TestCase
