"""The log as an input: its lines, and after the last of them which of the processes that wrote them are gone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cline_otel.sources.cline_log.decode import end_of, reported_at_ns
from cline_otel.sources.cline_log.writers import WATCHED, Watched, Writers, decode_watched
from cline_otel.sources.files.lines import TailedFile
from cline_otel.sources.interface import Payload, Reading

_BEHIND: Final = "/writers"


class LogInput(TailedFile):
    """One log.

    Args:
        source: the source's name.
        path: the file.
        writers: watches who writes it.
    """

    def __init__(self, source: str, path: Path, writers: Writers) -> None:
        super().__init__(source, path, reported_at_ns)
        self._writers = writers
        self._writers_key = self.key + _BEHIND
        self._told: set[int] = set()

    def owns(self, key: str) -> bool:
        """Whether it is this file's, or that of its writers."""
        return key in (self.key, self._writers_key)

    def can_go_on_from(self, cursor: bytes) -> bool:
        """A cursor is a position, or names the writers."""
        return super().can_go_on_from(cursor) or decode_watched(cursor) is not None

    def read(self, cursors: Mapping[str, bytes], limit_bytes: int) -> list[Reading]:
        """The next lines; once there are none, who is gone."""
        cursor = cursors.get(self._writers_key)
        watched = (decode_watched(cursor) if cursor is not None else None) or Watched()
        # Those that the cursor names still are told again: it was not stored.
        self._writers.forget(self._told - {pid for pid, _ in watched.writers})
        self._writers.go_on_from(watched)
        self._writers.look()
        readings = super().read(cursors, limit_bytes)
        for reading in readings:
            self._writers.note(reading.payload.parts)
        gone = {} if readings else self._writers.gone()
        self._told = set(gone)
        after = Watched(tuple(each for each in self._writers.watched.writers if each[0] not in gone))
        if after == watched and not gone:
            return readings
        ends = Payload(self.source, records=[end_of(*each) for each in gone.values()])
        return [*readings, Reading(self._writers_key, WATCHED.encode(after), ends)]

    def ends(self) -> dict[str, bytes | None]:
        """The end of the file as it is now; nobody who wrote it is watched on."""
        self._writers.forget([pid for pid, _ in self._writers.watched.writers])
        return super().ends() | {self._writers_key: None}
