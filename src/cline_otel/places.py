"""Where things lie, as far as sources may look: plain data between settings and sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Places(NamedTuple):
    """Of the settings, what a source may go by.

    Attributes:
        state_directory: what is ours.
        cline_directory: what is Cline's (``~/.cline``).
        cline_log_path: Cline's log file.
        listening_on: the base URL on which receivers listen; None if they do not.
    """

    state_directory: Path
    cline_directory: Path
    cline_log_path: Path
    listening_on: str | None = None
