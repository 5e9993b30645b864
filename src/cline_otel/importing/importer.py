"""The import as it runs: sessions into the journal, the journal to the destinations, both at once.

Nothing is lost where it is broken off: what was taken waits in the journal for the next import or bridge, and what was
not is taken then.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from cline_otel.bridge import SHUTDOWN_GRACE_SECONDS, resources_and_scopes
from cline_otel.catalogue.compiled import Catalogue
from cline_otel.consent import Consent, opt_out_sources_of
from cline_otel.consent.watch import ConsentWatch
from cline_otel.destinations import ExportSettings
from cline_otel.export.delivery import QUEUED_SIGNALS, Delivery
from cline_otel.export.delivery_loop import BatchLimits, DeliveryLoop
from cline_otel.export.exporters import Exporters
from cline_otel.export.interface import MetricSnapshot
from cline_otel.importing.found import Found, Span
from cline_otel.importing.metrics import (
    PointsOutbox,
    forget_measurements,
    import_note,
    last_measured_at_ns,
    waiting_measurements,
)
from cline_otel.importing.taking import Outcome, Taken, Taking
from cline_otel.journal.metric_marks import MetricMarks
from cline_otel.journal.store import Journal
from cline_otel.settings import Settings
from cline_otel.signals import MetricTotal, SignalName, Temporality
from cline_otel.sources.interface import PastSession
from cline_otel.sources.registry import Registry

MOST_WAITING_BYTES: Final = 32 * 1024 * 1024
"""Reading goes on while no more than this waits to be sent."""

PATIENCE_SECONDS: Final = 30.0
"""After so long without anything delivered what waits is left to the next import or bridge."""

_LOOK_SECONDS: Final = 0.05
_COLLECT_EVERY_BYTES: Final = 16 * 1024 * 1024


class PointsTold(msgspec.Struct, frozen=True):
    """What a destination of metrics made of an import's points."""

    description: str
    delivered: int
    refused: int
    waits: bool
    reason: str


class ImportResult(msgspec.Struct):
    """What came of an import.

    Attributes:
        sessions: how many were taken.
        prompts, spans, logs: how many of these.
        left: how many sessions were not read, because it was broken off.
        at_work: how many sessions a bridge is to go on with.
        open_prompts: how many prompts are not over.
        problems: what could not be read, a line each.
        points: of the metrics, by destination.
        waiting: how many spans and log records wait in the journal.
        reason: why they wait, if something went wrong.
        stopped_by: why it was broken off; None if it was not.
    """

    sessions: int = 0
    prompts: int = 0
    spans: int = 0
    logs: int = 0
    left: int = 0
    at_work: int = 0
    open_prompts: int = 0
    problems: list[str] = msgspec.field(default_factory=list)
    points: list[PointsTold] = msgspec.field(default_factory=list)
    waiting: int = 0
    reason: str = ""
    stopped_by: Consent | None = None


Report = Callable[[int, ImportResult], None]
"""Called again and again: how many bytes are read, and what came of them so far."""


