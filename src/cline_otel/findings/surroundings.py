"""What this machine shows of Cline: whether the plugin is there, and where Cline keeps things that nobody reads."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from cline_otel.findings.detection import Surroundings
from cline_otel.operating_system.home import PLATFORM, home_directory
from cline_otel.places import ClinePlaces, cline_places
from cline_otel.plugin.discovery import PLACE_OPTIONS
from cline_otel.plugin.errors import PluginInstallError
from cline_otel.plugin.install import plugin_file_of, render, that_load_plugins

_USED_WITHIN_SECONDS: Final = 24 * 3_600.0
"""A directory that Cline has written to so recently is in use."""

_PROGRAM: Final = "cline"


def look_around(installations: Iterable[ClinePlaces], state_directory: Path, reading_since_ns: int = 0) -> Surroundings:
    """What is to be seen now. Asks for the list of processes, which takes some milliseconds.

    Args:
        installations: those that are read.
        state_directory: ours, in which the plugin is to write.
        reading_since_ns: since when, nanoseconds since the Unix epoch.
    """
    read = list(installations)
    return Surroundings(
        _plugin_installed_at_ns(read),
        _unread_directories(read),
        reading_since_ns,
        tuple(_other_plugins(read, state_directory)),
    )


def _plugin_installed_at_ns(installations: Iterable[ClinePlaces]) -> int | None:
    """When the plugin was put in place first, of several Clines."""
    found: list[int] = []
    for each in that_load_plugins(installations):
        with suppress(OSError):
            found.append(plugin_file_of(each).stat().st_mtime_ns)
    return min(found, default=None)


def _other_plugins(installations: Iterable[ClinePlaces], state_directory: Path) -> Iterator[str]:
    for each in that_load_plugins(installations):
        with suppress(OSError, PluginInstallError):
            file = plugin_file_of(each)
            if file.read_bytes() != render(each.directory, state_directory):
                yield str(file)


def _unread_directories(installations: Iterable[ClinePlaces]) -> tuple[str, ...]:
    """Data directories that Cline uses by default or was told to, and that are in use and not read."""
    read = [each.data_directory for each in installations]
    found = {
        str(each.data_directory)
        for each in _further()
        if not any(_is_same(each.data_directory, other) for other in read) and _is_in_use(each)
    }
    return tuple(sorted(found))


def _further() -> Iterator[ClinePlaces]:
    from cline_otel.operating_system.psutil_processes import directories_given_to

    home = home_directory()
    for variables in ({}, *directories_given_to(_PROGRAM, PLACE_OPTIONS)):
        place = cline_places(variables, home, PLATFORM)
        if place is not None:
            yield place


def _is_same(one: Path, other: Path) -> bool:
    with suppress(OSError):
        return one.samefile(other)
    return one == other


def _is_in_use(place: ClinePlaces) -> bool:
    """Whether a session began there, or a log was written, not long ago."""
    since = time.time() - _USED_WITHIN_SECONDS
    for path in (place.sessions_directory, *place.log_files):
        with suppress(OSError):
            if path.stat().st_mtime >= since:
                return True
    return False
