"""Whether the process that wrote a spool still lives, when all that is known is its pid and its start time.

A spool directory can be shared with containers, whose pids are those of another pid namespace: pid
42 there may be nobody or somebody else here. And a wall clock can be moved, so that a start time
recorded before no longer agrees with the one computed now. Declaring a living process gone would
close its runs, so that is said only where it is sure. In this order:

1. *Alive*: a process bears that pid, here or in a pid namespace below ours, and started within 10 s
   of the recorded time; or it was recognised so once before and its kernel start tick is unchanged
   (which no wall clock can move). A zombie counts as gone.
2. *Gone*: it was recognised once before and is not there any more.
3. *Gone*: no process bears that pid in any namespace, and every process of the machine can be seen
   from here: Linux in the initial pid namespace with an unrestricted ``/proc``, or macOS, which has
   no pid namespaces.
4. *Unknown* otherwise: the pid is borne by a process with another start time (a reused pid, another
   namespace or a moved clock), or can't be seen from within a container. Who asks must then judge
   by how long the process has been silent.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path

import msgspec

_START_TOLERANCE_MS = 10_000
_RETRY_UNKNOWN_NS = 60 * 10**9
_INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""The inode number of the initial pid namespace, fixed in Linux' ``include/linux/proc_ns.h``."""
_DEAD_STATES = frozenset("ZXx")


class ProcessKey(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A process that writes a spool: its pid, as itself sees it, and when it started (Unix epoch, milliseconds)."""

    started_at_ms: int
    pid: int

    @property
    def name(self) -> str:
        """As events name it."""
        return f"{self.pid}-{self.started_at_ms}"


class Presence(Enum):
    """Whether a process lives."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"


class _Seen(msgspec.Struct, frozen=True):
    """A process as this namespace's ``/proc`` shows it; ``start_ticks`` counts since boot."""

    pid: int
    start_ticks: int


def _boot_clock_ns() -> int:
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic_ns() if clock is None else time.clock_gettime_ns(clock)


class ProcessTable:
    """Answers whether processes live, remembering those it recognised.

    Args:
        proc_directory: where Linux shows its processes.
        wall_clock_ns: nanoseconds since the Unix epoch.
        boot_clock_ns: nanoseconds since boot, time asleep included, the clock of ``/proc/PID/stat``.
    """

    def __init__(
        self,
        proc_directory: Path = Path("/proc"),
        wall_clock_ns: Callable[[], int] = time.time_ns,
        boot_clock_ns: Callable[[], int] = _boot_clock_ns,
    ) -> None:
        self._proc = proc_directory
        self._wall_clock_ns = wall_clock_ns
        self._boot_clock_ns = boot_clock_ns
        self._ticks_per_second = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
        self._recognised: dict[ProcessKey, _Seen] = {}
        self._unknown_until_ns: dict[ProcessKey, int] = {}

    def presences(self, processes: Iterable[ProcessKey]) -> dict[ProcessKey, Presence]:
        """Tell for each process whether it lives. Call it after listing what they wrote, not before.

        Forgets the processes that are not asked for any more.
        """
        wanted = set(processes)
        self._recognised = {process: seen for process, seen in self._recognised.items() if process in wanted}
        self._unknown_until_ns = {
            process: until_ns for process, until_ns in self._unknown_until_ns.items() if process in wanted
        }
        scan = _Scan(self._proc)
        return {process: self._presence(process, scan) for process in wanted}

    def _presence(self, process: ProcessKey, scan: _Scan) -> Presence:
        seen = self._recognised.get(process)
        if seen is not None:
            is_there = _start_ticks(self._proc, seen.pid) == seen.start_ticks
            return Presence.ALIVE if is_there else Presence.GONE
        start_ticks = _start_ticks(self._proc, process.pid)
        if start_ticks is not None and self._agrees(process, start_ticks):
            self._recognised[process] = _Seen(process.pid, start_ticks)
            return Presence.ALIVE
        if self._boot_clock_ns() < self._unknown_until_ns.get(process, 0):
            return Presence.UNKNOWN
        if not scan.is_available:
            presence = _presence_without_proc(process.pid)
        else:
            bearers = scan.bearers(process.pid)
            # Each namespace has a pid 1, and several may have begun within the tolerance.
            nearest = min(bearers, key=lambda bearer: self._distance_ms(process, bearer.start_ticks), default=None)
            if nearest is not None and self._agrees(process, nearest.start_ticks):
                self._recognised[process] = nearest
                return Presence.ALIVE
            is_sure = not bearers and start_ticks is None and scan.shows_every_process
            presence = Presence.GONE if is_sure else Presence.UNKNOWN
        if presence is Presence.UNKNOWN:
            self._unknown_until_ns[process] = self._boot_clock_ns() + _RETRY_UNKNOWN_NS
        return presence

    def _agrees(self, process: ProcessKey, start_ticks: int) -> bool:
        return self._distance_ms(process, start_ticks) <= _START_TOLERANCE_MS

    def _distance_ms(self, process: ProcessKey, start_ticks: int) -> int:
        booted_at_ns = self._wall_clock_ns() - self._boot_clock_ns()
        started_at_ms = (booted_at_ns + start_ticks * 10**9 // self._ticks_per_second) // 10**6
        return abs(started_at_ms - process.started_at_ms)


class _Scan:
    """All processes that ``/proc`` shows now, by the pids they bear in each namespace; read when first needed."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._by_pid: dict[int, list[_Seen]] | None = None
        self.is_available = (proc / "self" / "stat").exists()

    @property
    def shows_every_process(self) -> bool:
        try:
            return (
                str((self._proc / "self" / "ns" / "pid").readlink()) == _INITIAL_PID_NAMESPACE
                # A mount of another namespace's processes would show us under another pid, or not at all.
                and str((self._proc / "self").readlink()) == str(os.getpid())
                # Mounted with hidepid, /proc hides the processes of other users, this one among them.
                and bool((self._proc / "1" / "status").read_bytes())
            )
        except OSError:
            return False

    def bearers(self, pid: int) -> list[_Seen]:
        if self._by_pid is None:
            self._by_pid = {}
            for shown in (int(entry.name) for entry in self._proc.iterdir() if entry.name.isdecimal()):
                start_ticks = _start_ticks(self._proc, shown)
                if start_ticks is None:
                    continue
                for borne in _namespace_pids(self._proc, shown):
                    self._by_pid.setdefault(borne, []).append(_Seen(shown, start_ticks))
        return self._by_pid.get(pid, [])


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


def _presence_without_proc(pid: int) -> Presence:
    if sys.platform != "darwin":
        return Presence.UNKNOWN
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return Presence.GONE
    except (OSError, OverflowError):
        pass
    return Presence.UNKNOWN
