"""``cline-otel demo``: a recorded run of the real Cline through the pipeline, drawn in the terminal."""

from __future__ import annotations

import time
from importlib.resources import files
from pathlib import Path

import click

from cline_otel.catalogue.load import load
from cline_otel.cli.consent import consent_now
from cline_otel.cli.errors import fail
from cline_otel.prices.library import LIBRARY
from cline_otel.private_files import private_directory
from cline_otel.replay import instance_id_of, replay, write
from cline_otel.settings import SettingsError, load_settings
from cline_otel.sources.recording import read_recording
from cline_otel.terminal.replay import print_replayed

EXAMPLE = "delegated-run"


def example_directory() -> Path:
    """The bundled recording: in a checkout under ``examples``, in an installed package beside the code."""
    package = Path(str(files("cline_otel")))
    for candidate in (package / "examples" / EXAMPLE, package.parents[1] / "examples" / EXAMPLE):
        if candidate.is_dir():
            return candidate
    return fail(f"the bundled recording {EXAMPLE} is missing from this installation; reinstall cline-otel")


def run_demo() -> None:
    """Replays the bundled run, moved to now, writes it as OTLP files and draws it."""
    try:
        settings = load_settings()
        output = settings.state_directory / "demo"
        consent = consent_now(settings)
    except SettingsError as error:
        fail(str(error), 2)
    catalogue = load(prices=LIBRARY, profile=settings.profile)
    recording = read_recording([example_directory()])
    resource = settings.resource(instance_id_of(recording))
    replayed = replay(recording, catalogue, resource, time.time_ns())
    try:
        private_directory(settings.state_directory)
        private_directory(output)
        written = write(replayed, output)
    except OSError as error:
        fail(f"{output}: cannot be written ({error.strerror}); set CLINE_OTEL_BRIDGE_STATE_DIR to another directory")
    print_replayed(replayed, catalogue.metrics)
    click.echo("\nOTLP JSON, one export request a line:")
    for path in written:
        click.echo(f"  {path}")
    if not consent.is_on:
        click.echo(f"\nNothing left this machine: telemetry is {consent.describe()}.")
    elif settings.has_endpoint:
        from cline_otel.cli.export import export_replayed

        export_replayed(replayed, catalogue, settings, metrics=False)
    else:
        click.echo("\nNothing left this machine. Set OTEL_EXPORTER_OTLP_ENDPOINT to send it to a collector too.")
