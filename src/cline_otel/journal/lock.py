"""One bridge per state directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cline_otel.private_files import keep_private, open_private, private_directory

_LOCK_NAME: Final = "bridge.lock"
_PID_NAME: Final = "bridge.pid"


class StateDirectoryBusyError(Exception):
    """Another bridge holds the state directory; the message names it and the remedy."""


@contextmanager
def hold_state_directory(directory: Path) -> Iterator[None]:
    """Hold ``directory`` for this process until the block ends or the process does, however it does.

    Raises:
        StateDirectoryBusyError: another process holds it.
        OSError: the directory cannot be made or written, or others cannot be kept out of it.
    """
    # Imported here: it brings asyncio along, and whoever only looks at a journal holds none.
    from filelock import FileLock, Timeout

    private_directory(directory)
    keep_private(directory / _LOCK_NAME)
    lock = FileLock(directory / _LOCK_NAME, mode=0o600)
    pid_path = directory / _PID_NAME
    try:
        held = lock.acquire(blocking=False)
    except Timeout:
        raise StateDirectoryBusyError(
            f"another bridge{_described_pid(pid_path)} already runs on state directory {directory}: "
            "stop it first, or set CLINE_OTEL_BRIDGE_STATE_DIR to another directory"
        ) from None
    with held:
        try:
            # The lock file itself stays empty: a process that waits for it may open it for writing.
            descriptor = open_private(pid_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
            yield
        finally:
            pid_path.unlink(missing_ok=True)


def _described_pid(path: Path) -> str:
    try:
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return f" (pid {text})" if text.isdigit() else ""
