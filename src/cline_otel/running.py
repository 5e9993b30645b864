"""What a running bridge reports to other commands: one small file in the state directory.

The bridge keeps the file locked while it lives, so that a file left behind by a crash is not mistaken
for a running bridge.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Literal

import msgspec

from cline_otel.operating_system.files import open_file
from cline_otel.operating_system.locks import is_locked, lock
from cline_otel.private_files import open_private
from cline_otel.settings.privacy import OptIn

_NAME: Final = "bridge.json"


class Running(msgspec.Struct, frozen=True):
    """A bridge that runs.

    Attributes:
        process_id: its process.
        started_at_ns: since when it reads, nanoseconds since the Unix epoch.
        listening_on: the URL of its OTLP/HTTP receiver; None if it has none.
        telemetry: ``on``, ``off`` or ``unknown``.
        reasons: who decided, if it is not on.
        opt_ins: what leaves only because the user said so.
        excluded: attributes that do not leave because the user said so.
        service: the service manager that it runs under; empty if it does not.
        listening_on_grpc: the URL of its OTLP/gRPC receiver; None if it has none.
        not_listening: why a receiver that it should have does not listen, lines for people.
    """

    process_id: int
    started_at_ns: int
    listening_on: str | None
    telemetry: Literal["on", "off", "unknown"] = "on"
    reasons: tuple[str, ...] = ()
    opt_ins: tuple[OptIn, ...] = ()
    excluded: tuple[str, ...] = ()
    service: str = ""
    listening_on_grpc: str | None = None
    not_listening: tuple[str, ...] = ()


@contextmanager
def announced(state_directory: Path, running: Running) -> Iterator[Callable[[Running], None]]:
    """Announces ``running``, and what is handed to the function it gives, until the block or the process ends.

    Raises:
        OSError: the file cannot be written.
    """
    path = state_directory / _NAME
    descriptor = open_private(path, os.O_RDWR | os.O_CREAT)
    try:
        # Waits only while somebody looks.
        lock(descriptor)
        _write(descriptor, running)
        yield lambda now: _write(descriptor, now)
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _write(descriptor: int, running: Running) -> None:
    content = msgspec.json.encode(running) + b"\n"
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, content)
    os.ftruncate(descriptor, len(content))


def find_running(state_directory: Path) -> Running | None:
    """The bridge that runs on a state directory, or None."""
    try:
        descriptor = open_file(state_directory / _NAME, os.O_RDONLY, follow_links=True)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not is_locked(descriptor):
            return None
        try:
            return msgspec.json.decode(file.read(), type=Running)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError):
            return None
