"""How the status looks: what was read, delivered and dropped, and what waits."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from cline_otel.consent import Consent
from cline_otel.findings.detection import Finding
from cline_otel.journal.records import JournalStatus
from cline_otel.operating_system.home import home_directory
from cline_otel.running import Running
from cline_otel.settings import Settings
from cline_otel.settings.privacy import OptIn
from cline_otel.terminal.diagnostics import MEANINGS
from cline_otel.terminal.formatting import size_of
from cline_otel.translate.waits import OpenRun

_MOST_RUNS = 20
"""Runs under way that are listed."""


class SourceStatus(msgspec.Struct):
    """How far one source has been read.

    Attributes:
        places: the directories, files or URLs; none if it is not read.
        received: lines or requests.
        events: what they were decoded to.
        unread_lines: whole lines that were written and not read yet; None where that is unknown.
        oldest_unread_at_ns: when the first of them was written, as it says; nanoseconds since the Unix epoch.
        last_read_at_ns: when something was last read from the file, nanoseconds since the Unix epoch.
        problem: why it is not known what is unread; empty if it is.
    """

    source: str
    places: tuple[str, ...]
    received: int
    events: int
    unread_bytes: int | None = None
    unread_lines: int | None = None
    oldest_unread_at_ns: int | None = None
    last_read_at_ns: int | None = None
    problem: str = ""


class ServiceStatus(msgspec.Struct, frozen=True):
    """The service of the user, which is installed.

    Attributes:
        manager: the service manager.
        file: its definition.
    """

    manager: str
    file: str


def status_line(status: JournalStatus, open_runs: int) -> str:
    """One line for the bridge's log: what came in, what waits, what went out. Items are spans and log records."""
    queued = [signal for name, signal in status.signals.items() if name != "metrics"]
    events = sum(count.count for count in status.counts if count.kind == "events")
    unmapped = sum(count.count for count in status.counts if count.kind == "unmapped_event")
    waiting = sum(signal.pending_items for signal in queued)
    delivered = sum(signal.delivered_items for signal in queued)
    refused = sum(signal.refused_items + signal.rejected_items for signal in status.signals.values())
    line = f"{_many(events, 'event')} in, {_many(open_runs, 'run')} open"
    line += f", {_many(delivered, 'item')} delivered, {waiting} waiting"
    if refused:
        line += f", {refused} refused"
    if unmapped:
        line += f", {unmapped} unmapped"
    errors = {signal.last_error for signal in status.signals.values() if signal.last_error}
    return line + (f" ({'; '.join(sorted(errors))})" if errors else "")


def render_status(
    settings: Settings,
    status: JournalStatus | None,
    running: Running | None,
    consent: Consent,
    sources: list[SourceStatus],
    findings: list[Finding],
    service: ServiceStatus | None = None,
    runs: Sequence[OpenRun] = (),
    off_files: Sequence[Path] = (),
) -> RenderableType:
    """All of it, for people.

    Args:
        settings: what holds where no bridge runs.
        status: what the journal holds; None if there is none that can be read.
        running: the bridge that runs; None if none does.
        consent: whether telemetry is on.
        sources: how far each has been read.
        findings: what is missed.
        service: what is installed of it; None if it is not.
        runs: what is under way.
        off_files: what `cline-otel off` has put where.
    """
    leaving = running.opt_ins if running is not None else settings.also_sent
    excluded = running.excluded if running is not None else sorted(settings.policy.excluded)
    parts: list[RenderableType] = [
        _bridge_line(running),
        _service_line(service),
        _consent_line(consent),
        *(Text(f"          off by {_with_short_home(str(file))}") for file in off_files),
        *_destination_lines(running),
        *_opt_in_lines(leaving),
    ]
    if excluded:
        parts.append(Text.assemble(("Not sent  ", "bold"), ", ".join(excluded)))
    parts += ["", _source_table(sources)]
    if status is not None:
        parts += ["", _signal_table(status)]
    if runs:
        parts += ["", _run_table(runs)]
    parts += _problems(running, status, sources)
    for finding in findings:
        parts += ["", Text.assemble(("Missed    ", "bold"), (finding.name, "yellow"), f": {finding.seen}")]
        parts.append(Text(f"          {finding.remedy}"))
    if status is None:
        unread = "not there, or not to be read: what was delivered and what waits is not known"
        return Group(*parts, "", Text.assemble(("Journal   ", "bold"), (unread, "yellow")))
    counts = _count_table(status)
    if counts.row_count:
        parts += ["", counts]
    waiting_bytes = sum(signal.pending_bytes for signal in status.signals.values())
    used = (
        f"{size_of(waiting_bytes)} of at most {size_of(settings.journal_limit_bytes)} wait to be delivered, "
        f"{size_of(max(status.used_bytes - waiting_bytes, 0))} are state and history"
    )
    parts += ["", Text.assemble(("Journal   ", "bold"), _with_short_home(status.path), f"\n          {used}")]
    parts.append(Text.assemble(("Instance  ", "bold"), status.instance_id))
    return Group(*parts)


def _bridge_line(running: Running | None) -> Text:
    if running is None:
        return Text.assemble(("Bridge    ", "bold"), ("does not run", "yellow"), "; start it with `cline-otel run`")
    ago = _ago(running.started_at_ns)
    under = f" under {running.service}" if running.service else ""
    process = f"{under} as process {running.process_id}, started {ago}"
    return Text.assemble(("Bridge    ", "bold"), ("runs", "green"), process)


