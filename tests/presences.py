"""Processes that are gone when a test says so."""

from __future__ import annotations

from collections.abc import Iterable

from cline_otel.operating_system.process_interface import LivingProcess
from cline_otel.sources.files.processes import Presence, ProcessKey, ProcessTable


class Presences(ProcessTable):
    """Every process is alive but those in ``gone``."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: set[ProcessKey] = set()

    def presences(self, processes: Iterable[ProcessKey]) -> dict[ProcessKey, Presence]:
        """As the bridge asks."""
        return {process: Presence.GONE if process in self.gone else Presence.ALIVE for process in processes}


class NoProcesses:
    """A machine on which nothing runs, and which shows that."""

    shows_every_process = True

    def living(self, pid: int) -> LivingProcess | None:
        return None

    def look(self) -> NoProcesses:
        return self

    def bearers(self, pid: int) -> list[LivingProcess]:
        return []
