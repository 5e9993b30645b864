"""``cline-otel status``: what the journal holds, for people and for machines."""

from __future__ import annotations

import json
import time

import click
import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cline_otel.cli.main import fail
from cline_otel.journal.records import JournalError, JournalStatus
from cline_otel.journal.store import Journal
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.sources.polling import cline_log_key, decode_position
from cline_otel.sources.spool import KEY_PREFIX
from cline_otel.sources.tailing import unread_bytes

_KIND_MEANINGS = {
    "unmapped_event": "events the catalogue does not know",
    "dropped_field": "fields the catalogue does not list",
    "replaced_value": "values outside the known set, sent as _OTHER",
    "malformed": "could not be read",
    "shadowed": "told better by the run's owner",
    "duplicate": "told before",
    "late": "came after its run was closed",
    "unsupported_signal": "metrics and traces that Cline itself sends",
    "missing": "the plugin's spool was full",
}


class SourceStatus(msgspec.Struct):
    """How far one source has been read."""

    source: str
    place: str
    received: int
    events: int
    unread_bytes: int | None


def show_status(*, as_json: bool) -> None:
    """Prints the status; a bridge may run meanwhile."""
    try:
        settings = load_settings()
        with Journal.open_read_only(settings.journal_path) as journal:
            status = journal.status()
    except (SettingsError, JournalError) as error:
        fail(str(error))
    sources = _sources(settings, status)
    if as_json:
        document = {
            **msgspec.to_builtins(status, builtin_types=(bytes,)),
            "sources": msgspec.to_builtins(sources),
        }
        document["cursors"] = [{"key": cursor.key, "updated_at_ns": cursor.updated_at_ns} for cursor in status.cursors]
        click.echo(json.dumps(document, indent=2))
        return
    console = Console()
    console.print(_source_table(sources))
    console.print(_signal_table(status))
    for signal, delivery in status.signals.items():
        if delivery.last_error:
            remedy = f"; {delivery.last_remedy}" if delivery.last_remedy else ""
            console.print(f"[yellow]{signal}: {escape(delivery.last_error + remedy)}[/]")
        for reason, items in delivery.refusals.items():
            console.print(f"[red]{signal}: {items} refused: {escape(reason)}[/]")
    _print_counts(console, status)
    console.print(f"[dim]Journal {status.path}, {status.used_bytes / 1e6:.1f} MB, instance {status.instance_id}[/]")


def status_line(status: JournalStatus, open_runs: int) -> str:
    """One line for the bridge's log: what came in, what waits, what went out."""
    events = sum(count.count for count in status.counts if count.kind == "events")
    waiting = sum(signal.pending_items for signal in status.signals.values())
    delivered = sum(signal.delivered_items for signal in status.signals.values())
    refused = sum(signal.refused_items + signal.rejected_items for signal in status.signals.values())
    unmapped = sum(count.count for count in status.counts if count.kind == "unmapped_event")
    line = f"{events} events in, {open_runs} runs open, {delivered} items delivered, {waiting} waiting"
    if refused:
        line += f", {refused} refused"
    if unmapped:
        line += f", {unmapped} unmapped"
    errors = {signal.last_error for signal in status.signals.values() if signal.last_error}
    return line + (f" ({'; '.join(sorted(errors))})" if errors else "")


def _sources(settings: Settings, status: JournalStatus) -> list[SourceStatus]:
    def counted(kind: str, source: str) -> int:
        return sum(count.count for count in status.counts if (count.kind, count.source) == (kind, source))

    positions = {cursor.key: decode_position(cursor.position) for cursor in status.cursors}
    spool = settings.spool_directory
    lag = sum(unread_bytes(path, positions.get(KEY_PREFIX + path.name)) for path in spool.glob("*.jsonl"))
    log = settings.cline_log_path
    log_lag = unread_bytes(log, positions.get(cline_log_key(log)))
    listen = settings.listen
    return [
        SourceStatus("plugin", str(spool), counted("received", "plugin"), counted("events", "plugin"), lag),
        SourceStatus("cline-log", str(log), counted("received", "cline-log"), counted("events", "cline-log"), log_lag),
        SourceStatus(
            "otlp",
            f"{listen.host}:{listen.port}" if listen else "off",
            counted("received", "otlp"),
            counted("events", "otlp"),
            None,
        ),
    ]


def _source_table(sources: list[SourceStatus]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Source", "Where", "Received", "Events", "Unread"):
        table.add_column(column, justify="left" if column in ("Source", "Where") else "right")
    for source in sources:
        unread = "-" if source.unread_bytes is None else f"{source.unread_bytes} B"
        table.add_row(source.source, escape(source.place), str(source.received), str(source.events), unread)
    return table


def _signal_table(status: JournalStatus) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("Signal", "Waiting", "Delivered", "Rejected", "Refused", "Last delivery"):
        table.add_column(column, justify="left" if column == "Signal" else "right")
    for name, signal in status.signals.items():
        last = signal.last_delivered_at_ns
        ago = "never" if last is None else f"{max(time.time() - last / 1e9, 0):.0f} s ago"
        waiting = "-" if name == "metrics" else str(signal.pending_items)
        table.add_row(
            name, waiting, str(signal.delivered_items), str(signal.rejected_items), str(signal.refused_items), ago
        )
    return table


def _print_counts(console: Console, status: JournalStatus) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Not sent, and why")
    table.add_column("Source")
    table.add_column("Name")
    table.add_column("Count", justify="right")
    for kind, meaning in _KIND_MEANINGS.items():
        for count in status.counts:
            if count.kind == kind:
                table.add_row(meaning, count.source, escape(count.name), str(count.count))
    if table.row_count:
        console.print(table)
