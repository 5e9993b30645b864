"""Ingest: what sources hand over goes through the pipeline into the journal, one transaction a batch.

Several requests that wait at the same time share a transaction. When a commit fails, what it would have
changed in the pipeline's memory is read back from the journal, so that memory and disk never differ;
whoever handed the data over is asked to retry.
"""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Final

import msgspec

from cline_otel.consent.decision import State
from cline_otel.export.interface import EncodedRequest
from cline_otel.journal.records import Commit, JournalError, JournalFullError, OutboxItem, OutboxSignal
from cline_otel.journal.store import Journal
from cline_otel.pipeline import FlushResult, Pipeline
from cline_otel.signals import SignalName, SpanRecord
from cline_otel.sources.files.polling import INTERRUPTED_KEY
from cline_otel.sources.intake import Batch, Busy, Unavailable
from cline_otel.sources.interface import MalformedPayload, Payload, ReceiveResult

MAX_WAITING_REQUESTS: Final = 256
"""More requests than this at once are answered with 429."""

TRANSACTION_BYTES: Final = 4 * 1024 * 1024
"""Bodies of requests that share a transaction; a larger one has its own."""

GATHER_SECONDS: Final = 0.003
"""How long requests wait for each other at most, where several came together just before."""

_FORGET_EVERY_NS: Final = 3_600_000_000_000


