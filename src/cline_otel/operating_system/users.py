"""Who this process belongs to, as service managers name users, and which of these managers the system has."""

from __future__ import annotations

import os
import sys
from typing import Final, Literal

ServiceManagerName = Literal["systemd", "launchd", "task-scheduler"]

if sys.platform == "win32":
    SERVICE_MANAGER: Final[ServiceManagerName] = "task-scheduler"

    def user_number() -> int:
        """0: users have no numbers here."""
        return 0

    def user_name() -> str:
        """The user's name, with the domain."""
        import psutil

        name: str = psutil.Process().username()
        return name

else:
    import pwd

    SERVICE_MANAGER: Final[ServiceManagerName] = "launchd" if sys.platform == "darwin" else "systemd"

    def user_number() -> int:
        """The id of the user."""
        return os.getuid()

    def user_name() -> str:
        """The user's name; the number where the system does not know the user."""
        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return str(os.getuid())
