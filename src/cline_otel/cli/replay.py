"""``cline-otel replay``: recordings to files, to the terminal and, if asked, to an endpoint."""

from __future__ import annotations

from pathlib import Path

import click

from cline_otel.cli.errors import fail
from cline_otel.cli.reading import read_paths
from cline_otel.cli.sources import known_sources
from cline_otel.replay import instance_id_of, replay, write
from cline_otel.terminal.replay import print_replayed


def replay_paths(paths: list[Path], only: str | None, output: Path | None, *, send: bool, metrics: bool) -> None:
    """Replays, and writes or draws what came of it."""
    if metrics and not send:
        fail("--metrics says what --send sends; add --send", 2)
    recording, policy, settings = read_paths(paths, only, purpose="replay")
    sources = known_sources()
    # What is only shown or written depends on the recording alone.
    service_name = settings.service_name if send else ""
    catalogue = sources.catalogue(policy, settings.prices, settings.profile, service_name)
    resource = settings.resource(instance_id_of(recording)) if send else None
    metric_attributes = settings.metric_attributes if send else ()
    replayed = replay(recording, catalogue, resource, sources=sources, metric_attributes=metric_attributes)
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

        export_replayed(replayed, catalogue, settings, metrics=metrics)
