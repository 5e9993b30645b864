"""What SQLite and the file system raise, as one line that says what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cline_otel.journal.records import JournalError, JournalFullError

_LINE_LIMIT: Final = 300


def one_line(text: str) -> str:
    """``text`` without control characters and line breaks, cut to 300 characters."""
    cleaned = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(cleaned.split())[:_LINE_LIMIT]


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Within this block every ``sqlite3.Error`` and ``OSError`` becomes a JournalError about ``path``."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explanation(error, path) from error
    except OSError as error:
        raise JournalError(
            f"journal {path} cannot be opened ({error.strerror}): make its directory writable, "
            "or set CLINE_OTEL_BRIDGE_STATE_DIR to another one"
        ) from error


def _explanation(error: sqlite3.Error, path: Path) -> JournalError:
    # The low byte is the primary result code; the rest refines it.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return JournalFullError(
            f"journal {path} is full or its disk is, and nothing of this step was written: free disk space, "
            "make the destination reachable, or raise CLINE_OTEL_BRIDGE_JOURNAL_LIMIT_BYTES"
        )
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return JournalError(
            f"journal {path} is damaged ({error}): move it away and start again; "
            "what Cline's own files still hold is then read again"
        )
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return JournalError(
            f"journal {path} is locked by another process: stop the program that has it open and try again"
        )
    return JournalError(
        f"journal {path} cannot be used ({error}): check that this user may read and write it and its directory"
    )
