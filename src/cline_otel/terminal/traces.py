"""Traces in a terminal: a header and a tree each, with bars on the trace's own time axis.

How a span failed stands in the token and cost columns of its row where these are empty, else to
their right. Every line fits the width; where it is scarce, all such notes move into those columns,
then span names lose part of their first word, then the cost column goes, then the tokens column,
then names end in an ellipsis.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import msgspec
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from cline_otel.signals import SpanRecord
from cline_otel.terminal.formatting import Glyphs, duration, fitted, glyphs_for, printable
from cline_otel.terminal.span_tree import (
    Note,
    Row,
    Tokens,
    Tone,
    has_failed,
    note_of,
    outcome_of,
    rows_of,
    tokens_of,
    total_tokens_of,
    traces_of,
)
from cline_otel.terminal.time_axis import TimeAxis

DEFAULT_MAX_ROWS: Final = 200
"""Rows that a trace has at most by default."""

_TONES: Final[dict[Tone, str]] = {"failed": "bold red", "warned": "yellow", "completed": "green", "plain": ""}
_BARS: Final = {"invoke_agent": "blue", "chat": "cyan", "execute_tool": "green"}
_SHORT_OPERATIONS: Final = {"invoke_agent": "agent", "execute_tool": "tool"}
_GAP: Final = 2
_MIN_NAME_CELLS: Final = 8
_MIN_BAR_CELLS: Final = 10
_GRID_STYLE: Final = "bright_black"


class _Cells(msgspec.Struct, frozen=True):
    """What one row says, as text."""

    row: Row
    operation: str
    subject: str
    time: str
    tokens: Tokens
    note: Note

    @property
    def has_amounts(self) -> bool:
        """Whether the row has tokens or a cost to show."""
        return self.tokens.is_known or self.tokens.cost_usd > 0


class _Columns(msgspec.Struct, frozen=True, kw_only=True):
    """The cells that each column has; 0 for one that is not shown. ``detail`` spans tokens, cost and maybe notes."""

    name: int
    bar: int
    time: int
    sent: int
    received: int
    cost: int
    detail: int
    note: int
    short_names: bool


def render_traces(
    spans: Sequence[SpanRecord], width: int | None = None, *, max_rows: int | None = DEFAULT_MAX_ROWS
) -> RenderableType:
    """One tree per trace, ordered by start, with bars on a time axis, tokens, cost and errors.

    Args:
        spans: of any number of traces, in any order.
        width: terminal cells that a line has at most; the console's where ``None`` or wider.
        max_rows: spans that a trace shows at most, but 1 at least, the rest being counted in a
            last line; ``None`` for all.
    """
    return _TraceView(spans, width, max_rows)


class _TraceView:
    def __init__(self, spans: Sequence[SpanRecord], width: int | None, max_rows: int | None) -> None:
        self._spans = spans
        self._width = width
        self._max_rows = None if max_rows is None else max(max_rows, 1)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = glyphs_for(ascii_only=options.ascii_only)
        width = min(self._width or options.max_width, options.max_width)
        if not self._spans:
            yield Text(fitted("No spans.", width, glyphs), style="dim")
            yield Text("")
            return
        for trace in traces_of(self._spans):
            for line in _trace_lines(trace, width, glyphs, self._max_rows):
                line.rstrip()
                line.no_wrap = True
                line.truncate(width)
                yield line
            yield Text("")


def _trace_lines(trace: list[SpanRecord], width: int, glyphs: Glyphs, max_rows: int | None) -> Iterator[Text]:
    everything = rows_of(trace, glyphs)
    shown = [_cells(row, glyphs) for row in islice(everything, max_rows)]
    columns = _columns(shown, width, glyphs)
    started_at_ns = trace[0].started_at_ns
    ended_at_ns = max(span.ended_at_ns for span in trace)
    axis = TimeAxis(started_at_ns, ended_at_ns, columns.bar)
    grid = {tick.cell for tick in axis.ticks() if tick.cell and tick.label}
    yield _header(trace, duration(ended_at_ns - started_at_ns), width, glyphs)
    yield _axis_line(axis, columns)
    for cells in shown:
        yield _row_line(cells, axis, grid, columns, glyphs)
    rest = [row.span for row in everything]
    if rest:
        failed = sum(map(has_failed, rest))
        plural = "s" if len(rest) > 1 else ""
        text = Text(f"{glyphs.ellipsis} {len(rest)} more span{plural}", style="dim")
        if failed:
            text.append(f", {failed} of them failed", _TONES["failed"])
        yield text


def _header(trace: list[SpanRecord], lasted: str, width: int, glyphs: Glyphs) -> Text:
    outcome = outcome_of(trace)
    marks = {"failed": glyphs.failed, "warned": glyphs.warned, "completed": glyphs.completed, "plain": ""}
    tokens = total_tokens_of(trace)
    sides = f" {glyphs.arrow} ".join(tokens.sides()) if tokens.is_known else ""
    started = datetime.fromtimestamp(trace[0].started_at_ns // 1_000_000_000, UTC)
    inner_errors = sum(map(has_failed, trace)) - (outcome.tone == "failed")
    parts: dict[str, tuple[str, str]] = {
        "id": (f"trace {trace[0].trace_id.hex()[:8]}", "bold"),
        "date": (started.strftime("%Y-%m-%d"), ""),
        "clock": (started.strftime("%H:%M:%S UTC"), ""),
        "time": (lasted, "bold"),
        "tokens": (f"{sides} tokens" if sides else "", ""),
        "cost": (tokens.cost(), ""),
        "outcome": (
            marks[outcome.tone] + printable(outcome.text, glyphs) if outcome.text else "",
            _TONES[outcome.tone],
        ),
        "errors": (f"{inner_errors} error{'s' if inner_errors > 1 else ''}" if inner_errors else "", _TONES["failed"]),
    }
    for shorter in ("errors", "tokens", "clock", "date", "cost", "tokens", "clock", "time"):
        if len(_joined(parts)) <= width:
            break
        if shorter == "tokens" and parts["tokens"][0].endswith(" tokens"):
            parts["tokens"] = (sides, "")
        elif shorter == "clock" and parts["clock"][0].endswith(" UTC"):
            parts["clock"] = (started.strftime("%H:%M:%SZ"), "")
        else:
            parts[shorter] = ("", "")
    return _joined(parts)


def _joined(parts: dict[str, tuple[str, str]]) -> Text:
    line = Text()
    for name, (text, style) in parts.items():
        if text:
            line.append(("" if not line else " " if name == "clock" and parts["date"][0] else "  ") + text, style)
    return line


def _cells(row: Row, glyphs: Glyphs) -> _Cells:
    span = row.span
    operation, _, subject = printable(span.name, glyphs).partition(" ")
    note = note_of(span, is_orphan=row.is_orphan)
    if note.text:
        mark = glyphs.failed if note.tone == "failed" else glyphs.warned
        note = Note(mark + printable(note.text, glyphs), note.tone, note.detail)
    return _Cells(row, operation, subject, duration(span.ended_at_ns - span.started_at_ns), tokens_of(span), note)


def _columns(rows: list[_Cells], width: int, glyphs: Glyphs) -> _Columns:
    """The widest layout that leaves the bars room, or the narrowest there is."""
    time = max(4, *(len(cells.time) for cells in rows))
    sides = [cells.tokens.sides() for cells in rows if cells.tokens.is_known]
    sent = max((len(side) for side, _ in sides), default=0)
    received = max((len(side) for _, side in sides), default=0)
    cost = max(len(cells.tokens.cost()) for cells in rows)
    name_limit = max(width * 9 // 20, _MIN_NAME_CELLS)
    chosen: _Columns | None = None
    for in_full, beside, short, with_tokens, with_cost, wanted_bar in (
        (True, True, False, True, True, width // 3),
        (False, True, False, True, True, width // 4),
        (False, False, False, True, True, width // 5),
        (False, False, True, True, True, _MIN_BAR_CELLS),
        (False, False, True, True, False, _MIN_BAR_CELLS),
        (False, False, True, False, False, _MIN_BAR_CELLS),
    ):
        token_cells = sent + received + 2 + len(glyphs.arrow) if sides and with_tokens else 0
        cost_cells = cost if with_cost else 0
        detail = token_cells + cost_cells + (_GAP if token_cells and cost_cells else 0)
        notes = [(cells.note.text + (cells.note.detail if in_full else ""), cells.has_amounts) for cells in rows]
        note = max((cell_len(text) for text, has_amounts in notes if beside and has_amounts), default=0)
        within = max((cell_len(text) for text, has_amounts in notes if not (beside and has_amounts)), default=0)
        detail = max(detail, within)
        name = min(max(cell_len(_name(cells, short=short)) for cells in rows), name_limit)
        right = time + _GAP + sum(cells + _GAP for cells in (detail, note) if cells)
        bar = width - name - _GAP - right
        if chosen is None or bar > chosen.bar:
            chosen = _Columns(
                name=name,
                bar=bar,
                time=time,
                sent=sent if token_cells else 0,
                received=received if token_cells else 0,
                cost=cost_cells,
                detail=detail,
                note=note,
                short_names=short,
            )
        if chosen.bar >= max(wanted_bar, _MIN_BAR_CELLS):
            return chosen
    assert chosen is not None  # noqa: S101 - there is always a last way to try
    name = max(chosen.name - max(_MIN_BAR_CELLS - chosen.bar, 0), min(chosen.name, _MIN_NAME_CELLS))
    return msgspec.structs.replace(chosen, name=name, bar=max(chosen.bar + chosen.name - name, 1))


def _name(cells: _Cells, *, short: bool) -> str:
    operation = _SHORT_OPERATIONS.get(cells.operation, cells.operation) if short else cells.operation
    return f"{cells.row.guides}{operation} {cells.subject}".rstrip()


def _axis_line(axis: TimeAxis, columns: _Columns) -> Text:
    labels = ""
    for tick in axis.ticks():
        if tick.label:
            labels = labels.ljust(tick.cell) + tick.label
    line = Text(" " * (columns.name + _GAP), style="dim")
    line.append(labels.ljust(columns.bar + _GAP) + "time".rjust(columns.time))
    tokens = columns.detail - (columns.cost + _GAP if columns.cost and columns.sent else columns.cost)
    if columns.sent:
        line.append(" " * _GAP + "tokens".rjust(tokens))
    if columns.cost:
        line.append(" " * _GAP + "cost".rjust(columns.cost if columns.sent else columns.detail))
    return line


def _row_line(cells: _Cells, axis: TimeAxis, grid: set[int], columns: _Columns, glyphs: Glyphs) -> Text:
    span = cells.row.span
    line = _name_text(cells, columns, glyphs)
    line.append(" " * _GAP)
    bar = axis.bar(span.started_at_ns, span.ended_at_ns, glyphs)
    bar_style = _BARS.get(cells.operation, "white") if cells.note.tone == "plain" else _TONES[cells.note.tone]
    _append_grid(line, range(bar.offset), grid, glyphs)
    line.append(bar.blocks, bar_style)
    _append_grid(line, range(bar.offset + len(bar.blocks), columns.bar), grid, glyphs)
    line.append(" " * _GAP + cells.time.rjust(columns.time))
    amounts = _tokens_text(cells.tokens, columns, glyphs).rjust(columns.detail)
    room = columns.detail + (columns.note + _GAP if columns.note else 0)
    if not cells.note.text or (cells.has_amounts and columns.note):
        line.append(" " * _GAP + amounts)
        room = columns.note
    if cells.note.text:
        note = cells.note.text + cells.note.detail
        note = note if cell_len(note) <= room else cells.note.text
        line.append(" " * _GAP)
        line.append(fitted(note, room, glyphs), _TONES[cells.note.tone])
    return line


def _name_text(cells: _Cells, columns: _Columns, glyphs: Glyphs) -> Text:
    operation = _SHORT_OPERATIONS.get(cells.operation, cells.operation) if columns.short_names else cells.operation
    guides = cells.row.guides
    room = max(columns.name - cell_len(f"{operation} {cells.subject}".rstrip()), columns.name // 2)
    if len(guides) > room:
        guides = glyphs.ellipsis + guides[len(guides) - max(room - len(glyphs.ellipsis), 0) :]
    words = fitted(f"{operation} {cells.subject}".rstrip(), columns.name - len(guides), glyphs)
    line = Text(guides, style="")
    line.stylize(_GRID_STYLE)
    subject_at = min(len(operation), len(words))
    is_root = not guides and cells.note.tone == "plain"
    style = _TONES[cells.note.tone] or ("bold" if is_root else "")
    line.append(words[:subject_at], style or "dim")
    line.append(words[subject_at:], style)
    line.append(" " * (columns.name - cell_len(line.plain)))
    return line


def _append_grid(line: Text, cells: range, grid: set[int], glyphs: Glyphs) -> None:
    line.append("".join(glyphs.grid if cell in grid else " " for cell in cells), _GRID_STYLE)


def _tokens_text(tokens: Tokens, columns: _Columns, glyphs: Glyphs) -> str:
    text = ""
    if columns.sent:
        sent, received = tokens.sides() if tokens.is_known else ("", "")
        arrow = glyphs.arrow if tokens.is_known else " " * len(glyphs.arrow)
        text = f"{sent:>{columns.sent}} {arrow} {received:>{columns.received}}"
    if columns.cost:
        text += (" " * _GAP if text else "") + tokens.cost().rjust(columns.cost)
    return text
