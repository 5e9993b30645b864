"""Whether the process that wrote a spool still lives, when all that is known is its pid and its start time.

A spool directory can be shared with containers, whose pids are those of another pid namespace: pid
42 there may be nobody or somebody else here. And a wall clock can be moved, so that a start time
recorded before no longer agrees with the one computed now. Declaring a living process gone would
close its runs, so that is said only where it is sure. In this order:

1. *Alive*: a process bears that pid, here or in a pid namespace below ours, and started within 10 s
   of the recorded time; or it was recognised so once before and is the same by its kernel's account
   (which no wall clock can move). A zombie counts as gone.
2. *Gone*: it was recognised once before and is not there any more.
3. *Gone*: no process bears that pid in any namespace, and every process of the machine can be seen
   from here: Linux in the initial pid namespace with an unrestricted ``/proc``, or a system that has
   no pid namespaces, as macOS and Windows.
4. *Unknown* otherwise: the pid is borne by a process with another start time (a reused pid, another
   namespace or a moved clock), or can't be seen from within a container. Who asks must then judge
   by how long the process has been silent.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from enum import Enum
from typing import Generic, TypeVar

import msgspec

from cline_otel.operating_system.clocks import since_boot_ns
from cline_otel.operating_system.process_interface import LivingProcess, Look, Processes
from cline_otel.operating_system.processes import system_processes

_START_TOLERANCE_MS = 10_000
_RETRY_UNKNOWN_NS = 60 * 10**9

_Asked = TypeVar("_Asked", bound=Hashable)


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


class Unanswered(Generic[_Asked]):
    """What a look at all processes could not answer, which costs much: it is looked for again after 60 s.

    Args:
        clock_ns: nanoseconds of a clock that nobody moves.
    """

    def __init__(self, clock_ns: Callable[[], int]) -> None:
        self._clock_ns = clock_ns
        self._until_ns: OrderedDict[_Asked, int] = OrderedDict()

    def __contains__(self, asked: _Asked) -> bool:
        return self._clock_ns() < self._until_ns.get(asked, 0)

    def add(self, asked: _Asked) -> None:
        """Has it wait."""
        now_ns = self._clock_ns()
        self._until_ns[asked] = now_ns + _RETRY_UNKNOWN_NS
        self._until_ns.move_to_end(asked)
        while self._until_ns[first := next(iter(self._until_ns))] <= now_ns:
            del self._until_ns[first]


class ProcessTable:
    """Answers whether processes live, remembering those it recognised.

    Args:
        processes: those of a machine; of this one if not given.
        wall_clock_ns: nanoseconds since the Unix epoch, for those of this machine.
        boot_clock_ns: nanoseconds since boot.
    """

    def __init__(
        self,
        processes: Processes | None = None,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        boot_clock_ns: Callable[[], int] = since_boot_ns,
    ) -> None:
        self._processes = system_processes(wall_clock_ns) if processes is None else processes
        self._recognised: dict[ProcessKey, LivingProcess] = {}
        self._unanswered: Unanswered[ProcessKey] = Unanswered(boot_clock_ns)

    def presences(self, processes: Iterable[ProcessKey]) -> dict[ProcessKey, Presence]:
        """Whether each process lives. Call it after listing what they wrote, not before.

        Forgets the processes that are not asked for any more.
        """
        wanted = set(processes)
        self._recognised = {process: seen for process, seen in self._recognised.items() if process in wanted}
        look = self._processes.look()
        return {process: self._presence(process, look) for process in wanted}

    def _presence(self, process: ProcessKey, look: Look) -> Presence:
        seen = self._recognised.get(process)
        if seen is not None:
            now = self._processes.living(seen.pid)
            return Presence.ALIVE if now is not None and now.identity == seen.identity else Presence.GONE
        living = self._processes.living(process.pid)
        if living is not None and _agrees(process, living):
            self._recognised[process] = living
            return Presence.ALIVE
        if process in self._unanswered:
            return Presence.UNKNOWN
        bearers = look.bearers(process.pid)
        # Each namespace has a pid 1, and several may have begun within the tolerance.
        nearest = min(bearers, key=lambda bearer: _distance_ms(process, bearer), default=None)
        if nearest is not None and _agrees(process, nearest):
            self._recognised[process] = nearest
            return Presence.ALIVE
        if not bearers and living is None and look.shows_every_process:
            return Presence.GONE
        self._unanswered.add(process)
        return Presence.UNKNOWN


def _agrees(process: ProcessKey, living: LivingProcess) -> bool:
    return _distance_ms(process, living) <= _START_TOLERANCE_MS


def _distance_ms(process: ProcessKey, living: LivingProcess) -> int:
    return abs(living.started_at_ms - process.started_at_ms)
