"""Task files as an input: every task's folder, read again whenever one of its files has changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cline_otel.sources.conversations.folders_input import SETTLED_AFTER_NS, Folder, FoldersInput
from cline_otel.sources.conversations.looks import OLD_AFTER_NS
from cline_otel.sources.conversations.told import Record, Told
from cline_otel.sources.interface import Reading
from cline_otel.sources.task_files.dialect import Dialect
from cline_otel.sources.task_files.story import Story
from cline_otel.sources.task_files.task import CHAT, HISTORY, METADATA, TornTask, read_task
from cline_otel.sources.task_files.tasks_list import TasksList

_CONVERSATIONS: Final = frozenset({CHAT, HISTORY})


class TaskFoldersInput(FoldersInput):
    """Follows the tasks of one directory.

    Args:
        source: the source's name.
        directory: where the tasks' folders are.
        dialect: which program's they are.
        wall_clock_ns: nanoseconds since the Unix epoch.
        monotonic_ns: nanoseconds of a clock that nobody moves.
        is_copy: whether nobody works on what is there.

    Attributes:
        tasks_list: the program's list of them.
    """

    of_what = "tasks"

    def __init__(
        self,
        source: str,
        directory: Path,
        dialect: Dialect,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        *,
        is_copy: bool = False,
    ) -> None:
        super().__init__(source, directory, wall_clock_ns, monotonic_ns, is_copy=is_copy)
        self._dialect = dialect
        self.tasks_list = TasksList(directory, unpacks=is_copy)
        self._goes_on: dict[str, str] = {}

    def is_conversation(self, name: str) -> bool:
        """What was shown, and what was said to the model."""
        return name in _CONVERSATIONS

    def is_beside(self, path: Path, name: str) -> bool:
        """What the task says of itself."""
        return name == METADATA

    def may_begin(self) -> bool:
        """Of the many editors most are not there."""
        return self.directory.is_dir()

    def read_folder(self, folder: Folder, told: Told) -> Reading | None:
        """What is new of a task."""
        if not folder.has_conversation:
            return None
        unchanged_ns = self.unchanged_ns(folder)
        is_changed = folder.signature != told.signature
        may_rest = unchanged_ns >= SETTLED_AFTER_NS and not told.is_over
        is_old = unchanged_ns >= OLD_AFTER_NS
        # Whether the program waits for the user is in the files, which say it as long as they do not change.
        if not is_changed and not (may_rest and (is_old or self._goes_on.get(folder.key) != folder.signature)):
            return None
        try:
            story, is_over = self.read_task(folder)
        except TornTask as torn:
            if self._is_torn_for_good(folder):
                names = ", ".join(torn.names)
                problem = f"{folder.path}: {names} are no JSON; no more is told of this task, others are read"
                self._leave(folder, problem)
            return None
        self._is_whole(folder)
        # A folder that is copied has one of the two before the other, which says less than both.
        if unchanged_ns < SETTLED_AFTER_NS and not all((folder.path / name).exists() for name in _CONVERSATIONS):
            return None
        if not is_over and unchanged_ns >= SETTLED_AFTER_NS:
            self._goes_on[folder.key] = folder.signature
        if not is_changed and not is_over:
            return None
        records = records_of(story, is_over=is_over)
        at_ms = folder.changed_at_ns // 1_000_000
        unsettled = story.records[len(records) :]
        new, after = told.next(records, folder.signature, "", at_ms=at_ms, is_over=is_over, unsettled=unsettled)
        return self._reading(folder.key, after, new)

    def read_task(self, folder: Folder) -> tuple[Story, bool]:
        """What a task's files say so far, and whether nothing more comes of what was begun.

        Raises:
            OSError: a file cannot be read.
            TornTask: a file is torn, or being written.
        """
        story = read_task(folder.path, "", self._dialect, self.tasks_list.ulid_of, unpacks=self.is_copy)
        unchanged_ns = self.unchanged_ns(folder)
        return story, unchanged_ns >= OLD_AFTER_NS or (unchanged_ns >= SETTLED_AFTER_NS and story.is_at_rest)


def records_of(story: Story, *, is_over: bool) -> list[Record]:
    """The records that stay as they are: all, with the end, of a story that is over."""
    if is_over:
        return [*story.records, *story.end]
    return [record for record in story.records if int(record["time_unix_ms"]) <= story.settled_until_ms]
