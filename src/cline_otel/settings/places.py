"""Where things are on this machine, as the environment and the home directory say."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import platformdirs

from cline_otel.operating_system.home import PLATFORM, home_directory
from cline_otel.places import (
    ClinePlaces,
    EditorPlaces,
    JetBrainsPlaces,
    Places,
    cline_places,
    editor_places,
    jetbrains_places,
)
from cline_otel.settings.values import SettingsError
from cline_otel.settings.variable import Variables
from cline_otel.settings.variables import BRIDGE_PREFIX, PlaceVariables
from cline_otel.settings.variables_of_others import CLINE_PREFIX, ClineVariables, EditorVariables


def find_state_directory() -> Path:
    """Where ours is, whatever the other variables hold.

    Raises:
        SettingsError: it is not known for want of a home directory.
    """
    return required_state_directory(known_state_directory())


def known_state_directory() -> Path | None:
    """Where ours is, whatever the other variables hold; None where there is no home directory to put it in.

    Raises:
        SettingsError: the variable that names it begins with a home directory that there is none of.
    """
    variables = PlaceVariables.read(BRIDGE_PREFIX)
    named = path_of(variables.state_dir, f"{BRIDGE_PREFIX}STATE_DIR")
    if named is not None:
        return named
    try:
        return platformdirs.user_state_path("cline-otel")
    except RuntimeError:
        return None


def required_state_directory(known: Path | None) -> Path:
    """Of what is known, the state directory.

    Raises:
        SettingsError: it is not known.
    """
    if known is None:
        raise SettingsError(f"{BRIDGE_PREFIX}STATE_DIR: there is no home directory to keep files in: name a directory")
    return known


def find_places() -> Places:
    """Where sources may look, whatever the other variables hold; nothing is known of what they listen on.

    Raises:
        SettingsError: a place is not known for want of a home directory.
    """
    return Places(find_state_directory(), required_installations(known_installations()))


def known_installations(cline_directory: Path | None = None) -> tuple[ClinePlaces, ...]:
    """Every Cline that is read: first the one that Cline's own variables name, then those that ours name.

    Args:
        cline_directory: goes before ``CLINE_DIR``; ours name no others then.

    Returns:
        none where there is no home directory, and no variable that says where Cline is.

    Raises:
        SettingsError: a variable that names a place begins with a home directory that there is none of.
    """
    home = home_directory()
    named = _named(ClineVariables.read(CLINE_PREFIX), CLINE_PREFIX) | _named(EditorVariables.read(), "")
    if cline_directory is not None:
        named["CLINE_DIR"] = cline_directory
    found = [cline_places(named, home, PLATFORM)]
    if cline_directory is None:
        # Editors are the user's and no installation's: without a home directory, none of them is among the places.
        found += [cline_places(each, None, PLATFORM) for each in _further(found[0])]
    once: dict[tuple[Path, Path], ClinePlaces] = {}
    for each in found:
        if each is not None:
            once.setdefault((each.directory, each.data_directory), each)
    return tuple(once.values())


class KnownEditors(NamedTuple):
    """Where editors may be, and what is said of their environment.

    Attributes:
        like_vs_code: those of VS Code's kin; none without a home directory.
        jetbrains: the IDEs of JetBrains; None without one.
        home: the home directory.
        variables: the places that variables of editors and shells name.
    """

    like_vs_code: tuple[EditorPlaces, ...]
    jetbrains: JetBrainsPlaces | None
    home: Path | None
    variables: dict[str, Path]


def known_editors() -> KnownEditors:
    """Every editor that there may be.

    Raises:
        SettingsError: a variable that names a place begins with a home directory that there is none of.
    """
    home = home_directory()
    named = _named(EditorVariables.read(), "")
    places = editor_places(named, home, PLATFORM), jetbrains_places(named, home, PLATFORM)
    return KnownEditors(*places, home, named)


def _further(first: ClinePlaces | None) -> list[dict[str, Path]]:
    """What Cline's variables would be for each installation that ours name."""
    ours = PlaceVariables.read(BRIDGE_PREFIX)
    directories, data_directories = _listed(ours, "cline_dirs"), _listed(ours, "cline_data_dirs")
    # Another data directory leaves Cline's own directory where it is.
    at = [first.directory] if first is not None else directories[:1]
    return [
        *({"CLINE_DIR": each} for each in directories),
        *({"CLINE_DIR": directory, "CLINE_DATA_DIR": each} for each in data_directories for directory in at),
    ]


def required_installations(known: tuple[ClinePlaces, ...]) -> tuple[ClinePlaces, ...]:
    """Of what is known, the installations, of which there is one at least.

    Raises:
        SettingsError: none is known.
    """
    if not known:
        raise SettingsError(f"{CLINE_PREFIX}DIR: there is no home directory to look for Cline in: name its directory")
    return known


def path_of(text: str | None, name: str) -> Path | None:
    """A place, absolute; None for no text, or for blanks, which Cline too takes for none.

    Args:
        text: a path that may begin with ``~``.
        name: the variable or option that holds it, for a message.

    Raises:
        SettingsError: it begins with a home directory that there is none of.
    """
    if text is None or not text.strip():
        return None
    try:
        return Path(text.strip()).expanduser().absolute()
    except RuntimeError:
        raise SettingsError(f"{name}: {text!r} has no home directory: give the whole path") from None


def _named(variables: Variables, prefix: str) -> dict[str, Path]:
    """The places of variables which are all places, by the variables' names."""
    named: dict[str, Path] = {}
    for each in fields(variables):
        name = f"{prefix}{each.name.upper()}"
        if (path := path_of(getattr(variables, each.name), name)) is not None:
            named[name] = path
    return named


def _listed(ours: PlaceVariables, field: str) -> list[Path]:
    texts: tuple[str, ...] = getattr(ours, field)
    return [path for text in texts if (path := path_of(text, f"{BRIDGE_PREFIX}{field.upper()}")) is not None]
