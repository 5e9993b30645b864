"""A command as a child of this process: which signals it gets, and what its end is to a shell."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Final

NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
"""What a shell exits with where it cannot start a command (POSIX, 2.8.2 "Exit Status for Commands")."""

TERMINATED: Final = 143
NOBODY_READS: Final = 141
"""What a shell says of a command that SIGTERM ended, or SIGPIPE."""

INTERRUPT: Final = int(signal.SIGINT)
"""The signal of Ctrl-C."""


def take_stdout() -> int:
    """Our standard output as a descriptor for others; what this process itself prints goes to stderr from now on.

    So nothing that an exporter prints, for example, gets into what somebody else writes.
    """
    sys.stdout.flush()
    taken = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return taken


def exit_code_of(return_code: int) -> int:
    """What a shell says of a child that ended so: 128 and the signal's number where a signal ended it."""
    return 128 - return_code if return_code < 0 else return_code


if sys.platform == "win32":
    from types import FrameType

    def on_signals(loop: asyncio.AbstractEventLoop, called: Callable[[int], None]) -> None:
        """Has ``loop`` call ``called`` at Ctrl-C and Ctrl-Break, which the console's other processes get as well."""

        def handle(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(called, number)

        for number in (signal.SIGINT, signal.SIGBREAK):
            signal.signal(number, handle)

    async def start_child(command: Sequence[str], environment: Mapping[str, str], stdout: int) -> Child:
        """Starts a command with our other standard streams.

        Raises:
            OSError: it cannot be started.
        """
        found = shutil.which(command[0]) or command[0]
        process = await asyncio.create_subprocess_exec(found, *command[1:], env=dict(environment), stdout=stdout)
        return Child(process, frozenset({signal.SIGINT, signal.SIGBREAK}))

else:
    _PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
    _FROM_TERMINAL = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})

    def on_signals(loop: asyncio.AbstractEventLoop, called: Callable[[int], None]) -> None:
        """Has ``loop`` call ``called`` with each signal that is for the child; one that is ignored stays ignored."""
        for number in _PASSED_ON:
            if signal.getsignal(number) != signal.SIG_IGN:
                loop.add_signal_handler(number, called, number)

    async def start_child(command: Sequence[str], environment: Mapping[str, str], stdout: int) -> Child:
        """Starts a command with our other standard streams.

        Where there is a terminal the child is of our process group, so that it may read from it, and the terminal
        itself sends Ctrl-C to both. Elsewhere it has a group of its own: what is sent to ours reaches it once.

        Raises:
            OSError: it cannot be started.
        """
        shares_terminal = _has_terminal()
        process = await asyncio.create_subprocess_exec(
            *command, env=dict(environment), stdout=stdout, process_group=None if shares_terminal else 0
        )
        return Child(process, _FROM_TERMINAL if shares_terminal else frozenset())

    def _has_terminal() -> bool:
        try:
            os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
        except OSError:
            return False
        return True


class Child:
    """A command that was started.

    Args:
        process: it.
        sent_by_system: signals that it gets without us when we get them.
    """

    def __init__(self, process: asyncio.subprocess.Process, sent_by_system: frozenset[int]) -> None:
        self._process = process
        self._sent_by_system = sent_by_system

    @property
    def has_ended(self) -> bool:
        """Whether its end is known."""
        return self._process.returncode is not None

    async def exit_code(self) -> int:
        """What it exits with, once it has ended, as a shell says it."""
        return exit_code_of(await self._process.wait())

    def pass_on(self, number: int) -> None:
        """Gives it a signal that we got, unless it got it too."""
        if number not in self._sent_by_system and not self.has_ended:
            self._process.send_signal(number)
