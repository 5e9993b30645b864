"""The bridge beside a command: one of our own while it runs, or the one that runs on the state directory already.

Nothing here raises: whatever keeps a bridge from its work is a line for people, and the command goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cline_otel.bridge import Bridge, Observer, Started
from cline_otel.catalogue.load import CatalogueError
from cline_otel.cli.sources import known_sources
from cline_otel.consent import Consent
from cline_otel.defects import described
from cline_otel.events import AttributeValue
from cline_otel.export.interface import ExporterError
from cline_otel.journal.lock import StateDirectoryBusyError
from cline_otel.journal.records import JournalError, JournalStatus
from cline_otel.journal.store import Journal
from cline_otel.settings import Settings
from cline_otel.settings.pseudonyms_file import PseudonymsFileError
from cline_otel.signals import Attributes, SpanKind, SpanRecord, StatusCode
from cline_otel.sources.intake import Busy, Unavailable
from cline_otel.sources.interface import ReceiverRefused

_START_SECONDS: Final = 10.0
_SENDING_SHARE: Final = 0.4
"""Of the time that is left after the command's end, what is kept for sending."""
_LOOK_EVERY_SECONDS: Final = 0.05
_LOOK_AT_OTHER_EVERY_SECONDS: Final = 0.25
_NEWEST_ITEMS: Final = 10_000
_REPORTABLE: Final = (
    CatalogueError,
    ExporterError,
    JournalError,
    PseudonymsFileError,
    ReceiverRefused,
    StateDirectoryBusyError,
)
"""Errors whose texts are for people."""


