"""The one composition root: sources, ingest, journal and senders, from the settings to the last commit."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from cline_otel import __version__
from cline_otel.catalogue.load import load
from cline_otel.encode.origin import Origin
from cline_otel.export.delivery import BatchLimits, Delivery
from cline_otel.export.destinations import Destinations
from cline_otel.export.outcome import Sender
from cline_otel.export.snapshots import MetricSnapshots, Snapshot
from cline_otel.export.targets import FileTarget, Target
from cline_otel.ingest import Ingest
from cline_otel.journal.lock import hold_state_directory
from cline_otel.journal.records import JournalStatus, OutboxSignal
from cline_otel.journal.store import Journal
from cline_otel.pipeline import SCHEMA_URL, SCOPE_NAME, Pipeline
from cline_otel.settings import Settings
from cline_otel.signals import Attributes
from cline_otel.sources.otlp_http import OtlpHttpReceiver
from cline_otel.sources.polling import FilePoller
from cline_otel.sources.spool import SpoolReader

_logger = logging.getLogger(__name__)

FAREWELL_SECONDS: Final = 5.0
"""How long a stop may go on sending."""

STATUS_SECONDS: Final = 60.0

FILE_REQUEST_BYTES: Final = 384 * 1024
"""As JSON about twice as long; the collector's otlpjsonfile receiver takes lines of up to 1 MiB by default."""

QUEUED_SIGNALS: Final[tuple[OutboxSignal, ...]] = ("traces", "logs")
"""Metrics do not queue: the newest totals replace a lost snapshot."""


class Started(msgspec.Struct, frozen=True):
    """What a bridge reads and where it sends; for people, without secrets."""

    notices: tuple[str, ...]
    reads: tuple[str, ...]
    sends: tuple[str, ...]
    state_directory: Path
    listening_on: str | None


