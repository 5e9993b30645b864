"""``cline-otel off`` and ``on``: the user's own switch. No other setting keeps it from working."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import click

from cline_otel.cli.consent import consent_now
from cline_otel.cli.errors import fail
from cline_otel.cli.off_places import OffPlaces, bridges, unconfirmed_plugins
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
from cline_otel.state_directory import JOURNAL_FILE_NAME, OFF_FILE_NAME, SPOOL_DIRECTORY_NAME
from cline_otel.user_directory import user_off_file

_ERASE_DEADLINE_SECONDS: Final = 15.0
_CONFIRM_SECONDS: Final = 5.0
"""How long a bridge may take to say that it sends nothing; it takes a quarter of a second."""
_ASK_EVERY_SECONDS: Final = 0.05
_NO_LIMIT_BYTES: Final = 1 << 40
"""Neither erasing nor skipping is to fail for want of room in the journal."""


def switch_off(*, erase: bool) -> None:
    """Switches everything of the user's off, and says so of what has confirmed it; with ``erase`` what waits is gone
    when this returns."""
    state_directory = _state_directory()
    user = user_off_file()
    # Before anything is looked for: what starts from now on finds it.
    problems = [] if user is None else _created(OffFile(user))
    places = OffPlaces(state_directory)
    for off_file in places.off_files():
        if off_file.path != user:
            problems += _created(off_file)
    is_obeyed = any(off_file.exists and off_file.is_known for off_file in places.off_files())
    if not is_obeyed:
        fail("nothing is switched off: " + "; ".join(problems))
    unconfirmed = [*unconfirmed_plugins(places.plugins), *_unconfirmed_bridges(state_directory)]
    if user is None or not OffFile(user).exists:
        # Without the one that everything obeys, what comes later is not switched off.
        unconfirmed += problems
    if unconfirmed:
        click.echo("Switched off, but not everything has confirmed it; what has not may go on.")
        _report(f"not off yet: {each}" for each in unconfirmed)
    else:
        click.echo("Off: the plugin writes nothing, and the bridge reads, stores and sends nothing.")
    if erase:
        unconfirmed += _erase_everywhere(places.states)
    else:
        _print_what_waits(places.states)
    if unconfirmed:
        raise SystemExit(1)


def switch_on() -> None:
    """Takes the user's own off back everywhere; the other opt-out sources stay in force."""
    state_directory = _state_directory()
    places = OffPlaces(state_directory)
    off_files = list(places.off_files())
    was_off = any(off_file.exists for off_file in off_files)
    kept: list[Path] = []
    if was_off:
        for state in places.states:
            if state != state_directory and not (state / JOURNAL_FILE_NAME).exists():
                continue
            try:
                _skip_to_end(state)
            except _NotDoneError as error:
                if state == state_directory:
                    fail(f"it stays off, because what was written meanwhile could not be skipped: {error}")
                kept.append(state / OFF_FILE_NAME)
                _report(
                    [
                        *_created(OffFile(state / OFF_FILE_NAME)),
                        f"{state} stays off, because what was written meanwhile could not be skipped: {error}",
                    ]
                )
        # The user's own last: what fails before leaves everything off.
        for off_file in reversed(off_files):
            try:
                if off_file.path not in kept:
                    off_file.remove()
            except OSError as error:
                fail(_not_written(off_file.path.parent, error))
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


def _created(off_file: OffFile) -> list[str]:
    """What kept it from being made, for people."""
    try:
        off_file.create()
    except OSError as error:
        return [_not_written(off_file.path.parent, error)]
    return []


