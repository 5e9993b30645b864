"""An agent of launchd, in the user's graphical session. The form is that of ``launchd.plist(5)``.

Never run on macOS: the file is checked by ``plistlib``, the commands against ``launchctl(1)`` as it is documented.
"""

from __future__ import annotations

from pathlib import Path

from cline_otel.service.interface import (
    MARKER,
    RESTART_AFTER_SECONDS,
    SERVICE_NAME,
    STOP_WITHIN_SECONDS,
    ServiceCommand,
    ServiceUser,
    Step,
)


class Launchd:
    """launchd, as the manager of one user's agents."""

    name = "launchd"
    tool = "launchctl"

    def unit_file(self, user: ServiceUser, command: ServiceCommand) -> Path:
        """Among the agents that a user provides."""
        return user.home / "Library" / "LaunchAgents" / f"{SERVICE_NAME}.plist"

    def unit(self, user: ServiceUser, command: ServiceCommand) -> bytes:
        """An agent that runs from login on, and again whenever it fails."""
        import plistlib

        content = plistlib.dumps(
            {
                "Label": SERVICE_NAME,
                "ProgramArguments": list(command.arguments_with_log),
                "RunAtLoad": True,
                "KeepAlive": {"SuccessfulExit": False},
                "ThrottleInterval": RESTART_AFTER_SECONDS,
                "ExitTimeOut": STOP_WITHIN_SECONDS,
                "ProcessType": "Background",
                "Umask": 0o077,
                "HardResourceLimits": {"Core": 0},
            },
            sort_keys=False,
        )
        head, root, rest = content.partition(b"<plist")
        return b"".join((head, f"<!-- {MARKER} -->\n".encode(), root, rest))

    def left_behind(self, user: ServiceUser) -> tuple[Path, ...]:
        """Nothing but the plist."""
        return ()

    def enable(self, user: ServiceUser, unit_file: Path, *, is_update: bool) -> tuple[Step, ...]:
        """Puts it into the user's domain; an agent of an earlier plist must be out of it first, and takes a while."""
        return (
            Step(("launchctl", "bootout", _target(user)), may_fail=True),
            Step(("launchctl", "enable", _target(user))),
            Step(("launchctl", "bootstrap", _domain(user), str(unit_file)), tries=STOP_WITHIN_SECONDS + 5),
        )

    def disable(self, user: ServiceUser) -> tuple[Step, ...]:
        """Stops it, and takes it out of the user's domain."""
        return (Step(("launchctl", "bootout", _target(user)), may_fail=True),)

    def after_removal(self) -> tuple[Step, ...]:
        """Nothing: without its plist it is not loaded at the next login."""
        return ()

    def advice(self, command: ServiceCommand) -> tuple[str, ...]:
        """Where its reports are, and how long it runs."""
        return (f"What it reports: {command.log_file}", "It runs while you are logged in.")

    def stop_command(self, user: ServiceUser) -> str:
        """Until the next login."""
        return f"launchctl bootout {_target(user)}"


def _domain(user: ServiceUser) -> str:
    return f"gui/{user.number}"


def _target(user: ServiceUser) -> str:
    return f"{_domain(user)}/{SERVICE_NAME}"
