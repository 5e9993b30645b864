"""What SQLite and the file system raise, as one line that says what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cline_otel.journal.records import JournalDamagedError, JournalError, JournalFullError, JournalUnavailableError
from cline_otel.operating_system.owners import UntrustedFileError

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
    except UnicodeDecodeError as error:
        # Python's sqlite3 raises it for what SQLite itself says of a damaged schema, which quotes it.
        raise damaged(path, "its schema is no text") from error
    except UntrustedFileError as error:
        raise JournalUnavailableError(f"journal {path} is not used: {error}") from error
    except OSError as error:
        raise JournalUnavailableError(
            f"journal {path} cannot be opened ({error.strerror}): make its directory writable, "
            "or set CLINE_OTEL_BRIDGE_STATE_DIR to another one"
        ) from error


@contextmanager
def rows_explained(path: Path) -> Iterator[None]:
    """As :func:`explained`; and a journal where a row is missing that each has, or holds something else, is damaged."""
    with explained(path):
        try:
            yield
        except (LookupError, TypeError, ValueError) as error:
            raise damaged(path, "a row that each journal has is missing or holds something else") from error


def damaged(path: Path, what: str) -> JournalDamagedError:
    """What to say of a journal that is damaged, and what to do."""
    return JournalDamagedError(
        f"journal {path} is damaged ({what}): move it away and start again; "
        "what Cline's own files still hold is then read again"
    )


def full(path: Path) -> JournalFullError:
    """That as much waits in a journal as may."""
    return JournalFullError(
        f"as much waits in journal {path} as may, and nothing of this step was written: "
        "make the destination reachable, or raise CLINE_OTEL_BRIDGE_JOURNAL_LIMIT_BYTES"
    )


def _explanation(error: sqlite3.Error, path: Path) -> JournalError:
    # The low byte is the primary result code; the rest refines it.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return JournalFullError(f"the disk of journal {path} is full, and nothing of this step was written: free some")
    # What our statements name is in every journal.
    is_missing = code == sqlite3.SQLITE_ERROR and str(error).startswith("no such ")
    if is_missing or code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return damaged(path, str(error))
    if code == sqlite3.SQLITE_OK and str(error).startswith("Could not decode"):
        # Python's own, which quotes the text.
        return damaged(path, "it holds text that is none")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return JournalUnavailableError(
            f"journal {path} is locked by another process: stop the program that has it open and try again"
        )
    # Of a closed connection, for example: no wait helps.
    kind = JournalError if isinstance(error, sqlite3.ProgrammingError) else JournalUnavailableError
    return kind(
        f"journal {path} cannot be used ({error}): check the disk, and that this user may read and write the file "
        "and its directory"
    )
