"""One session that is past, through a pipeline of its own into the journal: all of a prompt in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.events import Event, RunClaimed, RunStarted
from cline_otel.importing.found import TAKEN_PREFIX, Span
from cline_otel.importing.memory import memory_of, rows_for
from cline_otel.ingest import add_flushed
from cline_otel.journal.records import Commit
from cline_otel.journal.store import Journal
from cline_otel.pipeline import Pipeline
from cline_otel.signals import Attributes, MetricDelta, SignalName
from cline_otel.sources.interface import MalformedPayload, PastPrompt, PastSession, Payload
from cline_otel.sources.registry import Registry
from cline_otel.translate.step import MEMORY_NS

_OF_SESSIONS: Final = ("prompt/", "session/")
"""The state that is kept however old it is. What else is as old as a bridge would forget is not even written."""

_OF_TRANSLATION: Final = ("agent/", "run/")


class Outcome(StrEnum):
    """What became of a session."""

    TAKEN = "taken"
    AT_WORK = "at work"
    """A bridge has told a part of it and goes on when it runs."""
    UNREADABLE = "unreadable"


class Taken(msgspec.Struct):
    """What was made of a session so far.

    ``at_work`` are prompts that are not over.
    """

    outcome: Outcome = Outcome.TAKEN
    prompts: int = 0
    spans: int = 0
    logs: int = 0
    at_work: int = 0
    problem: str = ""


class Taking:
    """Takes sessions, one after the other.

    Args:
        journal: where everything is kept.
        catalogue: what every name means.
        sources: the sources that there are; the catalogue is theirs.
        resource_and_scope: of spans and logs.
        span: the time in which prompts began that are taken.
        now_ns: the time now, nanoseconds since the Unix epoch.
        exported: the signals that have a destination; the others are not kept.
        metric_attributes: what every measurement has besides its own attributes.
    """

    def __init__(
        self,
        journal: Journal,
        catalogue: Catalogue,
        sources: Registry,
        resource_and_scope: ResourceAndScope,
        span: Span,
        now_ns: int,
        exported: Collection[SignalName],
        metric_attributes: Attributes = (),
    ) -> None:
        self._journal = journal
        self._catalogue = catalogue
        self._sources = sources
        self._resource_and_scope = resource_and_scope
        self._span = span
        self._remembered_from_ns = now_ns - MEMORY_NS
        self._exported = exported
        self._metric_attributes = metric_attributes

    def take(self, session: PastSession) -> Iterator[Taken]:
        """Takes a session; yields what was made so far after each piece, whose prompts are committed.

        Raises:
            JournalError: nothing further can be committed; what was is kept and is not taken again.
        """
        taken = Taken()
        cursor = self._journal.cursor(session.key)
        try:
            reading = session.read(cursor)
        except OSError as error:
            taken.outcome = Outcome.UNREADABLE
            taken.problem = f"session {session.key}: cannot be read ({error.strerror}); check its permissions"
            yield taken
            return
        taken.problem = reading.problem
        memory = memory_of(self._journal, reading.session_id)
        whole = memory_of(self._journal, reading.told_whole_as) if reading.told_whole_as else None
        if memory.is_at_work or (whole is not None and whole.is_at_work):
            taken.outcome = Outcome.AT_WORK
            yield taken
            return
        is_told = whole is not None and whole.newest_at_ns is not None
        over = [] if is_told else [prompt for prompt in reading.prompts if prompt.is_over]
        prompts = [prompt for prompt in over if prompt.run_id not in memory.told]
        wanted = [prompt for prompt in prompts if self._span.holds(prompt.began_at_ns)]
        taken.at_work = sum(not prompt.is_over for prompt in reading.prompts)
        if wanted:
            began_at_ns = wanted[0].began_at_ns
            rows = rows_for(memory, reading.session_id, (reading.session_id, wanted[0].run_id), began_at_ns)
            is_newest = memory.newest_at_ns is None or began_at_ns >= memory.newest_at_ns
            commit = yield from self._take(session, reading.payloads, wanted, rows, taken, keeps_session=is_newest)
        else:
            commit = Commit()
        if reading.cursor != cursor:
            commit.cursors[session.key] = reading.cursor
        if len(wanted) == len(prompts) and not taken.at_work:
            commit.cursors[TAKEN_PREFIX + session.key] = session.signature.encode()
        self._commit(commit)
        taken.prompts = len(wanted)
        yield taken

    def _take(
        self,
        session: PastSession,
        payloads: Callable[[set[str]], Iterator[Payload]],
        wanted: Sequence[PastPrompt],
        rows: Iterable[tuple[str, bytes]],
        taken: Taken,
        *,
        keeps_session: bool,
    ) -> Generator[Taken, None, Commit]:
        """Takes what is wanted; returns the last of it, which is not committed yet."""
        pipeline = Pipeline(
            self._catalogue,
            self._resource_and_scope,
            self._resource_and_scope,
            rows,
            sources=self._sources,
            metric_attributes=self._metric_attributes,
            measures="metrics" in self._exported,
        )
        pipeline.advance_clock(wanted[0].began_at_ns)
        kept: tuple[str, ...] = _OF_SESSIONS if keeps_session else _OF_SESSIONS[:1]
        if session.ended_at_ns >= self._remembered_from_ns:
            kept += _OF_TRANSLATION
        commit = Commit()
        for place, payload in enumerate(payloads({prompt.run_id for prompt in wanted})):
            if place:
                # A prompt is told as a whole or not at all, however often this is broken off.
                if not pipeline.open_runs:
                    self._commit(commit)
                    commit = Commit()
                yield taken
            try:
                pipeline.take_events(_claimed(pipeline.decode(payload)))
            except MalformedPayload:
                commit.counts["malformed", payload.source, self._catalogue.sources[payload.source].piece] = 1
            self._add(commit, pipeline, kept, taken)
        pipeline.close_open_runs()
        self._add(commit, pipeline, kept, taken)
        return commit

    def _add(self, commit: Commit, pipeline: Pipeline, kept: tuple[str, ...], taken: Taken) -> None:
        flushed = pipeline.flush_apart()
        flushed.state = {key: value for key, value in flushed.state.items() if key.startswith(kept)}
        before = len(commit.outbox)
        add_flushed(commit, flushed, self._exported)
        made = {item.signal: item.item_count for item in commit.outbox[before:]}
        taken.spans += made.get("traces", 0)
        taken.logs += made.get("logs", 0)
        commit.imported += flushed.metrics

    def _commit(self, commit: Commit) -> None:
        commit.imported.sort(key=_occurred_at_ns)
        self._journal.commit(commit)


def _claimed(events: Iterable[Event]) -> Iterator[Event]:
    """All of the past is at hand, so each prompt that nobody has told is its source's."""
    for event in events:
        if isinstance(event, RunStarted) and event.parent_agent_id is None:
            yield RunClaimed(
                event.source,
                event.occurred_at_ns,
                RunClaimed.kind,
                attributes=event.attributes,
                session_id=event.session_id,
                agent_id=event.agent_id,
                run_id=event.run_id,
            )
        yield event


def _occurred_at_ns(measurement: MetricDelta) -> int:
    return measurement.occurred_at_ns
