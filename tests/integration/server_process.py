"""Servers that tests run as processes of their own, on ports of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final, Self

from surroundings import variables_as_found
from waiting import PATIENCE_SECONDS, wait_until

START_ATTEMPTS: Final = 5
PORT_TAKEN_LINE: Final = b"address already in use"


class ServerError(AssertionError):
    """A server did not do what a test needs; the message ends with its log."""


def found_by(finder: Path) -> Path:
    """The executable that a finder names; it does not build here.

    Raises:
        ServerError: there is none; the message is the finder's.
    """
    with variables_as_found():
        answer = subprocess.run([sys.executable, finder, "--no-build"], capture_output=True, text=True, check=False)
    if answer.returncode:
        raise ServerError(answer.stderr.strip())
    return Path(answer.stdout.strip())


def free_ports(count: int) -> list[int]:
    """Distinct loopback ports that nothing listened on a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


class ServerProcess:
    """One server, started, stopped, killed and started again at the same addresses.

    Attributes:
        directory: its working directory; what it writes and its log lie below.
    """

    name: ClassVar[str]
    """What it is called in messages and its log."""
    ready_line: ClassVar[bytes]
    """What it says once it serves."""
    port_count: ClassVar[int]

    def __init__(self, executable: Path, directory: Path) -> None:
        """Prepares a server; ``start`` starts it. ``directory`` is its own and exists."""
        self.directory = directory
        self._executable = executable
        self._ports: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def _arguments(self) -> list[str]:
        """Its command line, once it has ports."""

    @abstractmethod
    def _variables(self) -> Mapping[str, str]:
        """Its environment besides ours, once it has ports."""

    @property
    def log_path(self) -> Path:
        """What the server says about itself, over all its starts."""
        return self.directory / f"{self.name}.log"

    def start(self) -> Self:
        """Starts it and waits until it serves; a second start uses the same ports.

        Raises:
            ServerError: it did not become ready.
        """
        if self._process is not None:
            raise ServerError(f"the {self.name} is running already")
        keep_ports = bool(self._ports)
        for _ in range(START_ATTEMPTS):
            if not keep_ports:
                self._ports = free_ports(self.port_count)
            said = self._launch()
            if self.ready_line in said:
                return self
            # Someone may take a port between our look and the server's bind.
            if PORT_TAKEN_LINE not in said:
                break
        raise ServerError(f"the {self.name} did not start:\n{self._log_tail()}")

    def stop(self) -> None:
        """Ends it with SIGTERM, on which it writes out all that it accepted."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it with SIGKILL: what it held in memory is gone."""
        self._end(signal.SIGKILL)

    def _launch(self) -> bytes:
        """Starts the process; returns what it said until it was ready or gone."""
        with self.log_path.open("ab") as log:
            said_before = log.tell()
            process = subprocess.Popen(
                [self._executable, *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=os.environ | dict(self._variables()),
                cwd=self.directory,
            )
        self._process = process

        def said() -> bytes:
            return self.log_path.read_bytes()[said_before:]

        # Its own word, because another server could answer at a port that this one failed to get.
        wait_until(lambda: self.ready_line in said() or process.poll() is not None, f"the {self.name} is ready")
        if process.poll() is not None:
            self._process = None
        return said()

    def _end(self, signal_number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal_number)
        try:
            process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise ServerError(f"the {self.name} did not stop on {signal_number.name}:\n{self._log_tail()}") from error

    def _log_tail(self) -> str:
        return "\n".join(self.log_path.read_text("utf-8", "replace").splitlines()[-10:])
