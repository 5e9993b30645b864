"""A unit of the user's systemd. The form is that of ``systemd.service(5)`` and ``systemd.exec(5)``.

What sandboxes by namespaces (``ProtectHome``, ``PrivateTmp`` …) is left out: for a user's unit it needs user
namespaces, which some distributions refuse, and the service would not start there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cline_otel.service.interface import (
    DESCRIPTION,
    MARKER,
    RESTART_AFTER_SECONDS,
    SERVICE_NAME,
    STOP_WITHIN_SECONDS,
    ServiceCommand,
    ServiceUser,
    Step,
)

_UNIT: Final = f"{SERVICE_NAME}.service"
_WANTED_BY: Final = "default.target"
_SYSTEMCTL: Final = ("systemctl", "--user")
_SETTINGS_ERROR: Final = 2
"""The exit code of a setting that cannot be used, which another start would not change."""

_HARDENING: Final = """\
UMask=0077
LimitCORE=0
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM"""


class Systemd:
    """systemd, as the manager of one user's services."""

    name = "systemd"
    tool = _SYSTEMCTL[0]

    def unit_file(self, user: ServiceUser, command: ServiceCommand) -> Path:
        """Among the units that a user makes: ``systemd.unit(5)``, "Unit File Load Path"."""
        return _units(user) / _UNIT

    def unit(self, user: ServiceUser, command: ServiceCommand) -> bytes:
        """A service that is up with the user's manager."""
        program, *arguments = command.arguments
        # Variables are put into the arguments, and not into the path of the program.
        words = [_quoted(program), *(_quoted(argument).replace("$", "$$") for argument in arguments)]
        text = f"""\
# {MARKER}
[Unit]
Description={DESCRIPTION}
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={" ".join(words)}
Restart=on-failure
RestartSec={RESTART_AFTER_SECONDS}
RestartPreventExitStatus={_SETTINGS_ERROR}
KillMode=mixed
TimeoutStopSec={STOP_WITHIN_SECONDS}
{_HARDENING}

[Install]
WantedBy={_WANTED_BY}
"""
        return text.encode("utf-8", "surrogateescape")

    def left_behind(self, user: ServiceUser) -> tuple[Path, ...]:
        """The link by which the service is wanted."""
        return (_units(user) / f"{_WANTED_BY}.wants" / _UNIT,)

    def enable(self, user: ServiceUser, unit_file: Path, *, is_update: bool) -> tuple[Step, ...]:
        """Has it read the unit, and starts it; one that runs by an earlier unit or with other settings starts anew."""
        steps = (Step((*_SYSTEMCTL, "daemon-reload")), Step((*_SYSTEMCTL, "enable", "--now", _UNIT)))
        return (*steps, Step((*_SYSTEMCTL, "restart", _UNIT))) if is_update else steps

    def disable(self, user: ServiceUser) -> tuple[Step, ...]:
        """Waits for the drain, too."""
        return (
            Step((*_SYSTEMCTL, "disable", "--now", _UNIT)),
            Step((*_SYSTEMCTL, "reset-failed", _UNIT), may_fail=True),
        )

    def after_removal(self) -> tuple[Step, ...]:
        """Has it forget the unit."""
        return (Step((*_SYSTEMCTL, "daemon-reload")),)

    def advice(self, command: ServiceCommand) -> tuple[str, ...]:
        """Where its reports are, and how long it runs."""
        return (
            f"What it reports: journalctl --user --unit {SERVICE_NAME}",
            "It runs while you are logged in; `loginctl enable-linger` has it run from boot on, and after logout.",
        )

    def stop_command(self, user: ServiceUser) -> str:
        """Until the next login."""
        return " ".join((*_SYSTEMCTL, "stop", SERVICE_NAME))


def _units(user: ServiceUser) -> Path:
    return user.configuration / "systemd" / "user"


def _quoted(argument: str) -> str:
    """As a word of ``ExecStart``, in which ``%`` means something, and quotes as in C."""
    text = argument.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    is_plain = argument.isascii() and all(each.isalnum() or each in "/._-+=:@," for each in argument)
    return text if is_plain else f'"{text}"'