class Beside(Observer):
    """Reports what a command does, from ``start`` to ``finish``.

    Args:
        settings: where to read and to send.
        job: the CI job that the command runs in, for the resource; empty outside of jobs.
        made: called with the spans that were made meanwhile.
        say: takes a line for people.
    """

    def __init__(
        self,
        settings: Settings,
        job: Attributes,
        made: Callable[[Sequence[SpanRecord]], None],
        say: Callable[[str], None],
    ) -> None:
        self._take = made
        self._settings = settings
        self._job = job
        self._say = say
        self._bridge = Bridge(settings, self, known_sources(), job)
        self._running: asyncio.Task[None] | None = None
        self._has_started = asyncio.Event()
        self._follows_other = False
        self._waiting = 0
        self._is_on = True

    # --- as an observer -----------------------------------------------------------------------------------

    def started(self, started: Started) -> None:
        """Says what there is to say of it."""
        self._is_on = started.consent.is_on
        for notice in started.notices:
            self._say(notice)
        self._has_started.set()

    def consent(self, consent: Consent) -> None:
        """Says so."""
        self._is_on = consent.is_on
        self._say(f"telemetry is {'on again, from now' if consent.is_on else consent.describe()}")

    def made(self, spans: Sequence[SpanRecord]) -> None:
        """Hands them on."""
        self._take(spans)

    def status(self, status: JournalStatus, open_runs: int) -> None:
        """Remembers what waits."""
        self._waiting = sum(signal.pending_items for signal in status.signals.values())

    # --- from start to finish -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Returns once a bridge reads, or it is known that none does."""
        self._running = asyncio.create_task(self._bridge.run(), name="bridge")
        started = asyncio.create_task(self._has_started.wait())
        await asyncio.wait({self._running, started}, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        started.cancel()
        if self._running.done() and isinstance(self._running.exception(), StateDirectoryBusyError):
            self._follows_other = True
            self._running = None
            self._say("a bridge runs already, and reports this where its own settings say")

    async def finish(self, since_ns: int, seconds: float, at_once: asyncio.Event) -> None:
        """Returns when all is read and sent that can be in ``seconds``, or ``at_once`` is set.

        Args:
            since_ns: when the command began, nanoseconds since the Unix epoch; of a bridge that ran already only what
                began later is looked at.
            seconds: the limit.
            at_once: ends the wait.
        """
        ended_at_ns = time.time_ns()
        until = time.monotonic() + seconds
        if self._follows_other:
            await self._until(self._other_has_delivered, until, at_once, _LOOK_AT_OTHER_EVERY_SECONDS)
            with suppress(JournalError, OSError, DecodeError):
                self._take([span for span in self._newest_spans() if span.started_at_ns >= since_ns])
            return
        running = self._running
        if running is None:
            return
        settled_until = until - seconds * _SENDING_SHARE
        await self._until(
            lambda: running.done() or not self._is_on or self._bridge.is_settled(ended_at_ns),
            settled_until,
            at_once,
            _LOOK_EVERY_SECONDS,
        )
        for finding in self._bridge.findings() if self._is_on else ():
            self._say(f"missed: {finding.describe()}")
        if self._job and not running.done():
            # A job's machine is thrown away: nobody will say more of what is open.
            with suppress(Busy, Unavailable):
                self._bridge.close_open_runs()
        self._bridge.stop(max(until - time.monotonic(), 0.0))
        ended = asyncio.create_task(at_once.wait())
        timeout = max(until - time.monotonic(), 0.0) + 1
        await asyncio.wait({running, ended}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        running.cancel()
        (failure,) = await asyncio.gather(running, return_exceptions=True)
        if isinstance(failure, BaseException) and not isinstance(failure, asyncio.CancelledError):
            self._say(f"not all was reported: {self._reason(failure)}")
        elif self._waiting or failure is not None:
            what = f"{self._waiting} spans and log records" if self._waiting else "what was not sent"
            self._say(f"{what} could not be sent in time, and wait in {self._settings.state_directory}")

    async def _until(
        self, holds: Callable[[], bool], until: float, at_once: asyncio.Event, look_every_seconds: float
    ) -> None:
        while not holds() and not at_once.is_set() and time.monotonic() < until:
            with suppress(TimeoutError):
                await asyncio.wait_for(at_once.wait(), look_every_seconds)

    def _reason(self, failure: BaseException) -> str:
        if isinstance(failure, _REPORTABLE):
            return str(failure)
        if isinstance(failure, OSError):
            return f"{self._settings.state_directory} cannot be used ({failure.strerror})"
        return f"a defect in cline-otel, {described(failure)}" if isinstance(failure, Exception) else "it was ended"

    # --- the bridge that runs already -----------------------------------------------------------------------

    def _other_has_delivered(self) -> bool:
        """Whether that bridge has read all that is there and delivered all that it made of it."""
        try:
            with Journal.open_read_only(self._settings.journal_path) as journal:
                status = journal.status()
            cursors = {cursor.key: cursor.position for cursor in status.cursors}
            unread_bytes = sum(
                each.unread(each.usable(cursors)).size_bytes for each in known_sources().inputs(self._settings.places)
            )
        except (JournalError, OSError):
            return False
        return not unread_bytes and not any(signal.pending_rows for signal in status.signals.values())

    def _newest_spans(self) -> Iterator[SpanRecord]:
        with Journal.open_read_only(self._settings.journal_path) as journal:
            kept = journal.newest(_NEWEST_ITEMS)
        for request in kept:
            if request.signal == "traces":
                yield from spans_of(request.payload)


def spans_of(request: bytes) -> Iterator[SpanRecord]:
    """The spans of an OTLP request of traces, without their events and links."""
    for resource in ExportTraceServiceRequest.FromString(request).resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield SpanRecord(
                    span.trace_id,
                    span.span_id,
                    span.parent_span_id,
                    span.name,
                    SpanKind(span.kind),
                    span.start_time_unix_nano,
                    span.end_time_unix_nano,
                    tuple((pair.key, _value_of(pair.value)) for pair in span.attributes),
                    status=StatusCode(span.status.code),
                )


def _value_of(value: object) -> AttributeValue:
    field = value.WhichOneof("value")  # type: ignore[attr-defined]  # protobuf's generated class
    found: AttributeValue = "" if field in (None, "array_value") else getattr(value, field)
    return found
