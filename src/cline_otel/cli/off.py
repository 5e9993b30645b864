"""``cline-otel off`` and ``on``: the user's own switch. No other setting keeps it from working."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

import click

from cline_otel.cli.consent import consent_now
from cline_otel.cli.errors import fail
from cline_otel.cli.sources import known_sources
from cline_otel.consent import OffFile
from cline_otel.consent.erase import erase_inputs, erase_waiting
from cline_otel.control import skip_to_end
from cline_otel.journal.lock import StateDirectoryBusyError, hold_state_directory
from cline_otel.journal.records import JournalError
from cline_otel.journal.store import Journal
from cline_otel.places import Places
from cline_otel.settings import SettingsError, load_settings
from cline_otel.settings.places import find_places, find_state_directory
from cline_otel.sources.interface import UndeletableFile
from cline_otel.state_directory import JOURNAL_FILE_NAME, OFF_FILE_NAME

_ERASE_DEADLINE_SECONDS: Final = 15.0
_ASK_EVERY_SECONDS: Final = 0.05
_NO_LIMIT_BYTES: Final = 1 << 40
"""Neither erasing nor skipping is to fail for want of room in the journal."""


def switch_off(*, erase: bool) -> None:
    """Switches off; with ``erase`` what waits is gone when this returns."""
    state_directory = _state_directory()
    off_file = OffFile(state_directory / OFF_FILE_NAME)
    try:
        off_file.create()
    except OSError as error:
        fail(_not_written(state_directory, error))
    click.echo("Off: the plugin writes nothing, and the bridge reads, stores and sends nothing.")
    if erase:
        click.echo(f"Erased: {_erase(state_directory, off_file)}.")
    else:
        _print_what_waits(state_directory / JOURNAL_FILE_NAME)


def switch_on() -> None:
    """Takes the user's own off back; the other opt-out sources stay in force."""
    state_directory = _state_directory()
    off_file = OffFile(state_directory / OFF_FILE_NAME)
    try:
        was_off = off_file.exists
        if was_off:
            _skip_to_end(state_directory)
            off_file.remove()
    except OSError as error:
        fail(_not_written(state_directory, error))
    try:
        consent = consent_now(load_settings())
    except SettingsError as error:
        done = "Your off is undone" if was_off else "You did not switch it off"
        click.echo(f"{done}, but no bridge can start before this is fixed: {error}")
        return
    if consent.is_on:
        click.echo("On: telemetry resumes from now." if was_off else "It was on already.")
    else:
        taken_back = "Your off is undone, but telemetry" if was_off else "You did not switch it off, and telemetry"
        click.echo(f"{taken_back} stays {consent.describe()}.")


def _state_directory() -> Path:
    try:
        return find_state_directory()
    except SettingsError as error:
        fail(str(error), 2)


def _not_written(state_directory: Path, error: OSError) -> str:
    return f"{state_directory}: cannot be written ({error.strerror}); check who owns it"


def _print_what_waits(journal_path: Path) -> None:
    try:
        with Journal.open_read_only(journal_path) as journal:
            signals = journal.status().signals
    except (JournalError, OSError, LookupError, ValueError):
        if os.path.lexists(journal_path):
            click.echo("What waits is not known; `cline-otel status` says why.")
        return
    waiting = sum(signals[name].pending_items for name in ("traces", "logs"))
    if waiting:
        click.echo(
            f"{waiting} spans and log records wait. They are sent when you switch on again; "
            "`cline-otel off --erase` erases them."
        )


def _erase(state_directory: Path, off_file: OffFile) -> str:
    """Erases, or has the bridge that runs do it; returns what is gone, in words."""
    request = ""
    give_up_at = time.monotonic() + _ERASE_DEADLINE_SECONDS
    try:
        while True:
            try:
                with hold_state_directory(state_directory):
                    return _erase_here(state_directory)
            except StateDirectoryBusyError:
                pass
            request = request or off_file.ask_to_erase()
            # Asked before it is answered: a request that is gone may have been carried out until then.
            asked = off_file.erase_request
            if off_file.carried_out == request:
                return "all that waited, by the bridge that runs"
            if asked != request:
                fail(
                    "what waits is not erased: another `cline-otel on` or `off` canceled that before the bridge had "
                    "done it; `cline-otel off --erase` asks again"
                )
            if time.monotonic() > give_up_at:
                fail(
                    f"it is off, but the bridge did not erase what waits within {_ERASE_DEADLINE_SECONDS:g} s, and "
                    "will when it can: see what it says, or stop it and try again"
                )
            time.sleep(_ASK_EVERY_SECONDS)
    except OSError as error:
        fail(f"it is off, but what waits is not erased: {_not_written(state_directory, error)}")


def _erase_here(state_directory: Path) -> str:
    journal_path = state_directory / JOURNAL_FILE_NAME
    inputs = known_sources().inputs(_places(state_directory))
    try:
        if not journal_path.exists():
            return f"{erase_inputs(inputs)} spooled files; nothing else was kept yet"
        with Journal.open(journal_path, limit_bytes=_NO_LIMIT_BYTES) as journal:
            return erase_waiting(journal, inputs).describe()
    except (JournalError, UndeletableFile) as error:
        fail(f"it is off, but what waits is not erased: {error}")


def _places(state_directory: Path) -> Places:
    """Where sources look. Nothing of Cline's own is erased, so it need not be known where that is."""
    try:
        return find_places()
    except SettingsError:
        return Places(state_directory, ())


def _skip_to_end(state_directory: Path) -> None:
    """What was written while it was off is not to be read by a bridge that starts later; one that runs sees to it."""
    try:
        with (
            hold_state_directory(state_directory),
            Journal.open(state_directory / JOURNAL_FILE_NAME, limit_bytes=_NO_LIMIT_BYTES) as journal,
        ):
            asyncio.run(skip_to_end(journal, known_sources().inputs(find_places())))
    except StateDirectoryBusyError:
        return
    except (JournalError, SettingsError) as error:
        fail(f"it stays off, because what was written meanwhile could not be skipped: {error}")
