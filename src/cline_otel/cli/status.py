"""``cline-otel status``: what the journal holds, for people and for machines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console

from cline_otel.catalogue.values import milliseconds
from cline_otel.cli.consent import consent_now
from cline_otel.cli.errors import fail
from cline_otel.journal.records import JournalError, JournalStatus
from cline_otel.journal.store import Journal
from cline_otel.running import Running, find_running
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.sources.cline_log.decode import parse_time_ns
from cline_otel.sources.files.polling import cline_log_key, decode_position
from cline_otel.sources.files.tailing import Position, unread_bytes
from cline_otel.sources.plugin.spool import KEY_PREFIX
from cline_otel.terminal.status import SourceStatus, render_status

_SCAN_BYTES: Final = 1024 * 1024
_PIPE_WIDTH: Final = 160
"""Into a pipe or a file, where nothing wraps what is too wide."""


class _Unread(msgspec.Struct):
    size_bytes: int = 0
    lines: int = 0
    oldest_at_ns: int | None = None

    def add(self, other: _Unread) -> None:
        self.size_bytes += other.size_bytes
        self.lines += other.lines
        times = [each for each in (self.oldest_at_ns, other.oldest_at_ns) if each is not None]
        self.oldest_at_ns = min(times, default=None)


class _Times(msgspec.Struct):
    """The fields that say when a line was written: the plugin's, and the log's."""

    time_unix_ms: int | float | None = None
    time: str | int | float | None = None


def show_status(*, as_json: bool) -> None:
    """Prints the status; a bridge may run meanwhile."""
    try:
        settings = load_settings()
        with Journal.open_read_only(settings.journal_path) as journal:
            status = journal.status()
        running = find_running(settings.state_directory)
        sources = _sources(settings, status, running)
        consent = consent_now(settings, running)
    except SettingsError as error:
        fail(str(error), 2)
    except (JournalError, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{settings.state_directory}: cannot be read ({error.strerror}); check who owns it")
    if as_json:
        document = {
            **msgspec.to_builtins(status, builtin_types=(bytes,)),
            "limit_bytes": settings.journal_limit_bytes,
            "telemetry": msgspec.to_builtins(consent),
            "bridge": msgspec.to_builtins(running),
            "sources": msgspec.to_builtins(sources),
        }
        document["cursors"] = [{"key": cursor.key, "updated_at_ns": cursor.updated_at_ns} for cursor in status.cursors]
        click.echo(json.dumps(document, indent=2))
        return
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _PIPE_WIDTH)
    console.print(render_status(settings, status, running, consent, sources), soft_wrap=False)


def _sources(settings: Settings, status: JournalStatus, running: Running | None) -> list[SourceStatus]:
    def counted(kind: str, source: str) -> int:
        return sum(count.count for count in status.counts if (count.kind, count.source) == (kind, source))

    def told(source: str, place: str) -> SourceStatus:
        return SourceStatus(source, place, counted("received", source), counted("events", source))

    def of_files(source: str, place: Path, files: dict[str, Path]) -> SourceStatus:
        found = told(source, str(place))
        unread = _Unread()
        for key, path in files.items():
            cursor = cursors.get(key)
            unread.add(_unread(path, None if cursor is None else decode_position(cursor.position)))
        found.unread_bytes, found.unread_lines = unread.size_bytes, unread.lines
        found.oldest_unread_at_ns = unread.oldest_at_ns
        prefix = KEY_PREFIX if source == "plugin" else next(iter(files))
        read_at = [cursor.updated_at_ns for key, cursor in cursors.items() if key.startswith(prefix)]
        found.last_read_at_ns = max(read_at, default=None)
        return found

    cursors = {cursor.key: cursor for cursor in status.cursors}
    spool, log, listen = settings.spool_directory, settings.cline_log_path, settings.listen
    if running is not None:
        listening = f"{running.listening_on}/v1/logs" if running.listening_on else "off"
    else:
        listening = f"http://{listen.host}:{listen.port}/v1/logs" if listen else "off"
    return [
        of_files("plugin", spool, {KEY_PREFIX + path.name: path for path in sorted(spool.glob("*.jsonl"))}),
        of_files("cline-log", log, {cline_log_key(log): log}),
        told("otlp", listening),
    ]


def _unread(path: Path, position: Position | None) -> _Unread:
    """What a reader at ``position`` has before it; the file may grow or go away meanwhile."""
    size_bytes = unread_bytes(path, position)
    if not size_bytes:
        return _Unread()
    lines, first = 0, b""
    try:
        with path.open("rb") as file:
            file.seek(max(file.seek(0, 2) - size_bytes, 0))
            while data := file.read(_SCAN_BYTES):
                first = first or data.partition(b"\n")[0]
                lines += data.count(b"\n")
    except OSError:
        return _Unread(size_bytes)
    return _Unread(size_bytes, lines, _written_at_ns(first))


def _written_at_ns(line: bytes) -> int | None:
    try:
        times = msgspec.json.decode(line, type=_Times)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return parse_time_ns(times.time) if times.time_unix_ms is None else milliseconds(times.time_unix_ms)
