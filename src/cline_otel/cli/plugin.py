"""``cline-otel install`` and ``uninstall``: the plugin, and what it will work in."""

from __future__ import annotations

from pathlib import Path

import click

from cline_otel.cli.errors import fail
from cline_otel.plugin.discovery import find_cline_versions, find_hub_daemon
from cline_otel.plugin.install import PluginInstallError, install, uninstall
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.settings.pseudonyms_file import PseudonymsFileError, ensure_pseudonyms

_SAID = {
    "installed": "Installed",
    "updated": "Updated",
    "unchanged": "Already there, nothing to do:",
}


def install_plugin(cline_directory: Path | None) -> None:
    """Installs the plugin and says which Cline will load it."""
    settings = _settings(cline_directory)
    try:
        # First the key: a plugin without one may write no names.
        ensure_pseudonyms(settings.state_directory)
        report = install(settings.cline_directory, settings.state_directory)
    except (PluginInstallError, PseudonymsFileError) as error:
        fail(str(error))
    click.echo(f"{_SAID[report.outcome]} {report.plugin_file}")
    click.echo(
        f"It writes ids, pseudonyms of names, times, usage and status to {report.spool_directory}; never content."
    )
    versions = find_cline_versions()
    for version in versions:
        click.echo(f"Found {_PRODUCTS[version.product]} {version.version or ''}: {version.advice}")
    if not any(version.product == "cli" for version in versions):
        click.echo("Found no Cline CLI on PATH. The plugin works in the CLI, the SDK and Kanban, from version 3.")
    hub = find_hub_daemon(settings.cline_directory)
    if hub is not None:
        click.echo(f"note: {hub.advice}")
    if report.disabled_in_cline:
        click.echo(
            "note: Cline's settings disable this plugin (disabledPlugins in global-settings.json): enable it there"
        )
    if report.opted_out_in_cline:
        click.echo("note: you opted out of telemetry in Cline (telemetryOptOut): the plugin will write nothing")
    click.echo("Next: cline-otel run")


def uninstall_plugin(cline_directory: Path | None) -> None:
    """Removes the plugin's own file and nothing else."""
    try:
        report = uninstall(_settings(cline_directory).cline_directory)
    except PluginInstallError as error:
        fail(str(error))
    click.echo(
        f"Removed {report.plugin_file}" if report.outcome == "removed" else f"Not installed: no {report.plugin_file}"
    )


def _settings(cline_directory: Path | None) -> Settings:
    try:
        return load_settings(cline_directory=cline_directory.expanduser().absolute() if cline_directory else None)
    except SettingsError as error:
        fail(str(error), 2)


_PRODUCTS = {"cli": "Cline CLI", "vscode": "Cline for VS Code"}
