"""The roo-code source: the tasks that Roo Code keeps, in the form that it has from Cline."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from cline_otel.places import Places
from cline_otel.sources.task_files.source import TaskFilesSource

if TYPE_CHECKING:
    from pathlib import Path

    from cline_otel.sources.task_files.dialect import Dialect

EXTENSION: Final = "rooveterinaryinc.roo-cline"


class RooCodeSource(TaskFilesSource):
    """Roo Code's task files."""

    name = "roo-code"
    program = "roo"
    recordings = "a Roo Code task's ui_messages.json"

    def dialect(self) -> Dialect:
        from cline_otel.sources.roo_code.dialect import DIALECT

        return DIALECT

    def directories(self, places: Places) -> Iterable[Path]:
        from cline_otel.sources.task_files.source import beside_cline

        return beside_cline(places, EXTENSION)


ROO_CODE: Final = RooCodeSource()
