"""The journal's file as it was opened: whether it is still the one at its path, and whole.

SQLite itself does not look: where its file was deleted or replaced it goes on with the one that it has open, and what
is written there is gone when the process ends; what was cut off it notices only when it has to read it again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from cline_otel.journal.records import JournalDamagedError
from cline_otel.private_files import open_private

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 32
_WAL_MAGIC: Final = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
"""SQLite's file format, 1.3 "The Database Header" and 4.1 "WAL File Format"."""


class OpenedFile:
    """Made before SQLite opens the file, and closed after SQLite closed it.

    In between no other descriptor of the file may be closed: all locks of the process on it would go with that
    (fcntl(2)), those of SQLite too.
    """

    def __init__(self, path: Path) -> None:
        """Makes the file if it is missing; it is for its owner alone.

        Raises:
            OSError: it cannot be opened or made.
        """
        self._path = os.fspath(path)
        self._wal_path = f"{self._path}-wal"
        self._descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
        self._largest_bytes = 0
        self._wal: tuple[int, int] | None = None

    def close(self) -> None:
        """Lets go of it; twice is once."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def verify(self) -> None:
        """Looks whether what is committed is still there, in some microseconds.

        Raises:
            JournalDamagedError: it is not.
        """
        opened = os.fstat(self._descriptor)
        if self._identity(self._path) != (opened.st_dev, opened.st_ino):
            raise self._gone("was deleted or replaced")
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        header = os.read(self._descriptor, _HEADER_BYTES)
        if not header.startswith(_MAGIC):
            raise self._gone("was emptied or overwritten")
        page_bytes = int.from_bytes(header[16:18], "big")
        expected_bytes = (65_536 if page_bytes == 1 else page_bytes) * int.from_bytes(header[28:32], "big")
        # Smaller than before it is where SQLite gave pages back, and than it says where a disk was full in between.
        if opened.st_size < min(self._largest_bytes, expected_bytes):
            raise self._gone("was cut off")
        self._largest_bytes = max(opened.st_size, min(self._largest_bytes, expected_bytes))
        wal = self._identity(self._wal_path)
        if self._wal is not None and wal != self._wal:
            raise self._gone("has lost its write-ahead log (-wal), which was deleted or replaced")
        self._wal = wal

    def verify_log(self) -> None:
        """Looks whether the write-ahead log still begins as one.

        Raises:
            JournalDamagedError: it does not.
        """
        try:
            with open(self._wal_path, "rb") as file:  # noqa: PTH123 - as below, quicker than by a Path
                begin = file.read(len(_WAL_MAGIC[0]))
        except OSError:
            return
        if begin and begin not in _WAL_MAGIC:
            raise self._gone("has lost its write-ahead log (-wal), which was emptied or overwritten")

    def _gone(self, what: str) -> JournalDamagedError:
        return JournalDamagedError(
            f"journal {self._path} {what} while the bridge ran: nothing more is taken, and what was not delivered is "
            "lost; move away what is left of it and start again: what Cline's own files still hold is then read again"
        )

    @staticmethod
    def _identity(path: str) -> tuple[int, int] | None:
        try:
            status = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - quicker, and asked for at every commit
        except OSError:
            return None
        return status.st_dev, status.st_ino
