"""The list that a program keeps of all its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cline_otel.sources.compressed import stored_as
from cline_otel.sources.conversations.messages import TornFile, messages_of, word

Listed = Mapping[str, object]
"""What the list says of a task: when it was last worked on, tokens and cost."""

_LISTED: Final = ("ts", "tokensIn", "tokensOut", "cacheReads", "cacheWrites", "totalCost")


class TasksList:
    """The list, read again when it has changed. What is not there or cannot be read says nothing.

    Args:
        directory: where the tasks' folders are.
        unpacks: whether it may be compressed.
    """

    def __init__(self, directory: Path, *, unpacks: bool = False) -> None:
        path = directory.parent / "state" / "taskHistory.json"
        self._path = stored_as(path) if unpacks else path
        self._read_as: tuple[int, int] = (0, 0)
        self._ulids: dict[str, str] = {}
        self._listed: dict[str, Listed] = {}

    def ulid_of(self, task_id: str) -> str:
        """What the program's own telemetry calls a task; empty where that is not known."""
        self._read()
        return self._ulids.get(task_id, "")

    def of(self, task_id: str) -> Listed:
        """What it says of a task; nothing of one that is not in it."""
        self._read()
        return self._listed.get(task_id, {})

    def _read(self) -> None:
        try:
            status = self._path.stat()
            if (status.st_size, status.st_mtime_ns) == self._read_as:
                return
            self._read_as = (status.st_size, status.st_mtime_ns)
            for item in messages_of(self._path, ""):
                self._add(item)
        except (OSError, TornFile):
            return

    def _add(self, item: Mapping[str, object]) -> None:
        task_id, ulid = word(item.get("id")), word(item.get("ulid"))
        self._listed[task_id] = {name: item.get(name) for name in _LISTED}
        if task_id and ulid:
            self._ulids[task_id] = ulid
