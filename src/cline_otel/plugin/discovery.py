"""Which Clines are on this machine, and whether a hub daemon runs.

Found by files and the list of processes; no Cline is ever run for it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cline_otel.operating_system.home import home_directory

_EXTENSION_PREFIX: Final = "saoudrizwan.claude-dev-"
_EDITOR_DIRECTORIES: Final = (
    ".vscode",
    ".vscode-insiders",
    ".vscode-server",
    ".vscode-oss",
    ".cursor",
    ".windsurf",
)
HUB_ARGUMENT: Final = "--cline-hub-daemon"
_PLATFORM_PACKAGE_PREFIX: Final = "@cline/cli-"
_FIRST_MAJOR_WITH_PLUGINS: Final = 3


@dataclass(frozen=True, slots=True)
class ClineVersion:
    """One Cline that was found.

    Attributes:
        product: the command line (CLI; Kanban and apps on the SDK use the same plugins) or an editor's extension.
        version: as its ``package.json`` says; None where it does not.
        location: the package's or the extension's directory, or the executable where no package is around it.
        loads_plugin: whether it loads plugins from Cline's directory; None where the version is unknown.
    """

    product: Literal["cli", "vscode"]
    version: str | None
    location: Path
    loads_plugin: bool | None

    @property
    def advice(self) -> str:
        """One line for the user: what will be seen of this Cline."""
        if self.product == "vscode":
            return "editor extensions do not load plugins: not seen by the plugin"
        if self.loads_plugin is None:
            return "version unknown: the plugin works from Cline 3 on"
        if self.loads_plugin:
            return "loads the plugin for every session that starts from now on"
        return "classic Cline does not load plugins: point its own OpenTelemetry settings at the bridge"


@dataclass(frozen=True, slots=True)
class HubDaemon:
    """A running Cline hub daemon: sessions after the first run execute in it."""

    pid: int

    @property
    def advice(self) -> str:
        """One line for the user. A hub looks for plugins again at each session's start, so it needs no restart."""
        return (
            f"a Cline hub runs (process {self.pid}): sessions that start from now on load the plugin, "
            "sessions that are already open do not"
        )


def find_cline_versions(environment: Mapping[str, str] | None = None, home: Path | None = None) -> list[ClineVersion]:
    """Every ``cline`` on PATH and every Cline extension of a VS Code or its kin, in that order, without running any.

    Args:
        environment: where ``PATH`` is taken from; the process's own if not given.
        home: the user's home directory; the process's own if not given. Without one, no extension is found.
    """
    environment = os.environ if environment is None else environment
    home = home_directory() if home is None else home
    return [*_command_lines(environment.get("PATH", "")), *(_extensions(home) if home is not None else ())]


def find_hub_daemon(discovery_files: Iterable[Path]) -> HubDaemon | None:
    """The user's running hub daemon: one that Cline's own records name, else any in the list of processes."""
    # Imported here: every command imports this module, and few look for processes.
    from cline_otel.operating_system.psutil_processes import processes_with_argument

    running = processes_with_argument(HUB_ARGUMENT)
    recorded = [pid for file in discovery_files if (pid := _recorded_hub_pid(file)) in running]
    pid = next(iter(recorded), min(running, default=None))
    return None if pid is None else HubDaemon(pid)


def _command_lines(search_path: str) -> Iterator[ClineVersion]:
    seen: set[Path] = set()
    for directory in search_path.split(os.pathsep):
        executable = Path(directory, "cline") if directory else None
        if executable is None or not os.access(executable, os.X_OK) or executable.is_dir():
            continue
        real = executable.resolve()
        package = _package_around(real)
        location = real if package is None else package
        if location in seen:
            continue
        seen.add(location)
        version = None if package is None else _version_in(package)
        yield ClineVersion("cli", version, location, _loads_plugin(version))


def _package_around(executable: Path) -> Path | None:
    """The npm package that an executable belongs to: ``cline``, or the one of this platform that it depends on."""
    for directory in executable.parents:
        name = _package_json(directory).get("name")
        if name == "cline" or (isinstance(name, str) and name.startswith(_PLATFORM_PACKAGE_PREFIX)):
            return directory
    return None


def _loads_plugin(version: str | None) -> bool | None:
    major = re.match(r"\d+", version or "")
    return None if major is None else int(major[0]) >= _FIRST_MAJOR_WITH_PLUGINS


def _extensions(home: Path) -> Iterator[ClineVersion]:
    for editor in _EDITOR_DIRECTORIES:
        for directory in sorted(home.joinpath(editor, "extensions").glob(f"{_EXTENSION_PREFIX}*")):
            if directory.is_dir():
                version = _version_in(directory) or directory.name.removeprefix(_EXTENSION_PREFIX)
                yield ClineVersion("vscode", version, directory, loads_plugin=False)


def _version_in(package: Path) -> str | None:
    version = _package_json(package).get("version")
    return version if isinstance(version, str) else None


def _package_json(directory: Path) -> dict[str, object]:
    try:
        package = json.loads(directory.joinpath("package.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return package if isinstance(package, dict) else {}


def _recorded_hub_pid(record: Path) -> int | None:
    """The process that Cline's discovery record names; nothing else of the record is looked at."""
    try:
        pid = json.loads(record.read_text(encoding="utf-8"))["pid"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return pid if isinstance(pid, int) and pid > 0 else None
