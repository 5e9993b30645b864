"""What is known of one user whatever the environment says: a folder in the home directory, and nothing moves it.

In it are the switch ``off``, which everything of ours obeys besides its own, and registers of what of ours there is:
state directories and plugins, one file each, so that ``cline-otel off`` finds them from every shell.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from cline_otel.operating_system.files import replace
from cline_otel.operating_system.home import home_directory
from cline_otel.private_files import open_private, private_directory, written_beside
from cline_otel.state_directory import OFF_FILE_NAME

_NAME: Final = ".cline-otel"
_MOST_BYTES: Final = 64 * 1024

Kind = Literal["states", "plugins"]


def user_directory() -> Path | None:
    """Where it is; None without a home directory."""
    home = home_directory()
    return None if home is None else home / _NAME


def user_off_file() -> Path | None:
    """What switches all of a user's telemetry off by being there; None without a home directory."""
    directory = user_directory()
    return None if directory is None else directory / OFF_FILE_NAME


def register(kind: Kind, path: Path) -> None:
    """Notes a state directory, or an installed plugin's file. Those that are gone are forgotten.

    Raises:
        OSError: it cannot be noted.
    """
    directory = user_directory()
    if directory is None:
        return
    entry = directory / kind / sha256(os.fsencode(path)).hexdigest()[:32]
    for other, registered_path in _entries(directory / kind):
        if other != entry and not registered_path.exists():
            other.unlink(missing_ok=True)
    if not entry.exists():
        private_directory(entry.parent)
        with written_beside(entry, os.fsencode(path) + b"\n") as temporary:
            replace(temporary, entry)


def forget_gone() -> None:
    """Takes the entries of what is gone out of the registers, and the folder away if nothing else is in it.

    Raises:
        OSError: an entry cannot be removed.
    """
    directory = user_directory()
    if directory is None:
        return
    for kind in ("states", "plugins"):
        for entry, path in _entries(directory / kind):
            if not path.exists():
                entry.unlink(missing_ok=True)
    for each in (directory / "states", directory / "plugins", directory / "running", directory):
        with suppress(OSError):
            each.rmdir()


def registered(kind: Kind) -> list[Path]:
    """Those that were noted and are there."""
    directory = user_directory()
    if directory is None:
        return []
    return [path for _, path in _entries(directory / kind) if path.exists()]


def _entries(directory: Path) -> Iterator[tuple[Path, Path]]:
    try:
        entries = sorted(each for each in directory.iterdir() if not each.name.startswith("."))
    except OSError:
        return
    for entry in entries:
        try:
            descriptor = open_private(entry, os.O_RDONLY)
        except OSError:
            continue
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(_MOST_BYTES)
        path = Path(os.fsdecode(content.removesuffix(b"\n"))) if b"\0" not in content else Path()
        if path.is_absolute():
            yield entry, path
