"""Whose run it is.

Several sources report the same run, at different times; spans once emitted cannot be taken back. So each
root run has one owner, decided before its first output and never revised: the source that claims sessions
(the plugin), if it speaks or has claimed this one; else the one of highest rank of those that spoke while
there was a little wait for the plugin. Until then its events are buffered. What another source reports of an
owned run is superseded and counted, unless it is a log event that the owner cannot know (docs/adr/0003).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cline_otel import ids
from cline_otel.catalogue.compiled import Catalogue
from cline_otel.events import BufferedEvent, RunClaimed, ToolCallStarted
from cline_otel.translate.prompts import Prompts
from cline_otel.translate.state import State
from cline_otel.translate.stored import Run, Session
from cline_otel.translate.yielding import Told, same_prompt

CLAIM_WAIT_NS: Final = 2_000_000_000
"""How long a weaker source waits for the plugin; it claims 166 to 437 ms before a run starts (captures)."""

CLAIMED_WAIT_NS: Final = 60_000_000_000
"""How long it waits where the plugin has claimed the session: should its spool be full, it never speaks; or where
Cline's files will tell of it, which hold a prompt only after the model's first answer (measured)."""


class Ownership:
    """Buffers what is reported of a run that has no owner yet, and decides who that is.

    Args:
        state: the translator's memory.
        catalogue: what each source can do.
        prompts: which runs are one.
        deliver: takes each event that was buffered, once its run has an owner.
        claim_wait_ns: how long a weaker source waits.
    """

    def __init__(
        self,
        state: State,
        catalogue: Catalogue,
        prompts: Prompts,
        deliver: Callable[[Run, BufferedEvent], None],
        claim_wait_ns: int = CLAIM_WAIT_NS,
    ) -> None:
        self._state = state
        self._sources = catalogue.sources
        self._prompts = prompts
        self._deliver = deliver
        self._claim_wait_ns = claim_wait_ns

    def has_owner(self, root: Run, event: BufferedEvent) -> bool:
        """Whether the event may be delivered now; if not it is buffered, or was but a claim."""
        if root.owner:
            return True
        if isinstance(event, RunClaimed):
            self.decide(root, event.owner or event.source)
            return False
        if not self._sources[event.source].claims_sessions:
            self._buffer(root, event)
            return False
        self.decide(root, event.source)
        return True

    def decide(self, root: Run, owner: str) -> None:
        """The run is the owner's; what was buffered is delivered."""
        buffered, root.buffered = root.buffered, []
        self._state.awaiting_owner.discard(root.key)
        self._state.touch_run(root)
        owned = self._prompts.settle(root, owner)
        owned.owner = owner
        self._state.touch_run(owned)
        for event in buffered:
            self._deliver(owned, event)

    def decide_waiting(self, now_ns: int) -> None:
        """Decides for the runs whose sources have waited long enough."""
        for root in self._waiting():
            if root.buffered_since_ns is None or root.buffered_since_ns > now_ns:
                root.buffered_since_ns = now_ns
                self._state.touch_run(root)
            waited_ns = now_ns - root.buffered_since_ns
            if waited_ns >= self._claim_wait_ns and waited_ns >= self._wait_ns(root):
                self._decide_among(root)

    def decide_all(self) -> None:
        """Every run that waits is that source's which knows most of those that spoke of it."""
        for root in self._waiting():
            self._decide_among(root)

    def _waiting(self) -> list[Run]:
        """The runs without an owner, as they began: what one says may depend on the one before it. Those come last that
        yield to others.
        """
        runs = (self._state.runs[key] for key in self._state.awaiting_owner)
        return sorted(runs, key=lambda run: (self._is_yielding(run), run.buffered[0].occurred_at_ns, run.key))

    def _decide_among(self, root: Run) -> None:
        """The run is that source's which knows most of those that spoke of it."""
        owner = max((event.source for event in root.buffered), key=lambda name: self._sources[name].rank)
        other = self._told_by_another(root) if self._sources[owner].yields else None
        if other is None or other.owner:
            self.decide(root, owner if other is None else other.owner)

    def _told_by_another(self, root: Run) -> Told | None:
        """The same prompt as a source tells it to which this one yields."""
        calls = (event.call_id for event in root.buffered if isinstance(event, ToolCallStarted))
        told = Told(root.agent_id, root.buffered[0].occurred_at_ns, ids.mark_of_call(next(calls, "")), "")
        return same_prompt(
            told,
            (
                Told(run.agent_id, run.started_at_ns or run.last_at_ns, run.first_call, run.owner)
                for _, run in self._state.runs.glance()
                if run.is_root and run is not root and not self._is_yielding(run)
            ),
        )

    def _is_yielding(self, run: Run) -> bool:
        name = run.owner or (run.buffered[0].source if run.buffered else "")
        source = self._sources.get(name)
        return source is not None and source.yields

    def _wait_ns(self, root: Run) -> int:
        session_id = root.buffered[0].session_id or self._state.session_of(root)
        session = self._state.sessions.get(session_id)
        if session is not None and (session.claimed_by or self._is_told_later(root, session)):
            return max(self._claim_wait_ns, CLAIMED_WAIT_NS)
        return self._claim_wait_ns

    def _is_told_later(self, root: Run, session: Session) -> bool:
        """Whether a source that knows more than those that spoke will speak of the session's runs."""
        announced = self._sources.get(session.announced_by)
        return announced is not None and all(
            self._sources[event.source].rank < announced.rank for event in root.buffered
        )

    def _buffer(self, root: Run, event: BufferedEvent) -> None:
        if not root.buffered:
            root.buffered_since_ns = self._state.now_ns if self._state.has_clock else None
            self._state.awaiting_owner.add(root.key)
        root.buffered.append(event)
        self._state.touch_run(root)
