"""What a bridge reports of itself while it runs: a line each on stderr."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cline_otel.private_files import open_private

_LARGEST_LOG_BYTES: Final = 1024 * 1024
_STDERR: Final = 2


class _OneLine(logging.Formatter):
    """Time, level, message: never a traceback, which could quote what it handled."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{now()} {record.levelname.lower()}: {record.getMessage()}"


def log_to_stderr(level: str) -> None:
    """Writes there what the bridge logs from ``level`` on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine())
    # What others log may quote what they handled, so only their warnings are shown.
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    logging.getLogger("cline_otel").setLevel(level)
    # Where nobody reads stderr any more, an error of logging reaches nobody.
    logging.raiseExceptions = False


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class LogFile:
    """A file that has what this process writes to stderr from now on, and does not grow without end.

    Attributes:
        path: the file; what was in it before goes beside it, under a name that ends with ``.1``.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file.

        Raises:
            OSError: it cannot be written.
        """
        self.path = path
        descriptor = open_private(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        # Whatever writes there has it, a library or the interpreter itself; a program without a console has nothing.
        os.dup2(descriptor, _STDERR)
        os.close(descriptor)
        sys.stderr = open(_STDERR, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115 - for the rest of the process
        self.trim()

    def trim(self) -> None:
        """Sets aside what is in the file once it is large. A file that is open is not renamed on every system."""
        try:
            if self.path.stat().st_size > _LARGEST_LOG_BYTES:
                older = self.path.with_name(f"{self.path.name}.1")
                descriptor = open_private(older, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                with self.path.open("rb") as source, os.fdopen(descriptor, "wb") as copy:
                    shutil.copyfileobj(source, copy)
                os.truncate(self.path, 0)
        except OSError:
            # It is tried again; the bridge does not end for want of a report.
            return