class _Request(msgspec.Struct):
    payload: Payload
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
            it is unknown, they are asked to retry.
        made: called with the spans of each commit.
    """

    def __init__(
        self,
        journal: Journal,
        new_pipeline: Callable[[], Pipeline],
        exported: Collection[OutboxSignal],
        committed: Callable[[], None],
        wall_clock_ns: Callable[[], int] = time.time_ns,
        consent: Callable[[], State] = lambda: "on",
        made: Callable[[Sequence[SpanRecord]], None] = lambda spans: None,
    ) -> None:
        self._journal = journal
        self._new_pipeline = new_pipeline
        self._exported = exported
        self._committed = committed
        self._wall_clock_ns = wall_clock_ns
        self._consent = consent
        self._made = made
        self._dropped_requests: Counter[str] = Counter()
        self._waiting: list[_Request] = []
        self._worker: asyncio.Task[None] | None = None
        self._has_gathered = asyncio.Event()
        self._together = 1
        self._answered_at = 0.0
        self._forgotten_at_ns = wall_clock_ns()
        self._uncommitted: set[str] = set()
        self._is_outdated = False
        self.pipeline = new_pipeline()

    # --- what is polled -----------------------------------------------------------------------------

    async def submit(self, batch: Batch) -> None:
        """What was read from files; returns after the commit.

        Raises:
            Busy: the journal is full; nothing was taken.
            Unavailable: it could not be committed; nothing was taken.
        """
        dropped = self._dropped_requests.copy()
        if not batch.payloads and not batch.cursors and batch.tick_at_ns is None and not dropped:
            return
        if batch.payloads and self._consent() != "on":
            raise Busy()
        self._require_journal()
        commit = Commit(cursors=dict(batch.cursors), is_owed=not batch.payloads)
        for source, requests in dropped.items():
            _count(commit, "switched_off", source, "requests", requests)
        for payload in batch.payloads:
            try:
                _count_taken(commit, payload, self.pipeline.take(payload, self._wall_clock_ns()))
            except MalformedPayload:
                # It will never be read: what follows must not wait for it.
                _count(commit, "malformed", payload.source, self.pipeline.catalogue.sources[payload.source].piece)
        if batch.tick_at_ns is not None:
            self._forgotten_at_ns += batch.moved_ns
            self.pipeline.advance_clock(batch.tick_at_ns, is_behind=batch.is_behind, moved_ns=batch.moved_ns)
            if batch.tick_at_ns - self._forgotten_at_ns > _FORGET_EVERY_NS:
                self._forgotten_at_ns = batch.tick_at_ns
                self.pipeline.forget()
        self._commit(commit)
        self._dropped_requests -= dropped

    # --- from receivers ------------------------------------------------------------------------------

    async def receive(self, payload: Payload) -> ReceiveResult:
        """One request; returns after the commit. A request seen before is acknowledged and not taken again."""
        if self._drops(payload.source):
            return ReceiveResult(accepted=0)
        self._require_journal()
        if len(self._waiting) >= MAX_WAITING_REQUESTS or self._is_full():
            raise Busy()
        answered: asyncio.Future[ReceiveResult] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(payload, _digest(payload), answered))
        if len(self._waiting) >= self._together:
            self._has_gathered.set()
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._take_waiting(), name="ingest-requests")
        return await answered

    async def count_unsupported(self, source: str, signal: str) -> None:
        """Requests of signals that Cline itself sends and that are not read: counted, not kept."""
        if not self._drops(source):
            self._commit(Commit(counts={("unsupported_signal", source, signal): 1}))

    def _drops(self, source: str) -> bool:
        """Whether a request is dropped, because telemetry is off. Counted, and written when the cursors are.

        Raises:
            Unavailable: it is not known whether it may be taken.
        """
        consent = self._consent()
        if consent == "unknown":
            raise Unavailable()
        if consent == "off":
            self._dropped_requests[source] += 1
        return consent == "off"

    async def _take_waiting(self) -> None:
        while self._waiting:
            await self._gather()
            requests = self._next_requests()
            answers: Sequence[ReceiveResult | Exception]
            try:
                answers = self._take(requests)
            except Exception as error:
                # Everybody who waits must get the error, and half a step must not stay in memory.
                if not isinstance(error, Busy | Unavailable):
                    with suppress(Unavailable):
                        self._take_back()
                answers = [Unavailable() if isinstance(error, JournalError) else error] * len(requests)
            for request, answer in zip(requests, answers, strict=True):
                if request.answered.done():
                    continue
                if isinstance(answer, Exception):
                    request.answered.set_exception(answer)
                else:
                    request.answered.set_result(answer)
            self._together, self._answered_at = len(requests), asyncio.get_running_loop().time()
            await asyncio.sleep(0)

    async def _gather(self) -> None:
        """Waits a moment for as many requests as shared the last transaction, if that was just now.

        A transaction costs ten times what a record does. Whoever waits for an answer comes again right after it; one
        that is alone waits for nobody.
        """
        is_just_now = asyncio.get_running_loop().time() - self._answered_at < GATHER_SECONDS
        if is_just_now and len(self._waiting) < self._together:
            self._has_gathered.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(GATHER_SECONDS):
                    await self._has_gathered.wait()

    def _next_requests(self) -> list[_Request]:
        """Those that have waited longest, as many as one transaction takes: off must come through between two."""
        sizes_bytes = accumulate(sum(map(len, request.payload.parts)) for request in self._waiting)
        number = sum(size_bytes < TRANSACTION_BYTES for size_bytes in sizes_bytes) + 1
        requests, self._waiting = self._waiting[:number], self._waiting[number:]
        return requests

    def _take(self, requests: Sequence[_Request]) -> list[ReceiveResult | Exception]:
        """One transaction for all of them; an answer for each, in their order."""
        if all([self._drops(request.payload.source) for request in requests]):  # noqa: C419 - each is counted
            return [ReceiveResult(accepted=0)] * len(requests)
        answers: list[ReceiveResult | Exception] = []
        commit = Commit()
        seen: set[bytes] = set()
        for request in requests:
            if request.digest in seen or self._journal.seen_request(request.digest):
                _count(commit, "duplicate", request.payload.source, "request")
                answers.append(ReceiveResult(accepted=0))
                continue
            try:
                made = self.pipeline.take(request.payload, self._wall_clock_ns())
            except MalformedPayload as error:
                answers.append(error)
                continue
            seen.add(request.digest)
            _count_taken(commit, request.payload, made)
            commit.seen_requests.append((request.digest, self._wall_clock_ns()))
            answers.append(ReceiveResult(accepted=made))
        self._commit(commit)
        return answers

    # --- when telemetry goes off and on ------------------------------------------------------------------

    def close_open_runs(self) -> None:
        """Closes the runs that are open as incomplete, at their last signs of life; what comes of them later is late.

        Raises:
            Busy, Unavailable: they stay open.
        """
        self.pipeline.close_open_runs()
        self._commit(Commit(cursors={INTERRUPTED_KEY: None}, is_owed=True))

    def count_reported_failures(self) -> None:
        """Counts the reports of failures that no span has told: all that there is was read.

        Raises:
            Busy, Unavailable: they wait in the journal.
        """
        if self.pipeline.state.heard.reported_failures:
            self.pipeline.count_reported_failures()
            self._commit(Commit(is_owed=True))

    # --- the transaction --------------------------------------------------------------------------------

    def _require_journal(self) -> None:
        """Before anything is taken in: what cannot be written need not be decoded, nor read back again.

        Raises:
            Unavailable: the journal cannot be used.
        """
        try:
            if self._journal.trouble is not None:
                self._journal.probe()
        except JournalError as error:
            raise Unavailable() from error
        if self._differs:
            self._take_back()

    def _is_full(self) -> bool:
        try:
            return self._journal.is_full()
        except JournalError as error:
            raise Unavailable() from error

    def _commit(self, commit: Commit) -> None:
        if self._differs:
            # What was taken in went to a pipeline that is not what the journal holds.
            self._take_back()
            raise Unavailable()
        flushed = self.pipeline.flush(self._wall_clock_ns())
        add_flushed(commit, flushed, self._exported)
        if not (commit.state or commit.outbox or commit.cursors or commit.counts or commit.seen_requests):
            return
        try:
            self._journal.commit(commit)
        except JournalFullError:
            self._take_back(flushed.state)
            raise Busy(30.0) from None
        except (JournalError, sqlite3.Error) as error:
            self._take_back(flushed.state)
            raise Unavailable() from error
        if flushed.spans:
            self._made(flushed.spans)
        if commit.outbox:
            self._committed()

    @property
    def _differs(self) -> bool:
        """Whether the pipeline's memory is not what the journal holds; until it is nothing is committed."""
        return self._is_outdated or bool(self._uncommitted)

    def _take_back(self, written: Iterable[str] = ()) -> None:
        """Makes the pipeline's memory equal to the disk again, by the rows alone in which it may differ.

        Args:
            written: keys of the state that a transaction has not written after all.

        Raises:
            Unavailable: the journal cannot be read.
        """
        self._uncommitted.update(written, self.pipeline.discard())
        if self._is_outdated:
            self.reload_from_journal()
            return
        try:
            self.pipeline.take_back(self._journal.state_rows(self._uncommitted))
        except JournalError as error:
            raise Unavailable() from error
        self._uncommitted.clear()

    def reload_from_journal(self) -> None:
        """Makes another pipeline of what the journal holds: by other rules, or of another state.

        Raises:
            Unavailable: the journal cannot be read.
        """
        self._is_outdated = True
        try:
            self.pipeline = self._new_pipeline()
        except JournalError as error:
            raise Unavailable() from error
        self._is_outdated = False
        self._uncommitted.clear()


