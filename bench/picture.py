"""Draws docs/trace.svg, the picture of the trace in the README, from the bundled run (`make picture`)."""

from __future__ import annotations

from pathlib import Path

from bench.fixed_key import replay_of
from bench.svg import save_svg
from cline_otel.cli.demo import example_directory
from cline_otel.terminal.traces import render_traces

WIDTH = 118


def main() -> None:
    """Draws the picture."""
    path = Path(__file__).parents[1] / "docs" / "trace.svg"
    path.parent.mkdir(exist_ok=True)
    replayed = replay_of([example_directory()])
    save_svg(render_traces(replayed.spans, WIDTH), path, "cline-otel demo", WIDTH)
    print(path)


if __name__ == "__main__":
    main()
