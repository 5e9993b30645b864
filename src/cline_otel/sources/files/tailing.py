"""Reading files that others append lines to, across truncation, rotation, restarts and torn lines.

A position names a place by content as well as by inode: the digest of the file's first bytes. That
distinguishes a file that was truncated and rewritten from the one that was read, and the copy that
``copytruncate`` made from an unrelated file. The device number is kept but not compared, because
file systems may be renumbered at every boot.

What is delivered: every whole line that stayed readable, once and in order. What can't be: lines
that were truncated away before they were read; lines that a process goes on writing into a renamed
file after its successor has been begun (copytruncate does not have that problem); and a file that
is begun and renamed away or removed between two reads, after its predecessor was removed, because
then it is unknown whether it was read before.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from hashlib import blake2b
from io import FileIO
from pathlib import Path
from typing import Final

import msgspec

from cline_otel.operating_system.files import file_number, open_file
from cline_otel.state_format import Format, UnreadableRow, unchanged

READ_LIMIT_BYTES = 1024 * 1024
MAX_LINE_BYTES = 4 * 1024 * 1024
HEAD_BYTES = 256
MAX_GENERATIONS = 9
"""How many renamed predecessors (``path.1`` … ``path.9``) are looked at."""

_DIGEST_BYTES = 16
_MISSING = (errno.ENOENT, errno.ENOTDIR)


class UnreadableFile(Exception):  # noqa: N818 - named for the file's state
    """The file is there but can't be read; the text names it, the reason and the remedy."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(f"cannot read {path}: {reason}; {remedy}")
        self.path = path


class Position(msgspec.Struct, frozen=True, array_like=True):
    """A place in a file, as kept between reads and over restarts.

    Attributes:
        device: ``st_dev`` when it was read; informative.
        inode: what :func:`~cline_otel.operating_system.files.file_number` says.
        offset: bytes that are done with.
        head: digest of the file's first ``min(offset, 256)`` bytes, which appending never changes.
        skipping: the offset lies within a line that is too long; what follows up to the next newline is skipped.
    """

    device: int
    inode: int
    offset: int
    head: bytes
    skipping: bool = False


POSITION: Final = Format("position", Position, unchanged)


def encode_position(position: Position) -> bytes:
    """A position as a cursor."""
    return POSITION.encode(position)


def decode_position(cursor: bytes) -> Position | None:
    """The position that a cursor is; None for what is none."""
    try:
        return POSITION.decode(cursor)
    except UnreadableRow:
        return None


class Chunk(msgspec.Struct, frozen=True):
    """Lines that were read, without their newlines.

    Attributes:
        lines: whole lines; the last one may be torn if its file was complete.
        position: the place after them.
        first_offset: where the first of them begins in its file.
        skipped_lines: lines longer than the limit, which are not in ``lines``.
    """

    lines: list[bytes]
    position: Position
    first_offset: int
    skipped_lines: int = 0


