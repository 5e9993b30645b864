"""How an import looks: what there is, how far it is, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text

from cline_otel.importing.found import Found
from cline_otel.importing.importer import ImportResult, Report
from cline_otel.sources.interface import PastSession
from cline_otel.terminal.formatting import compact, dollars, glyphs_for, printable, size_of


def render_found(found: Found) -> RenderableType:
    """What there is to import, a row for each surface, from what manifests say."""
    return _FoundView(found)


class _FoundView:
    def __init__(self, found: Found) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = glyphs_for(ascii_only=options.ascii_only)
        found = self._found
        table = Table("surface", box=None, padding=(0, 1), pad_edge=False, header_style="dim")
        for name in ("sessions", "from", "to", "tokens", "cost", "size"):
            table.add_column(name, justify="right")
        by_surface: dict[str, list[PastSession]] = {}
        for session in found.wanted:
            by_surface.setdefault(session.surface, []).append(session)
        for surface, sessions in sorted(by_surface.items(), key=lambda each: -len(each[1])):
            table.add_row(printable(surface, glyphs), *_cells(sessions))
        if len(by_surface) > 1:
            table.add_row("all", *_cells(found.wanted), style="bold")
        if by_surface:
            yield table
        unknown = sum(session.tokens is None for session in found.wanted)
        if unknown and found.wanted:
            yield Text(f"{unknown:,} of these do not say their tokens before they are read", "dim")
        if found.taken:
            yield Text(f"{_sessions(len(found.taken))} imported before and not changed since")
        if found.unwanted:
            yield Text(f"{_sessions(found.unwanted)} of another time or surface", "dim")


def _cells(sessions: Iterable[PastSession]) -> tuple[str, ...]:
    sessions = list(sessions)
    tokens = [session.tokens for session in sessions if session.tokens is not None]
    costs = [session.cost_usd for session in sessions if session.cost_usd is not None]
    return (
        f"{len(sessions):,}",
        _day(min(session.began_at_ns for session in sessions)),
        _day(max(session.ended_at_ns for session in sessions)),
        compact(sum(tokens)) if tokens else "-",
        dollars(sum(costs)) if costs else "-",
        size_of(sum(session.size_bytes for session in sessions)),
    )


def _day(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d")


def _sessions(number: int) -> str:
    return f"{number:,} session{'' if number == 1 else 's'}"


@contextmanager
def showing_progress(console: Console, size_bytes: int) -> Iterator[Report]:
    """A bar with the rate and the time left, where ``console`` is a terminal; gives what is to be called."""
    progress = Progress(
        TextColumn("importing"),
        BarColumn(),
        TaskProgressColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[made]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task("importing", total=size_bytes, made="")

        def report(read_bytes: int, result: ImportResult) -> None:
            progress.update(task, completed=read_bytes, made=f"{compact(result.spans)} spans")

        yield report


def result_lines(result: ImportResult) -> Iterator[str]:
    """What came of an import, for people."""
    yield (
        f"Imported {_sessions(result.sessions)}: {result.prompts:,} prompts, {result.spans:,} spans, "
        f"{result.logs:,} log records"
    )
    for points in result.points:
        refused = f", {points.refused:,} refused: {points.reason}" if points.refused else ""
        waits = f"; the rest waits: {points.reason}" if points.waits else ""
        yield f"Sent {points.delivered:,} metric data points: {points.description}{refused}{waits}"
        if points.refused:
            yield "note: many backends take no metrics of the past"
    if result.at_work:
        yield (
            f"note: of {_sessions(result.at_work)} the bridge has told a part and tells the rest: start it with "
            "`cline-otel run`"
        )
    if result.open_prompts:
        yield f"note: {result.open_prompts:,} prompts are not over and were left to the bridge, or the next import"
