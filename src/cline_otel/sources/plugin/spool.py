"""The plugin's spool directory: one append-only file of JSON lines per Cline process, rolled by its writer.

A file is named ``<pid>-<process start, Unix epoch ms>-<sequence>.jsonl``. Its writer appends to the
file of the highest sequence only, so a lower one is complete. A file is deleted when it is wholly
read and committed, and either a later one of the same process exists or the process is gone. A
process whose presence is unknown (see :mod:`cline_otel.sources.files.processes`) counts as gone when
all its files were silent for 24 h. Names of any other form, and whatever is not a regular file, are
left alone; symlinks are not followed.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from cline_otel.operating_system.files import file_number, open_file
from cline_otel.operating_system.owners import UntrustedFileError, verify_owner
from cline_otel.private_files import private_directory
from cline_otel.sources.files.processes import Presence, ProcessKey, ProcessTable
from cline_otel.sources.files.tailing import READ_LIMIT_BYTES, Position, UnreadableFile, end_position, read_chunk
from cline_otel.sources.interface import UndeletableFile
from cline_otel.sources.records.decode import EXIT

KEY_PREFIX = "spool/"
SILENT_AFTER_NS = 24 * 3600 * 10**9

_LAST_LINE_BYTES = 256

_NAME = re.compile(r"([1-9]\d{0,9})-(\d{1,15})-(\d{1,10})\.jsonl", re.ASCII)


class SpoolFile(msgspec.Struct, frozen=True, order=True):
    """One file of the spool; sorts by process, then in the order written."""

    process: ProcessKey
    sequence: int
    name: str

    @property
    def key(self) -> str:
        """The cursor key of this file."""
        return KEY_PREFIX + self.name


class SpoolChunk(msgspec.Struct, frozen=True):
    """Lines of one spool file and the position after them."""

    file: SpoolFile
    lines: list[bytes]
    position: Position
    first_offset: int
    skipped_lines: int = 0


class FinishedFile(msgspec.Struct, frozen=True):
    """A file that is wholly read and will not grow: ``is_process_gone``, or else a later file exists."""

    file: SpoolFile
    is_process_gone: bool


def parse_name(name: str) -> SpoolFile | None:
    """Read a file name; None if it is not of the spool's form."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    pid, started_at_ms, sequence = (int(part) for part in match.groups())
    return SpoolFile(ProcessKey(started_at_ms, pid), sequence, name)


