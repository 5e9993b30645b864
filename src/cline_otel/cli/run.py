"""``cline-otel run``: the bridge in a terminal or under a service manager."""

from __future__ import annotations

import logging
import os
import sys
from datetime import UTC, datetime

import click

from cline_otel.bridge import Bridge, Started, run_until_signal
from cline_otel.catalogue.load import CatalogueError
from cline_otel.cli.main import fail
from cline_otel.cli.status import status_line
from cline_otel.export.destinations import DestinationError
from cline_otel.journal.lock import StateDirectoryBusyError
from cline_otel.journal.records import JournalError, JournalStatus
from cline_otel.settings import SettingsError, load_settings
from cline_otel.sources.otlp_http import ReceiverRefused

NEVER_SENT = "code, file contents, paths, arguments, prompts, error texts, personal data, keys"


def run_bridge(*, listen: str | None, listening: bool) -> None:
    """Runs until a signal; every trouble that prevents it is one line and a non-zero exit."""
    if listen is not None or not listening:
        os.environ["CLINE_OTEL_BRIDGE_LISTEN"] = listen if listening and listen is not None else "off"
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(message)s")
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_OneLine())
    try:
        settings = load_settings()
    except SettingsError as error:
        fail(str(error), 2)
    try:
        run_until_signal(Bridge(settings, _announce, _report))
    except (StateDirectoryBusyError, JournalError, ReceiverRefused, DestinationError, CatalogueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{settings.state_directory}: cannot be used ({error.strerror}); set CLINE_OTEL_BRIDGE_STATE_DIR")
    click.echo(f"{_now()} stopped; what was not delivered waits in the journal", err=True)


class _OneLine(logging.Formatter):
    """Time, level, message: never a traceback, which could quote what it handled."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{_now()} {record.levelname.lower()}: {record.getMessage()}"


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _announce(started: Started) -> None:
    lines = [
        "cline-otel runs. Stop it with Ctrl-C.",
        *(f"  reads   {line}" for line in started.reads),
        *(f"  sends   {line}" for line in started.sends),
        f"  never   {NEVER_SENT}",
        f"  keeps   {started.state_directory}",
        *(f"  note    {notice}" for notice in started.notices),
    ]
    click.echo("\n".join(lines), err=True)


def _report(status: JournalStatus, open_runs: int) -> None:
    click.echo(f"{_now()} {status_line(status, open_runs)}", err=True)
