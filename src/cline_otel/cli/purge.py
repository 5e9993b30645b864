"""What is left when the plugin is gone: the state directory, which stays unless it is to be removed as well."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from cline_otel.cli.errors import fail
from cline_otel.journal.lock import StateDirectoryBusyError, hold_state_directory
from cline_otel.state_directory import (
    EDITORS_FILE_NAME,
    JOURNAL_FILE_NAME,
    PSEUDONYMS_FILE_NAME,
    SPOOL_DIRECTORY_NAME,
    TELEMETRY_DIRECTORY_NAME,
)
from cline_otel.user_directory import forget_gone

_OWN_NAMES: Final = (
    f"{JOURNAL_FILE_NAME}*",
    SPOOL_DIRECTORY_NAME,
    TELEMETRY_DIRECTORY_NAME,
    PSEUDONYMS_FILE_NAME,
    EDITORS_FILE_NAME,
    "streams",
    "demo",
    "erased",
    "bridge.*",
)
"""What we put there, and may take away; ``off`` is the user's, and the service's files go with the service. Of the
user's folder goes what it says of this one."""


def say_what_is_left(state_directory: Path) -> None:
    """Names the state directory if it is there, and how it goes."""
    if state_directory.is_dir():
        click.echo(
            f"Left: {state_directory} (the journal with what waits in it, the spool, the key of pseudonyms); "
            "`cline-otel uninstall --purge` removes it"
        )


def purge(state_directory: Path) -> None:
    """Removes what is ours in the state directory, and the directory if nothing else is in it."""
    if not state_directory.is_dir():
        click.echo(f"Nothing left: no {state_directory}")
        return
    try:
        with hold_state_directory(state_directory):
            pass
        for path in sorted(_own(state_directory)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        with suppress(OSError):
            state_directory.rmdir()
        forget_gone()
    except StateDirectoryBusyError as error:
        fail(f"nothing of {state_directory} was removed: {error}")
    except OSError as error:
        fail(f"{error.filename or state_directory}: cannot be removed ({error.strerror}); check who owns it")
    left = sorted(each.name for each in state_directory.iterdir()) if state_directory.is_dir() else []
    if left:
        click.echo(f"Removed what cline-otel kept in {state_directory}; left there: {', '.join(left)}")
    else:
        click.echo(f"Removed {state_directory}")


def _own(state_directory: Path) -> Iterator[Path]:
    for name in _OWN_NAMES:
        yield from state_directory.glob(name)
