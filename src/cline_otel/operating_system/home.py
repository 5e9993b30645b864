"""The user's home directory, which not every process has, and the system by whose rules others name places in it."""

from __future__ import annotations

import os
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


if sys.platform == "win32":

    def login_shell() -> str:
        """None that anybody asks for the environment."""
        return ""

else:
    import pwd

    def login_shell() -> str:
        """The name of the shell that programs ask for the user's environment, such as ``bash``; empty if unknown."""
        shell = os.environ.get("SHELL")
        if not shell:
            try:
                shell = pwd.getpwuid(os.getuid()).pw_shell
            except KeyError:
                return ""
        return Path(shell).name
