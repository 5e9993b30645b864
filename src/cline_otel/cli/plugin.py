"""``cline-otel install`` and ``uninstall``: the plugin, and what it will work in."""

from __future__ import annotations

import os
from pathlib import Path

import click

from cline_otel.cli.editors import Editors
from cline_otel.cli.errors import fail
from cline_otel.cli.purge import purge, say_what_is_left
from cline_otel.plugin.discovery import find_cline_versions, find_hub_daemon
from cline_otel.plugin.errors import PluginInstallError
from cline_otel.plugin.install import install, plugin_file_of, that_load_plugins, uninstall
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.settings.places import path_of
from cline_otel.settings.pseudonyms_file import PseudonymsFileError, ensure_pseudonyms
from cline_otel.user_directory import forget_gone

_SAID = {
    "installed": "Installed",
    "updated": "Updated",
    "unchanged": "Already there, nothing to do:",
}


def install_plugin(cline_directory: Path | None, *, editors: bool, editor_bootstrap: bool) -> None:
    """Installs the plugin into each Cline that is read, or into one, and says which Cline will load it.

    Args:
        cline_directory: the one.
        editors: set the variable by which it loads in editors.
        editor_bootstrap: put the file by which it does into their extensions.
    """
    try:
        settings = _settings(cline_directory)
        state_directory, installations = settings.state_directory, settings.installations
        # First the key: a plugin without one may write no names.
        ensure_pseudonyms(state_directory)
        reports = [install(each, state_directory) for each in that_load_plugins(installations)]
        in_editors = Editors(state_directory)
    except SettingsError as error:
        fail(str(error), 2)
    except (PluginInstallError, PseudonymsFileError) as error:
        fail(str(error))
    for report in reports:
        click.echo(f"{_SAID[report.outcome]} {report.plugin_file}")
    click.echo(
        f"It writes ids, pseudonyms of names, times, usage and status to {reports[0].spool_directory}; never content."
    )
    versions = find_cline_versions(os.environ.get("PATH", ""))
    for version in versions:
        click.echo(f"Found Cline CLI {version.version or ''}: {version.advice}")
    if not versions:
        click.echo("Found no Cline CLI on PATH. The plugin works in the CLI, the SDK and Kanban, from version 3.")
    hub = find_hub_daemon(installations)
    if hub is not None:
        click.echo(f"note: {hub.advice}")
    for report in reports:
        where = f" of {report.plugin_file.parent.parent}" if len(reports) > 1 else ""
        if report.disabled_in_cline:
            click.echo(
                f"note: Cline's settings{where} disable this plugin (disabledPlugins in global-settings.json): "
                "enable it there"
            )
        if report.opted_out_in_cline:
            click.echo(
                f"note: you opted out of telemetry in Cline{where} (telemetryOptOut): the plugin will write nothing"
            )
    in_editors.install(versions, variable=editors, bootstrap=editor_bootstrap)
    click.echo("Next: cline-otel run")
    _end(in_editors)


def uninstall_plugin(cline_directory: Path | None, *, purge_state: bool) -> None:
    """Removes the plugin's own file from each Cline that is read, or from one, and says what is left.

    What was written for editors goes with the last of them, and with ``purge_state`` the state directory.
    """
    try:
        reports = [uninstall(each) for each in that_load_plugins(_settings(cline_directory).installations)]
        settings = load_settings()
        in_editors = Editors(settings.state_directory)
    except SettingsError as error:
        fail(str(error), 2)
    except PluginInstallError as error:
        fail(str(error))
    for report in reports:
        removed = report.outcome == "removed"
        click.echo(f"Removed {report.plugin_file}" if removed else f"Not installed: no {report.plugin_file}")
    forget_gone()
    is_last = not any(plugin_file_of(each).exists() for each in settings.known_installations)
    if is_last:
        in_editors.uninstall()
    (purge if purge_state else say_what_is_left)(settings.state_directory)
    if is_last:
        _end(in_editors)


def _end(editors: Editors) -> None:
    """Every problem is said, and the command fails by them once all else is done."""
    for problem in editors.problems[:-1]:
        click.echo(click.style("error: ", fg="red") + problem, err=True)
    for problem in editors.problems[-1:]:
        fail(problem)


def _settings(cline_directory: Path | None) -> Settings:
    named = None if cline_directory is None else path_of(str(cline_directory), "--cline-dir")
    return load_settings(cline_directory=named)
