"""What ``install`` was asked to do for editors, where what it wrote does not say so itself."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from cline_otel.operating_system.files import replace
from cline_otel.plugin.errors import PluginInstallError
from cline_otel.private_files import open_trusted, private_directory, written_beside
from cline_otel.state_directory import EDITORS_FILE_NAME


class EditorRecord(msgspec.Struct, frozen=True):
    """All of it; None is what was not asked for.

    Attributes:
        variable: what the system's own variable was set to.
        bootstrap: the file that extensions' bootstraps name: extensions that are updated get one again.
    """

    variable: str | None = None
    bootstrap: str | None = None


def read_record(state_directory: Path) -> EditorRecord:
    """What was asked for; nothing where no file says so, or one of another release."""
    try:
        with os.fdopen(open_trusted(state_directory / EDITORS_FILE_NAME), "rb") as file:
            return msgspec.json.decode(file.read(), type=EditorRecord)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return EditorRecord()


def write_record(state_directory: Path, record: EditorRecord) -> None:
    """Keeps it; nothing is kept of what asks for nothing.

    Raises:
        PluginInstallError: it cannot be kept.
    """
    path = state_directory / EDITORS_FILE_NAME
    if record == read_record(state_directory):
        return
    try:
        if record == EditorRecord():
            path.unlink(missing_ok=True)
            return
        private_directory(state_directory)
        with written_beside(path, msgspec.json.encode(record) + b"\n") as temporary:
            replace(temporary, path)
    except OSError as error:
        raise PluginInstallError(f"cannot write {path}: {error.strerror}; check who owns the directory") from error