def _report(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(click.style("error: ", fg="red") + line, err=True)


def _unconfirmed_bridges(state_directory: Path) -> list[str]:
    """Waits until all that runs has said that it is off; those that have not, for people."""
    give_up_at = time.monotonic() + _CONFIRM_SECONDS
    while True:
        left = [each for each in bridges(state_directory) if each.telemetry != "off"]
        if not left or time.monotonic() > give_up_at:
            return [
                f"{each.describe()} has not said within {_CONFIRM_SECONDS:g} s that it sends nothing: stop it"
                for each in left
            ]
        time.sleep(_ASK_EVERY_SECONDS)


def _state_directory() -> Path:
    try:
        return find_state_directory()
    except SettingsError as error:
        fail(str(error), 2)


def _not_written(state_directory: Path, error: OSError) -> str:
    return f"{state_directory}: cannot be written ({error.strerror}); check who owns it"


def _print_what_waits(states: Iterable[Path]) -> None:
    waiting = 0
    for state in states:
        journal_path = state / JOURNAL_FILE_NAME
        try:
            with Journal.open_read_only(journal_path) as journal:
                signals = journal.status().signals
        except (JournalError, OSError, LookupError, ValueError):
            if os.path.lexists(journal_path):
                click.echo("What waits is not known; `cline-otel status` says why.")
            continue
        waiting += sum(signals[name].pending_items for name in ("traces", "logs"))
    if waiting:
        click.echo(
            f"{waiting} spans and log records wait. They are sent when you switch on again; "
            "`cline-otel off --erase` erases them."
        )


def _erase_everywhere(states: Sequence[Path]) -> list[str]:
    """Erases in each state directory; what is not erased has been said, and is returned."""
    failed: list[str] = []
    for state in states:
        is_of_this_shell = state == states[0]
        if not is_of_this_shell and not any(
            os.path.lexists(state / name) for name in (JOURNAL_FILE_NAME, SPOOL_DIRECTORY_NAME)
        ):
            continue
        where = "" if is_of_this_shell else f" in {state}"
        try:
            click.echo(f"Erased{where}: {_erase(state)}.")
        except _NotDoneError as error:
            failed.append(str(error))
            _report([f"{error}" if is_of_this_shell else f"{state}: {error}"])
    return failed


def _erase(state_directory: Path) -> str:
    """Erases, or has the bridge that runs do it; returns what is gone, in words.

    Raises:
        _NotDoneError: it is not erased.
    """
    off_file = OffFile(state_directory / OFF_FILE_NAME)
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
                raise _NotDoneError(
                    "what waits is not erased: another `cline-otel on` or `off` canceled that before the bridge had "
                    "done it; `cline-otel off --erase` asks again"
                )
            if time.monotonic() > give_up_at:
                raise _NotDoneError(
                    f"it is off, but the bridge did not erase what waits within {_ERASE_DEADLINE_SECONDS:g} s, and "
                    "will when it can: see what it says, or stop it and try again"
                )
            time.sleep(_ASK_EVERY_SECONDS)
    except OSError as error:
        raise _NotDoneError(
            f"it is off, but what waits is not erased: {_not_written(state_directory, error)}"
        ) from error


def _erase_here(state_directory: Path) -> str:
    journal_path = state_directory / JOURNAL_FILE_NAME
    inputs = known_sources().inputs(_places(state_directory))
    try:
        if not journal_path.exists():
            return f"{erase_inputs(inputs)} spooled files; nothing else was kept yet"
        with Journal.open(journal_path, limit_bytes=_NO_LIMIT_BYTES) as journal:
            return erase_waiting(journal, inputs).describe()
    except (JournalError, UndeletableFile) as error:
        raise _NotDoneError(f"it is off, but what waits is not erased: {error}") from error


def _places(state_directory: Path) -> Places:
    """Where sources look. Nothing of Cline's own is erased, so it need not be known where that is."""
    try:
        return find_places()._replace(state_directory=state_directory)
    except SettingsError:
        return Places(state_directory, ())


def _skip_to_end(state_directory: Path) -> None:
    """What was written while it was off is not to be read by a bridge that starts later; one that runs sees to it.

    Raises:
        _NotDoneError: it could not be skipped.
    """
    try:
        with (
            hold_state_directory(state_directory),
            Journal.open(state_directory / JOURNAL_FILE_NAME, limit_bytes=_NO_LIMIT_BYTES) as journal,
        ):
            inputs = known_sources().inputs(find_places()._replace(state_directory=state_directory))
            asyncio.run(skip_to_end(journal, inputs))
    except StateDirectoryBusyError:
        return
    except OSError as error:
        raise _NotDoneError(_not_written(state_directory, error)) from error
    except (JournalError, SettingsError) as error:
        raise _NotDoneError(str(error)) from error


class _NotDoneError(Exception):
    """Why something could not be done, for people."""
