"""Which editors are on this machine, which Cline is in each, and how the plugin can load there.

Found by files; no editor is ever run for it. A release of the extension that is being rolled out has two bundles, of
which Cline chooses one for each window: ``next``, which is made on Cline's SDK and loads plugins, and ``legacy``, which
does not. Before 4.1 there was ``legacy`` alone (the Cline repository, ``apps/vscode-rollout``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from cline_otel.places import EditorPlaces, JetBrainsPlaces
from cline_otel.plugin.json_files import json_object, version_in

Bundle = Literal["next", "legacy", "core"]
Loading = Literal["loads", "lacks_variable", "never"]

BOOTSTRAP_NAME: Final = "plugin-sandbox-bootstrap.js"
"""The file by which Cline runs plugins. The extension lacks it, npm's ``cline`` brings it along."""

_BUNDLES: Final[tuple[Bundle, ...]] = ("next", "legacy")
_EXTENSION: Final = re.compile(r"saoudrizwan\.(?:claude-dev|cline-nightly)-(\d[\w.]*)")
_FIRST_ON_THE_SDK: Final = (4, 1)
_WHERE_A_BOOTSTRAP_MAY_BE: Final = (BOOTSTRAP_NAME, f"extensions/{BOOTSTRAP_NAME}", f"agents/{BOOTSTRAP_NAME}")


@dataclass(frozen=True, slots=True)
class ClineInEditor:
    """One release of Cline in one editor.

    Attributes:
        editor: what the editor is called; of JetBrains' IDEs the folder that it names after itself.
        directory: the extension's, or the plugin's.
        version: as it says itself; None where it does not.
        bundles: what is in it. ``core`` is what Cline for JetBrains runs.
        program_directory: in which the program lies that loads plugins; None if none does or its place is not known.
    """

    editor: str
    directory: Path
    version: str | None
    bundles: tuple[Bundle, ...]
    program_directory: Path | None

    @property
    def bootstrap_file(self) -> Path | None:
        """Where a bootstrap makes plugins load, whatever the environment; None as for ``program_directory``."""
        return None if self.program_directory is None else self.program_directory / BOOTSTRAP_NAME

    def loading(self, bundle: Bundle, *, variable_is_set: bool) -> Loading:
        """Whether a bundle loads the plugin.

        Args:
            bundle: one of ``bundles``.
            variable_is_set: whether ``CLINE_WRAPPER_PATH`` is in the editor's environment.
        """
        if bundle == "legacy":
            return "never"
        return "loads" if variable_is_set or self.has_bootstrap else "lacks_variable"

    @property
    def has_bootstrap(self) -> bool:
        """Whether one is there, its own or one that was put there."""
        program = self.program_directory
        return program is not None and any((program / name).is_file() for name in _WHERE_A_BOOTSTRAP_MAY_BE)


@dataclass(frozen=True, slots=True)
class FoundEditors:
    """What is on this machine.

    Attributes:
        with_cline: each Cline in an editor.
        without_cline: the names of the other editors.
    """

    with_cline: tuple[ClineInEditor, ...]
    without_cline: tuple[str, ...]


def find_editors(editors: Iterable[EditorPlaces], jetbrains: JetBrainsPlaces | None) -> FoundEditors:
    """Every editor that is there, in the order of the table, then JetBrains' IDEs.

    Args:
        editors: where editors of VS Code's kin may be.
        jetbrains: where plugins of JetBrains' IDEs may be.
    """
    found: list[ClineInEditor] = []
    without: list[str] = []
    for editor in editors:
        clines = list(_extensions(editor))
        found += clines
        if not clines and (editor.user_data_directory.is_dir() or editor.extensions_directory.is_dir()):
            without.append(editor.name)
    found += _jetbrains_plugins(jetbrains)
    return FoundEditors(tuple(found), tuple(without))


def _extensions(editor: EditorPlaces) -> Iterator[ClineInEditor]:
    """Those that the editor has not marked for deletion, as it does with what was updated."""
    marked = json_object(editor.extensions_directory / ".obsolete")
    for directory in _children(editor.extensions_directory):
        named = _EXTENSION.match(directory.name)
        if named is None or marked.get(directory.name) is True or not directory.is_dir():
            continue
        version = version_in(directory) or named[1]
        parts = tuple(name for name in _BUNDLES if (directory / name).is_dir())
        if parts:
            program = directory / "next" / "dist"
            yield ClineInEditor(editor.name, directory, version, parts, program if "next" in parts else None)
        elif _numbers(version) >= _FIRST_ON_THE_SDK:
            yield ClineInEditor(editor.name, directory, version, ("next",), directory / "dist")
        else:
            yield ClineInEditor(editor.name, directory, version, ("legacy",), None)


def _jetbrains_plugins(jetbrains: JetBrainsPlaces | None) -> Iterator[ClineInEditor]:
    if jetbrains is None:
        return
    depth = jetbrains.pattern.count("/")
    for directory in sorted(jetbrains.directory.glob(jetbrains.pattern)):
        if directory.is_dir():
            yield ClineInEditor(directory.parents[depth - 1].name, directory, None, ("core",), None)


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])
