"""What a bridge reports of itself while it runs: a line each on stderr."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime


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
