"""Streams that have gone through ``pipe``, as an input: a file of records each, deleted once it was taken in."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from cline_otel.operating_system.files import replace
from cline_otel.private_files import open_trusted, private_directory, written_beside
from cline_otel.sources.conversations.told import Record
from cline_otel.sources.interface import Finished, Input, Payload, Reading, StreamReader, UndeletableFile, Unread
from cline_otel.sources.json_stream.names import PlainNames
from cline_otel.sources.json_stream.story import StreamStory

_DIRECTORY: Final = "streams"
_READ: Final = b"read"
"""The cursor of a file, which is read whole."""


def directory_in(state_directory: Path) -> Path:
    """Where streams wait to be taken in."""
    return state_directory / _DIRECTORY


def leave(directory: Path, records: Sequence[Record]) -> None:
    """Leaves what a stream tells for a bridge.

    Raises:
        OSError: it cannot be written.
    """
    private_directory(directory)
    path = directory / f"{time.time_ns():020}-{secrets.token_hex(4)}.jsonl"
    content = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
    with written_beside(path, content) as temporary:
        replace(temporary, path)


class PassingStream(StreamReader):
    """A stream that goes through.

    Args:
        directory: where what it told is left.
        names: how names that people choose are written down.
    """

    def __init__(self, directory: Path, names: PlainNames) -> None:
        self._directory = directory
        self._story = StreamStory(names)

    def take(self, line: bytes) -> None:
        """A line."""
        self._story.take(line)

    def end(self) -> None:
        """Leaves what the stream told, if it was one of Cline's."""
        records = self._story.end()
        if records:
            leave(self._directory, records)


class StreamsInput(Input):
    """Reads the streams that wait.

    Args:
        source: the source's name.
        directory: where they wait; it need not be there.
    """

    def __init__(self, source: str, directory: Path) -> None:
        super().__init__(source)
        self._directory = directory
        self._prefix = f"{source}/"

    def owns(self, key: str) -> bool:
        """Whether it is a stream's."""
        return key.startswith(self._prefix)

    def can_go_on_from(self, cursor: bytes) -> bool:
        """A stream was read or was not."""
        return cursor == _READ

    def read(self, cursors: Mapping[str, bytes], limit_bytes: int) -> list[Reading]:
        """Whole streams, the oldest first; one at least."""
        self.problems = {}
        readings: list[Reading] = []
        size_bytes = 0
        for path in self._waiting(cursors):
            key = self._key(path)
            try:
                content = _content(path)
            except FileNotFoundError:
                continue
            except OSError as error:
                self.problems[key] = f"{path}: cannot be read ({error.strerror}); check its permissions"
                continue
            lines = [line for line in content.split(b"\n") if line]
            readings.append(Reading(key, _READ, Payload(self.source, lines, place=key)))
            size_bytes += len(content)
            if size_bytes > limit_bytes:
                break
        return readings

    def ends(self) -> dict[str, bytes | None]:
        """All that wait count as read."""
        return {self._key(path): _READ for path in self._files()}

    def unread(self, cursors: Mapping[str, bytes]) -> Unread:
        """Those that wait."""
        size_bytes = lines = 0
        for path in self._waiting(cursors):
            with suppress(OSError):
                content = _content(path)
                size_bytes += len(content)
                lines += content.count(b"\n")
        return Unread(size_bytes, lines)

    def finished(self, cursors: Mapping[str, bytes]) -> Finished:
        """Those that were read."""
        return Finished((), tuple(key for path in self._files() if (key := self._key(path)) in cursors))

    def remove(self, finished: Finished, cursors: Mapping[str, bytes]) -> None:
        """Delete them."""
        for key in finished.keys:
            path = self._directory / key.removeprefix(self._prefix)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self.problems[key] = f"{path}: cannot be deleted ({error.strerror}); delete it"

    def missing(self, cursors: Iterable[str]) -> list[str]:
        """Those that were deleted."""
        present = {self._key(path) for path in self._files()}
        return [key for key in cursors if self.owns(key) and key not in present]

    def erase(self) -> int:
        """Delete all that wait."""
        files = self._files()
        for path in files:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise UndeletableFile(f"{path}: cannot be deleted ({error.strerror}); delete it") from None
        return len(files)

    def _key(self, path: Path) -> str:
        return f"{self._prefix}{path.name}"

    def _waiting(self, cursors: Mapping[str, bytes]) -> list[Path]:
        return [path for path in self._files() if self._key(path) not in cursors]

    def _files(self) -> list[Path]:
        try:
            with os.scandir(self._directory) as entries:
                names = sorted(entry.name for entry in entries if entry.name.endswith(".jsonl"))
        except OSError:
            return []
        return [self._directory / name for name in names if not name.startswith(".")]


def _content(path: Path) -> bytes:
    with os.fdopen(open_trusted(path), "rb") as file:
        return file.read()
