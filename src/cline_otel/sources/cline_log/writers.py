"""The processes that write a log: which of them are gone, so that what they left open can end.

A line says its process's pid and its machine's name. Both are looked at here, in memory; what is told, and what the
journal keeps beside a run, is a digest of the two. Only processes of this machine are looked for: a log may be a copy,
or lie where several machines write. That a process is gone is said only where that is sure:

- it was there, started before it wrote its first line, and is not there any more; a pid that is used again is no
  longer the same process;
- or nobody bears its pid, and every process of the machine can be seen from here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from cline_otel.operating_system.process_interface import LivingProcess, Processes
from cline_otel.sources.cline_log.decode import name_of, reported_at_ns
from cline_otel.sources.files.processes import Unanswered
from cline_otel.state_format import Format, UnreadableRow, unchanged

TOLD_AFTER_NS: Final = 5 * 10**9
"""How long after a process was found gone that is told: what it wrote or sent last has then been read, and the runs of
it have an owner."""

START_TOLERANCE_MS: Final = 10_000
"""A process cannot have written before it started; clocks are read to some hundredths of a second."""

FIRST_LINE_WITHIN_MS: Final = 60_000
"""From within a container only a process that wrote soon after it started is taken for the one that a line names."""

JUDGED_WITHIN_NS: Final = 24 * 3_600 * 10**9
"""One of which it is not known for so long whether it is there is watched no more: silence has ended its runs."""

MOST: Final = 256
"""Processes that are watched; of more the oldest are forgotten."""

_WRITER: Final = re.compile(rb'"pid":\s?(\d{1,10}),\s?"hostname":\s?"([^"\\]{1,255})"')
_HEAD_BYTES: Final = 300


class Watched(msgspec.Struct, frozen=True, array_like=True):
    """The processes that are watched, as kept over restarts.

    Attributes:
        writers: pid of each, and when it wrote its first line that was read, ms since the Unix epoch.
    """

    writers: tuple[tuple[int, int], ...] = ()


WATCHED: Final = Format("log_writers", Watched, unchanged)


def decode_watched(cursor: bytes) -> Watched | None:
    """The processes that a cursor names; None for what is none."""
    try:
        return WATCHED.decode(cursor)
    except UnreadableRow:
        return None


class GoneWriter(NamedTuple):
    """A process that is gone.

    Attributes:
        name: as its events name it.
        ended_at_ns: when it was last seen alive, or, if it never was, when it was found gone; nanoseconds since the
            Unix epoch.
        was_alive: whether it was ever seen alive.
    """

    name: str
    ended_at_ns: int
    was_alive: bool


class _Writer(NamedTuple):
    wrote_at_ms: int
    process: LivingProcess | None = None
    ended_at_ns: int = 0
    gone_since_ns: int | None = None


class Writers:
    """Watches those of one log.

    Args:
        processes: those of this machine.
        host_name: this machine's, as Cline writes it.
        wall_clock_ns: nanoseconds since the Unix epoch.
        monotonic_ns: nanoseconds of a clock that nobody moves.
    """

    def __init__(
        self,
        processes: Processes,
        host_name: str,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._processes = processes
        self._host_name = host_name.encode("utf-8", "replace")
        self._wall_clock_ns = wall_clock_ns
        self._monotonic_ns = monotonic_ns
        self._unanswered: Unanswered[int] = Unanswered(monotonic_ns)
        self._writers: dict[int, _Writer] = {}

    @property
    def watched(self) -> Watched:
        """Those that are watched now."""
        return Watched(tuple((pid, writer.wrote_at_ms) for pid, writer in self._writers.items()))

    def go_on_from(self, watched: Watched) -> None:
        """Watches those that were watched before."""
        for pid, wrote_at_ms in watched.writers:
            self._writers.setdefault(pid, _Writer(wrote_at_ms))

    def note(self, lines: Iterable[bytes]) -> None:
        """Watches the processes of this machine that wrote these lines."""
        for line in lines:
            found = _WRITER.search(line, 0, _HEAD_BYTES)
            if found is None or found[2] != self._host_name:
                continue
            pid = int(found[1])
            writer = self._writers.get(pid)
            if (writer is None or writer.gone_since_ns is not None) and (at_ns := reported_at_ns(line)) is not None:
                # A pid that is used again is another process's; what the one before left open is left to silence.
                self._writers.pop(pid, None)
                self._writers[pid] = self._looked(pid, _Writer(at_ns // 1_000_000))
                while len(self._writers) > MOST:
                    del self._writers[next(iter(self._writers))]

    def look(self) -> None:
        """Which of them are there. Call it before what they wrote is read: the last of it is then read as well."""
        since_ms = (self._wall_clock_ns() - JUDGED_WITHIN_NS) // 1_000_000
        for pid, writer in list(self._writers.items()):
            if writer.process is None and writer.gone_since_ns is None and writer.wrote_at_ms < since_ms:
                del self._writers[pid]
            elif writer.gone_since_ns is None:
                self._writers[pid] = self._looked(pid, writer)

    def gone(self) -> dict[int, GoneWriter]:
        """Those that are gone, for so long that it can be told, by their pid."""
        until_ns = self._monotonic_ns() - TOLD_AFTER_NS
        host_name = self._host_name
        return {
            pid: GoneWriter(name_of(b"%d" % pid, b'"%s"' % host_name), writer.ended_at_ns, writer.process is not None)
            for pid, writer in self._writers.items()
            if writer.gone_since_ns is not None and writer.gone_since_ns <= until_ns
        }

    def forget(self, pids: Iterable[int]) -> None:
        """It was told that these are gone."""
        for pid in pids:
            self._writers.pop(pid, None)

    def _looked(self, pid: int, writer: _Writer) -> _Writer:
        if writer.process is None and pid in self._unanswered:
            return writer
        living = self._processes.living(pid)
        now_ns = self._wall_clock_ns()
        if writer.process is not None:
            if living is not None and living.identity == writer.process.identity:
                return writer._replace(ended_at_ns=now_ns)
            return writer._replace(gone_since_ns=self._monotonic_ns())
        look = self._processes.look()
        if living is not None and self._is_same(living, writer, shows_every_process=look.shows_every_process):
            return writer._replace(process=living, ended_at_ns=now_ns)
        if living is None and look.shows_every_process and not look.bearers(pid):
            return writer._replace(ended_at_ns=now_ns, gone_since_ns=self._monotonic_ns())
        self._unanswered.add(pid)
        return writer

    def _is_same(self, living: LivingProcess, writer: _Writer, *, shows_every_process: bool) -> bool:
        older_ms = writer.wrote_at_ms - living.started_at_ms
        return older_ms >= -START_TOLERANCE_MS and (shows_every_process or older_ms <= FIRST_LINE_WITHIN_MS)
