"""What the sources that read task files have in common: all but the program."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from cline_otel.places import Places
from cline_otel.sources.interface import Input, PastSession, Payload, Recorded, Source, UpstreamRecord

if TYPE_CHECKING:
    from pathlib import Path

    from cline_otel.catalogue.compiled import Catalogue
    from cline_otel.events import Event
    from cline_otel.signals import Diagnostics
    from cline_otel.sources.task_files.dialect import Dialect


class TaskFilesSource(Source):
    """Knows a task's calls some time after they happened.

    Attributes:
        program: whose files it reads, as ``recordings.program_of`` says it.
    """

    reading = "task files"
    program: str

    @abstractmethod
    def dialect(self) -> Dialect:
        """What the program's files have that another's do not."""

    @abstractmethod
    def directories(self, places: Places) -> Iterable[Path]:
        """Every directory that may hold folders of the program's tasks; at least one."""

    def decode(self, payload: Payload, catalogue: Catalogue, diagnostics: Diagnostics) -> Iterable[Event]:
        from cline_otel.sources.records.decode import decode

        return decode(payload, catalogue, diagnostics)

    def explode(self, payload: Payload) -> Iterator[UpstreamRecord]:
        from cline_otel.sources.records.decode import explode

        return explode(payload)

    def recognises(self, content: bytes) -> bool:
        from cline_otel.sources.task_files.recordings import program_of

        return program_of(content) == self.program

    def recorded(self, path: Path, content: bytes) -> Recorded:
        from cline_otel.sources.task_files.recordings import recorded

        return recorded(self.name, path, self.dialect())

    @property
    def reads_around(self) -> bool:
        return True

    def recordings_in(self, folder: Path) -> Iterable[Path]:
        from cline_otel.sources.task_files.recordings import tasks_in

        return tasks_in(folder)

    def where(self, places: Places) -> tuple[str, ...]:
        directories = list(dict.fromkeys(self.directories(places)))
        return tuple(map(str, [each for each in directories if each.is_dir()] or directories[:1]))

    def past_sessions(self, places: Places, path: Path | None = None) -> Iterable[PastSession]:
        from cline_otel.sources.task_files.past import past_tasks

        own = list(dict.fromkeys(self.directories(places)))
        return past_tasks(self.name, own, self.program, self.dialect(), path)

    def inputs(self, places: Places) -> tuple[Input, ...]:
        from cline_otel.sources.task_files.folders_input import TaskFoldersInput

        dialect = self.dialect()
        return tuple(TaskFoldersInput(self.name, each, dialect) for each in dict.fromkeys(self.directories(places)))


def beside_cline(places: Places, extension: str) -> list[Path]:
    """Where an extension of the same editors keeps its tasks, which is beside Cline's own.

    Args:
        places: where Cline is.
        extension: the other extension's id.
    """
    return [
        each.parent.with_name(extension) / each.name
        for installation in places.installations
        for each in installation.task_directories
        if each.parent.parent.name == "globalStorage"
    ]
