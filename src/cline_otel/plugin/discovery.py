"""Which command lines of Cline are on this machine, and whether a hub daemon runs.

Found by files and the list of processes; no Cline is ever run for it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cline_otel.operating_system.home import PLATFORM
from cline_otel.places import ClinePlaces, cline_places
from cline_otel.plugin.editors import BOOTSTRAP_NAME
from cline_otel.plugin.json_files import json_object, version_in

HUB_ARGUMENT: Final = "--cline-hub-daemon"
PLACE_OPTIONS: Final = {"--config": "CLINE_DIR", "--data-dir": "CLINE_DATA_DIR"}
"""Options of Cline that say what a variable says."""

_PLACE_VARIABLES: Final = ("CLINE_DIR", "CLINE_DATA_DIR", "CLINE_HUB_DISCOVERY_PATH")
_PLATFORM_PACKAGE_PREFIX: Final = "@cline/cli-"
_NPM_PLATFORMS: Final = {"win32": "windows"}
_FIRST_MAJOR_WITH_PLUGINS: Final = 3
_SHIM: Final = re.compile(r'"(?:\$basedir|%~?dp0%?)[/\\]([^"\n]*\bnode_modules[/\\]cline[/\\]bin[/\\]cline)"')
_LARGEST_SHIM_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class ClineVersion:
    """One Cline command line that was found; Kanban and applications on the SDK use the same plugins.

    Attributes:
        version: as its ``package.json`` says; None where it does not.
        location: the package's directory, or the executable where no package is around it.
        loads_plugin: whether it loads plugins from Cline's directory; None where the version is unknown.
        bootstrap: the file by which it runs plugins, and by which an editor's extension can run them too; None if
            npm's package of this platform is not beside it.
    """

    version: str | None
    location: Path
    loads_plugin: bool | None
    bootstrap: Path | None

    @property
    def wrapper(self) -> Path:
        """What ``CLINE_WRAPPER_PATH`` must be, so that what stands around it is found by Node's rules for modules."""
        return self.location / "bin" / "cline"

    @property
    def advice(self) -> str:
        """One line for the user: what will be seen of this Cline."""
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


def find_cline_versions(search_path: str, platform: str = PLATFORM) -> list[ClineVersion]:
    """Every ``cline`` in the directories of ``PATH``, without running any.

    Args:
        search_path: as ``PATH`` holds it.
        platform: as ``sys.platform``.
    """
    return list(_command_lines(search_path, platform))


def find_hub_daemon(installations: Iterable[ClinePlaces]) -> HubDaemon | None:
    """The running hub daemon of one of these installations.

    A process whose environment says that it is another's is not taken, whatever a record says: pids are used again.
    Where its environment is not shown the record decides.
    """
    # Imported here: every command imports this module, and few look for processes.
    from cline_otel.operating_system.psutil_processes import processes_with_argument

    records = {each.hub_discovery_file.resolve() for each in installations}
    recorded = {_recorded_hub_pid(record) for record in records}
    for pid in sorted(processes_with_argument(HUB_ARGUMENT), key=lambda pid: (pid not in recorded, pid)):
        own_record = _own_record_of_hub(pid)
        if own_record in records or (own_record is None and pid in recorded):
            return HubDaemon(pid)
    return None


def _own_record_of_hub(pid: int) -> Path | None:
    """Where a hub says that it runs, by the environment and options that it was started with; None if not known."""
    from cline_otel.operating_system.psutil_processes import places_given_to

    home = "USERPROFILE" if PLATFORM == "win32" else "HOME"
    given = places_given_to(pid, (*_PLACE_VARIABLES, home), PLACE_OPTIONS)
    if given is None:
        return None
    places = cline_places(given, given.get(home), PLATFORM)
    return None if places is None else places.hub_discovery_file.resolve()


def _command_lines(search_path: str, platform: str) -> Iterator[ClineVersion]:
    seen: set[Path] = set()
    for executable in _executables(search_path, platform):
        real = _behind_shim(executable).resolve()
        package = _package_around(real)
        location = real if package is None else package
        if location in seen:
            continue
        seen.add(location)
        version = None if package is None else version_in(package)
        bootstrap = None if package is None else _bootstrap_around(package, platform)
        yield ClineVersion(version, location, _loads_plugin(version), bootstrap)


def _executables(search_path: str, platform: str) -> Iterator[Path]:
    names = ("cline.exe", "cline.cmd") if platform == "win32" else ("cline",)
    for directory in filter(None, search_path.split(os.pathsep)):
        for name in names:
            executable = Path(directory, name)
            if os.access(executable, os.X_OK) and not executable.is_dir():
                yield executable


def _behind_shim(executable: Path) -> Path:
    """What a script of npm's, pnpm's or yarn's runs, which they write where no symbolic link would do."""
    try:
        if executable.stat().st_size > _LARGEST_SHIM_BYTES:
            return executable
        named = _SHIM.search(executable.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return executable
    if named is None:
        return executable
    return executable.parent / named[1].replace("\\", "/")


def _bootstrap_around(package: Path, platform: str) -> Path | None:
    """As Cline looks for it: in the package of this platform that Node finds from there."""
    pattern = f"node_modules/{_PLATFORM_PACKAGE_PREFIX}{_NPM_PLATFORMS.get(platform, platform)}-*/extensions"
    for directory in (package, *package.parents):
        for found in sorted(directory.glob(f"{pattern}/{BOOTSTRAP_NAME}")):
            return found.resolve()
    return None


def _package_around(executable: Path) -> Path | None:
    """The npm package that an executable belongs to: ``cline``, or the one of this platform that it depends on."""
    for directory in executable.parents:
        name = json_object(directory / "package.json").get("name")
        if name == "cline" or (isinstance(name, str) and name.startswith(_PLATFORM_PACKAGE_PREFIX)):
            return directory
    return None


def _loads_plugin(version: str | None) -> bool | None:
    major = re.match(r"\d+", version or "")
    return None if major is None else int(major[0]) >= _FIRST_MAJOR_WITH_PLUGINS


def _recorded_hub_pid(record: Path) -> int | None:
    """The process that Cline's discovery record names; nothing else of the record is looked at."""
    try:
        pid = json.loads(record.read_text(encoding="utf-8"))["pid"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return pid if isinstance(pid, int) and pid > 0 else None
