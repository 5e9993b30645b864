"""The user's home directory, which not every process has, and the system by whose rules others name places in it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

PLATFORM: Final[str] = sys.platform
"""As ``sys.platform``: where an editor keeps its files differs by system, and Cline's by nothing but the home."""


def home_directory() -> Path | None:
    """The home directory, absolute; None where no variable names one and the system does not know the user."""
    try:
        return Path.home()
    except RuntimeError:
        return None
