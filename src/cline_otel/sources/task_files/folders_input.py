"""Task files as an input: every task's folder, read again whenever one of its files has changed.

A task that nobody has worked on since the bridge first looked is history and left to ``import``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from cline_otel.sources.conversations.told import Record, Told, decode_told, encode_told
from cline_otel.sources.interface import Input, Payload, Reading, Unread
from cline_otel.sources.task_files.dialect import Dialect
from cline_otel.sources.task_files.story import Story
from cline_otel.sources.task_files.task import (
    CHAT,
    HISTORY,
    METADATA,
    TornTask,
    read_task,
    tasks_list_of,
    ulids_in,
)

FIRST_LOOK_BACK_NS: Final = 3_600 * 10**9
"""Tasks with work so recent are told when the bridge first looks; older ones are history."""

OLD_AFTER_NS: Final = 24 * 3_600 * 10**9
OLD_EVERY_NS: Final = 60 * 10**9
"""Tasks without a change for so long are looked at so often, and nothing more comes of what was begun in them; the
others are looked at in each poll."""

TORN_FOR_NS: Final = 10 * 10**9
"""A file that is no JSON for so long is not being written."""

SETTLED_AFTER_NS: Final = 3 * 10**9
"""That the program waits for the user counts once no file has changed for so long: it writes several after another."""

_FILES: Final = frozenset({CHAT, HISTORY, METADATA})


class TaskFolder(NamedTuple):
    """A task's folder: its cursor key, what changes whenever a file does, when one last did, how large they are."""

    path: Path
    key: str
    signature: str
    changed_at_ns: int
    size_bytes: int


