"""``cline-otel status``: what the journal holds, for people and for machines."""

from __future__ import annotations

import json
import time
from functools import reduce
from typing import Final

import click
import msgspec
from rich.console import Console

from cline_otel.cli.consent import consent_now
from cline_otel.cli.editors import Editors
from cline_otel.cli.errors import fail
from cline_otel.cli.off_places import OffPlaces
from cline_otel.cli.sources import known_sources
from cline_otel.defects import described
from cline_otel.findings.detection import STATE_PREFIXES, Finding, detect
from cline_otel.findings.surroundings import look_around
from cline_otel.journal.records import JournalError, JournalStatus, NoJournalError
from cline_otel.journal.store import Journal
from cline_otel.running import Running, find_running
from cline_otel.service.install import service_of_user
from cline_otel.service.interface import ServiceError
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.sources.interface import Unread
from cline_otel.terminal.status import ServiceStatus, SourceStatus, render_status
from cline_otel.translate.state import State
from cline_otel.translate.waits import open_runs

_PIPE_WIDTH: Final = 160
"""Into a pipe or a file, where nothing wraps what is too wide."""


def show_status(*, as_json: bool) -> None:
    """Prints the status, without what only the journal knows if there is none; a bridge may run meanwhile."""
    try:
        settings = load_settings()
        status, state, problem = _journal(settings)
        runs = open_runs(state) if state is not None else []
        running = find_running(settings.state_directory)
        sources = _sources(settings, status, running)
        consent = consent_now(settings, running)
        findings = _findings(settings, state or State(), running) if consent.is_on else []
        off_files = OffPlaces(settings.state_directory).are_off()
        editors = Editors(settings.state_directory)
        service = _service(settings)
    except SettingsError as error:
        fail(str(error), 2)
    except ValueError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{settings.state_directory}: cannot be read ({error.strerror}); check who owns it")
    if as_json:
        document = {
            **_journal_document(settings, status),
            "problem": "" if problem is None else str(problem),
            "limit_bytes": settings.journal_limit_bytes,
            "telemetry": msgspec.to_builtins(consent),
            "off_files": [str(each) for each in off_files],
            "bridge": msgspec.to_builtins(running),
            "service": msgspec.to_builtins(service),
            "sources": msgspec.to_builtins(sources),
            "runs": msgspec.to_builtins(runs),
            "findings": msgspec.to_builtins(findings),
            "editors": editors.described(),
        }
        click.echo(json.dumps(document, indent=2))
    else:
        console = Console()
        if not console.is_terminal:
            console.width = max(console.width, _PIPE_WIDTH)
        console.print(
            render_status(settings, status, running, consent, sources, findings, service, runs, off_files),
            soft_wrap=False,
        )
        if editors.found.with_cline:
            console.print("", editors.rendered(), sep="\n")
    if problem is not None and not isinstance(problem, NoJournalError):
        fail(str(problem))


def _journal(settings: Settings) -> tuple[JournalStatus | None, State | None, JournalError | None]:
    """What the journal holds, and of its state what findings and open runs go by; or why it cannot be read."""
    try:
        with Journal.open_read_only(settings.journal_path) as journal:
            status = journal.status()
            return (
                status,
                State.restore(
                    row for prefix in (*STATE_PREFIXES, "agent/", "run/") for row in journal.load_state(prefix)
                ),
                None,
            )
    except JournalError as error:
        return None, None, error


def _journal_document(settings: Settings, status: JournalStatus | None) -> dict[str, object]:
    if status is None:
        unknown = dict.fromkeys(JournalStatus.__struct_fields__)
        return {**unknown, "path": str(settings.journal_path), "signals": {}, "cursors": [], "counts": []}
    cursors = [{"key": cursor.key, "updated_at_ns": cursor.updated_at_ns} for cursor in status.cursors]
    return {**msgspec.to_builtins(status, builtin_types=(bytes,)), "cursors": cursors}


def _findings(settings: Settings, state: State, running: Running | None) -> list[Finding]:
    since_ns = running.started_at_ns if running is not None else 0
    places = settings.places
    return detect(state, look_around(places.installations, places.state_directory, since_ns), time.time_ns())


def _service(settings: Settings) -> ServiceStatus | None:
    try:
        service = service_of_user(settings.state_directory)
    except ServiceError:
        return None
    file = service.installed_file
    return None if file is None else ServiceStatus(service.manager.name, str(file))


def _sources(settings: Settings, status: JournalStatus | None, running: Running | None) -> list[SourceStatus]:
    counts, known_cursors = ([], []) if status is None else (status.counts, status.cursors)

    def counted(kind: str, source: str) -> int:
        return sum(count.count for count in counts if (count.kind, count.source) == (kind, source))

    places = settings.places
    if running is not None:
        places = places._replace(listening_on=running.listening_on, listening_on_grpc=running.listening_on_grpc)
    cursors = {cursor.key: cursor.position for cursor in known_cursors}
    found: list[SourceStatus] = []
    for name, source in known_sources().items():
        of_source = SourceStatus(name, source.where(places), counted("received", name), counted("events", name))
        if inputs := source.inputs(places):
            try:
                unread = reduce(Unread.__or__, (each.unread(each.usable(cursors)) for each in inputs))
            except Exception as error:
                of_source.problem = f"cannot be looked at: {described(error)}, please report this line"
            else:
                of_source.unread_bytes, of_source.unread_lines = unread.size_bytes, unread.records
                of_source.oldest_unread_at_ns = unread.oldest_at_ns
            read_at = [
                cursor.updated_at_ns for cursor in known_cursors if any(each.owns(cursor.key) for each in inputs)
            ]
            of_source.last_read_at_ns = max(read_at, default=None)
        found.append(of_source)
    return found
