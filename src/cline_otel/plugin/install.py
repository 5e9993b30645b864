"""Puts the Cline plugin where Cline loads plugins from, takes it away again, and says what it will work in.

Cline reads ``<cline directory>/plugins/*.js`` when a session starts. The installed file is ``cline-otel.js``
of this package with absolute paths written into it, because a hub daemon runs plugins with an
environment of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final, Literal

from cline_otel.operating_system.files import replace
from cline_otel.own_files import read_own
from cline_otel.places import ClinePlaces
from cline_otel.plugin.errors import PluginInstallError
from cline_otel.plugin.json_files import json_object
from cline_otel.private_files import make_directory, private_directory, written_beside
from cline_otel.state_directory import OFF_FILE_NAME, PSEUDONYMS_FILE_NAME, SPOOL_DIRECTORY_NAME
from cline_otel.user_directory import register, registered, user_off_file

PLUGIN_FILE_NAME: Final = "cline-otel.js"
MARKER: Final = b"// cline-otel plugin for Cline."
"""How the installed file begins: what does not begin so is not ours, whatever its name."""
_PATH: Final = re.compile(r'^const ([A-Z_]+) = ("(?:[^"\\\n]|\\.)*");$', re.MULTILINE)
"""A path that :func:`render` has written in."""


@dataclass(frozen=True, slots=True)
class InstallReport:
    """What ``install`` did.

    Attributes:
        plugin_file: the installed file.
        outcome: ``unchanged`` when the very same file was there already.
        spool_directory: where the plugin will write.
        disabled_in_cline: Cline's settings list this file under ``disabledPlugins``: it will not be loaded.
        opted_out_in_cline: Cline's settings say ``telemetryOptOut``: the plugin will write nothing.
    """

    plugin_file: Path
    outcome: Literal["installed", "updated", "unchanged"]
    spool_directory: Path
    disabled_in_cline: bool
    opted_out_in_cline: bool


@dataclass(frozen=True, slots=True)
class InstalledPlugin:
    """A plugin that Cline may load.

    Attributes:
        file: the installed file.
        off_files: what switches it off by being there, that of its state directory first.
    """

    file: Path
    off_files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class UninstallReport:
    """What ``uninstall`` did; ``absent`` when there was nothing to remove."""

    plugin_file: Path
    outcome: Literal["removed", "absent"]


def that_load_plugins(installations: Iterable[ClinePlaces]) -> list[ClinePlaces]:
    """Of those that load the same plugins, the first: they differ in their data directories alone."""
    first: dict[Path, ClinePlaces] = {}
    for each in installations:
        first.setdefault(each.plugins_directory, each)
    return list(first.values())


def plugin_file_of(cline: ClinePlaces) -> Path:
    """Where the plugin goes in a Cline."""
    return cline.plugins_directory / PLUGIN_FILE_NAME


def render(cline_directory: Path, state_directory: Path) -> bytes:
    """The plugin's text with its absolute paths written in as JSON string literals.

    Raises:
        PluginInstallError: the packaged file is not the one this installer knows.
    """
    state = state_directory.expanduser().absolute()
    paths = {
        "@CLINE_OTEL_SPOOL_DIRECTORY@": state / SPOOL_DIRECTORY_NAME,
        "@CLINE_OTEL_OFF_FILE@": state / OFF_FILE_NAME,
        "@CLINE_OTEL_USER_OFF_FILE@": user_off_file() or "",
        "@CLINE_OTEL_PSEUDONYMS_FILE@": state / PSEUDONYMS_FILE_NAME,
        "@CLINE_OTEL_CLINE_DIRECTORY@": cline_directory,
    }
    text = (resources.files("cline_otel.plugin") / PLUGIN_FILE_NAME).read_text(encoding="utf-8")
    for placeholder, path in paths.items():
        literal = f'"{placeholder}"'
        if text.count(literal) != 1:
            raise PluginInstallError(
                f"the packaged {PLUGIN_FILE_NAME} has no place for {placeholder}; reinstall cline-otel"
            )
        text = text.replace(literal, json.dumps(str(path)))
    return text.encode("utf-8")


def install(cline: ClinePlaces, state_directory: Path) -> InstallReport:
    """Puts the plugin in place, or brings an older one of ours up to date. Doing it twice changes nothing.

    Args:
        cline: where it keeps things; its directory is made if it is not there.
        state_directory: ours; the spool, the ``off`` file and the pseudonyms live in it. Both directories are made,
            or made private if they were there before and are ours.

    Raises:
        PluginInstallError: a file of that name is not ours, or a directory cannot be written.
    """
    plugin_file = plugin_file_of(cline)
    state = state_directory.expanduser().absolute()
    spool_directory = state / SPOOL_DIRECTORY_NAME
    wanted = render(cline.directory, state_directory)
    present = _read_own(plugin_file)
    if present != wanted:
        _make_directory(plugin_file.parent)
        _write_atomically(plugin_file, wanted)
    for directory in (state, spool_directory):
        _make_private(directory)
    # What `off` cannot find because a home is not to be written to, it cannot be put into either.
    with suppress(OSError):
        register("plugins", plugin_file)
        register("states", state)
    settings = [json_object(file) for file in cline.global_settings_files]
    return InstallReport(
        plugin_file=plugin_file,
        outcome="installed" if present is None else "unchanged" if present == wanted else "updated",
        spool_directory=spool_directory,
        disabled_in_cline=any(
            isinstance(disabled := each.get("disabledPlugins"), list) and str(plugin_file) in disabled
            for each in settings
        ),
        opted_out_in_cline=any(each.get("telemetryOptOut") is True for each in settings),
    )


def uninstall(cline: ClinePlaces) -> UninstallReport:
    """Removes the plugin if the file is ours; leaves the directory and everything else in it.

    Raises:
        PluginInstallError: a file of that name is not ours, or cannot be removed.
    """
    plugin_file = plugin_file_of(cline)
    if _read_own(plugin_file) is None:
        return UninstallReport(plugin_file, "absent")
    try:
        plugin_file.unlink(missing_ok=True)
    except OSError as error:
        raise PluginInstallError(
            f"cannot remove {plugin_file}: {error.strerror}; remove it by hand or give write access to its directory"
        ) from error
    return UninstallReport(plugin_file, "removed")


def installed_plugins(installations: Iterable[ClinePlaces]) -> list[InstalledPlugin]:
    """The plugins of these, and all that were installed into others: to be read by whoever switches them off."""
    files = [*(plugin_file_of(each) for each in installations), *registered("plugins")]
    found: list[InstalledPlugin] = []
    for file in dict.fromkeys(files):
        try:
            text = (_read_own(file) or b"").decode("utf-8", "replace")
        except PluginInstallError:
            # Another's, whatever its name.
            continue
        if text:
            named = {match[1]: Path(json.loads(match[2])) for match in _PATH.finditer(text)}
            obeys = tuple(named[name] for name in ("OFF_FILE", "USER_OFF_FILE") if name in named)
            found.append(InstalledPlugin(file, tuple(each for each in obeys if each.is_absolute())))
    return found


def _read_own(plugin_file: Path) -> bytes | None:
    return read_own(plugin_file, lambda content: content.startswith(MARKER), PluginInstallError)


def _make_directory(directory: Path) -> None:
    try:
        make_directory(directory, 0o755)
    except OSError as error:
        raise PluginInstallError(
            f"cannot make the directory {directory}: {error.strerror}; check who owns its parent directory"
        ) from error


def _make_private(directory: Path) -> None:
    """Makes a directory of ours, for its owner alone; one that somebody else owns is theirs to care for."""
    try:
        private_directory(directory)
    except OSError as error:
        raise PluginInstallError(
            f"cannot make {directory} and keep others out of it: {error.strerror}; check who owns it, "
            "or choose another state directory (CLINE_OTEL_BRIDGE_STATE_DIR)"
        ) from error


def _write_atomically(plugin_file: Path, content: bytes) -> None:
    """Writes beside the file under a name that Cline does not take for a plugin, then renames."""
    try:
        with written_beside(plugin_file, content) as temporary:
            replace(temporary, plugin_file)
    except OSError as error:
        raise PluginInstallError(
            f"cannot write {plugin_file}: {error.strerror}; check the directory's owner and the free space"
        ) from error