class Bridge:
    """One bridge, from start to stop.

    Args:
        settings: what to read, where to send.
        announce: told once, when everything runs.
        report_status: told once a minute, and at the end.
    """

    def __init__(
        self,
        settings: Settings,
        announce: Callable[[Started], None] = lambda started: None,
        report_status: Callable[[JournalStatus, int], None] = lambda status, open_runs: None,
    ) -> None:
        self._settings = settings
        self._announce = announce
        self._report_status = report_status
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Asks for a stop; ``run`` returns when what can be sent in time is sent."""
        self._stopping.set()

    async def run(self) -> None:
        """Runs until ``stop``, or until a signal if handlers were set.

        Raises:
            StateDirectoryBusyError: another bridge runs on the same state directory.
            JournalError: the journal cannot be used.
            ReceiverRefused: the OTLP receiver cannot or must not listen.
            DestinationError: an exporter that was named cannot be made.
        """
        settings = self._settings
        destinations = Destinations(settings.targets)
        with hold_state_directory(settings.state_directory):
            journal = Journal.open(settings.journal_path, limit_bytes=settings.journal_limit_bytes)
            try:
                await self._run(journal, destinations)
            finally:
                await destinations.close()
                journal.close()

    async def _run(self, journal: Journal, destinations: Destinations) -> None:
        settings = self._settings
        origin, metric_origin = _origins(settings, journal.instance_id)
        catalogue = load()
        claim_wait_ns = round(settings.claim_wait_seconds * 1e9)
        deliveries: list[Delivery] = []

        def new_pipeline() -> Pipeline:
            return Pipeline(catalogue, origin, metric_origin, journal.load_state(), claim_wait_ns)

        def committed() -> None:
            for delivery in deliveries:
                delivery.notify()

        queued: dict[OutboxSignal, Sender] = {}
        for name in QUEUED_SIGNALS:
            if (sender := destinations.queued(name)) is not None:
                queued[name] = sender
        deliveries += [
            Delivery(name, journal, sender, limits=_limits(settings.targets[name])) for name, sender in queued.items()
        ]
        ingest = Ingest(journal, new_pipeline, queued.keys(), committed)
        tasks: list[asyncio.Task[None]] = []
        snapshots = self._snapshots(journal, ingest, destinations)
        poller = FilePoller(
            ingest.submit,
            journal.cursors(),
            spool=SpoolReader(settings.spool_directory),
            cline_log=settings.cline_log_path,
            may_read=lambda: not journal.is_full(),
            report=_logger.warning,
        )
        receiver = self._receiver(ingest)
        try:
            if receiver is not None:
                await receiver.start()
            tasks += [delivery.start() for delivery in deliveries]
            if snapshots is not None:
                tasks.append(snapshots.start())
            tasks.append(asyncio.create_task(poller.run(), name="poll-files"))
            tasks.append(asyncio.create_task(self._tell_status(journal, ingest), name="status"))
            self._announce(self._started(destinations, receiver))
            await self._until_stopped(tasks)
        finally:
            if receiver is not None:
                await receiver.stop(1.0)
        await self._farewell(poller, tasks, deliveries, snapshots)
        self._report_status(journal.status(), ingest.pipeline.open_runs)

    async def _until_stopped(self, tasks: list[asyncio.Task[None]]) -> None:
        """Waits for ``stop``; a task that fails takes the bridge down with its error."""
        stopping = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                if (error := task.exception()) is not None:
                    raise error
        finally:
            stopping.cancel()

    async def _farewell(
        self,
        poller: FilePoller,
        tasks: list[asyncio.Task[None]],
        deliveries: list[Delivery],
        snapshots: MetricSnapshots | None,
    ) -> None:
        """Reads what is left, then sends what can be sent in time; the rest waits in the journal."""
        poller.stop()
        polling = next(task for task in tasks if task.get_name() == "poll-files")
        with suppress(asyncio.CancelledError):
            await asyncio.wait({polling}, timeout=FAREWELL_SECONDS)
        farewells = [delivery.drain(FAREWELL_SECONDS) for delivery in deliveries]
        if snapshots is not None:
            farewells.append(snapshots.drain(FAREWELL_SECONDS))
        await asyncio.gather(*farewells)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tell_status(self, journal: Journal, ingest: Ingest) -> None:
        while True:
            await asyncio.sleep(STATUS_SECONDS)
            self._report_status(journal.status(), ingest.pipeline.open_runs)

    def _snapshots(self, journal: Journal, ingest: Ingest, destinations: Destinations) -> MetricSnapshots | None:
        senders = destinations.snapshots()
        if not senders:
            return None

        def newest() -> Snapshot | None:
            request = ingest.pipeline.metrics_request(journal.started_at_ns, time.time_ns())
            return Snapshot(request, len(ingest.pipeline.totals)) if request else None

        return MetricSnapshots(
            newest,
            senders,
            journal,
            interval_seconds=self._settings.metric_export_interval_seconds,
            timeout_seconds=self._settings.metric_export_timeout_seconds,
        )

    def _receiver(self, ingest: Ingest) -> OtlpHttpReceiver | None:
        if self._settings.listen is None:
            return None
        listen = self._settings.listen
        return OtlpHttpReceiver(ingest, host=listen.host, port=listen.port, report=_logger.warning)

    def _started(self, destinations: Destinations, receiver: OtlpHttpReceiver | None) -> Started:
        settings = self._settings
        reads = [f"plugin spool {settings.spool_directory}", f"Cline's log {settings.cline_log_path}"]
        if receiver is not None:
            reads.append(f"OTLP logs on {receiver.endpoint}/v1/logs")
        return Started(
            notices=settings.notices,
            reads=tuple(reads),
            sends=tuple(destinations.describe()),
            state_directory=settings.state_directory,
            listening_on=receiver.endpoint if receiver is not None else None,
        )


def resource_of(settings: Settings, instance_id: str) -> Attributes:
    """The resource of spans and logs: who tells it, and what ``OTEL_RESOURCE_ATTRIBUTES`` adds."""
    named = {
        "service.name": settings.service_name,
        "service.instance.id": instance_id,
        **dict(settings.resource_attributes),
    }
    return tuple(named.items())


def _origins(settings: Settings, instance_id: str) -> tuple[Origin, Origin]:
    """Metrics carry no version, neither in resource nor scope: an upgrade must not split their totals."""
    resource = resource_of(settings, instance_id)
    identity = tuple(pair for pair in resource if pair[0] != "service.version")
    return (
        Origin(resource, SCOPE_NAME, __version__, SCHEMA_URL),
        Origin(identity, SCOPE_NAME, "", SCHEMA_URL),
    )


def _limits(targets: Sequence[Target]) -> BatchLimits:
    if any(isinstance(target, FileTarget) for target in targets):
        return BatchLimits(size_bytes=FILE_REQUEST_BYTES)
    return BatchLimits()


def run_until_signal(bridge: Bridge) -> None:
    """Runs a bridge until SIGINT or SIGTERM; a second signal ends the process at once, losing nothing committed."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        asked = 0

        def on_signal() -> None:
            nonlocal asked
            asked += 1
            if asked > 1:
                os._exit(130)
            bridge.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
        await bridge.run()

    asyncio.run(main())
