"""Tasks that are past, as import takes them: what the program's list says of each, and then all that its files hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from cline_otel.sources.compressed import is_cut_off, opened, stored_as
from cline_otel.sources.conversations.folders_input import TORN_FOR_NS, Folder
from cline_otel.sources.conversations.messages import amount
from cline_otel.sources.conversations.past import PastRecords
from cline_otel.sources.conversations.told import Told, decode_told, encode_told
from cline_otel.sources.interface import PastReading, PastSession
from cline_otel.sources.task_files.dialect import Dialect
from cline_otel.sources.task_files.folders_input import TaskFoldersInput, records_of
from cline_otel.sources.task_files.recordings import program_of
from cline_otel.sources.task_files.task import CHAT, HISTORY, TornTask
from cline_otel.sources.task_files.tasks_list import Listed

_BEGAN: Final = re.compile(r"\d{13}")
"""Cline names a task by when it began, ms since the Unix epoch; Roo Code and Kilo Code by a UUID."""

_HEAD_BYTES: Final = 1_048_576
"""Of a file, to see whose it is."""

_EDITORS_STORAGE: Final = "globalStorage"
_COMMAND_LINE: Final = "cline-cli"


def past_tasks(
    source: str, directories: Iterable[Path], program: str, dialect: Dialect, path: Path | None
) -> Iterator[PastSession]:
    """The tasks of a program's own directories, or what a path names: a task's folder, a directory of such folders, or
    one with ``tasks`` or ``legacy/tasks`` in it. What lies elsewhere than in the program's own is a copy: nobody
    works on it, it may be compressed, and whose it is, its content says.
    """
    own = list(directories)
    if path is None:
        for directory in own:
            within = TaskFoldersInput(source, directory, dialect)
            yield from _in_folders(within, dialect, within.folders())
        return
    named = path.absolute()
    if any(stored_as(named / name).is_file() for name in (CHAT, HISTORY)):
        candidates = [(named.parent, [named])]
    else:
        below = [named, named / "tasks", named / "legacy" / "tasks"]
        candidates = [(each, sorted(each.iterdir())) for each in below if each.is_dir()]
    for directory, folders in candidates:
        within = TaskFoldersInput(source, directory, dialect, is_copy=directory not in own)
        theirs = [folder for folder in folders if _program_of(folder, unpacks=within.is_copy) == program]
        yield from _in_folders(within, dialect, theirs)


def _in_folders(within: TaskFoldersInput, dialect: Dialect, folders: Iterable[Path]) -> Iterator[PastSession]:
    for folder in folders:
        found = within.look(folder)
        if found is not None and found.has_conversation:
            yield PastTask(within, found, dialect, within.tasks_list.of(folder.name))


def _program_of(folder: Path, *, unpacks: bool) -> str:
    program = ""
    for path in (folder / CHAT, folder / HISTORY):
        try:
            with opened(stored_as(path) if unpacks else path) as file:
                if found := program_of(file.read(_HEAD_BYTES)):
                    return found
                if not is_cut_off(file):
                    return program
        except OSError:
            continue
        # It is somebody's who says that it is damaged.
        program = "cline"
    return program


class PastTask(PastSession):
    """A task's folder.

    Args:
        within: what reads the directory that it is in.
        found: the folder.
        dialect: which program's it is.
        listed: what the program's list says of it.
    """

    def __init__(self, within: TaskFoldersInput, found: Folder, dialect: Dialect, listed: Listed) -> None:
        self._within = within
        self._found = found
        self.source = within.source
        self.key = found.key
        self.signature = found.signature
        parts = found.path.parts
        is_editors = within.is_copy or _EDITORS_STORAGE in parts
        self.surface = dialect.client if is_editors else _COMMAND_LINE
        changed_ms = int(amount(listed.get("ts")) or found.changed_at_ns // 1_000_000)
        began_ms = int(found.path.name) if _BEGAN.fullmatch(found.path.name) else changed_ms
        self.began_at_ns = began_ms * 1_000_000
        self.ended_at_ns = max(changed_ms, began_ms) * 1_000_000
        self.size_bytes = found.size_bytes
        usage = dialect.usage({**listed, "cost": listed.get("totalCost")})
        self.tokens = int((usage.input_tokens or 0) + (usage.output_tokens or 0)) or None
        self.cost_usd = float(usage.cost_usd or 0) or None

    def read(self, cursor: bytes | None) -> PastReading:
        """What its files say; one that is being written is read another time."""
        told = (decode_told(cursor) if cursor is not None else None) or Told()
        try:
            story, is_over = self._within.read_task(self._found)
        except TornTask as torn:
            is_settled = self._within.is_copy or self._within.unchanged_ns(self._found) >= TORN_FOR_NS
            problem = f"{self._found.path}: {torn} are no JSON; nothing is told of this task"
            return PastReading("", (), lambda run_ids: iter(()), cursor, problem if is_settled else "")
        is_over = is_over or self._within.is_copy
        records = records_of(story, is_over=is_over)
        past = PastRecords(records)
        over = [record for record in records if past.is_over(record)]
        told = told.after(over, self.signature if is_over else "", "", is_over=is_over)
        return PastReading(
            story.task.task_id,
            past.prompts,
            partial(past.payloads, self.source, self.key),
            encode_told(told) if over else cursor,
            told_whole_as=story.task.ulid,
        )
