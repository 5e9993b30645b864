"""Draws docs/trace.svg, the picture of the trace in the README, from the bundled run (`make picture`)."""

from __future__ import annotations

from pathlib import Path

from cline_otel.cli.demo import example_directory
from cline_otel.export.console import render_traces, save_svg
from cline_otel.replay import replay
from cline_otel.sources.recording import read_recording

WIDTH = 118


def main() -> None:
    """Draws the picture."""
    path = Path(__file__).parents[1] / "docs" / "trace.svg"
    path.parent.mkdir(exist_ok=True)
    replayed = replay(read_recording([example_directory()]))
    save_svg(render_traces(replayed.spans, WIDTH), path, "cline-otel demo", WIDTH)
    print(path)


if __name__ == "__main__":
    main()
