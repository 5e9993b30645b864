"""Editors, for the commands that find them, and make the plugin load there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import click
from rich.console import Console, RenderableType

from cline_otel.operating_system.home import PLATFORM, login_shell
from cline_otel.operating_system.user_variables import has_user_variables, setting_command
from cline_otel.plugin.bootstrap import (
    ask_for_bootstraps,
    our_bootstraps,
    renew_bootstraps,
    take_bootstrap_out,
    write_bootstrap,
)
from cline_otel.plugin.discovery import ClineVersion
from cline_otel.plugin.editor_record import read_record
from cline_otel.plugin.editor_variable import (
    WRAPPER_VARIABLE,
    EnvironmentFile,
    environment_files,
    every_environment_file,
    present_line,
    set_variable,
    take_line_out,
    unset_variable,
    write_line,
)
from cline_otel.plugin.editors import FoundEditors, find_editors
from cline_otel.plugin.errors import PluginInstallError
from cline_otel.settings.places import known_editors
from cline_otel.terminal.editors import render_editors

_PIPE_WIDTH: Final = 160
"""Into a pipe or a file, where nothing wraps what is too wide."""

_MISSING: Final = (
    "in editors the plugin needs npm's `cline`, which brings along what the extension lacks, and it is not on PATH: "
    "`npm install --global cline`, then `cline-otel install --editors`"
)


class Editors:
    """The editors of this machine.

    Attributes:
        found: what is there.
        problems: what could not be done; a line each.
    """

    def __init__(self, state_directory: Path) -> None:
        """Looks for them.

        Raises:
            SettingsError: a variable that names a place cannot be used.
        """
        self._state_directory = state_directory
        self._known = known_editors()
        self.found: FoundEditors = find_editors(self._known.like_vs_code, self._known.jetbrains)
        self.problems: list[str] = []

    def variable_is_set(self) -> bool:
        """Whether editors get ``CLINE_WRAPPER_PATH``, as far as can be known from here."""
        return (
            bool(os.environ.get(WRAPPER_VARIABLE))
            or read_record(self._state_directory).variable is not None
            or any(present_line(file.path) is not None for file in self._every_file())
        )

    def rendered(self) -> RenderableType:
        """A table of them."""
        return render_editors(self.found, variable_is_set=self.variable_is_set())

    def described(self) -> list[dict[str, object]]:
        """The same for machines: each Cline, and whether its bundles load the plugin."""
        is_set = self.variable_is_set()
        return [
            {
                "editor": cline.editor,
                "version": cline.version,
                "bundles": [
                    {"name": bundle, "loading": cline.loading(bundle, variable_is_set=is_set)}
                    for bundle in cline.bundles
                ],
            }
            for cline in self.found.with_cline
        ]

    def install(self, command_lines: list[ClineVersion], *, variable: bool, bootstrap: bool) -> None:
        """Makes the plugin load, as far as that was asked for, and says what else could be done.

        Args:
            command_lines: the Clines on ``PATH``.
            variable: set the variable.
            bootstrap: put bootstraps into extensions.
        """
        npm = next((each for each in command_lines if each.bootstrap is not None and each.loads_plugin), None)
        asked = variable or bootstrap
        for path in renew_bootstraps(self._state_directory, self._known.like_vs_code):
            click.echo(f"Renewed {path}")
        if npm is None or npm.bootstrap is None:
            self._print()
            if asked:
                self.problems.append(_MISSING)
            elif self._need_npm():
                click.echo(f"note: {_MISSING}")
            return
        if variable:
            self._set_variable(str(npm.wrapper))
        if bootstrap:
            self._put_bootstraps(npm.bootstrap)
        self._print()
        if asked and not self.problems:
            click.echo("Quit editors that run and start them again: only then will they load the plugin.")
        elif not asked and self._need_npm() and not self._is_set_to(str(npm.wrapper)):
            self._advise(str(npm.wrapper))

    def uninstall(self) -> None:
        """Takes out again whatever ``install`` has written."""
        for file in self._every_file():
            with self._noting_problems():
                if take_line_out(file.path):
                    click.echo(f"Took the lines of cline-otel out of {file.path}")
        for path in our_bootstraps(self._known.like_vs_code):
            with self._noting_problems():
                take_bootstrap_out(path)
                click.echo(f"Removed {path}")
        with self._noting_problems():
            if unset_variable(self._state_directory, PLATFORM):
                click.echo(f"Unset {WRAPPER_VARIABLE}")
        with self._noting_problems():
            ask_for_bootstraps(self._state_directory, None)

    def _print(self) -> None:
        if self.found == FoundEditors((), ()):
            return
        console = Console()
        if not console.is_terminal:
            console.width = max(console.width, _PIPE_WIDTH)
        click.echo()
        console.print(self.rendered())
        click.echo()

    def _need_npm(self) -> bool:
        """Whether there is a Cline that loads plugins, and only by what npm's has."""
        return any(
            cline.loading(bundle, variable_is_set=False) == "lacks_variable"
            for cline in self.found.with_cline
            for bundle in cline.bundles
        )

    def _is_set_to(self, value: str) -> bool:
        """As :meth:`variable_is_set`, and no line of ours says something else, as after a move of npm's packages."""
        lines = {file: present_line(file.path) for file in self._every_file()}
        return self.variable_is_set() and all(line in (None, file.line(value)) for file, line in lines.items())

    def _set_variable(self, value: str) -> None:
        said = {"written": "Wrote into", "updated": "Updated in", "unchanged": "Already in"}
        files = self._files()
        for file in files:
            with self._noting_problems():
                click.echo(f"{said[write_line(file, value)]} {file.path}:\n    {file.line(value)}")
        if has_user_variables():
            with self._noting_problems():
                set_variable(self._state_directory, value, PLATFORM)
                click.echo(f"Set with `{setting_command(WRAPPER_VARIABLE, value)}`")
        elif not files:
            self.problems.append("there is no home directory to write into")

    def _put_bootstraps(self, bootstrap: Path) -> None:
        said = {"written": "Wrote", "updated": "Updated", "unchanged": "Already there, nothing to do:"}
        with self._noting_problems():
            ask_for_bootstraps(self._state_directory, bootstrap)
        for cline in self.found.with_cline:
            with self._noting_problems():
                if (outcome := write_bootstrap(cline, bootstrap)) is not None:
                    click.echo(f"{said[outcome]} {cline.bootstrap_file}")
        click.echo("While `cline-otel run` runs, an extension that is updated gets such a file again within a minute.")

    def _advise(self, value: str) -> None:
        files = self._files()
        lines = {file.line(value): None for file in files}
        where = " and ".join(str(file.path) for file in files)
        if has_user_variables():
            lines[setting_command(WRAPPER_VARIABLE, value)] = None
        does = f"writes into {where}" if files else "does"
        click.echo(f"To load the plugin in editors, run `cline-otel install --editors`, which {does}:")
        for line in lines:
            click.echo(f"    {line}")

    def _files(self) -> list[EnvironmentFile]:
        if self._known.home is None:
            return []
        return environment_files(login_shell(), self._known.home, self._known.variables, PLATFORM, Path.exists)

    def _every_file(self) -> Iterator[EnvironmentFile]:
        if self._known.home is not None and PLATFORM != "win32":
            yield from every_environment_file(self._known.home, self._known.variables)

    @contextmanager
    def _noting_problems(self) -> Iterator[None]:
        try:
            yield
        except PluginInstallError as error:
            self.problems.append(str(error))
