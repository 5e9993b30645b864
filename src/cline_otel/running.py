"""What a running bridge reports to other commands: one small file in the state directory, and one for its user.

The bridge keeps the files locked while it lives, so that a file left behind by a crash is not mistaken
for a running bridge. The user's is in a folder that nothing moves, so that ``cline-otel off`` finds every bridge,
whatever its state directory, and whether or not that is still there.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal

import msgspec

from cline_otel.operating_system.files import replace
from cline_otel.operating_system.locks import is_locked, lock
from cline_otel.private_files import open_private, open_trusted, private_directory
from cline_otel.settings.privacy import OptIn
from cline_otel.user_directory import register, user_directory

_logger = logging.getLogger(__name__)

_NAME: Final = "bridge.json"
_OF_USER: Final = "running"


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
        destinations: where each signal goes, a line for people each, with the proxy that stands before it.
        turned_away: which users of this machine were refused at a receiver, and how often, lines for people.
        not_listening: why a receiver that it should have does not listen, lines for people.
        state_directory: where it keeps what waits.
        command: what it is: ``run``, or another command that reads or sends; empty for Python's own.
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
    state_directory: str = ""
    destinations: tuple[str, ...] = ()
    turned_away: tuple[str, ...] = ()
    command: str = "run"

    def describe(self) -> str:
        """What it is and where, for people."""
        what = "the bridge" if self.command == "run" else f"`cline-otel {self.command}`"
        return f"{what} of process {self.process_id} (state directory {self.state_directory})"


def this_process(command: str, state_directory: Path) -> Running:
    """What is announced before it is known whether telemetry is on."""
    return Running(os.getpid(), time.time_ns(), None, "unknown", state_directory=str(state_directory), command=command)


@contextmanager
def announced_to_user(running: Running) -> Iterator[Callable[[Running], None]]:
    """Announces ``running`` for its user, and what is handed to the function it gives, until the block ends.

    To be entered before it is looked whether telemetry is on: whoever switches it off either is seen by that look, or
    sees what is announced here. What keeps it from being announced is reported, and ends nothing.
    """
    directory = user_directory()
    if directory is None:
        yield lambda now: None
        return
    path, descriptor = directory / _OF_USER / f"{secrets.token_hex(8)}.json", None
    try:
        register("states", Path(running.state_directory))
        private_directory(path.parent)
        temporary = path.with_name(f".{path.name}.tmp")
        descriptor = open_private(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        # Whoever sees the name finds it locked.
        lock(descriptor)
        _write(descriptor, running)
        replace(temporary, path)
    except OSError as error:
        _logger.warning(
            "%s cannot be written (%s): `cline-otel off` in a shell with another state directory takes effect, "
            "but cannot say that it has",
            directory,
            error.strerror,
        )

    def announce(now: Running) -> None:
        if descriptor is not None:
            with suppress(OSError):
                _write(descriptor, now)

    try:
        yield announce
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def all_running() -> list[Running]:
    """Everything of the user that was announced and lives. What a crash has left behind is taken away.

    Of one that is just being announced anew, nothing is known but that it runs.
    """
    directory = user_directory()
    if directory is None:
        return []
    found: list[Running] = []
    for path in sorted((directory / _OF_USER).glob("*.json")):
        is_alive, running = _read(path)
        if is_alive:
            found.append(running or Running(0, 0, None, "unknown"))
        else:
            with suppress(OSError):
                path.unlink()
    return found


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
    return _read(state_directory / _NAME)[1]


def _read(path: Path) -> tuple[bool, Running | None]:
    """Whether whoever announced itself there lives, and what it said if that can be read."""
    try:
        descriptor = open_trusted(path)
    except OSError:
        return False, None
    with os.fdopen(descriptor, "rb") as file:
        if not is_locked(descriptor):
            return False, None
        try:
            return True, msgspec.json.decode(file.read(), type=Running)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OSError):
            return True, None
