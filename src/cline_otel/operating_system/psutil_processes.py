"""Processes as psutil shows them, on every system. Imported where it is needed: it takes its time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from cline_otel.operating_system.process_interface import LivingProcess


class PsutilProcesses:
    """The processes of a system without pid namespaces, its own look at them."""

    shows_every_process = True

    def living(self, pid: int) -> LivingProcess | None:
        """The process that bears ``pid``; with start 0 if its start is unknown."""
        try:
            process = psutil.Process(pid)
            if psutil.POSIX and process.status() == psutil.STATUS_ZOMBIE:
                return None
            return LivingProcess(pid, process, round(process.create_time() * 1000))
        except (psutil.NoSuchProcess, ValueError):
            return None
        except (psutil.Error, OSError):
            return LivingProcess(pid, None, 0)

    def look(self) -> PsutilProcesses:
        """Every question is put to the system again."""
        return self

    def bearers(self, pid: int) -> list[LivingProcess]:
        """The one process that bears ``pid``, or none."""
        process = self.living(pid)
        return [] if process is None else [process]


def processes_with_argument(argument: str) -> set[int]:
    """The pids of this user's processes that were started with ``argument``; none where processes are not shown."""
    found: set[int] = set()
    with suppress(psutil.Error, OSError):
        ours = psutil.Process().username()
        for process in psutil.process_iter(["cmdline"]):
            with suppress(psutil.Error):
                if argument in (process.info["cmdline"] or ()) and process.username() == ours:
                    found.add(process.pid)
    return found


def directories_given_to(program: str, options: Mapping[str, str]) -> list[dict[str, Path]]:
    """Which directories this user's processes of a program were given, by the names of variables; absolute paths.

    Args:
        program: what its executable, or the script that it is, is called.
        options: options that name a directory, and the variable that says the same; an option goes before it.
    """
    found: list[dict[str, Path]] = []
    with suppress(psutil.Error, OSError):
        ours = psutil.Process().username()
        for process in psutil.process_iter(["cmdline"]):
            arguments: Sequence[str] = process.info["cmdline"] or ()
            # An interpreter comes before its script.
            if program not in [Path(argument).name for argument in arguments[:2]]:
                continue
            with suppress(psutil.Error, OSError):
                if process.username() == ours:
                    found.append(_given_to(process, arguments, options, options.values()))
    return found


def places_given_to(pid: int, names: Iterable[str], options: Mapping[str, str]) -> dict[str, Path] | None:
    """Which places a process was given, by the names of variables, absolute; None if that is not shown.

    Args:
        pid: the process.
        names: of the variables.
        options: as for :func:`directories_given_to`.
    """
    with suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        return _given_to(process, process.cmdline(), options, names)
    return None


def _given_to(
    process: psutil.Process, arguments: Sequence[str], options: Mapping[str, str], names: Iterable[str]
) -> dict[str, Path]:
    directory, environment = Path(process.cwd()), process.environ()
    given = {name: environment[name] for name in names if environment.get(name)}
    given |= _values_of(arguments, options)
    return {name: directory / value for name, value in given.items()}


def _values_of(arguments: Sequence[str], options: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        option, is_joined, value = argument.partition("=")
        if option in options and (value := value if is_joined else following):
            found[options[option]] = value
    return found


def end_processes(argument: str, variable: str, value: str, seconds: float) -> tuple[int, int]:
    """Ends this user's processes that were started with ``argument`` in an environment where ``variable`` is ``value``.

    They are asked to; one that does not within ``seconds`` is killed. Returns how many there were, and how many of
    those are still there.
    """
    found: list[psutil.Process] = []
    for pid in processes_with_argument(argument):
        with suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if process.environ().get(variable) == value:
                process.terminate()
                found.append(process)
    _, left = psutil.wait_procs(found, timeout=seconds)
    for process in left:
        with suppress(psutil.Error):
            process.kill()
    _, left = psutil.wait_procs(left, timeout=1)
    return len(found), len(left)
