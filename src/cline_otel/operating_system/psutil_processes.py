"""Processes as psutil shows them, on every system. Imported where it is needed: it takes its time."""

from __future__ import annotations

from contextlib import suppress

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