def _service_line(service: ServiceStatus | None) -> Text:
    if service is None:
        return Text.assemble(("Service   ", "bold"), "not installed")
    return Text.assemble(("Service   ", "bold"), f"installed for {service.manager}: {_with_short_home(service.file)}")


def _consent_line(consent: Consent) -> Text:
    color = {"on": "green", "off": "red", "unknown": "yellow"}[consent.state]
    reasons = f": {'; '.join(consent.reasons)}" if consent.reasons else ""
    return Text.assemble(("Telemetry ", "bold"), (consent.state, color), reasons)


def _destination_lines(running: Running | None) -> Iterator[Text]:
    for line in running.destinations if running is not None else ():
        yield Text.assemble(("Sent      ", "bold"), line)


def _opt_in_lines(leaving: Iterable[OptIn]) -> Iterator[Text]:
    """What is exported only because the user opted in; what is in the clear is red."""
    for opt_in in leaving:
        yield Text.assemble(("Also sent ", "bold"), (opt_in.text, "red" if opt_in.is_content else ""))


def _table(*columns: str, left: int) -> Table:
    """``left``: how many columns, from the first, hold words; the others hold numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index < left else "right", no_wrap=index == 0)
    return table


def _source_table(sources: list[SourceStatus]) -> Table:
    table = _table("Source", "Received", "Events", "Unread", left=1)
    table.add_column("Where", overflow="fold")
    for source in sources:
        table.add_row(
            source.source,
            str(source.received),
            str(source.events),
            _unread_text(source),
            escape("\n".join(map(_with_short_home, source.places)) or "off"),
        )
    return table


def _unread_text(source: SourceStatus) -> Text:
    if source.problem:
        return Text("not known", "red")
    if source.unread_bytes is None:
        return Text("-")
    if not source.unread_bytes:
        return Text("0")
    text = "" if source.unread_lines is None else f"{_many(source.unread_lines, 'line')}, "
    text += size_of(source.unread_bytes)
    if source.oldest_unread_at_ns is not None:
        text += f",\noldest {_ago(source.oldest_unread_at_ns)}"
    return Text(text, "yellow", justify="right")


def _signal_table(status: JournalStatus) -> Table:
    table = _table("Signal", "Waiting", "Delivered", "Rejected", "Refused", "Last delivery", left=1)
    for name, signal in status.signals.items():
        oldest = signal.oldest_pending_at_ns
        waiting = "-" if name == "metrics" and not signal.pending_items else str(signal.pending_items)
        if oldest is not None:
            waiting += f", oldest {_ago(oldest)}"
        table.add_row(
            name,
            Text(waiting, "yellow" if signal.last_error and signal.pending_items else ""),
            str(signal.delivered_items),
            _alarming(signal.rejected_items),
            _alarming(signal.refused_items),
            "never" if signal.last_delivered_at_ns is None else _ago(signal.last_delivered_at_ns),
        )
    return table


def _alarming(number: int) -> Text:
    return Text(str(number), "red" if number else "")


def _run_table(runs: Sequence[OpenRun]) -> Table:
    table = _table("Under way", "Session", "Agent", "Waits for", "Since", "Started", left=4)
    for run in runs[:_MOST_RUNS]:
        waits_for = f"{run.waits_for}: {run.tool_name}" if run.tool_name else run.waits_for
        names = (run.run_id, run.session_id, run.agent_name, waits_for)
        table.add_row(*map(escape, names), _ago(run.since_ns), _ago(run.started_at_ns))
    if len(runs) > _MOST_RUNS:
        table.add_row(f"and {len(runs) - _MOST_RUNS} more")
    return table


def _problems(
    running: Running | None, status: JournalStatus | None, sources: list[SourceStatus]
) -> list[RenderableType]:
    problems: list[RenderableType] = [
        Text(line, "yellow") for line in (running.not_listening + running.turned_away if running else ())
    ]
    problems += [Text(f"{source.source}: {source.problem}", "red") for source in sources if source.problem]
    for name, signal in (status.signals if status is not None else {}).items():
        if signal.last_error:
            remedy = f"; {signal.last_remedy}" if signal.last_remedy else ""
            problems.append(Text(f"{name}: {signal.last_error}{remedy}", "yellow"))
        for reason, items in signal.refusals.items():
            problems.append(Text(f"{name}: {items} refused for good: {reason}", "red"))
        if signal.rejected_items and signal.last_message:
            problems.append(Text(f"{name}: {signal.rejected_items} rejected: {signal.last_message}", "red"))
    return ["", *problems] if problems else []


def _count_table(status: JournalStatus) -> Table:
    table = _table("Dropped or changed", "Source", "Name", "Count", left=3)
    for kind, meaning in MEANINGS.items():
        rows = [count for count in status.counts if count.kind == kind]
        for first, count in zip([True] + [False] * len(rows), rows, strict=False):
            shown = Text(meaning.text if first else "", meaning.style)
            table.add_row(shown, count.source, escape(count.name), str(count.count))
    return table


def _many(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _ago(at_ns: int) -> str:
    seconds = max(time.time() - at_ns / 1e9, 0)
    for unit, length, bound in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < bound:
            return f"{seconds / length:.0f} {unit} ago"
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%MZ")


def _with_short_home(path: str) -> str:
    home = str(home_directory() or "")
    return "~" + path[len(home) :] if len(home) > 1 and path.startswith(home + "/") else path