class Importer:
    """One import.

    Raises:
        ExporterError: an exporter that was named cannot be made.

    Args:
        settings: where to send.
        journal: where everything is kept; its state directory is held.
        catalogue: what every name means, and what of it the user lets leave.
        sources: the sources that there are.
        span: the time in which prompts began that are taken.
        sends_metrics: whether points of the past are made.
        report: is told how far it is.
        patience_seconds: how long nothing need be delivered before what waits is left.
    """

    def __init__(
        self,
        settings: Settings,
        journal: Journal,
        catalogue: Catalogue,
        sources: Registry,
        span: Span,
        *,
        sends_metrics: bool,
        report: Report = lambda size_bytes, result: None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._settings = settings
        self._journal = journal
        self._catalogue = catalogue
        self._report = report
        self._patience_seconds = patience_seconds
        self._watch = ConsentWatch(opt_out_sources_of(settings, os.environ))
        self._looked_at = float("-inf")
        self._delivered_at = time.monotonic()
        self._last_waiting = 0
        self._read_bytes = self._collected_at_bytes = 0
        self.result = ImportResult()
        queued = ExportSettings({signal: settings.destinations.get(signal, ()) for signal in QUEUED_SIGNALS})
        exporters = Exporters(queued.destinations)
        self._delivery = Delivery(journal, _NoTotals(), MetricMarks(journal), queued, exporters)
        self._metric_destinations = settings.destinations.get("metrics", ()) if sends_metrics else ()
        self._metric_exporters = Exporters({"metrics": self._metric_destinations})
        exported: set[SignalName] = {*self._delivery.queued, *(("metrics",) if sends_metrics else ())}
        of_spans, _ = resources_and_scopes(settings, journal.instance_id, (), catalogue.profile.schema_url)
        self._taking = Taking(
            journal, catalogue, sources, of_spans, span, time.time_ns(), exported, settings.metric_attributes
        )

    async def run(self, found: Found) -> ImportResult:
        """Takes the sessions that are wanted, and sends.

        Raises:
            JournalError: the journal cannot be used; what was committed is kept.
        """
        # Left to itself, the collector goes through all that is there again and again: a fifth of the time. What may be
        # garbage are sessions, so it is asked after some.
        gc.freeze()
        gc.disable()
        self._delivery.start()
        try:
            self._delivery.notify()
            for number, session in enumerate(found.wanted):
                if not await self._take(session):
                    self.result.left = len(found.wanted) - number
                    break
            await self._deliver(lambda: self._waiting()[0] == 0, self._delivery)
            if not self.result.left and self.result.stopped_by is None and self._waiting()[0] == 0:
                await self._tell_metrics()
        finally:
            gc.enable()
            gc.unfreeze()
            await self._delivery.close()
            await self._metric_exporters.close()
        status = self._journal.status()
        self.result.waiting = sum(status.signals[signal].pending_items for signal in QUEUED_SIGNALS)
        for signal in QUEUED_SIGNALS if self.result.waiting else ():
            said = status.signals[signal]
            self.result.reason = self.result.reason or "; ".join(filter(None, (said.last_error, said.last_remedy)))
        return self.result

    async def _take(self, session: PastSession) -> bool:
        """Whether it may go on."""
        result, before = self.result, msgspec.structs.replace(self.result)
        taken = Taken()
        for taken in self._taking.take(session):
            result.spans, result.logs = before.spans + taken.spans, before.logs + taken.logs
            self._delivery.notify()
            if not await self._may_go_on():
                return False
        result.sessions += taken.outcome is Outcome.TAKEN and taken.prompts > 0
        result.prompts += taken.prompts
        result.at_work += taken.outcome is Outcome.AT_WORK
        result.open_prompts += taken.at_work
        if taken.problem:
            result.problems.append(taken.problem)
        self._read_bytes += session.size_bytes
        if self._read_bytes - self._collected_at_bytes >= _COLLECT_EVERY_BYTES:
            self._collected_at_bytes = self._read_bytes
            gc.collect(0)
        self._report(self._read_bytes, result)
        return True

    async def _may_go_on(self) -> bool:
        """Lets delivery go on, and waits while too much waits for it."""
        await asyncio.sleep(0)
        while self._is_on():
            _, waiting_bytes = self._waiting()
            if waiting_bytes <= MOST_WAITING_BYTES and not self._journal.is_full():
                return True
            if self._is_stuck():
                return False
            self._report(self._read_bytes, self.result)
            await asyncio.sleep(_LOOK_SECONDS)
        return False

    def _is_on(self) -> bool:
        if time.monotonic() - self._looked_at >= _LOOK_SECONDS and self.result.stopped_by is None:
            self._looked_at = time.monotonic()
            consent = self._watch.look()
            if not consent.is_on:
                self.result.stopped_by = consent
                self._delivery.pause()
                self._metric_exporters.abort()
        return self.result.stopped_by is None

    def _waiting(self) -> tuple[int, int]:
        """Requests that wait, and their bytes."""
        waiting = [self._journal.waiting(signal) for signal in QUEUED_SIGNALS]
        rows, size_bytes = (sum(each) for each in zip(*waiting, strict=True))
        if rows < self._last_waiting or not rows:
            self._delivered_at = time.monotonic()
        self._last_waiting = rows
        return rows, size_bytes

    def _is_stuck(self) -> bool:
        return time.monotonic() - self._delivered_at > self._patience_seconds

    async def _deliver(self, is_done: Callable[[], bool], loop: Delivery | DeliveryLoop) -> None:
        self._delivered_at = time.monotonic()
        while self._is_on() and not is_done() and not self._is_stuck():
            self._report(self._read_bytes, self.result)
            await asyncio.sleep(_LOOK_SECONDS)
        if self._is_on():
            await loop.drain(SHUTDOWN_GRACE_SECONDS)

    async def _tell_metrics(self) -> None:
        if not self._metric_destinations or not waiting_measurements(self._journal):
            return
        note, ended_at_ns = import_note(self._journal), last_measured_at_ns(self._journal)
        _, of_metrics = resources_and_scopes(self._settings, note.instance_id, (), self._catalogue.profile.schema_url)
        outboxes = []
        for destination, exporter in zip(self._metric_destinations, self._metric_exporters.of_metrics(), strict=True):
            outbox = PointsOutbox(
                self._journal,
                note,
                destination,
                self._catalogue,
                of_metrics,
                ended_at_ns,
                self._settings.histogram_aggregation,
            )
            outboxes.append(outbox)
            loop = DeliveryLoop("metrics", outbox, exporter, limits=BatchLimits(rows=1), linger_seconds=0)
            loop.start()
            loop.notify()
            await self._deliver(self._settled(outbox), loop)
            self.result.points.append(
                PointsTold(exporter.description, outbox.delivered, outbox.refused, not outbox.is_empty, outbox.reason)
            )
        if all(outbox.is_empty for outbox in outboxes):
            forget_measurements(self._journal)

    def _settled(self, outbox: PointsOutbox) -> Callable[[], bool]:
        settled = 0

        def is_done() -> bool:
            nonlocal settled
            if (now := outbox.delivered + outbox.refused) > settled:
                settled, self._delivered_at = now, time.monotonic()
            return outbox.is_empty

        return is_done


class _NoTotals:
    """What a bridge counts is not told by an import."""

    def begin(self, destinations: Mapping[str, Temporality]) -> None:
        """Tells nobody."""

    def snapshot(self, destination: str) -> MetricSnapshot | None:
        """Has nothing."""
        return None

    def confirm(self, destination: str, at_ns: int, totals: Mapping[str, MetricTotal]) -> None:
        """Remembers nothing."""

    def form(self, destination: str) -> None:
        """Forms nothing."""
