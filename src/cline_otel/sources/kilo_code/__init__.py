"""The kilo-code source: the tasks that Kilo Code keeps, in the form that it has from Cline by Roo Code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from cline_otel.places import Places
from cline_otel.sources.task_files.source import TaskFilesSource

if TYPE_CHECKING:
    from pathlib import Path

    from cline_otel.sources.task_files.dialect import Dialect

EXTENSION: Final = "kilocode.kilo-code"


class KiloCodeSource(TaskFilesSource):
    """Kilo Code's task files."""

    name = "kilo-code"
    program = "kilo"
    recordings = "a Kilo Code task's ui_messages.json"

    def dialect(self) -> Dialect:
        from cline_otel.sources.kilo_code.dialect import DIALECT

        return DIALECT

    def directories(self, places: Places) -> Iterable[Path]:
        from cline_otel.sources.task_files.source import beside_cline

        return beside_cline(places, EXTENSION)


KILO_CODE: Final = KiloCodeSource()
