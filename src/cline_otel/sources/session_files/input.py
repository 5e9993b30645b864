"""Session files as an input: every session's folder, read again whenever one of its files has changed.

A session that nobody has worked on since the bridge first looked is history and left to ``import``.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from cline_otel.operating_system.process_interface import Processes
from cline_otel.sources.conversations.told import ANNOUNCED, RUNNING, Record, Told, decode_told, encode_told
from cline_otel.sources.interface import Input, Payload, Reading, Unread
from cline_otel.sources.session_files.session import MESSAGES, read_manifest, read_session

FIRST_LOOK_BACK_NS: Final = 3_600 * 10**9
"""Sessions with work so recent are told when the bridge first looks; older ones are history."""

OLD_AFTER_NS: Final = 24 * 3_600 * 10**9
OLD_EVERY_NS: Final = 60 * 10**9
"""Sessions without a change for so long are looked at so often; the others at each poll."""

TORN_FOR_NS: Final = 10 * 10**9
"""A file that is no JSON for so long is not being written, and what can be read of it is told."""

SETTLED_AFTER_NS: Final = 3 * 10**9
"""What the manifest says counts for what the messages leave open once no file has changed for so long."""

GONE_FOR_NS: Final = 10 * 10**9
"""A process that is not there ends its session's run once its files have not changed for so long."""


class SessionFolder(NamedTuple):
    """A session's folder as it stands: its cursor key, what changes whenever a file does, and when one last did."""

    folder: Path
    key: str
    signature: str
    changed_at_ns: int