class SpoolReader:
    """Reads the spool directory, which it makes (mode 0700) if it is missing, and keeps others out of.

    Positions are given to each call and never kept here: they belong to whoever commits them.
    What can't be read is reported in ``problems`` (a line by cursor key) and does not stop the others.
    """

    def __init__(
        self,
        directory: Path,
        processes: ProcessTable | None = None,
        wall_clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.directory = directory
        self.problems: dict[str, str] = {}
        self._foreign: set[str] = set()
        self._processes = ProcessTable(wall_clock_ns=wall_clock_ns) if processes is None else processes
        self._wall_clock_ns = wall_clock_ns

    def poll(self, positions: Mapping[str, Position], limit_bytes: int = READ_LIMIT_BYTES) -> list[SpoolChunk]:
        """Read the next lines: by process, each process's files in order, one chunk of one file a process.

        Args:
            positions: where each file was read up to, by its key; absent means from its start.
            limit_bytes: about how much to read at once, all chunks together.

        Returns:
            The chunks; empty when there is nothing new.
        """
        self.problems = {}
        chunks: list[SpoolChunk] = []
        files = self._list()
        gone = self._gone(files)
        for process, its_files in _by_process(files).items():
            for file in its_files:
                is_complete = file is not its_files[-1] or process in gone
                position = positions.get(file.key)
                try:
                    chunk = read_chunk(
                        self.directory / file.name,
                        position,
                        limit_bytes,
                        is_complete=is_complete,
                        follow_symlinks=False,
                    )
                except UnreadableFile as error:
                    self.problems[file.key] = str(error)
                    break
                if chunk is None:
                    continue
                chunks.append(SpoolChunk(file, chunk.lines, chunk.position, chunk.first_offset, chunk.skipped_lines))
                before = position.offset if position is not None else 0
                limit_bytes -= abs(chunk.position.offset - before)
                break
            if limit_bytes <= 0:
                break
        return chunks

    def ends(self) -> dict[str, Position]:
        """Where each file ends, by its key: the positions of a reader that skips all that is there."""
        self.problems = {}
        ends: dict[str, Position] = {}
        for file in self._list():
            try:
                end = end_position(self.directory / file.name, follow_symlinks=False)
            except UnreadableFile as error:
                self.problems[file.key] = str(error)
                continue
            if end is not None:
                ends[file.key] = end
        return ends

    def erase(self) -> int:
        """Delete every file, read or not, of living processes too, which go on in new ones; how many that were.

        Raises:
            UndeletableFile: one can't be deleted, and those before it are; or they can't be listed.
        """
        self.problems.pop(KEY_PREFIX, None)
        files = self._list()
        if KEY_PREFIX in self.problems:
            raise UndeletableFile(self.problems[KEY_PREFIX])
        for file in files:
            self._unlink(self.directory / file.name)
        return len(files)

    def finished(self, positions: Mapping[str, Position]) -> list[FinishedFile]:
        """The files that are wholly read up to ``positions`` and will not grow any more.

        Of a process that is gone all files or none are reported.
        """
        files = self._list()
        # Who is gone is determined before the sizes are looked at, so nothing can be written in between.
        gone = self._gone(files)
        finished: list[FinishedFile] = []
        for process, its_files in _by_process(files).items():
            is_read = {file: self._is_read(file, positions.get(file.key)) for file in its_files}
            if process in gone:
                if all(is_read.values()):
                    finished += [FinishedFile(file, is_process_gone=True) for file in its_files]
                continue
            finished += [FinishedFile(file, is_process_gone=False) for file in its_files[:-1] if is_read[file]]
        return finished

    def delete(self, file: SpoolFile, position: Position | None) -> bool:
        """Delete a finished file, after what was read of it is committed.

        Returns:
            False, with the file kept, if it is not wholly read up to ``position`` after all; True if it is gone.

        Raises:
            UndeletableFile: it can't be deleted.
        """
        path = self.directory / file.name
        if path.exists() and not self._is_read(file, position):
            return False
        self._unlink(path)
        return True

    def missing(self, keys: Iterable[str]) -> list[str]:
        """Those of the cursor keys whose file is not there any more; none if the directory can't be listed."""
        self.problems.pop(KEY_PREFIX, None)
        there = {file.key for file in self._list()}
        if KEY_PREFIX in self.problems:
            return []
        return [key for key in keys if key.startswith(KEY_PREFIX) and key not in there]

    def _unlink(self, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise UndeletableFile(
                f"cannot delete {path}, which is no longer needed: {os.strerror(error.errno or 0)}; "
                "make its directory writable for the user that runs the bridge"
            ) from None

    def _list(self) -> list[SpoolFile]:
        try:
            private_directory(self.directory)
            for name in self._foreign:
                self.problems.pop(KEY_PREFIX + name, None)
            self._foreign.clear()
            with os.scandir(self.directory) as entries:
                parsed = [parse_name(entry.name) for entry in entries if self._is_ours(entry)]
        except UntrustedFileError as error:
            self.problems[KEY_PREFIX] = f"{error}: the spool is not read"
            return []
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            remedy = "make it a directory that the user that runs the bridge can read and write"
            self.problems[KEY_PREFIX] = str(UnreadableFile(self.directory, reason, remedy))
            return []
        return sorted(file for file in parsed if file is not None)

    def _is_ours(self, entry: os.DirEntry[str]) -> bool:
        if not entry.is_file(follow_symlinks=False):
            return False
        try:
            verify_owner(entry.stat(follow_symlinks=False), entry.path)
        except UntrustedFileError as error:
            # Put there while the directory was open to others.
            self._foreign.add(entry.name)
            self.problems[KEY_PREFIX + entry.name] = f"{error}: it is not read"
            return False
        except OSError:
            return False
        return True

    def _gone(self, files: list[SpoolFile]) -> set[ProcessKey]:
        presences = self._processes.presences({file.process for file in files})
        silent_since_ns = self._wall_clock_ns() - SILENT_AFTER_NS
        gone = {process for process, presence in presences.items() if presence is Presence.GONE}
        for process, its_files in _by_process(files).items():
            if presences[process] is Presence.UNKNOWN:
                is_silent = all(self._modified_at_ns(file) < silent_since_ns for file in its_files)
                if is_silent or self._says_it_exited(its_files[-1]):
                    gone.add(process)
        return gone

    def _says_it_exited(self, newest: SpoolFile) -> bool:
        """Whether the last line reports the process's end: it writes nothing after it."""
        try:
            descriptor = open_file(self.directory / newest.name, os.O_RDONLY, follow_links=False)
        except OSError:
            return False
        with os.fdopen(descriptor, "rb") as file:
            file.seek(max(self._size(newest) - _LAST_LINE_BYTES, 0))
            *_, last, end = [b"", *file.read(_LAST_LINE_BYTES).split(b"\n")]
        return end == b"" and f'"event":"{EXIT}"'.encode() in last

    def _modified_at_ns(self, file: SpoolFile) -> int:
        try:
            return (self.directory / file.name).lstat().st_mtime_ns
        except OSError:
            return self._wall_clock_ns()

    def _size(self, file: SpoolFile) -> int:
        try:
            return (self.directory / file.name).lstat().st_size
        except OSError:
            return 0

    def _is_read(self, file: SpoolFile, position: Position | None) -> bool:
        try:
            status = (self.directory / file.name).lstat()
        except OSError:
            return False
        if position is None:
            return status.st_size == 0
        return status.st_size == position.offset and file_number(status) == position.inode


def _by_process(files: list[SpoolFile]) -> dict[ProcessKey, list[SpoolFile]]:
    grouped: dict[ProcessKey, list[SpoolFile]] = {}
    for file in files:
        grouped.setdefault(file.process, []).append(file)
    return grouped
