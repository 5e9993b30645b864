"""What every test, and every process that a test starts, finds around it, whoever runs the suite and wherever.

Variables, signals, umask, time zone and home are inherited by a process from the one that starts it, and so is what
they change: a script that runs ``make test`` in the background has it ignore SIGINT, a developer's shell names an
endpoint. None of that may reach a test.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Final

import pytest

_VARIABLES_AS_FOUND: Final = dict(os.environ)
_TAKEN_OVER: Final = frozenset(
    {"CLINE_OTEL_CAPTURES", "LD_LIBRARY_PATH", "PATH", "TMPDIR"}
    # Windows programs do not start without these.
    | {"COMSPEC", "PATHEXT", "SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "WINDIR"}
)
_TAKEN_OVER_PREFIXES: Final = ("COVERAGE_", "PYTEST_")

_IGNORED_BY_PYTHON: Final = frozenset({"SIGPIPE", "SIGXFSZ"})
"""``subprocess`` gives these back to the processes that it starts."""


@contextmanager
def plain_surroundings(home: Path) -> Iterator[None]:
    """Within this block: few variables, UTC, an empty home, the usual umask, and signals that nobody ignores.

    The process itself goes on ignoring what it was started to ignore: what has a handler, unlike what is ignored, is
    reset to its default in the programs that it starts.
    """
    variables = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name not in _TAKEN_OVER and not name.startswith(_TAKEN_OVER_PREFIXES):
            variables.delenv(name)
    for name in ("COLUMNS", "LINES"):
        # Once imported, readline has set them for child processes behind the back of os.environ.
        os.unsetenv(name)
    variables.setenv("HOME", str(home))
    variables.setenv("USERPROFILE", str(home))
    variables.setenv("LC_ALL", "C.UTF-8")
    umask = os.umask(0o022)
    try:
        with _plain_signals():
            _follow_time_zone()
            yield
    finally:
        os.umask(umask)
        variables.undo()
        _follow_time_zone()


def _follow_time_zone() -> None:
    if sys.platform != "win32":
        time.tzset()


@contextmanager
def _plain_signals() -> Iterator[None]:
    if sys.platform == "win32":
        # Nothing is inherited there.
        yield
        return
    ignored = [
        each
        for each in map(signal.Signals, signal.valid_signals() & set(signal.Signals))
        if each.name not in _IGNORED_BY_PYTHON and signal.getsignal(each) == signal.SIG_IGN
    ]
    for each in ignored:
        signal.signal(each, _ignore)
    mask = signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for each in ignored:
            signal.signal(each, signal.SIG_IGN)


@contextmanager
def variables_as_found() -> Iterator[None]:
    """Within this block: the variables that the suite was started with, to look for programs or to download them."""
    plain = dict(os.environ)
    os.environ.clear()
    os.environ.update(_VARIABLES_AS_FOUND)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(plain)


def _ignore(number: int, frame: FrameType | None) -> None:
    pass