class TaskFoldersInput(Input):
    """Follows the tasks of one directory.

    Args:
        source: the source's name.
        directory: where the tasks' folders are.
        dialect: which program's they are.
        wall_clock_ns: nanoseconds since the Unix epoch.
        monotonic_ns: nanoseconds of a clock that nobody moves.
    """

    def __init__(
        self,
        source: str,
        directory: Path,
        dialect: Dialect,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(source)
        self.directory = directory
        self._prefix = f"{source}/{_digest(str(directory.absolute()))}"
        self._dialect = dialect
        self._ulids = _Ulids(tasks_list_of(directory))
        self._wall_clock_ns = wall_clock_ns
        self._monotonic_ns = monotonic_ns
        self._next_look_ns: dict[str, int] = {}
        self._torn: dict[str, tuple[str, int]] = {}
        self._goes_on: dict[str, str] = {}

    def owns(self, key: str) -> bool:
        """Whether it is that of the directory, or of a task in it."""
        return key == self._prefix or key.startswith(f"{self._prefix}/")

    def can_go_on_from(self, cursor: bytes) -> bool:
        """A cursor is what was told."""
        return decode_told(cursor) is not None

    def read(self, cursors: Mapping[str, bytes], limit_bytes: int) -> list[Reading]:
        """What is new of the tasks whose files have changed."""
        self.problems = {}
        since_ms = self._since_ms(cursors)
        if since_ms is None:
            first = Told(since_ms=(self._wall_clock_ns() - FIRST_LOOK_BACK_NS) // 1_000_000)
            return [self._reading(self._prefix, first, [])] if self.directory.is_dir() else []
        readings: list[Reading] = []
        size_bytes = 0
        for folder in self._due():
            told = self._told(folder, cursors, since_ms)
            reading = self._read(folder, told) if told is not None else None
            if reading is not None:
                readings.append(reading)
                size_bytes += sum(map(len, reading.payload.parts))
            if size_bytes > limit_bytes:
                break
        return readings

    def ends(self) -> dict[str, bytes | None]:
        """From now on: what is in the files is passed by."""
        ends: dict[str, bytes | None] = {folder.key: None for folder in self._present()}
        return ends | {self._prefix: encode_told(Told(since_ms=self._wall_clock_ns() // 1_000_000 + 1))}

    def unread(self, cursors: Mapping[str, bytes]) -> Unread:
        """Of the tasks that have changed since they were told, all of their size: how much is new is not known."""
        since_ms = self._since_ms(cursors)
        size_bytes = 0
        for folder in self._present() if since_ms is not None else ():
            told = self._told(folder, cursors, since_ms or 0)
            if told is not None and told.signature != folder.signature:
                size_bytes += folder.size_bytes
        return Unread(size_bytes, records=None if size_bytes else 0)

    def missing(self, cursors: Iterable[str]) -> list[str]:
        """Tasks whose folder was deleted."""
        keys = [key for key in cursors if key.startswith(f"{self._prefix}/")]
        if not keys or not self.directory.is_dir():
            return []
        present = {self.key(path) for path in self.folders()}
        return [key for key in keys if key not in present] if not self.problems else []

    # --- tasks ------------------------------------------------------------------------------------

    def _since_ms(self, cursors: Mapping[str, bytes]) -> int | None:
        cursor = cursors.get(self._prefix)
        told = None if cursor is None else decode_told(cursor)
        return None if told is None else told.since_ms

    def _told(self, folder: TaskFolder, cursors: Mapping[str, bytes], since_ms: int) -> Told | None:
        """What was told of a task; None for one that is history."""
        cursor = cursors.get(folder.key)
        if cursor is None and folder.changed_at_ns < since_ms * 1_000_000:
            return None
        return (decode_told(cursor) if cursor is not None else None) or Told(since_ms=since_ms)

    def key(self, path: Path) -> str:
        """The cursor key of a task's folder."""
        return f"{self._prefix}/{_digest(path.name)}"

    def folders(self) -> list[Path]:
        """Whatever may be a task's folder."""
        try:
            with os.scandir(self.directory) as entries:
                return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            self.problems[self._prefix] = f"{self.directory}: cannot be read ({error.strerror}); check its permissions"
            return []

    def _due(self) -> Iterator[TaskFolder]:
        """The tasks that are worth a look now."""
        now_ns, wall_ns = self._monotonic_ns(), self._wall_clock_ns()
        for path in self.folders():
            key = self.key(path)
            if now_ns < self._next_look_ns.get(key, now_ns):
                continue
            folder = self.look(path)
            if folder is None:
                continue
            if wall_ns - folder.changed_at_ns > OLD_AFTER_NS:
                self._next_look_ns[key] = now_ns + OLD_EVERY_NS
            else:
                self._next_look_ns.pop(key, None)
            yield folder

    def _present(self) -> Iterator[TaskFolder]:
        for path in self.folders():
            folder = self.look(path)
            if folder is not None:
                yield folder

    def look(self, path: Path) -> TaskFolder | None:
        """A task's folder as it stands; None for one that is none or cannot be looked at."""
        key, files = self.key(path), []
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name in _FILES:
                        status = entry.stat(follow_symlinks=False)
                        files.append((entry.name, status.st_size, status.st_mtime_ns))
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problems[key] = f"{path}: cannot be read ({error.strerror}); check its permissions"
            return None
        if not any(name in (CHAT, HISTORY) for name, _, _ in files):
            return None
        return TaskFolder(
            path,
            key,
            _digest(repr(sorted(files))),
            max(changed_ns for _, _, changed_ns in files),
            sum(size for name, size, _ in files if name != METADATA),
        )

    def read_task(self, folder: TaskFolder) -> tuple[Story, bool]:
        """What a task's files say so far, and whether nothing more comes of what was begun.

        Raises:
            OSError: a file cannot be read.
            TornTask: a file is torn, or being written.
        """
        story = read_task(folder.path, "", self._dialect, self._ulids.of)
        unchanged_ns = self._wall_clock_ns() - folder.changed_at_ns
        return story, unchanged_ns >= OLD_AFTER_NS or (unchanged_ns >= SETTLED_AFTER_NS and story.is_at_rest)

    def is_younger(self, folder: TaskFolder, than_ns: int) -> bool:
        """Whether a file of it has changed within so many nanoseconds."""
        return self._wall_clock_ns() - folder.changed_at_ns < than_ns

    def _read(self, folder: TaskFolder, told: Told) -> Reading | None:
        unchanged_ns = self._wall_clock_ns() - folder.changed_at_ns
        is_changed = folder.signature != told.signature
        may_rest = unchanged_ns >= SETTLED_AFTER_NS and not told.is_over
        is_old = unchanged_ns >= OLD_AFTER_NS
        # Whether the program waits for the user is in the files, which say it as long as they do not change.
        if not is_changed and not (may_rest and (is_old or self._goes_on.get(folder.key) != folder.signature)):
            return None
        try:
            story, is_over = self.read_task(folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problems[folder.key] = (
                f"{folder.path}: cannot be read ({error.strerror}); check its permissions; other tasks are read"
            )
            return None
        except TornTask as torn:
            self._note_torn(folder, torn.names)
            return None
        self._torn.pop(folder.key, None)
        if not is_over and unchanged_ns >= SETTLED_AFTER_NS:
            self._goes_on[folder.key] = folder.signature
        if not is_changed and not is_over:
            return None
        records = records_of(story, is_over=is_over)
        new = told.new(records)
        return self._reading(folder.key, told.after(new, folder.signature, "", is_over=is_over), new)

    def _note_torn(self, folder: TaskFolder, names: tuple[str, ...]) -> None:
        now_ns = self._monotonic_ns()
        signature, since_ns = self._torn.get(folder.key, ("", now_ns))
        if signature != folder.signature:
            self._torn[folder.key] = (folder.signature, now_ns)
        elif now_ns - since_ns >= TORN_FOR_NS:
            self.problems[folder.key] = (
                f"{folder.path}: {', '.join(names)} are no JSON; no more is told of this task, others are read"
            )

    def _reading(self, key: str, told: Told, records: list[Record]) -> Reading:
        parts = [msgspec.json.encode(record) for record in records]
        return Reading(key, encode_told(told), Payload(self.source, parts, place=key))


class _Ulids:
    """What the program's own telemetry calls a task; its list of tasks is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_as: tuple[int, int] = (0, 0)
        self._known: dict[str, str] = {}

    def of(self, task_id: str) -> str:
        """A task's; empty where that is not known."""
        try:
            status = self._path.stat()
        except OSError:
            return self._known.get(task_id, "")
        if (status.st_size, status.st_mtime_ns) != self._read_as:
            self._read_as = (status.st_size, status.st_mtime_ns)
            self._known |= ulids_in(self._path)
        return self._known.get(task_id, "")


def records_of(story: Story, *, is_over: bool) -> list[Record]:
    """The records that stay as they are: all, with the end, of a story that is over."""
    if is_over:
        return [*story.records, *story.end]
    return [record for record in story.records if int(record["time_unix_ms"]) <= story.settled_until_ms]


def _digest(text: str) -> str:
    """What stands for a path or a name, either of which may reveal somebody's."""
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