def read_chunk(
    path: Path,
    position: Position | None,
    limit_bytes: int = READ_LIMIT_BYTES,
    *,
    is_complete: bool = False,
    follow_symlinks: bool = True,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Chunk | None:
    """Read the next lines of one file, of about ``limit_bytes``, or a single line if that is longer.

    Args:
        path: the file; no predecessor is looked for, see :class:`Tail`.
        position: where the last chunk ended; None, or a place in another content, begins at the start.
        limit_bytes: how much to read at once.
        is_complete: nothing is appended any more, so a last line without newline is handed out as it is.
        follow_symlinks: if not, a symlink is unreadable.
        max_line_bytes: longer lines are skipped and counted.

    Returns:
        None if there is nothing new, or no file.

    Raises:
        UnreadableFile: the file is there but can't be read.
    """
    file = _open(path, follow_symlinks)
    if file is None:
        return None
    with file:
        start = position if position is not None and _continues(file, position, same_inode=True) else None
        return _read(file, start, limit_bytes, is_complete, max_line_bytes)


def end_position(path: Path, *, follow_symlinks: bool = True) -> Position | None:
    """Where reading goes on if all that is there is to be skipped; None if there is no file.

    Of the content only the head, which recognises the file, and the last byte are looked at: a line
    that is not ended yet is skipped to its end, whenever that comes.

    Raises:
        UnreadableFile: the file is there but can't be read.
    """
    file = _open(path, follow_symlinks)
    if file is None:
        return None
    with file:
        try:
            size = os.fstat(file.fileno()).st_size
            is_within_line = size > 0 and _read_at(file, size - 1, 1) != b"\n"
            head = _read_at(file, 0, min(size, HEAD_BYTES))
            status = os.fstat(file.fileno())
        except OSError as error:
            raise _unreadable(path, error) from None
        # Truncated meanwhile: what is there now is found by the next look.
        size = size if status.st_size >= size and len(head) == min(size, HEAD_BYTES) else 0
        return Position(status.st_dev, file_number(status), size, _digest(head[:size]), is_within_line and size > 0)


def unread_bytes(path: Path, position: Position | None) -> int:
    """How far a reader at ``position`` lags behind the end of the file, in bytes; 0 if there is no readable file."""
    try:
        file = _open(path, follow_symlinks=True)
        if file is None:
            return 0
        with file:
            size = os.fstat(file.fileno()).st_size
            if position is not None and _continues(file, position, same_inode=True):
                return size - position.offset
            return size
    except UnreadableFile:
        return 0


class Tail:
    """Follows one path: the file that is there now and, after a rotation, what is left of its predecessors.

    Keeps the file it reads open, so that its end is still read when it was renamed to an unknown name
    or removed. All that must survive a restart is in the position; after one, predecessors are found
    as ``path.1`` and so on. Without a position reading begins at the start of ``path`` itself.
    """

    def __init__(self, path: Path, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self.path = path
        self._max_line_bytes = max_line_bytes
        self._held: FileIO | None = None

    def close(self) -> None:
        """Let go of the file that is kept open."""
        self._hold(None)

    def read(self, position: Position | None, limit_bytes: int = READ_LIMIT_BYTES) -> Chunk | None:
        """Read the next lines after ``position``, of about ``limit_bytes``; None if there is nothing new.

        Raises:
            UnreadableFile: the file is there but can't be read.
        """
        current = _open(self.path, follow_symlinks=True)
        if position is None:
            return self._begin(current, limit_bytes)
        if current is not None and _continues(current, position, same_inode=True):
            self._hold(current)
            return _read(current, position, limit_bytes, False, self._max_line_bytes)
        return self._read_predecessors(current, position, limit_bytes)

    def _begin(self, current: FileIO | None, limit_bytes: int) -> Chunk | None:
        self._hold(current)
        if current is None:
            return None
        return _read(current, None, limit_bytes, False, self._max_line_bytes)

    def _read_predecessors(self, current: FileIO | None, position: Position, limit_bytes: int) -> Chunk | None:
        """Finish the file that ``position`` is in, then go on with the first later one that has lines."""
        predecessors = list(self._predecessors())
        successors = [] if current is None else [current]
        chain: list[tuple[FileIO, Position | None]] = []
        generations = range(len(predecessors))
        read = next((at for at in generations if _continues(predecessors[at], position, same_inode=False)), None)
        # The file that was read, truncated and rewritten before it was renamed.
        rewritten = next((at for at in generations if _inode(predecessors[at]) == position.inode), None)
        if read is not None:
            chain.append((predecessors[read], position))
            successors += predecessors[:read]
        elif rewritten is not None:
            successors += predecessors[: rewritten + 1]
        elif self._held is not None and _continues(self._held, position, same_inode=True):
            # Unknown how old the predecessors are: they may have been read long ago.
            chain.append((self._held, position))
        chain += [(file, None) for file in reversed(successors)]
        try:
            for order, (file, place) in enumerate(chain):
                has_successor = order + 1 < len(chain)
                chunk = _read(file, place, limit_bytes, has_successor, self._max_line_bytes)
                if chunk is not None:
                    self._hold(file)
                    return chunk
            return None
        finally:
            for file in predecessors if current is None else [current, *predecessors]:
                if file is not self._held:
                    file.close()

    def _predecessors(self) -> Iterator[FileIO]:
        for generation in range(1, MAX_GENERATIONS + 1):
            try:
                file = _open(self.path.with_name(f"{self.path.name}.{generation}"), follow_symlinks=True)
            except UnreadableFile:
                return
            if file is None:
                return
            yield file

    def _hold(self, file: FileIO | None) -> None:
        if self._held is not None and self._held is not file:
            self._held.close()
        self._held = file


def _open(path: Path, follow_symlinks: bool) -> FileIO | None:
    try:
        file = FileIO(path, opener=lambda name, flags: open_file(name, flags, follow_links=follow_symlinks))
    except OSError as error:
        if error.errno in _MISSING:
            return None
        raise _unreadable(path, error) from None
    if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        return file
    file.close()
    raise UnreadableFile(path, "it is not a regular file", "move it away")


def _unreadable(path: Path, error: OSError) -> UnreadableFile:
    if error.errno in (errno.EACCES, errno.EPERM):
        return UnreadableFile(path, "permission denied", "make it readable for the user that runs the bridge")
    if error.errno == errno.ELOOP:
        return UnreadableFile(path, "its symbolic links do not lead to a file", "replace the link by a regular file")
    if error.errno == errno.EISDIR:
        return UnreadableFile(path, "it is a directory", "move it away")
    return UnreadableFile(path, os.strerror(error.errno or errno.EIO), "check the file system")


def _inode(file: FileIO) -> int:
    return file_number(os.fstat(file.fileno()))


def _continues(file: FileIO, position: Position, *, same_inode: bool) -> bool:
    try:
        status = os.fstat(file.fileno())
        if status.st_size < position.offset or (same_inode and file_number(status) != position.inode):
            return False
        return _digest(_read_at(file, 0, min(position.offset, HEAD_BYTES))) == position.head
    except OSError as error:
        raise _unreadable(Path(os.fsdecode(file.name)), error) from None


def _read_at(file: FileIO, offset: int, count: int) -> bytes:
    file.seek(offset)
    return file.read(count)


def _digest(head: bytes) -> bytes:
    return blake2b(head, digest_size=_DIGEST_BYTES).digest()


def _read(
    file: FileIO, position: Position | None, limit_bytes: int, is_complete: bool, max_line_bytes: int
) -> Chunk | None:
    offset = position.offset if position is not None else 0
    skipping = position.skipping if position is not None else False
    try:
        data = _read_to_newline(file, offset, limit_bytes, max_line_bytes, skipping)
        taken = _take_lines(data, offset, is_complete, max_line_bytes, skipping)
        if taken is None:
            return None
        lines, first_offset, end, still_skipping, skipped = taken
        # Read after the data: if the file was truncated meanwhile, the data may be of two contents.
        head = _read_at(file, 0, min(end, HEAD_BYTES))
        status = os.fstat(file.fileno())
    except OSError as error:
        raise _unreadable(Path(os.fsdecode(file.name)), error) from None
    if position is not None:
        is_same = _digest(head[: min(offset, HEAD_BYTES)]) == position.head
    else:
        is_same = head == data[: len(head)]
    if not is_same or len(head) < min(end, HEAD_BYTES) or status.st_size < end:
        return None
    place = Position(status.st_dev, file_number(status), end, _digest(head), still_skipping)
    return Chunk(lines, place, first_offset, skipped)


def _read_to_newline(file: FileIO, offset: int, limit_bytes: int, max_line_bytes: int, skipping: bool) -> bytes:
    """About ``limit_bytes``, or more if there is no newline in them, but not more than shows a line is too long."""
    data = bytearray(_read_at(file, offset, limit_bytes))
    searched = 0
    while not skipping and len(data) <= max_line_bytes and data.find(b"\n", searched) < 0:
        searched = len(data)
        more = file.read(limit_bytes)
        if not more:
            break
        data += more
    return bytes(data)


def _take_lines(
    data: bytes, offset: int, is_complete: bool, max_line_bytes: int, skipping: bool
) -> tuple[list[bytes], int, int, bool, int] | None:
    """Lines, offset of the first, offset after them, whether a line is still being skipped, lines skipped."""
    if not data:
        return None
    begin = 0
    if skipping:
        begin = data.find(b"\n") + 1
        if begin == 0:
            return [], offset + len(data), offset + len(data), True, 0
    end = data.rfind(b"\n") + 1
    if end > begin:
        lines = data[begin : end - 1].split(b"\n")
    elif begin > 0:
        lines, end = [], begin
    elif len(data) > max_line_bytes:
        return [], offset + len(data), offset + len(data), True, 1
    elif is_complete:
        lines, end = [data], len(data)
    else:
        return None
    kept = [_without_hole(line) for line in lines if len(line) <= max_line_bytes]
    return kept, offset + begin, offset + end, False, len(lines) - len(kept)


def _without_hole(line: bytes) -> bytes:
    # A power cut, or a truncation under a writer without O_APPEND, leaves NULs before the next line.
    return line.lstrip(b"\0") if line.startswith(b"\0") else line
