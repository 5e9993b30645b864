"""``cline-otel replay``: recordings to files, to the terminal and, if asked, to an endpoint."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from cline_otel.catalogue.load import load
from cline_otel.cli.main import fail
from cline_otel.cli.reading import read_paths
from cline_otel.cli.sources import known_sources
from cline_otel.export import console as view
from cline_otel.replay import Replayed, replay, write


def replay_paths(paths: list[Path], only: str | None, output: Path | None, *, send: bool, metrics: bool) -> None:
    """Replays, and writes or draws what came of it."""
    if metrics and not send:
        fail("--metrics says what --send sends; add --send", 2)
    recording, policy = read_paths(paths, only, purpose="replay")
    sources = known_sources()
    replayed = replay(recording, sources.catalogue(policy), sources=sources)
    if output is None:
        draw(replayed)
    else:
        try:
            written = write(replayed, output)
        except OSError as error:
            fail(f"{output}: cannot be written ({error.strerror}); name another folder", 2)
        for path in written:
            click.echo(path)
    if send:
        from cline_otel.cli.sending import send_replayed

        send_replayed(replayed, metrics=metrics)


def draw(replayed: Replayed) -> None:
    """Traces, metrics and a summary in the terminal."""
    console = Console()
    console.print(view.render_traces(replayed.spans, console.width))
    console.print(view.render_metrics(replayed.totals, load().metrics))
    console.print(view.render_summary(replayed.spans, replayed.logs, replayed.totals, replayed.tally))
