"""``cline-otel dead-letters``: what was refused for good is listed, sent again, or dropped."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final, cast

import click
import msgspec

from cline_otel.cli.errors import fail
from cline_otel.journal.records import DeadLetters, JournalError
from cline_otel.journal.store import Journal
from cline_otel.running import find_running
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.signals import SignalName

_NOUNS: Final[dict[SignalName, str]] = {
    "traces": "spans",
    "metrics": "metric data points",
    "logs": "log records",
}


def show(*, as_json: bool) -> None:
    """Prints what there is, by signal and answer."""
    with _failures():
        with Journal.open_read_only(load_settings().journal_path) as journal:
            found = journal.dead_letters()
        if as_json:
            click.echo(json.dumps(msgspec.to_builtins(found), indent=2))
            return
        for line in map(_line, found):
            click.echo(line)
        if not found:
            click.echo("No dead letters.")


def send(signal: str | None) -> None:
    """Puts them into the queue again."""
    with _failures():
        settings = load_settings()
        with _open(settings) as journal:
            sent = journal.send_dead_letters(_signals(signal))
        click.echo(f"Sent again: {_counted(sent)}.")
        if any(sent.values()):
            runs = find_running(settings.state_directory) is not None
            click.echo("The bridge that runs sends them." if runs else "They leave at the next `cline-otel run`.")


def drop(signal: str | None) -> None:
    """Deletes them."""
    with _failures():
        with _open(load_settings()) as journal:
            dropped = journal.drop_dead_letters(_signals(signal))
        click.echo(f"Dropped: {_counted(dropped)}.")


def _line(letters: DeadLetters) -> str:
    first, last = (
        datetime.fromtimestamp(at_ns / 1e9, UTC).astimezone().isoformat(" ", "seconds")
        for at_ns in (letters.first_refused_at_ns, letters.last_refused_at_ns)
    )
    when = first if first == last else f"{first} to {last}"
    return (
        f"{letters.signal}: {letters.items} {_NOUNS[letters.signal]} in {letters.requests} "
        f"request{'' if letters.requests == 1 else 's'} ({letters.size_bytes} bytes), {when}: {letters.reason}"
    )


def _counted(items: Mapping[SignalName, int]) -> str:
    return ", ".join(f"{count} {_NOUNS[signal]}" for signal, count in items.items() if count) or "nothing"


def _signals(signal: str | None) -> tuple[SignalName, ...]:
    return tuple(_NOUNS) if signal is None else (cast(SignalName, signal),)


def _open(settings: Settings) -> Journal:
    # Neither made nor brought forward beside a bridge of another release.
    Journal.open_read_only(settings.journal_path).close()
    return Journal.open(settings.journal_path, limit_bytes=settings.journal_limit_bytes)


@contextmanager
def _failures() -> Iterator[None]:
    """What goes wrong is one line."""
    try:
        yield
    except SettingsError as error:
        fail(str(error), 2)
    except JournalError as error:
        fail(str(error))
