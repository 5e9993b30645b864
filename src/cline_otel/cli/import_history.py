"""``cline-otel import``: what Cline's files hold of the past, to the endpoint."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console

from cline_otel.catalogue.load import CatalogueError
from cline_otel.cli.consent import consent_now
from cline_otel.cli.errors import fail
from cline_otel.cli.sources import known_sources
from cline_otel.consent.erase import erase_if_less_is_allowed
from cline_otel.export.interface import ExporterError
from cline_otel.importing.found import Found, Span, find
from cline_otel.importing.importer import Importer, ImportResult
from cline_otel.importing.metrics import waiting_measurements
from cline_otel.journal.lock import StateDirectoryBusyError, hold_state_directory
from cline_otel.journal.records import JournalError
from cline_otel.journal.store import Journal
from cline_otel.running import announced_to_user, this_process
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.settings.pseudonyms_file import PseudonymsFileError, installed_policy
from cline_otel.state_directory import JOURNAL_FILE_NAME
from cline_otel.terminal.importing import render_found, result_lines, showing_progress

_PIPE_WIDTH = 120


def import_paths(
    paths: Sequence[Path],
    *,
    since: datetime | None,
    until: datetime | None,
    surfaces: Sequence[str],
    dry_run: bool,
    metrics: bool,
) -> None:
    """Shows what there is, and unless it is a dry run imports it."""
    span = Span(_ns(since), _ns(until))
    for path in paths:
        if path.is_file():
            fail(
                f"{path}: a file, and an import takes folders of sessions or tasks; "
                "`cline-otel replay --send` sends what a recording holds",
                2,
            )
        if (path / JOURNAL_FILE_NAME).exists():
            fail(f"{path}: the state directory of cline-otel; name a folder of Cline's sessions or tasks", 2)
        if not path.is_dir():
            fail(f"{path}: no such folder; name one of sessions or tasks, or one with `sessions` or `tasks` in it", 2)
    try:
        settings = load_settings()
        consent = consent_now(settings)
        if not consent.is_on:
            fail(f"nothing was imported, because telemetry is {consent.describe()}")
        cursors, waits = _known(settings)
        found = find(known_sources(), settings.places, paths, cursors, span, surfaces)
        is_there = _show(found, paths, surfaces)
        if dry_run:
            click.echo("Nothing was sent: this was a dry run")
            return
        if not found.wanted and not (is_there and waits):
            click.echo("Nothing to import")
            return
        if not settings.has_endpoint:
            fail("no endpoint to send to; set OTEL_EXPORTER_OTLP_ENDPOINT, for example http://localhost:4318", 2)
        result = _import(settings, found, span, metrics=metrics)
    except (ExporterError, SettingsError) as error:
        fail(str(error), 2)
    except (CatalogueError, JournalError, PseudonymsFileError) as error:
        fail(str(error))
    except StateDirectoryBusyError:
        fail(
            f"a bridge runs on {settings.state_directory}: stop it, import, and start it again; "
            "it reads on where it stopped"
        )
    _finish(result)


def _ns(at: datetime | None) -> int | None:
    return None if at is None else int(at.replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def _known(settings: Settings) -> tuple[dict[str, bytes], bool]:
    """What was told and taken so far, and whether anything waits to be sent."""
    if not settings.journal_path.exists():
        return {}, False
    with Journal.open_read_only(settings.journal_path) as journal:
        status = journal.status()
        waits = any(status.signals[signal].pending_items for signal in ("traces", "logs"))
        return journal.cursors(), waits or waiting_measurements(journal) > 0


def _show(found: Found, paths: Sequence[Path], surfaces: Sequence[str]) -> bool:
    """Whether there is anything at all."""
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _PIPE_WIDTH)
    is_there = bool(found.wanted or found.taken)
    if not is_there and (paths or found.unwanted):
        where = f"{', '.join(map(str, paths))}: " if paths else ""
        what = f" of {' or '.join(surfaces)}" if surfaces else ""
        other = f"; {found.unwanted} sessions are of another time or surface" if found.unwanted else ""
        fail(f"{where}no sessions{what} to import there{other}", 2)
    console.print(render_found(found))
    return is_there


def _import(settings: Settings, found: Found, span: Span, *, metrics: bool) -> ImportResult:
    console = Console(stderr=True)
    _log_to(console, settings.log_level)
    sends_metrics = metrics and bool(settings.destinations.get("metrics"))
    if not sends_metrics:
        click.echo(
            "Metrics are not sent: many backends take no points of the past; --metrics sends them"
            if not metrics
            else "Metrics are not sent: they have no destination"
        )
    sources = known_sources()
    try:
        with (
            hold_state_directory(settings.state_directory),
            announced_to_user(this_process("import", settings.state_directory)),
            Journal.open(settings.journal_path, limit_bytes=settings.journal_limit_bytes) as journal,
        ):
            policy = installed_policy(settings.policy, settings.state_directory)
            erase_if_less_is_allowed(journal, policy)
            catalogue = sources.catalogue(policy, settings.prices, settings.profile, settings.service_name)
            size_bytes = sum(session.size_bytes for session in found.wanted)
            with showing_progress(console, size_bytes) as report:
                importer = Importer(
                    settings, journal, catalogue, sources, span, sends_metrics=sends_metrics, report=report
                )
                return asyncio.run(importer.run(found))
    except KeyboardInterrupt:
        click.echo(
            "stopped: what was imported is kept, and sent with the next import or bridge; import again to go on",
            err=True,
        )
        sys.exit(130)
    except OSError as error:
        fail(f"{settings.state_directory}: cannot be used ({error.strerror}); set CLINE_OTEL_BRIDGE_STATE_DIR")


def _log_to(console: Console, level: str) -> None:
    class Printer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            console.print(f"{record.levelname.lower()}: {record.getMessage()}", markup=False, highlight=False)

    logging.basicConfig(handlers=[Printer()], level=logging.WARNING)
    logging.getLogger("cline_otel").setLevel(level)


def _finish(result: ImportResult) -> None:
    for line in result_lines(result):
        click.echo(line)
    for problem in result.problems:
        click.echo(f"warning: {problem}", err=True)
    if result.stopped_by is not None:
        fail(f"broken off, because telemetry is {result.stopped_by.describe()}; import again to go on")
    if result.waiting or result.left:
        left = f"{result.left} sessions were not read, and " if result.left else ""
        why = f": {result.reason}" if result.reason else ""
        fail(f"{left}{result.waiting} spans and log records wait in the journal{why}; import again to go on")
    if any(points.waits for points in result.points):
        fail("metric data points wait; import again to go on")
