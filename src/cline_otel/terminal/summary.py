"""A summary in a terminal: how much there is of each signal, and what did not become telemetry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from cline_otel.signals import Diagnostics, LogRecord, MetricTotal, SpanRecord
from cline_otel.terminal.diagnostics import MEANINGS
from cline_otel.terminal.formatting import Glyphs, glyphs_for, printable
from cline_otel.terminal.span_tree import has_failed


def render_summary(
    spans: Sequence[SpanRecord],
    logs: Sequence[LogRecord],
    totals: Sequence[MetricTotal],
    diagnostics: Diagnostics,
) -> RenderableType:
    """How much there is of each signal, and every diagnostic by kind, source, name and count."""
    return _SummaryView(spans, logs, totals, diagnostics)


class _SummaryView:
    def __init__(
        self,
        spans: Sequence[SpanRecord],
        logs: Sequence[LogRecord],
        totals: Sequence[MetricTotal],
        diagnostics: Diagnostics,
    ) -> None:
        failed = sum(map(has_failed, spans))
        self._counts = (
            (len({span.trace_id for span in spans}), "trace", "traces"),
            (len(spans), "span", "spans"),
            (len(logs), "log record", "log records"),
            (len(totals), "metric series", "metric series"),
        )
        self._failed = f" ({failed} failed)" if failed else ""
        self._diagnostics = diagnostics

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = glyphs_for(ascii_only=options.ascii_only)
        width = options.max_width
        line = Text()
        for number, singular, plural in self._counts:
            line.append(", " if line else "").append(f"{number:,}", "bold")
            line.append(f" {singular if number == 1 else plural}")
            if singular == "span":
                line.append(self._failed, "red")
        yield from line.wrap(console, width)
        if self._diagnostics:
            yield from Text("Dropped or changed:", "dim").wrap(console, width)
        for kind, meaning in MEANINGS.items():
            names = _names_by_source(kind, self._diagnostics, glyphs)
            if not names:
                continue
            times = sum(number for key, number in self._diagnostics.items() if key[0] == kind)
            line = Text(f"{times:,} {kind}", meaning.style).append(f": {meaning.text}", "not red not yellow dim")
            yield from _indented(line, 2, console, width)
            for source, counted in names.items():
                line = Text(f"{source}: ", "dim").append(", ".join(counted), "not dim")
                yield from _indented(line, 4, console, width)


def _names_by_source(kind: str, diagnostics: Diagnostics, glyphs: Glyphs) -> dict[str, list[str]]:
    """What a kind was counted for, by source, the most frequent first."""
    counted: dict[str, list[str]] = {}
    for (of_kind, source, name), times in sorted(
        diagnostics.items(), key=lambda entry: (entry[0][1], -entry[1], entry[0][2])
    ):
        if of_kind == kind:
            count = f" {glyphs.times}{times:,}" if times > 1 else ""
            counted.setdefault(printable(source, glyphs), []).append(printable(name, glyphs) + count)
    return counted


def _indented(text: Text, cells: int, console: Console, width: int) -> Iterable[Text]:
    for line in text.wrap(console, max(width - cells, 1)):
        line.rstrip()
        yield Text(" " * cells).append_text(line)
