"""What a person sees in a terminal: traces as trees, metrics as a table, a summary; and the same as SVG.

The parts: ``console_trace`` draws a trace, ``console_tree`` orders it, ``console_axis`` lays out its
time, ``console_metrics`` draws the table, ``console_readable`` writes quantities.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text

from cline_otel.export.console_metrics import render_metrics
from cline_otel.export.console_readable import UNICODE, Glyphs, glyphs_for, printable
from cline_otel.export.console_trace import DEFAULT_MAX_ROWS, render_traces
from cline_otel.export.console_tree import has_failed
from cline_otel.signals import DiagnosticKind, LogRecord, MetricTotal, SpanRecord, Tally

__all__ = ["DEFAULT_MAX_ROWS", "render_metrics", "render_summary", "render_traces", "save_svg"]

_KINDS: Final[dict[DiagnosticKind, tuple[str, bool]]] = {
    "malformed": ("could not be decoded", True),
    "unmapped_event": ("events that the catalogue does not know", True),
    "defect": ("records that the translator failed on: please report it", True),
    "missing": ("records that were never written, the spool being full", True),
    "late": ("came after their run was closed", True),
    "dropped_field": ("fields that are not on the allowlist", False),
    "replaced_value": ("values outside their known set", False),
    "redacted_value": ("values with the shape of a secret", False),
    "shadowed": ("told better by the run's owner", False),
    "duplicate": ("seen before", False),
    "unsupported_signal": ("signals of Cline's own", False),
}
"""In the order in which they are told: what they mean, and whether it is something to look into."""

_CHARACTER_HEIGHT: Final = 20
_FONT_ASPECT_RATIO: Final = 0.602
_CHARACTER_WIDTH: Final = _CHARACTER_HEIGHT * _FONT_ASPECT_RATIO
_LINE_CLIP: Final = re.compile(r' clip-path="url\(#[\w-]+-line-\d+\)"')
_BAR_TEXT: Final = re.compile(
    r'<text class="(?P<style>[\w-]+)" x="(?P<x>[\d.]+)" y="(?P<baseline>[\d.]+)"[^>]*>'
    rf"(?P<blocks>[{UNICODE.bar_blocks}{UNICODE.right_half}]+)</text>"
)
_SVG: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" xml:space="preserve">
<style>
.{unique_id}-matrix {{ font: {char_height}px/{line_height}px "DejaVu Sans Mono", Menlo, Consolas, monospace; }}
.{unique_id}-title {{ font: bold 16px Helvetica, Arial, sans-serif; }}
{styles}
</style>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def render_summary(
    spans: Sequence[SpanRecord],
    logs: Sequence[LogRecord],
    totals: Sequence[MetricTotal],
    tally: Tally,
) -> RenderableType:
    """How much there is of each signal, and every diagnostic by kind, source, name and count."""
    return _SummaryView(spans, logs, totals, tally)


class _SummaryView:
    def __init__(
        self,
        spans: Sequence[SpanRecord],
        logs: Sequence[LogRecord],
        totals: Sequence[MetricTotal],
        tally: Tally,
    ) -> None:
        failed = sum(map(has_failed, spans))
        self._counts = (
            (len({span.trace_id for span in spans}), "trace", "traces"),
            (len(spans), "span", "spans"),
            (len(logs), "log record", "log records"),
            (len(totals), "metric series", "metric series"),
        )
        self._failed = f" ({failed} failed)" if failed else ""
        self._tally = tally

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
        if self._tally:
            yield from Text("What did not become telemetry, or not as it was told:", "dim").wrap(console, width)
        for kind, (meaning, is_concern) in _KINDS.items():
            names = _names_by_source(kind, self._tally, glyphs)
            if not names:
                continue
            times = sum(number for key, number in self._tally.items() if key[0] == kind)
            line = Text(f"{times:,} {kind}", "yellow" if is_concern else "").append(f": {meaning}", "not yellow dim")
            yield from _indented(line, 2, console, width)
            for source, told in names.items():
                line = Text(f"{source}: ", "dim").append(", ".join(told), "not dim")
                yield from _indented(line, 4, console, width)


def _names_by_source(kind: DiagnosticKind, tally: Tally, glyphs: Glyphs) -> dict[str, list[str]]:
    """What a kind was counted for, by source, the most frequent first."""
    told: dict[str, list[str]] = {}
    for (of_kind, source, name), times in sorted(
        tally.items(), key=lambda entry: (entry[0][1], -entry[1], entry[0][2])
    ):
        if of_kind == kind:
            count = f" {glyphs.times}{times:,}" if times > 1 else ""
            told.setdefault(printable(source, glyphs), []).append(printable(name, glyphs) + count)
    return told


def _indented(text: Text, cells: int, console: Console, width: int) -> Iterable[Text]:
    for line in text.wrap(console, max(width - cells, 1)):
        line.rstrip()
        yield Text(" " * cells).append_text(line)


def save_svg(renderables: RenderableType | Iterable[RenderableType], path: Path, title: str, width: int) -> None:
    """Draws what a terminal of ``width`` cells would show into an SVG file.

    Equal input gives equal bytes, whatever the environment. The file refers to nothing outside itself.

    Raises:
        OSError: the file cannot be written.
    """
    console = Console(
        file=io.StringIO(),
        record=True,
        width=width,
        height=100,
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    shown = renderables if isinstance(renderables, Iterable) and not isinstance(renderables, str) else [renderables]
    for renderable in shown:
        console.print(renderable)
    drawn = console.export_svg(
        title=title, code_format=_SVG, font_aspect_ratio=_FONT_ASPECT_RATIO, unique_id="cline-otel"
    )
    # The reader's font is not known: glyphs are stretched to their cells, and bars are no text at all.
    drawn = _BAR_TEXT.sub(_bar_rectangle, _LINE_CLIP.sub("", drawn))
    drawn = drawn.replace("textLength=", 'lengthAdjust="spacingAndGlyphs" textLength=')
    path.write_text(drawn, encoding="utf-8", newline="\n")


def _bar_rectangle(text: re.Match[str]) -> str:
    """A bar as a rectangle, with the same ink as its characters and a gap to the row beneath."""
    blocks = text["blocks"]
    blank = 0.5 if blocks[0] == UNICODE.right_half else 0.0
    ink = sum(0.5 if c == UNICODE.right_half else (UNICODE.bar_blocks.index(c) + 1) / 8 for c in blocks)
    x = float(text["x"]) + blank * _CHARACTER_WIDTH
    y = float(text["baseline"]) - _CHARACTER_HEIGHT + 5
    size = f'width="{ink * _CHARACTER_WIDTH:g}" height="{_CHARACTER_HEIGHT - 3}"'
    return f'<rect class="{text["style"]}" x="{x:g}" y="{y:g}" {size}/>'
