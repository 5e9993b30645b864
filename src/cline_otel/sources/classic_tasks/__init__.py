"""The classic-tasks source: the tasks that Cline keeps in VS Code 3.x and ``legacy``, and on the classic command line.

They know a task's calls, tokens, cost and tools; what its subagents did they know as a sum.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from cline_otel.places import Places
from cline_otel.sources.task_files.source import TaskFilesSource

if TYPE_CHECKING:
    from pathlib import Path

    from cline_otel.sources.task_files.dialect import Dialect


class ClassicTasksSource(TaskFilesSource):
    """Cline's own task files."""

    name = "classic-tasks"
    program = "cline"
    recordings = "a task's ui_messages.json"

    def dialect(self) -> Dialect:
        from cline_otel.sources.classic_tasks.dialect import DIALECT

        return DIALECT

    def directories(self, places: Places) -> Iterable[Path]:
        return [each for installation in places.installations for each in installation.task_directories]


CLASSIC_TASKS: Final = ClassicTasksSource()
