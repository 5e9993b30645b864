"""The spool as an input: a cursor for each file, the end of each process, and what is done with is deleted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

from cline_otel.sources.files.lines import unread_lines
from cline_otel.sources.files.tailing import Position, decode_position, encode_position
from cline_otel.sources.interface import Finished, Input, Payload, Reading, UndeletableFile, Unread
from cline_otel.sources.plugin.spool import KEY_PREFIX, SpoolFile, SpoolReader, parse_name
from cline_otel.sources.records.decode import reported_at_ns


class SpoolInput(Input):
    """Reads a spool, and makes its directory if it is missing.

    Args:
        source: the source's name.
        reader: reads the directory.
        wall_clock_ns: nanoseconds since the Unix epoch.
    """

    def __init__(self, source: str, reader: SpoolReader, wall_clock_ns: Callable[[], int] = time.time_ns) -> None:
        super().__init__(source)
        self._reader = reader
        self._wall_clock_ns = wall_clock_ns
        self._said_gone: set[str] = set()

    def owns(self, key: str) -> bool:
        """Whether it is a file's of the spool."""
        return key.startswith(KEY_PREFIX)

    def can_go_on_from(self, cursor: bytes) -> bool:
        """A cursor is a position."""
        return decode_position(cursor) is not None

    def read(self, cursors: Mapping[str, bytes], limit_bytes: int) -> list[Reading]:
        """The next lines of each process."""
        chunks = self._reader.poll(self._positions(cursors), limit_bytes)
        self.problems = self._reader.problems
        return [
            Reading(
                chunk.file.key,
                encode_position(chunk.position),
                Payload(
                    self.source,
                    chunk.lines,
                    writer=chunk.file.process.name,
                    skipped_parts=chunk.skipped_lines,
                    place=f"{chunk.file.key}/{chunk.position.inode}",
                ),
            )
            for chunk in chunks
        ]

    def ends(self) -> dict[str, bytes | None]:
        """The end of each file."""
        ends = self._reader.ends()
        self.problems = self._reader.problems
        return {key: encode_position(end) for key, end in ends.items()}

    def unread(self, cursors: Mapping[str, bytes]) -> Unread:
        """All files together; makes no directory."""
        unread = Unread()
        positions = self._positions(cursors)
        for path in sorted(self._reader.directory.glob("*.jsonl")):
            unread |= unread_lines(path, positions.get(KEY_PREFIX + path.name), reported_at_ns)
        return unread

    def finished(self, cursors: Mapping[str, bytes]) -> Finished:
        """Files that are wholly read; of each process that is gone, once, that it ended."""
        finished = self._reader.finished(self._positions(cursors))
        gone = sorted({file.file.process for file in finished if file.is_process_gone})
        now_ns = self._wall_clock_ns()
        return Finished(
            tuple(
                Payload(self.source, writer=process.name, ended_at_ns=now_ns)
                for process in gone
                if process.name not in self._said_gone
            ),
            tuple(file.file.key for file in finished),
        )

    def remove(self, finished: Finished, cursors: Mapping[str, bytes]) -> None:
        """Delete files; of a process whose file stays, it is not said again that it ended."""
        said = self._said_gone | {payload.writer for payload in finished.payloads}
        self._said_gone = set()
        positions = self._positions(cursors)
        for file in self._files(finished.keys):
            try:
                self._reader.delete(file, positions.get(file.key))
            except UndeletableFile as error:
                self.problems[file.key] = str(error)
                # It is found finished again in every poll.
                self._said_gone |= {file.process.name} & said

    def missing(self, cursors: Iterable[str]) -> list[str]:
        """Those of files that are deleted: one that outlived its cursor would be read a second time."""
        missing = self._reader.missing(cursors)
        self.problems |= self._reader.problems
        return missing

    def erase(self) -> int:
        """Delete every file, of living processes too, which go on in new ones."""
        return self._reader.erase()

    def _positions(self, cursors: Mapping[str, bytes]) -> dict[str, Position]:
        positions = ((key, decode_position(cursor)) for key, cursor in cursors.items() if self.owns(key))
        return {key: position for key, position in positions if position is not None}

    def _files(self, keys: Iterable[str]) -> Iterable[SpoolFile]:
        files = (parse_name(key.removeprefix(KEY_PREFIX)) for key in keys)
        return [file for file in files if file is not None]
