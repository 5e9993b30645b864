"""A variable of the user's environment that programs get which no shell starts, where the system keeps such.

macOS keeps it until the user logs out, Windows for good. Elsewhere files alone say what the environment is.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping
from typing import Final, NamedTuple

from cline_otel.operating_system.home import PLATFORM

_WITHIN_SECONDS: Final = 20.0
_IN_THE_REGISTRY: Final = re.compile(r"REG_(?:EXPAND_)?SZ\s+(.*)")


class _Commands(NamedTuple):
    """What is run, with ``{name}`` and ``{value}`` in it."""

    read: tuple[str, ...]
    set: tuple[str, ...]
    unset: tuple[str, ...]


_COMMANDS: Final[Mapping[str, _Commands]] = {
    "darwin": _Commands(
        ("launchctl", "getenv", "{name}"),
        ("launchctl", "setenv", "{name}", "{value}"),
        ("launchctl", "unsetenv", "{name}"),
    ),
    "win32": _Commands(
        ("reg", "query", r"HKCU\Environment", "/v", "{name}"),
        ("setx", "{name}", "{value}"),
        ("reg", "delete", r"HKCU\Environment", "/v", "{name}", "/f"),
    ),
}


def has_user_variables(platform: str = PLATFORM) -> bool:
    """Whether the system keeps such variables."""
    return platform in _COMMANDS


def setting_command(name: str, value: str, platform: str = PLATFORM) -> str:
    """What a person would type to set a variable.

    Raises:
        KeyError: the system keeps none.
    """
    command = _filled(_COMMANDS[platform].set, name, value)
    return subprocess.list2cmdline(command) if platform == "win32" else shlex.join(command)


def user_variable(name: str, platform: str = PLATFORM) -> str | None:
    """What a variable is; None if it is not set.

    Raises:
        OSError: it cannot be asked for.
        KeyError: the system keeps none.
    """
    answer = _run(_filled(_COMMANDS[platform].read, name))
    if platform != "win32":
        return answer.stdout.rstrip("\n") or None
    found = _IN_THE_REGISTRY.search(answer.stdout)
    return found[1].strip() if found is not None else None


def set_user_variable(name: str, value: str, platform: str = PLATFORM) -> None:
    """Sets a variable for programs that are started from now on.

    Raises:
        OSError: it cannot be set.
        KeyError: the system keeps none.
    """
    _done(_filled(_COMMANDS[platform].set, name, value))


def unset_user_variable(name: str, platform: str = PLATFORM) -> None:
    """Takes a variable away.

    Raises:
        OSError: it cannot be taken away.
        KeyError: the system keeps none.
    """
    _done(_filled(_COMMANDS[platform].unset, name))


def _filled(command: tuple[str, ...], name: str, value: str = "") -> list[str]:
    return [part.format(name=name, value=value) for part in command]


def _done(command: list[str]) -> None:
    answer = _run(command)
    if answer.returncode:
        said = (answer.stderr or answer.stdout).strip().partition("\n")[0]
        raise OSError(0, f"`{command[0]}` failed with exit code {answer.returncode}{said and f': {said}'}")


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - the system's own tools, by the names that it finds them by
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_WITHIN_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(0, f"`{command[0]}` did not end within {_WITHIN_SECONDS:g} s") from None
