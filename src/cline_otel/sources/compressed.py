"""Compressed files: which there are, by what names, and how one is read without more of it than is asked for in memory.

Nothing of what is unpacked is ever written.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol, TypeVar

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LARGEST_UNPACKED_BYTES: Final = 512 * 1024 * 1024
"""Of one file. A few kilobytes can be unpacked for hours, so that whoever made them decides how much there is."""


class Compression(NamedTuple):
    """A way to compress a file.

    Attributes:
        name: what people call it.
        suffix: what the name of a file gets.
        magic: how the file begins.
        reader: a file's content, unpacked as it is read.
    """

    name: str
    suffix: str
    magic: bytes
    reader: Callable[[IO[bytes]], io.BufferedIOBase]


COMPRESSIONS: Final = (
    Compression("gzip", ".gz", b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    Compression("zstd", ".zst", b"\x28\xb5\x2f\xfd", zstd.ZstdFile),
)
DAMAGED: Final = (gzip.BadGzipFile, EOFError, zlib.error, zstd.ZstdError)
"""What a reader raises where a file is cut off, or not what it begins as."""


def compression_of(head: bytes) -> Compression | None:
    """How a file is compressed that begins so; None if it is not."""
    return next((each for each in COMPRESSIONS if head.startswith(each.magic)), None)


def plain_name(name: str) -> str:
    """What a file is called when it is not compressed."""
    return next((name.removesuffix(each.suffix) for each in COMPRESSIONS if name.endswith(each.suffix)), name)


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_Entry = TypeVar("_Entry", bound=_Named)


def by_plain_name(entries: Iterable[_Entry]) -> dict[str, _Entry]:
    """The files of one folder by their plain names; of a file that is there in several forms, the plainest."""
    return {plain_name(each.name): each for each in sorted(entries, key=lambda each: each.name, reverse=True)}


def stored_as(path: Path) -> Path:
    """Where a file is: there, or compressed beside that."""
    for suffix in ("", *(each.suffix for each in COMPRESSIONS)):
        candidate = path.with_name(path.name + suffix)
        with suppress(OSError):
            candidate.stat()
            return candidate
    return path


class Unpacked(io.RawIOBase):
    """A file as it is when it is not compressed. It ends where it cannot be unpacked any further.

    Attributes:
        is_cut_off: whether that was before its end: the file is damaged, or there is more in it than is read.
    """

    def __init__(self, file: io.BufferedReader, compression: Compression, limit_bytes: int) -> None:
        self.is_cut_off = False
        self._file = file
        self._content = compression.reader(file)
        self._left_bytes = limit_bytes

    def read(self, size: int = -1, /) -> bytes:
        """So many bytes, fewer only at the end; without a size, all."""
        pieces: list[bytes] = []
        missing = size if size >= 0 else self._left_bytes + 1
        while missing > 0 and (piece := self._next(missing)):
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)

    def _next(self, most_bytes: int) -> bytes:
        if self.is_cut_off:
            return b""
        try:
            # Whatever comes before damage: a read of more than is at hand would lose it.
            piece = self._content.read1(min(most_bytes, self._left_bytes + 1))
        except DAMAGED:
            self.is_cut_off = True
            return b""
        self.is_cut_off = len(piece) > self._left_bytes
        piece = piece[: self._left_bytes]
        self._left_bytes -= len(piece)
        return piece

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
        super().close()


def is_cut_off(file: IO[bytes] | Unpacked) -> bool:
    """Whether a file that was read ended before its end."""
    return isinstance(file, Unpacked) and file.is_cut_off


def opened(path: Path, limit_bytes: int = LARGEST_UNPACKED_BYTES) -> io.BufferedReader | Unpacked:
    """A file to read; one whose name says that it is compressed, unpacked, up to a limit.

    Raises:
        OSError: it cannot be read.
    """
    file = path.open("rb")
    compression = compression_of(file.peek(4)) if plain_name(path.name) != path.name else None
    return file if compression is None else Unpacked(file, compression, limit_bytes)
