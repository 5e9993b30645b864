"""A place for sessions and tasks with a journal, into which they are imported, and which a bridge goes on from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest
from bench.fixed_key import CATALOGUE
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.importing.found import Found, Span, find
from cline_otel.importing.taking import Taken, Taking
from cline_otel.journal import imported
from cline_otel.journal.records import Commit, OutboxItem
from cline_otel.journal.store import Journal
from cline_otel.pipeline import Pipeline
from cline_otel.places import Places, cline_places
from cline_otel.signals import MetricDelta, SignalName
from cline_otel.sources.interface import Payload
from cline_otel.sources.registry import SOURCES
from cline_otel.sources.session_files.input import SessionFilesInput
from cline_otel.sources.task_files.dialect import Dialect
from cline_otel.sources.task_files.folders_input import TaskFoldersInput
from conversations import START_MS
from presences import NoProcesses

RESOURCE: Final = ResourceAndScope(
    (("service.name", "cline"), ("service.instance.id", "i")), "cline-otel", "1", CATALOGUE.profile.schema_url
)
HOUR_MS: Final = 3_600_000
_ALL: Final[frozenset[SignalName]] = frozenset({"traces", "logs", "metrics"})


@dataclass
class Stage:
    """A directory of sessions, and a journal into which they are imported."""

    directory: Path
    journal: Journal
    now_ms: int = START_MS + 24 * HOUR_MS
    takes: list[Taken] = field(default_factory=list)

    @property
    def places(self) -> Places:
        installation = cline_places({"CLINE_SESSION_DATA_DIR": self.directory}, self.directory.parent, "linux")
        assert installation is not None
        return Places(self.directory.parent / "state", (installation,))

    @property
    def tasks(self) -> Path:
        """Of the command line."""
        return self.directory.parent / ".cline" / "data" / "tasks"

    def find(self, span: Span = Span(), surfaces: tuple[str, ...] = (), *paths: Path) -> Found:  # noqa: B008
        return find(SOURCES, self.places, paths, self.journal.cursors(), span, surfaces)

    def taking(self, span: Span = Span()) -> Taking:  # noqa: B008
        now_ns = self.now_ms * 1_000_000
        return Taking(self.journal, CATALOGUE, SOURCES, RESOURCE, span, now_ns, exported=_ALL)

    def take(self, span: Span = Span(), *paths: Path) -> dict[str, int]:  # noqa: B008
        """Imports all, and says how often each span, by its name and prompt's place, is in what came."""
        before = len(self.spans())
        self.takes = []
        for session in self.find(span, (), *paths).wanted:
            *_, last = self.taking(span).take(session)
            self.takes.append(last)
        names = [span.name for span in self.spans()[before:]]
        return {name: names.count(name) for name in sorted(set(names))}

    def spans(self) -> list[Any]:
        rows = self.journal.pending("traces", limit_bytes=1 << 40, limit_rows=1 << 20)
        return [span for row in rows for span in spans_in(row.payload)]

    def input(self, source: str, directory: Path, *_: object, is_copy: bool = False) -> SessionFilesInput:
        """By the stage's clock."""
        return SessionFilesInput(source, directory, NoProcesses(), self.clock_ns, self.clock_ns, is_copy=is_copy)

    def tasks_input(self, source: str, directory: Path, dialect: Dialect, *, is_copy: bool = False) -> TaskFoldersInput:
        return TaskFoldersInput(source, directory, dialect, self.clock_ns, self.clock_ns, is_copy=is_copy)

    def clock_ns(self) -> int:
        return self.now_ms * 1_000_000

    def measurements(self) -> list[MetricDelta]:
        with self.journal.reading() as connection:
            return list(imported.in_order(connection))

    def bridge(self) -> Bridge:
        return Bridge(self)


class Bridge:
    """What a bridge does with a source, from the journal's state and back into it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.pipeline = Pipeline(CATALOGUE, RESOURCE, RESOURCE, stage.journal.load_state())
        self.input = stage.input("session-files", stage.directory)

    def poll(self) -> int:
        """How many records there were."""
        readings = self.input.read(self.stage.journal.cursors(), 1 << 30)
        for reading in readings:
            self.take(reading.payload, {reading.key: reading.cursor})
        return sum(len(reading.payload.parts) for reading in readings)

    def take(self, payload: Payload, cursors: dict[str, bytes | None] | None = None, wait_seconds: int = 70) -> None:
        self.pipeline.take(payload)
        self.stage.now_ms += 1_000
        self.pipeline.advance_clock(self.stage.now_ms * 1_000_000)
        self.stage.now_ms += wait_seconds * 1_000
        self.pipeline.advance_clock(self.stage.now_ms * 1_000_000)
        flushed = self.pipeline.flush(self.stage.now_ms * 1_000_000)
        request = flushed.traces_request()
        outbox = [OutboxItem("traces", request.payload, request.item_count)] if request.item_count else []
        self.stage.journal.commit(Commit(state=flushed.state, outbox=outbox, cursors=cursors or {}))


@contextmanager
def staged(directory: Path) -> Iterator[Stage]:
    """A stage in an empty directory; whatever reads sessions and tasks there goes by its clock."""
    sessions = directory / "sessions"
    sessions.mkdir()
    with Journal.open(directory / "state" / "journal.db") as journal, pytest.MonkeyPatch.context() as patch:
        stage = Stage(sessions, journal)
        patch.setattr("cline_otel.sources.session_files.past.SessionFilesInput", stage.input)
        patch.setattr("cline_otel.sources.task_files.past.TaskFoldersInput", stage.tasks_input)
        yield stage


def spans_in(request: bytes) -> list[Any]:
    """The spans of an OTLP request."""
    parts = ExportTraceServiceRequest.FromString(request).resource_spans
    return [span for part in parts for scope in part.scope_spans for span in scope.spans]
