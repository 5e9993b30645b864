"""Draws the trace of the bundled run that the README shows (`make picture`): as SVG, and as text for package pages."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from rich.console import Console

from bench.fixed_key import replay_of
from bench.svg import save_svg
from cline_otel.cli.demo import example_directory
from cline_otel.terminal.traces import render_traces

DOCS: Final = Path(__file__).parents[1] / "docs"
SVG_WIDTH: Final = 118
TEXT_WIDTH: Final = 100


def draw(directory: Path) -> tuple[Path, Path]:
    """Writes ``trace.svg`` and ``trace.md`` into ``directory``, always the same bytes; returns their paths."""
    svg, text = directory / "trace.svg", directory / "trace.md"
    spans = replay_of([example_directory()]).spans
    save_svg(render_traces(spans, SVG_WIDTH), svg, "cline-otel demo", SVG_WIDTH)
    console = Console(file=io.StringIO(), record=True, width=TEXT_WIDTH, color_system=None, legacy_windows=False)
    console.print(render_traces(spans, TEXT_WIDTH))
    lines = [line.rstrip() for line in console.export_text().rstrip().splitlines()]
    text.write_text("\n".join(["```text", *lines, "```", ""]), encoding="utf-8", newline="\n")
    return svg, text


def main() -> None:
    """Draws both into ``docs``."""
    print(*draw(DOCS), sep="\n")


if __name__ == "__main__":
    main()
