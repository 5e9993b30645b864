"""Files of lines as inputs: one that is followed, how much of one is unread, and what the first line says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from cline_otel.decode.json_text import JsonDecoder
from cline_otel.sources.files.tailing import (
    Position,
    Tail,
    UnreadableFile,
    decode_position,
    encode_position,
    end_position,
    unread_bytes,
)
from cline_otel.sources.interface import Input, Payload, Reading, Unread

ReportedAt = Callable[[bytes], int | None]
"""When a line was written, as it says, nanoseconds since the Unix epoch; None if it does not."""

_SCAN_BYTES: Final = 1024 * 1024
_FIRST_LINES: Final = 50
_object: Final = JsonDecoder(msgspec.json.Decoder(dict[str, msgspec.Raw]))


class TailedFile(Input):
    """One file that lines are appended to.

    Args:
        source: the source's name.
        path: the file; predecessors are found as ``path.1`` and so on.
        reported_at_ns: reads when a line was written.
    """

    def __init__(self, source: str, path: Path, reported_at_ns: ReportedAt) -> None:
        super().__init__(source)
        self.key = tail_key(source, path)
        self._tail = Tail(path)
        self._reported_at_ns = reported_at_ns

    def owns(self, key: str) -> bool:
        """Whether it is this file's."""
        return key == self.key

    def can_go_on_from(self, cursor: bytes) -> bool:
        """A cursor is a position."""
        return decode_position(cursor) is not None

    def read(self, cursors: Mapping[str, bytes], limit_bytes: int) -> list[Reading]:
        """The next lines, in one payload."""
        try:
            chunk = self._tail.read(self._position(cursors), limit_bytes)
        except UnreadableFile as error:
            self.problems = {self.key: str(error)}
            return []
        self.problems = {}
        if chunk is None:
            return []
        place = f"{self.key}/{chunk.position.inode}"
        payload = Payload(self.source, chunk.lines, skipped_parts=chunk.skipped_lines, place=place)
        return [Reading(self.key, encode_position(chunk.position), payload)]

    def ends(self) -> dict[str, bytes | None]:
        """The end of the file as it is now."""
        # It may hold a file that is renamed or removed by now.
        self._tail.close()
        try:
            end = end_position(self._tail.path)
        except UnreadableFile as error:
            self.problems = {self.key: str(error)}
            return {}
        self.problems = {}
        return {self.key: None if end is None else encode_position(end)}

    def unread(self, cursors: Mapping[str, bytes]) -> Unread:
        """Of the file as it is now, without its predecessors."""
        return unread_lines(self._tail.path, self._position(cursors), self._reported_at_ns)

    def close(self) -> None:
        """Let go of the file that is kept open."""
        self._tail.close()

    def _position(self, cursors: Mapping[str, bytes]) -> Position | None:
        cursor = cursors.get(self.key)
        return None if cursor is None else decode_position(cursor)


def tail_key(source: str, path: Path) -> str:
    """The cursor key of a file: a digest stands for its path, which would reveal the user's name."""
    return f"{source}/" + blake2b(str(path.absolute()).encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


def unread_lines(path: Path, position: Position | None, reported_at_ns: ReportedAt) -> Unread:
    """What a reader at ``position`` has before it; the file may grow or go away meanwhile."""
    size_bytes = unread_bytes(path, position)
    if not size_bytes:
        return Unread()
    lines, first = 0, b""
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, 2) - size_bytes, 0))
            while data := file.read(_SCAN_BYTES):
                first = first or data.partition(b"\n")[0]
                lines += data.count(b"\n")
    except OSError:
        return Unread(size_bytes, records=None)
    return Unread(size_bytes, lines, reported_at_ns(first))


def first_object(content: bytes) -> Mapping[str, msgspec.Raw]:
    """The members of the first line that is a JSON object, still encoded; empty if none of the first lines is."""
    begin = 0
    for _ in range(_FIRST_LINES):
        end = content.find(b"\n", begin)
        line = content[begin:] if end < 0 else content[begin:end]
        try:
            return _object.decode(line)
        except msgspec.DecodeError:
            if end < 0:
                break
        begin = end + 1
    return {}
