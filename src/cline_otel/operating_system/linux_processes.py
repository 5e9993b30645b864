"""Processes as Linux shows them in ``/proc``, those of pid namespaces below ours included."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cline_otel.operating_system.clocks import since_boot_ns
from cline_otel.operating_system.process_interface import LivingProcess

if sys.platform != "linux":
    raise ImportError("/proc is read on Linux only")

_INITIAL_PID_NAMESPACE: Final = "pid:[4026531836]"
"""The inode number of the initial pid namespace, fixed in Linux' ``include/linux/proc_ns.h``."""
_DEAD_STATES: Final = frozenset("ZXx")


class LinuxProcesses:
    """The processes that a ``/proc`` shows; their identity is the clock tick at which they started.

    Args:
        proc_directory: where Linux shows its processes.
        wall_clock_ns: nanoseconds since the Unix epoch.
        boot_clock_ns: nanoseconds since boot, time asleep included, the clock of ``/proc/PID/stat``.
    """

    def __init__(
        self,
        proc_directory: Path = Path("/proc"),
        wall_clock_ns: Callable[[], int] = time.time_ns,
        boot_clock_ns: Callable[[], int] = since_boot_ns,
    ) -> None:
        self.proc_directory = proc_directory
        self._wall_clock_ns = wall_clock_ns
        self._boot_clock_ns = boot_clock_ns
        self._ticks_per_second = os.sysconf("SC_CLK_TCK")

    def living(self, pid: int) -> LivingProcess | None:
        """The process that bears ``pid`` in the namespace of this ``/proc``."""
        start_ticks = _start_ticks(self.proc_directory, pid)
        if start_ticks is None:
            return None
        booted_at_ns = self._wall_clock_ns() - self._boot_clock_ns()
        started_at_ms = (booted_at_ns + start_ticks * 10**9 // self._ticks_per_second) // 10**6
        return LivingProcess(pid, start_ticks, started_at_ms)

    def look(self) -> _Look:
        """All processes that ``/proc`` shows."""
        return _Look(self)


class _Look:
    def __init__(self, processes: LinuxProcesses) -> None:
        self._processes = processes
        self._by_pid: dict[int, list[LivingProcess]] | None = None

    @property
    def shows_every_process(self) -> bool:
        proc = self._processes.proc_directory
        try:
            return (
                str((proc / "self" / "ns" / "pid").readlink()) == _INITIAL_PID_NAMESPACE
                # A mount of another namespace's processes would show us under another pid, or not at all.
                and str((proc / "self").readlink()) == str(os.getpid())
                # Mounted with hidepid, /proc hides the processes of other users, this one among them.
                and bool((proc / "1" / "status").read_bytes())
            )
        except OSError:
            return False

    def bearers(self, pid: int) -> list[LivingProcess]:
        if self._by_pid is None:
            self._by_pid = {}
            for process in filter(None, map(self._processes.living, self._shown())):
                for borne in _namespace_pids(self._processes.proc_directory, process.pid):
                    self._by_pid.setdefault(borne, []).append(process)
        return self._by_pid.get(pid, [])

    def _shown(self) -> list[int]:
        try:
            return [int(entry.name) for entry in self._processes.proc_directory.iterdir() if entry.name.isdecimal()]
        except OSError:
            return []


def _start_ticks(proc: Path, pid: int) -> int | None:
    """Field 22 of ``/proc/PID/stat``: clock ticks from boot to the start; None if there is no such living process."""
    try:
        content = (proc / str(pid) / "stat").read_text("ascii", "replace")
        # The second field is the program's name in parentheses, which may itself hold any character.
        fields = content[content.rindex(")") + 1 :].split()
        return None if fields[0] in _DEAD_STATES else int(fields[19])
    except (OSError, ValueError, IndexError):
        return None


def _namespace_pids(proc: Path, pid: int) -> set[int]:
    """The pids of a process from our namespace down to its own: the NSpid line of ``/proc/PID/status``."""
    try:
        for line in (proc / str(pid) / "status").read_text("ascii", "replace").splitlines():
            if line.startswith("NSpid:"):
                return {int(field) for field in line.split()[1:]}
    except (OSError, ValueError):
        pass
    return {pid}
