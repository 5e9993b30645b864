"""What is asked of processes: which of them bears a pid, and when it started."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import msgspec


class LivingProcess(msgspec.Struct, frozen=True):
    """A process that lives; a zombie does not.

    Attributes:
        pid: its pid as it is seen from here.
        identity: equal for the same process alone, however often its pid is reused and the wall clock is moved.
        started_at_ms: when it started, Unix epoch, by the wall clock as it is set now; 0 where that is unknown.
    """

    pid: int
    identity: Hashable
    started_at_ms: int


class Look(Protocol):
    """All processes at one time, read when first needed."""

    @property
    def shows_every_process(self) -> bool:
        """Whether a pid that nobody bears is surely nobody's."""

    def bearers(self, pid: int) -> list[LivingProcess]:
        """Those that bear ``pid``, here or in a pid namespace below ours."""


class Processes(Protocol):
    """How an operating system shows its processes."""

    def living(self, pid: int) -> LivingProcess | None:
        """The process that bears ``pid`` as it is seen from here."""

    def look(self) -> Look:
        """All that there are."""
