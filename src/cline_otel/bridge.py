"""The one composition root: sources, ingest, journal and delivery, from the settings to the last commit."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from cline_otel.consent import Consent
from cline_otel.consent.erase import EraseResult, erase_if_less_is_allowed
from cline_otel.control import Control
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.export.delivery import Delivery
from cline_otel.export.exporters import Exporters
from cline_otel.findings.detection import Finding, detect
from cline_otel.findings.surroundings import look_around
from cline_otel.ingest import Ingest
from cline_otel.journal.lock import hold_state_directory
from cline_otel.journal.metric_marks import MetricMarks
from cline_otel.journal.records import Commit, JournalError, JournalStatus, JournalUnavailableError
from cline_otel.journal.store import Journal
from cline_otel.journal_watch import watch
from cline_otel.metric_producer import MetricProducer
from cline_otel.operating_system.stop_signals import on_stop_signal
from cline_otel.pipeline import Pipeline
from cline_otel.plugin.install import plugin_file_of, that_load_plugins
from cline_otel.running import Running, announced, announced_to_user, this_process
from cline_otel.settings import ListenAddress, Settings
from cline_otel.settings.privacy import OptIn
from cline_otel.signals import Attributes, SpanRecord
from cline_otel.sources.files.polling import POLL_INTERVAL_SECONDS, Poller, renewed_cursors
from cline_otel.sources.intake import Busy, Unavailable
from cline_otel.sources.interface import (
    Address,
    AddressInUse,
    Listening,
    Payload,
    Receiver,
    ReceiveResult,
    ReceiverProtocol,
)
from cline_otel.sources.registry import SOURCES, Registry
from cline_otel.version import SCOPE_NAME, __version__

_logger = logging.getLogger(__name__)

SHUTDOWN_GRACE_SECONDS: Final = 5.0
"""How long a stop may go on sending."""

STATUS_SECONDS: Final = 60.0

_FINDINGS_SECONDS: Final = 10.0


class Started(msgspec.Struct, frozen=True):
    """What a bridge reads and where it sends; for people, without secrets."""

    notices: tuple[str, ...]
    reads: tuple[str, ...]
    sends: tuple[str, ...]
    state_directory: Path
    consent: Consent
    opt_ins: tuple[OptIn, ...] = ()
    excluded: tuple[str, ...] = ()


class Observer:
    """Receives reports of what a bridge does; this one ignores them."""

    def started(self, started: Started) -> None:
        """Once, when everything runs."""

    def consent(self, consent: Consent) -> None:
        """Whenever telemetry goes on or off, or the reasons change."""

    def stopping(self, seconds: float) -> None:
        """Once, when a stop was asked for; what waits is sent for at most that long."""

    def found(self, finding: Finding) -> None:
        """Something that is missed; once, for as long as it holds."""

    def resolved(self, finding: Finding) -> None:
        """It is missed no more."""

    def made(self, spans: Sequence[SpanRecord]) -> None:
        """Spans, once they are committed; they are sent later."""

    def status(self, status: JournalStatus, open_runs: int) -> None:
        """Once a minute, and at the end."""


class Bridge:
    """One bridge, from start to stop.

    Args:
        settings: what to read, where to send.
        observer: receives reports of what it does.
        sources: the sources that there are.
        job: of the resource of spans and log records: the job of a pipeline that it runs in.

    Raises:
        SettingsError: a place is not known for want of a home directory.
    """

    def __init__(
        self,
        settings: Settings,
        observer: Observer | None = None,
        sources: Registry = SOURCES,
        job: Attributes = (),
    ) -> None:
        self._settings = settings
        self._places = settings.places
        self._job = job
        self._grace_seconds = SHUTDOWN_GRACE_SECONDS
        self._ingest: Ingest | None = None
        self._sources = sources
        self._observer = observer or Observer()
        self._stopping = asyncio.Event()
        self._erased: EraseResult | None = None
        self._tell_user: Callable[[Running], None] = lambda running: None
        self._reading_since_ns = time.time_ns()

    def stop(self, within_seconds: float = SHUTDOWN_GRACE_SECONDS) -> None:
        """Asks for a stop; ``run`` returns when what can be sent in time is sent."""
        self._grace_seconds = within_seconds
        self._stopping.set()

    def is_settled(self, at_ns: int) -> bool:
        """Whether what was there at a time is read, no run is under way, and none waits to be decided whose it is.

        Args:
            at_ns: nanoseconds since the Unix epoch.
        """
        return self._ingest is not None and self._ingest.pipeline.is_settled(at_ns)

    def close_open_runs(self) -> None:
        """Closes the runs that are under way as incomplete, where nobody will say more of them.

        Raises:
            Busy, Unavailable: they stay open.
        """
        if self._ingest is not None:
            self._ingest.close_open_runs()

    async def receive(self, payload: Payload) -> ReceiveResult:
        """Takes a payload that this process made itself; returns after its commit.

        Raises:
            MalformedPayload: it cannot be decoded.
            Busy, Unavailable: nothing was taken.
        """
        if self._ingest is None:
            raise Unavailable()
        return await self._ingest.receive(payload)

    def findings(self) -> list[Finding]:
        """What is missed now, as far as it is known; nothing before it reads."""
        if self._ingest is None:
            return []
        surroundings = look_around(self._places.installations, self._places.state_directory, self._reading_since_ns)
        return detect(self._ingest.pipeline.state, surroundings, time.time_ns())

    async def run(self) -> None:
        """Runs until ``stop``, or until a signal if handlers were set.

        Raises:
            StateDirectoryBusyError: another bridge runs on the same state directory.
            JournalError: the journal cannot be used.
            ReceiverRefused: an OTLP receiver cannot or must not listen; not for an address that is in use.
            ExporterError: an exporter that was named cannot be made.
            PseudonymsFileError: the installation's key cannot be read or made.
        """
        settings = self._settings
        exporters = Exporters(settings.destinations)
        starting = this_process("run", settings.state_directory)
        with hold_state_directory(settings.state_directory), announced_to_user(starting) as self._tell_user:
            journal = Journal.open(settings.journal_path, limit_bytes=settings.journal_limit_bytes)
            try:
                await self._run(journal, exporters)
            finally:
                journal.close()

    async def _run(self, journal: Journal, exporters: Exporters) -> None:
        settings = self._settings
        claim_wait_ns = round(settings.claim_wait_seconds * 1e9)
        control = Control(settings, self._sources)
        self._erased = erase_if_less_is_allowed(journal, control.policy)

        def new_pipeline() -> Pipeline:
            catalogue = self._sources.catalogue(
                control.policy, settings.prices, settings.profile, settings.service_name
            )
            pipeline = Pipeline(
                catalogue,
                *resources_and_scopes(settings, journal.instance_id, self._job, catalogue.profile.schema_url),
                journal.load_state(),
                claim_wait_ns,
                self._sources,
                journal.started_at_ns,
                settings.histogram_aggregation,
                settings.metric_attributes,
                call_limit_ns=round(settings.call_limit_seconds * 1e9) or None,
            )
            for kind, rows in pipeline.unreadable.items():
                _logger.warning(
                    "the journal holds %d %s record%s that this release cannot read: discarded, the rest is kept",
                    rows,
                    kind,
                    "" if rows == 1 else "s",
                )
            return pipeline

        marks = MetricMarks(journal)
        producer = MetricProducer(marks, lambda: ingest.pipeline)
        delivery = Delivery(journal, producer, marks, settings.exports, exporters)
        try:
            ingest = Ingest(
                journal,
                new_pipeline,
                delivery.queued,
                delivery.notify,
                consent=lambda: control.consent.state,
                made=self._observer.made,
            )
            self._ingest = ingest
            await self._serve(journal, ingest, delivery, control)
        finally:
            await delivery.close()

    async def _serve(self, journal: Journal, ingest: Ingest, delivery: Delivery, control: Control) -> None:
        settings = self._settings
        has_room = _Room(journal, settings.journal_limit_bytes)
        inputs = self._sources.inputs(self._places)
        if renewed := renewed_cursors(journal.cursors(), inputs):
            _logger.warning(
                "the journal does not say how far %d file%s was read: reading continues at the end",
                len(renewed),
                "" if len(renewed) == 1 else "s",
            )
            journal.commit(Commit(cursors=renewed, counts={("unreadable", "journal", "cursor"): len(renewed)}))
        poller = Poller(
            ingest.submit,
            journal.cursors(),
            inputs,
            may_read=control.is_on,
            has_room=has_room,
            skips=control.is_off,
            report=_logger.warning,
            wake=control.poll_now,
        )
        receivers = self._receivers(ingest)
        tasks: list[asyncio.Task[None]] = []
        try:
            control.begin(journal, ingest, delivery)
            delivery.start()
            not_listening = await _start(receivers)
            tasks.append(asyncio.create_task(delivery.run(), name="delivery"))
            tasks.append(asyncio.create_task(poller.run(), name="poll-files"))
            tasks.append(asyncio.create_task(control.run(), name="control"))
            tasks.append(asyncio.create_task(self._report_status(journal, ingest, delivery, control), name="status"))
            tasks.append(asyncio.create_task(watch(journal, POLL_INTERVAL_SECONDS), name="watch-journal"))
            tasks.append(asyncio.create_task(self._report_findings(ingest, control), name="findings"))
            running = _running(control.consent, receivers, not_listening, settings, delivery)

            def tell(consent: Consent, announce: Callable[[Running], None] = lambda running: None) -> None:
                now = msgspec.structs.replace(
                    running,
                    telemetry=consent.state,
                    reasons=consent.reasons,
                    destinations=tuple(delivery.describe()),
                    turned_away=tuple(dict.fromkeys(line for each in receivers for line in each.turned_away())),
                )
                self._tell_user(now)
                announce(now)

            def report(consent: Consent, announce: Callable[[Running], None] = lambda running: None) -> None:
                tell(consent, announce)
                self._observer.consent(consent)

            self._tell_user(running)
            with announced(settings.state_directory, running) as announce:
                control.report = partial(report, announce=announce)
                control.redirected = lambda: tell(control.consent, announce)
                self._observer.started(self._started(delivery, running, control.consent))
                try:
                    await self._until_stopped(tasks)
                finally:
                    control.report, control.redirected = report, lambda: None
                self._observer.stopping(self._grace_seconds)
        finally:
            await asyncio.gather(*(receiver.stop(1.0) for receiver in receivers))
        await self._shut_down(poller, tasks, ingest, delivery)
        self._observer.status(journal.status(), ingest.pipeline.open_runs)

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

    async def _shut_down(
        self, poller: Poller, tasks: list[asyncio.Task[None]], ingest: Ingest, delivery: Delivery
    ) -> None:
        """Reads what is left, then sends what can be sent in time; the rest waits in the journal."""
        poller.stop()
        polling = next(task for task in tasks if task.get_name() == "poll-files")
        with suppress(asyncio.CancelledError):
            await asyncio.wait({polling}, timeout=self._grace_seconds)
        with suppress(Busy, Unavailable):
            ingest.count_reported_failures()
        await delivery.drain(self._grace_seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not polling.cancelled() and (error := polling.exception()) is not None:
            raise error

    async def _report_status(self, journal: Journal, ingest: Ingest, delivery: Delivery, control: Control) -> None:
        while True:
            await asyncio.sleep(STATUS_SECONDS)
            # It says itself what keeps it from being read.
            with suppress(JournalUnavailableError):
                self._observer.status(journal.status(), ingest.pipeline.open_runs)
            # `cline-otel dead-letters send` may have put something into the queue.
            delivery.notify()
            control.redirected()

    async def _report_findings(self, ingest: Ingest, control: Control) -> None:
        known: dict[str, Finding] = {}
        while True:
            await asyncio.sleep(_FINDINGS_SECONDS)
            if not control.is_on():
                continue
            surroundings = await asyncio.to_thread(
                look_around, self._places.installations, self._places.state_directory, self._reading_since_ns
            )
            found = {each.name: each for each in detect(ingest.pipeline.state, surroundings, time.time_ns())}
            for name, finding in found.items():
                if name not in known:
                    self._observer.found(finding)
            for name, finding in known.items():
                if name not in found:
                    self._observer.resolved(finding)
            known = found

    def _receivers(self, ingest: Ingest) -> list[Receiver]:
        settings = self._settings
        configured: dict[ReceiverProtocol, ListenAddress | None] = {
            "http": settings.listen,
            "grpc": settings.listen_grpc,
        }
        addresses = {protocol: Address(at.host, at.port) for protocol, at in configured.items() if at is not None}
        token = settings.listen_token.value if settings.listen_token is not None else None
        listening = Listening(addresses, token, settings.listen_hosts, settings.listen_uids)
        return list(self._sources.receivers(listening, ingest, _logger.warning))

    def _started(self, delivery: Delivery, running: Running, consent: Consent) -> Started:
        settings = self._settings
        places = self._places._replace(listening_on=running.listening_on, listening_on_grpc=running.listening_on_grpc)
        reads = self._sources.reads(places)
        notices = list(settings.notices)
        if not settings.has_endpoint:
            notices.append("no endpoint is set (OTEL_EXPORTER_OTLP_ENDPOINT): nothing leaves this machine")
        if self._erased is not None:
            notices.append(
                f"{self._erased.reason}: {self._erased.items} spans and log records that waited were erased, "
                "open runs were discarded, and metrics count from now"
            )
        loading = that_load_plugins(self._places.installations)
        without = [str(each.directory) for each in loading if not plugin_file_of(each).exists()]
        if without:
            where = f" in {', '.join(without)}" if len(loading) > 1 else ""
            notices.append(
                f"the plugin is not installed{where}: with `cline-otel install` every agent and call is reported"
            )
        return Started(
            tuple(notices),
            tuple(reads),
            tuple(delivery.describe()),
            settings.state_directory,
            consent,
            settings.also_sent,
            tuple(sorted(settings.policy.excluded)),
        )


async def _start(receivers: list[Receiver]) -> tuple[str, ...]:
    """Lets them listen; those whose address is in use are taken out. Why, in lines for people."""
    in_use: list[str] = []
    for receiver in tuple(receivers):
        try:
            await receiver.start()
        except AddressInUse as error:
            _logger.warning("%s", error)
            receivers.remove(receiver)
            in_use.append(str(error))
    return tuple(in_use)


def _running(
    consent: Consent,
    receivers: Sequence[Receiver],
    not_listening: tuple[str, ...],
    settings: Settings,
    delivery: Delivery,
) -> Running:
    endpoints = {receiver.protocol: receiver.endpoint for receiver in receivers}
    return Running(
        os.getpid(),
        time.time_ns(),
        endpoints.get("http"),
        consent.state,
        consent.reasons,
        settings.also_sent,
        tuple(sorted(settings.policy.excluded)),
        settings.service,
        endpoints.get("grpc"),
        not_listening,
        str(settings.state_directory),
        tuple(delivery.describe()),
    )


class _Room:
    """Whether there is room to read on. Says so when there is none, once while that lasts."""

    def __init__(self, journal: Journal, limit_bytes: int) -> None:
        self._journal = journal
        self._limit_bytes = limit_bytes
        self._say_again_at = 0.0

    def __call__(self) -> bool:
        try:
            if not self._journal.is_full():
                return True
        except JournalError:
            # Said by the journal; if it is damaged, that ends the bridge.
            return False
        if time.monotonic() >= self._say_again_at:
            _logger.warning(
                "the journal is full: as much waits to be delivered as may (limit %d bytes, the state does not count); "
                "reading files is paused and OTLP senders are asked to retry; "
                "make the destination reachable, or raise CLINE_OTEL_BRIDGE_JOURNAL_LIMIT_BYTES",
                self._limit_bytes,
            )
        # While it empties it is full and not full in turns.
        self._say_again_at = time.monotonic() + STATUS_SECONDS
        return False


def resources_and_scopes(
    settings: Settings, instance_id: str, job: Attributes, schema_url: str
) -> tuple[ResourceAndScope, ResourceAndScope]:
    """Of spans and logs, and of metrics, which carry no version and no job: neither an upgrade nor each run of a
    pipeline must split their totals."""
    resource = settings.resource(instance_id)
    identity = tuple(pair for pair in resource if pair[0] != "service.version")
    return (
        ResourceAndScope((*resource, *job), SCOPE_NAME, __version__, schema_url),
        ResourceAndScope(identity, SCOPE_NAME, "", schema_url),
    )


def run_until_signal(bridge: Bridge) -> None:
    """Runs a bridge until a signal asks it to stop; a second one ends the process at once, losing nothing committed."""

    async def main() -> None:
        asked = 0

        def on_signal() -> None:
            nonlocal asked
            asked += 1
            if asked > 1:
                os._exit(130)
            bridge.stop()

        on_stop_signal(asyncio.get_running_loop(), on_signal)
        await bridge.run()

    asyncio.run(main())
