"""Ingest: what sources hand over goes through the pipeline into the journal, one transaction a batch.

Several requests that wait at the same time share a transaction. When a commit fails, the pipeline's
memory is thrown away and read back from the journal, so that memory and disk never differ; whoever
handed the data over is told to come again.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Final

import msgspec

from cline_otel.consent.decision import State
from cline_otel.journal.records import Commit, JournalError, JournalFullError, OutboxItem, OutboxSignal
from cline_otel.journal.store import Journal
from cline_otel.pipeline import Flushed, Pipeline
from cline_otel.sources.files.polling import INTERRUPTED_KEY
from cline_otel.sources.intake import (
    Batch,
    Busy,
    ClineLogLines,
    ContentType,
    MalformedPayload,
    PluginLines,
    ProcessGone,
    ProcessKey,
    ReceiveResult,
    Unavailable,
    UnsupportedSignal,
)
from cline_otel.sources.otlp.decode import MalformedPayload as MalformedRequest

MAX_WAITING_REQUESTS: Final = 256
"""More requests than this at once are answered with 429."""

TRANSACTION_BYTES: Final = 4 * 1024 * 1024
"""Bodies of requests that share a transaction; a larger one has its own."""

_FORGET_EVERY_NS: Final = 3_600_000_000_000


class _Request(msgspec.Struct):
    body: bytes
    content_type: ContentType
    digest: bytes
    answered: asyncio.Future[ReceiveResult]


class Ingest:
    """Takes from sources, commits, and says so.

    Args:
        journal: where everything is kept.
        new_pipeline: makes a pipeline from the journal's state.
        exported: the signals that have a destination; the others are not queued.
        committed: called after a commit that put something into the outbox.
        wall_clock_ns: nanoseconds since the Unix epoch.
        consent: whether telemetry is on. While it is off, requests are acknowledged and dropped undecoded; while
            it is held, they are told to come again.
    """

    def __init__(
        self,
        journal: Journal,
        new_pipeline: Callable[[], Pipeline],
        exported: Collection[OutboxSignal],
        committed: Callable[[], None],
        wall_clock_ns: Callable[[], int] = time.time_ns,
        consent: Callable[[], State] = lambda: "on",
    ) -> None:
        self._journal = journal
        self._new_pipeline = new_pipeline
        self._exported = exported
        self._committed = committed
        self._wall_clock_ns = wall_clock_ns
        self._consent = consent
        self._dropped_requests = 0
        self._waiting: list[_Request] = []
        self._worker: asyncio.Task[None] | None = None
        self._forgotten_at_ns = wall_clock_ns()
        self._failure: JournalError | None = None
        self.pipeline = new_pipeline()

    # --- from files ---------------------------------------------------------------------------------

    async def submit(self, batch: Batch) -> None:
        """What was read from files; returns after the commit.

        Raises:
            Busy: the journal is full; nothing was taken.
            Unavailable: it could not be committed; nothing was taken.
        """
        dropped = self._dropped_requests
        if not batch.inputs and not batch.cursors and batch.tick_at_ns is None and not dropped:
            return
        if batch.inputs and self._consent() != "on":
            raise Busy()
        commit = Commit(cursors=dict(batch.cursors))
        if dropped:
            commit.counts["switched_off", "otlp", "requests"] = dropped
        for given in batch.inputs:
            if isinstance(given, PluginLines):
                made = self.pipeline.take_plugin(given.lines, process_name(given.process))
                _count(commit, "plugin", len(given.lines), made, given.skipped_lines)
            elif isinstance(given, ClineLogLines):
                made = self.pipeline.take_cline_log(given.lines)
                _count(commit, "cline-log", len(given.lines), made, given.skipped_lines)
            elif isinstance(given, ProcessGone):
                self.pipeline.end_process(process_name(given.process), self._wall_clock_ns())
        if batch.tick_at_ns is not None:
            self.pipeline.tell_time(batch.tick_at_ns)
            if batch.tick_at_ns - self._forgotten_at_ns > _FORGET_EVERY_NS:
                self._forgotten_at_ns = batch.tick_at_ns
                self.pipeline.forget()
        self._commit(commit)
        self._dropped_requests -= dropped

    # --- from the receiver ------------------------------------------------------------------------------

    async def receive_logs(self, body: bytes, content_type: ContentType) -> ReceiveResult:
        """One OTLP log request; returns after the commit. A request seen before is acknowledged and not taken again."""
        if self._drops():
            return ReceiveResult(accepted=0)
        if len(self._waiting) >= MAX_WAITING_REQUESTS or self._journal.is_full():
            raise Busy()
        answered: asyncio.Future[ReceiveResult] = asyncio.get_running_loop().create_future()
        digest = hashlib.blake2b(body, digest_size=16).digest()
        self._waiting.append(_Request(body, content_type, digest, answered))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._take_waiting(), name="ingest-otlp")
        return await answered

    async def count_unsupported(self, signal: UnsupportedSignal) -> None:
        """Metrics and traces that Cline itself sends: counted, not kept."""
        if not self._drops():
            self._commit(Commit(counts={("unsupported_signal", "otlp", signal): 1}))

    def _drops(self, requests: int = 1) -> bool:
        """Whether requests are dropped, because telemetry is off. Counted, and written when the files' places are.

        Raises:
            Unavailable: it is not known whether they may be taken.
        """
        consent = self._consent()
        if consent == "held":
            raise Unavailable()
        if consent == "off":
            self._dropped_requests += requests
        return consent == "off"

    async def _take_waiting(self) -> None:
        while self._waiting:
            requests = self._next_requests()
            answers: Sequence[ReceiveResult | Exception]
            try:
                answers = self._take(requests)
            except Exception as error:
                # Everybody who waits must hear of it, and half a step must not stay in memory.
                if not isinstance(error, Busy | Unavailable):
                    with suppress(Unavailable):
                        self.begin_anew()
                answers = [error] * len(requests)
            for request, answer in zip(requests, answers, strict=True):
                if request.answered.done():
                    continue
                if isinstance(answer, Exception):
                    request.answered.set_exception(answer)
                else:
                    request.answered.set_result(answer)
            await asyncio.sleep(0)

    def _next_requests(self) -> list[_Request]:
        """Those that have waited longest, as many as one transaction takes: off must come through between two."""
        sizes_bytes = accumulate(len(request.body) for request in self._waiting)
        number = sum(size_bytes < TRANSACTION_BYTES for size_bytes in sizes_bytes) + 1
        requests, self._waiting = self._waiting[:number], self._waiting[number:]
        return requests

    def _take(self, requests: Sequence[_Request]) -> list[ReceiveResult | Exception]:
        """One transaction for all of them; an answer for each, in their order."""
        if self._drops(len(requests)):
            return [ReceiveResult(accepted=0)] * len(requests)
        answers: list[ReceiveResult | Exception] = []
        commit = Commit()
        seen: set[bytes] = set()
        for request in requests:
            if request.digest in seen or self._journal.seen_request(request.digest):
                key = ("duplicate", "otlp", "request")
                commit.counts[key] = commit.counts.get(key, 0) + 1
                answers.append(ReceiveResult(accepted=0))
                continue
            try:
                made = self.pipeline.take_otlp_logs(request.body, request.content_type)
            except MalformedRequest as error:
                answers.append(MalformedPayload(str(error)))
                continue
            seen.add(request.digest)
            _count(commit, "otlp", 1, made, 0)
            commit.seen_requests.append((request.digest, self._wall_clock_ns()))
            answers.append(ReceiveResult(accepted=made))
        self._commit(commit)
        return answers

    # --- when telemetry goes off and on ------------------------------------------------------------------

    def close_open_runs(self) -> None:
        """Closes the runs that are open as incomplete, at their last signs of life; what they still tell is late.

        Raises:
            Busy, Unavailable: they stay open.
        """
        self.pipeline.close_open_runs()
        self._commit(Commit(cursors={INTERRUPTED_KEY: None}))

    # --- the transaction --------------------------------------------------------------------------------

    def _commit(self, commit: Commit) -> None:
        if self._failure is not None:
            raise self._failure
        flushed = self.pipeline.flush()
        _add_flushed(commit, flushed, self._exported)
        if not (commit.state or commit.outbox or commit.cursors or commit.counts or commit.seen_requests):
            return
        try:
            self._journal.commit(commit)
        except JournalFullError:
            self.begin_anew()
            raise Busy(30.0) from None
        except (JournalError, sqlite3.Error) as error:
            self.begin_anew()
            raise Unavailable() from error
        if commit.outbox:
            self._committed()

    def begin_anew(self) -> None:
        """Makes the pipeline's memory equal to the disk again; until that succeeds nothing is committed.

        Raises:
            Unavailable: the journal cannot be read.
        """
        try:
            self.pipeline = self._new_pipeline()
        except JournalError as error:
            self._failure = error
            raise Unavailable() from error
        self._failure = None


def process_name(process: ProcessKey) -> str:
    """A plugin process as the translator names it."""
    return f"{process.pid}-{process.started_at_ms}"


def _add_flushed(commit: Commit, flushed: Flushed, exported: Collection[OutboxSignal]) -> None:
    if flushed.traces_request and "traces" in exported:
        commit.outbox.append(OutboxItem("traces", flushed.traces_request, len(flushed.spans), flushed.tally))
    if flushed.logs_request and "logs" in exported:
        commit.outbox.append(OutboxItem("logs", flushed.logs_request, len(flushed.logs), flushed.tally))
    commit.state |= flushed.state
    for key, times in flushed.tally.items():
        commit.counts[key] = commit.counts.get(key, 0) + times


def _count(commit: Commit, source: str, records: int, events: int, skipped: int) -> None:
    for kind, times in (("received", records), ("events", events), ("malformed", skipped)):
        if times:
            key = (kind, source, "line too long" if kind == "malformed" else "records")
            commit.counts[key] = commit.counts.get(key, 0) + times
