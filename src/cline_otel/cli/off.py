"""``cline-otel off`` and ``on``: the user's own switch."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Final

import click
import msgspec

from cline_otel.cli.main import fail
from cline_otel.consent import OffFile, decide, erase_waiting, evidence_of
from cline_otel.control import pass_over
from cline_otel.journal.lock import StateDirectoryBusyError, hold_state_directory
from cline_otel.journal.records import JournalError
from cline_otel.journal.store import Journal
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.sources.spool import SpoolReader, UndeletableFile

_ERASE_DEADLINE_SECONDS: Final = 15.0
_ASK_EVERY_SECONDS: Final = 0.05


def switch_off(*, erase: bool) -> None:
    """Switches off; with ``erase`` what waits is gone when this returns."""
    settings = _settings()
    off_file = evidence_of(settings, os.environ).off_file
    try:
        off_file.create()
        if not erase:
            click.echo("Off: the plugin writes nothing, and the bridge reads, stores and sends nothing.")
            _tell_what_waits(settings)
            return
        erased = _erase(settings, off_file)
    except OSError as error:
        fail(f"{settings.state_directory}: cannot be written ({error.strerror}); check who owns it")
    click.echo("Off: the plugin writes nothing, and the bridge reads, stores and sends nothing.")
    click.echo(f"Erased: {erased}.")


def switch_on() -> None:
    """Takes the user's own off back; what another decider says stays in force."""
    settings = _settings()
    evidence = evidence_of(settings, os.environ)
    try:
        was_off = evidence.off_file.exists
        if was_off:
            _pass_over(settings)
            evidence.off_file.remove()
    except OSError as error:
        fail(f"{settings.state_directory}: cannot be written ({error.strerror}); check who owns it")
    consent = decide(evidence.look())
    if consent.is_on:
        click.echo("On: it goes on from now." if was_off else "It was on already.")
    else:
        taken_back = "Your off is taken back, but telemetry" if was_off else "You did not switch it off, and telemetry"
        click.echo(f"{taken_back} stays {consent.describe()}.")


def _settings() -> Settings:
    try:
        return load_settings()
    except SettingsError as error:
        fail(str(error), 2)


def _tell_what_waits(settings: Settings) -> None:
    try:
        with Journal.open_read_only(settings.journal_path) as journal:
            signals = journal.status().signals
    except JournalError:
        # There is none yet, or `status` will say what is wrong with it; the switch works all the same.
        return
    waiting = sum(signals[name].pending_items for name in ("traces", "logs"))
    if waiting:
        click.echo(
            f"{waiting} spans and log records wait. They are sent when you switch on again; "
            "`cline-otel off --erase` erases them."
        )


def _erase(settings: Settings, off_file: OffFile) -> str:
    """Erases, or has the bridge that runs do it; returns what is gone, in words."""
    spool = SpoolReader(settings.spool_directory)
    try:
        with hold_state_directory(settings.state_directory):
            if not settings.journal_path.exists():
                return f"{spool.erase()} spool files; nothing else was kept yet"
            with Journal.open(settings.journal_path, limit_bytes=settings.journal_limit_bytes) as journal:
                return erase_waiting(journal, spool).describe()
    except StateDirectoryBusyError:
        pass
    except (JournalError, UndeletableFile) as error:
        fail(f"it is off, but what waits is not erased: {error}")
    except (msgspec.MsgspecError, ValueError):
        fail(
            f"it is off, but what waits is not erased: journal {settings.journal_path} holds state that this release "
            "cannot read; delete the state directory to erase everything"
        )
    off_file.create(erase=True)
    give_up_at = time.monotonic() + _ERASE_DEADLINE_SECONDS
    while off_file.asks_to_erase:
        if time.monotonic() > give_up_at:
            fail(
                f"it is off, but the bridge did not erase what waits within {_ERASE_DEADLINE_SECONDS:g} s: "
                "see what it says, or stop it and try again"
            )
        time.sleep(_ASK_EVERY_SECONDS)
    return "all that waited, by the bridge that runs"


def _pass_over(settings: Settings) -> None:
    """What was written while it was off is not to be read by a bridge that starts later; one that runs sees to it."""
    try:
        with (
            hold_state_directory(settings.state_directory),
            Journal.open(settings.journal_path, limit_bytes=settings.journal_limit_bytes) as journal,
        ):
            asyncio.run(pass_over(journal, settings))
    except StateDirectoryBusyError:
        return
    except (JournalError, ValueError) as error:
        fail(f"it stays off, because what was written meanwhile could not be passed over: {error}")