class SessionFilesInput(Input):
    """Follows the sessions of one directory.

    Args:
        source: the source's name.
        directory: where the sessions' folders are.
        processes: those of this machine.
        wall_clock_ns: nanoseconds since the Unix epoch.
        monotonic_ns: nanoseconds of a clock that nobody moves.
    """

    def __init__(
        self,
        source: str,
        directory: Path,
        processes: Processes,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        super().__init__(source)
        self._directory = directory
        self._prefix = f"{source}/{_digest(str(directory.absolute()))}"
        self._processes = processes
        self._wall_clock_ns = wall_clock_ns
        self._monotonic_ns = monotonic_ns
        self._old: dict[str, tuple[int, int]] = {}
        self._torn: dict[str, tuple[str, int]] = {}

    def owns(self, key: str) -> bool:
        """Whether it is that of the directory, or of a session in it."""
        return key == self._prefix or key.startswith(f"{self._prefix}/")

    def can_go_on_from(self, cursor: bytes) -> bool:
        """A cursor is what was told."""
        return decode_told(cursor) is not None

    def read(self, cursors: Mapping[str, bytes], limit_bytes: int) -> list[Reading]:
        """What is new of the sessions whose files have changed."""
        self.problems = {}
        since = self._since(cursors)
        if since is None:
            return [self._reading(self._prefix, Told(since_ms=self._first_since_ms()), [])]
        readings: list[Reading] = []
        size_bytes = 0
        for session in self._sessions():
            cursor = cursors.get(session.key)
            if cursor is None and session.changed_at_ns < since.since_ms * 1_000_000:
                continue
            told = (decode_told(cursor) if cursor is not None else None) or Told(since_ms=since.since_ms)
            reading = self._read_session(session, told)
            if reading is not None:
                readings.append(reading)
                size_bytes += sum(map(len, reading.payload.parts))
            if size_bytes > limit_bytes:
                break
        return readings

    def ends(self) -> dict[str, bytes | None]:
        """From now on: what is in the files is passed by."""
        now_ms = self._wall_clock_ns() // 1_000_000 + 1
        ends: dict[str, bytes | None] = {session.key: None for session in self._sessions()}
        return ends | {self._prefix: encode_told(Told(since_ms=now_ms))}

    def unread(self, cursors: Mapping[str, bytes]) -> Unread:
        """Of the sessions that have changed since they were told, all of their size: how much is new is not known."""
        since = self._since(cursors)
        size_bytes = 0
        for session in self._sessions() if since is not None else ():
            cursor = cursors.get(session.key)
            told = decode_told(cursor) if cursor is not None else None
            is_new = told is None and since is not None and session.changed_at_ns >= since.since_ms * 1_000_000
            if is_new or (told is not None and told.signature != session.signature):
                size_bytes += sum(path.stat().st_size for path in session.folder.glob(f"*{MESSAGES}"))
        return Unread(size_bytes, records=None if size_bytes else 0)

    def missing(self, cursors: Iterable[str]) -> list[str]:
        """Sessions whose folder was deleted."""
        keys = [key for key in cursors if key.startswith(f"{self._prefix}/")]
        if not keys or not self._directory.is_dir():
            return []
        present = {self.key(folder) for folder in self.folders()}
        return [key for key in keys if key not in present] if not self.problems else []

    # --- sessions -----------------------------------------------------------------------------------

    def _since(self, cursors: Mapping[str, bytes]) -> Told | None:
        cursor = cursors.get(self._prefix)
        return None if cursor is None else decode_told(cursor)

    def _first_since_ms(self) -> int:
        return (self._wall_clock_ns() - FIRST_LOOK_BACK_NS) // 1_000_000

    def key(self, folder: Path) -> str:
        """The cursor key of a session's folder."""
        return f"{self._prefix}/{_digest(folder.name)}"

    def folders(self) -> list[Path]:
        """Whatever may be a session's folder."""
        try:
            with os.scandir(self._directory) as entries:
                return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problems[self._prefix] = f"{self._directory}: cannot be read ({error.strerror}); check its permissions"
            return []

    def _sessions(self) -> Iterator[SessionFolder]:
        """The sessions that are worth a look now."""
        now_ns, wall_ns = self._monotonic_ns(), self._wall_clock_ns()
        for folder in self.folders():
            key = self.key(folder)
            next_look_ns, _ = self._old.get(key, (0, 0))
            if now_ns < next_look_ns:
                continue
            session = self.look(folder)
            if session is None:
                continue
            if wall_ns - session.changed_at_ns > OLD_AFTER_NS:
                self._old[key] = (now_ns + OLD_EVERY_NS, session.changed_at_ns)
            else:
                self._old.pop(key, None)
            yield session

    def look(self, folder: Path) -> SessionFolder | None:
        """A session's folder as it stands; None for one that is none or cannot be looked at."""
        key = self.key(folder)
        files = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.name.endswith(MESSAGES) or entry.name == f"{folder.name}.json":
                        status = entry.stat(follow_symlinks=False)
                        files.append((entry.name, status.st_size, status.st_mtime_ns))
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problems[key] = f"{folder}: cannot be read ({error.strerror}); check its permissions"
            return None
        if not any(name.endswith(MESSAGES) for name, _, _ in files):
            return None
        return SessionFolder(folder, key, _digest(repr(sorted(files))), max(changed_ns for _, _, changed_ns in files))

    def _read_session(self, session: SessionFolder, told: Told) -> Reading | None:
        is_changed = session.signature != told.signature
        is_over = (is_changed or not told.is_over) and self.is_over(session)
        if not is_changed and not is_over:
            return None
        try:
            session_id, status, records, torn = read_session(session.folder, is_over=is_over)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problems[session.key] = (
                f"{session.folder}: cannot be read ({error.strerror}); check its permissions; other sessions are read"
            )
            return None
        if torn and not self._is_torn_for_good(session):
            return None
        self._torn.pop(session.key, None)
        if torn:
            self.problems[session.key] = (
                f"{session.folder}: {', '.join(torn)}{MESSAGES} cannot be read to the end; what comes before is told"
            )
        if status == RUNNING:
            at_ms = session.changed_at_ns // 1_000_000
            records = [{"event": ANNOUNCED, "time_unix_ms": at_ms, "session_id": session_id}, *records]
        new = told.new(records)
        return self._reading(session.key, told.after(new, session.signature, status, is_over=is_over), new)

    def _is_torn_for_good(self, session: SessionFolder) -> bool:
        now_ns = self._monotonic_ns()
        signature, since_ns = self._torn.get(session.key, ("", now_ns))
        if signature != session.signature:
            self._torn[session.key] = (session.signature, now_ns)
            return False
        return now_ns - since_ns >= TORN_FOR_NS

    def is_younger(self, session: SessionFolder, than_ns: int) -> bool:
        """Whether a file of it has changed within so many nanoseconds."""
        return self._wall_clock_ns() - session.changed_at_ns < than_ns

    def is_over(self, session: SessionFolder) -> bool:
        """Whether nothing more comes of what was begun: the manifest says so, or its process is surely gone."""
        unchanged_ns = self._wall_clock_ns() - session.changed_at_ns
        if unchanged_ns < SETTLED_AFTER_NS:
            return False
        name = session.folder.name
        try:
            manifest = read_manifest((session.folder / f"{name}.json").read_bytes(), name)
        except OSError:
            return False
        if manifest.is_over or manifest.pid is None or unchanged_ns < GONE_FOR_NS:
            return manifest.is_over
        if self._processes.living(manifest.pid) is not None:
            return False
        look = self._processes.look()
        return look.shows_every_process and not look.bearers(manifest.pid)

    def _reading(self, key: str, told: Told, records: list[Record]) -> Reading:
        parts = [msgspec.json.encode(record) for record in records]
        return Reading(key, encode_told(told), Payload(self.source, parts, place=key))


def _digest(text: str) -> str:
    """What stands for a path or a name, either of which may reveal somebody's."""
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
