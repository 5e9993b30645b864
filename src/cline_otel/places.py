"""Where things lie, as far as sources may look: plain data between settings and sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Places(NamedTuple):
    """Of the settings, what a source may go by: most need no more than the two directories.

    A source whose place has a variable of its own has a field here. The variable is a field of a model in
    ``settings/variables.py``; ``settings/load.py`` puts its value into ``Settings.places`` and ``find_places``.

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
