"""Session files as an input: every session's folder, read again whenever one of its files has changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cline_otel.operating_system.process_interface import Processes
from cline_otel.sources.conversations.folders_input import SETTLED_AFTER_NS, Folder, FoldersInput
from cline_otel.sources.conversations.messages import table_in
from cline_otel.sources.conversations.told import ANNOUNCED, RUNNING, UNTOLD, Record, Told
from cline_otel.sources.files.processes import Unanswered
from cline_otel.sources.interface import Reading
from cline_otel.sources.session_files.session import MESSAGES, read_manifest, read_session

GONE_FOR_NS: Final = 10 * 10**9
"""A process that is not there ends its session's run once its files have not changed for so long."""


class SessionFilesInput(FoldersInput):
    """Follows the sessions of one directory.

    Args:
        source: the source's name.
        directory: where the sessions' folders are.
        processes: those of this machine.
        wall_clock_ns: nanoseconds since the Unix epoch.
        monotonic_ns: nanoseconds of a clock that nobody moves.
        is_copy: whether nobody works on what is there.
    """

    of_what = "sessions"

    def __init__(
        self,
        source: str,
        directory: Path,
        processes: Processes,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        *,
        is_copy: bool = False,
    ) -> None:
        super().__init__(source, directory, wall_clock_ns, monotonic_ns, is_copy=is_copy)
        self._processes = processes
        self._unanswered: Unanswered[int] = Unanswered(monotonic_ns)

    def is_conversation(self, name: str) -> bool:
        """An agent's messages."""
        return name.endswith(MESSAGES)

    def is_beside(self, path: Path, name: str) -> bool:
        """The manifest."""
        return name == f"{path.name}.json"

    def read_folder(self, folder: Folder, told: Told) -> Reading | None:
        """What is new of a session."""
        is_changed = folder.signature != told.signature
        is_over = (is_changed or not told.is_over) and self.is_over(folder)
        if not is_changed and not is_over:
            return None
        session_id, status, records, torn, untold_at_ms = read_session(folder.path, is_over=is_over)
        if torn and not self._is_torn_for_good(folder):
            return None
        self._is_whole(folder)
        if torn:
            self.problems[folder.key] = (
                f"{folder.path}: {', '.join(torn)}{MESSAGES} cannot be read to the end; what comes before is told"
            )
        status = status if folder.has_conversation else ""
        beside = {
            ANNOUNCED: folder.changed_at_ns // 1_000_000 if status == RUNNING else None,
            UNTOLD: untold_at_ms if is_over else None,
        }
        said: list[Record] = [
            {"event": event, "time_unix_ms": at_ms, "session_id": session_id}
            for event, at_ms in beside.items()
            if at_ms is not None
        ]
        at_ms = folder.changed_at_ns // 1_000_000
        new, after = told.next([*said, *records], folder.signature, status, at_ms=at_ms, is_over=is_over)
        return self._reading(folder.key, after, new)

    def is_over(self, folder: Folder) -> bool:
        """Whether nothing more comes of what was begun: the manifest says so, or its process is surely gone."""
        unchanged_ns = self.unchanged_ns(folder)
        if unchanged_ns < SETTLED_AFTER_NS:
            return False
        name = folder.path.name
        try:
            manifest = read_manifest(table_in((folder.path / f"{name}.json").read_bytes()), name)
        except OSError:
            return False
        if manifest.is_over or manifest.pid is None or unchanged_ns < GONE_FOR_NS:
            return manifest.is_over
        if self._processes.living(manifest.pid) is not None or manifest.pid in self._unanswered:
            return False
        look = self._processes.look()
        if look.shows_every_process and not look.bearers(manifest.pid):
            return True
        self._unanswered.add(manifest.pid)
        return False