def add_flushed(commit: Commit, flushed: FlushResult, exported: Collection[SignalName]) -> None:
    """Adds what a pipeline made to a transaction; of spans and log records what has a destination."""
    requests: dict[OutboxSignal, Callable[[], EncodedRequest]] = {
        "traces": flushed.traces_request,
        "logs": flushed.logs_request,
    }
    for signal, encode in requests.items():
        if signal in exported and (request := encode()).item_count:
            commit.outbox.append(OutboxItem(signal, request.payload, request.item_count, flushed.diagnostics))
    commit.state |= flushed.state
    for (kind, source, name), times in flushed.diagnostics.items():
        _count(commit, kind, source, name, times)


def _count_taken(commit: Commit, payload: Payload, events: int) -> None:
    """That a writer is gone is no record: only what was written counts."""
    if payload.parts:
        _count(commit, "received", payload.source, "records", len(payload.parts))
        _count(commit, "events", payload.source, "records", events)
    _count(commit, "malformed", payload.source, "line too long", payload.skipped_parts)


def _count(commit: Commit, kind: str, source: str, name: str, times: int = 1) -> None:
    if times:
        key = (kind, source, name)
        commit.counts[key] = commit.counts.get(key, 0) + times


def _digest(payload: Payload) -> bytes:
    """What a request is known again by: its bytes alone, so that those of earlier releases are, too."""
    digest = hashlib.blake2b(digest_size=16)
    for part in payload.parts:
        digest.update(part)
    return digest.digest()
