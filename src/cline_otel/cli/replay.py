"""``cline-otel replay``: recordings to files, to the terminal and, if asked, to an endpoint."""

from __future__ import annotations

from pathlib import Path

import click

from cline_otel.catalogue.load import load
from cline_otel.cli.errors import fail
from cline_otel.cli.reading import read_paths
from cline_otel.replay import replay, write
from cline_otel.sources.recording import RecordingSource
from cline_otel.terminal.replay import print_replayed


def replay_paths(
    paths: list[Path], only: RecordingSource | None, output: Path | None, *, send: bool, metrics: bool
) -> None:
    """Replays, and writes or draws what came of it."""
    if metrics and not send:
        fail("--metrics says what --send sends; add --send", 2)
    recording, policy = read_paths(paths, only, purpose="replay")
    catalogue = load(policy)
    replayed = replay(recording, catalogue)
    if output is None:
        print_replayed(replayed, catalogue.metrics)
    else:
        try:
            written = write(replayed, output)
        except OSError as error:
            fail(f"{output}: cannot be written ({error.strerror}); name another folder", 2)
        for path in written:
            click.echo(path)
    if send:
        from cline_otel.cli.export import export_replayed

        export_replayed(replayed, metrics=metrics)
