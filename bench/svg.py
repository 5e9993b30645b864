"""A terminal's picture as an SVG file."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from rich.console import Console, RenderableType

from cline_otel.terminal.formatting import UNICODE

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
