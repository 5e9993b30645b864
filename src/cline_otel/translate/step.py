"""The translator: one event in, signals out, by the state alone.

Ownership. Several sources tell of the same run, at different times; spans once emitted cannot be taken
back. So each root run has one owner, decided before its first output and never revised: the plugin,
if it speaks or has claimed the session; else whichever source spoke first, after waiting a little for
the plugin. Until then its events are held. What another source says of an owned run is counted as
``shadowed``, unless it is a fact that the owner cannot know.
"""

from __future__ import annotations

from typing import Final

from cline_otel.catalogue.load import Catalogue, SourceEvent
from cline_otel.events import Event
from cline_otel.signals import Outputs, count
from cline_otel.translate.derive import IDENTITY, Deriver
from cline_otel.translate.facts import Facts
from cline_otel.translate.lifecycle import (
    Lifecycle,
    agent_name,
    parent_key,
    parent_span_id,
    with_inclusive_input,
    with_reported_outcome,
)
from cline_otel.translate.state import Run, RunKey, State

CLAIM_WAIT_NS: Final = 2_000_000_000
"""How long a weaker source waits for the plugin; it claims 166 to 437 ms before a run starts (captures)."""

CLAIMED_WAIT_NS: Final = 60_000_000_000
"""How long it waits where the plugin has claimed the session: should its spool be full, it never speaks."""

SILENCE_NS: Final = 24 * 3_600_000_000_000
"""A run without a sign of life for this long is closed as incomplete."""

MEMORY_NS: Final = 30 * 24 * 3_600_000_000_000
"""Sessions, agents and closed runs without a sign of life for this long are forgotten."""

_LOOK_EVERY_NS: Final = 60_000_000_000


class Translator:
    """Events to signals. All memory is in ``state``; all output since the last ``take`` in the deriver."""

    def __init__(self, catalogue: Catalogue, state: State | None = None, claim_wait_ns: int = CLAIM_WAIT_NS) -> None:
        self.state = state if state is not None else State()
        self._claim_wait_ns = claim_wait_ns
        self._deriver = Deriver(catalogue)
        self._lifecycle = Lifecycle(self.state, self._deriver)
        self._facts = Facts(self.state, self._deriver, catalogue)
        self._vocabularies = {name: source.vocabulary for name, source in catalogue.sources.items()}
        self._claiming = frozenset(name for name, source in catalogue.sources.items() if source.claims_sessions)
        self._knowing_mode = frozenset(name for name, source in catalogue.sources.items() if source.knows_mode)
        self._look_at_runs_at_ns = 0

    def take(self) -> Outputs:
        """What the steps since the last call produced."""
        outputs, self._deriver.outputs = self._deriver.outputs, Outputs()
        return outputs

    def step(self, event: Event) -> None:
        """Takes one event in."""
        kind = event.kind
        if kind == "tick":
            self._tick(event.occurred_at_ns)
        elif kind == "agent.described":
            self._describe_agent(event)
        elif kind == "session.claimed":
            self._claim_session(event)
        elif kind == "process.exited":
            self._end_process(event)
        elif kind == "records.dropped":
            dropped = event.attributes.get("count")
            count(
                self._deriver.outputs.tally,
                "missing",
                event.source,
                event.name,
                dropped if isinstance(dropped, int) else 1,
            )
        else:
            self._route(event)

    # --- whose event is it ------------------------------------------------------------------------

    def _route(self, event: Event) -> None:
        run = self._find_run(event)
        if run is None:
            self._without_run(event)
            return
        root = self.state.runs.get(run.root, run)
        if not root.owner:
            if event.kind == "run.claimed":
                root.owner = event.source
                self.state.touch_run(root)
                return
            if event.source not in self._claiming:
                self._hold(root, event)
                return
            self._decide(root, event.source)
        self._deliver(root, run, event)

    def _deliver(self, root: Run, run: Run, event: Event) -> None:
        if event.kind == "run.claimed":
            return
        if event.kind == "fact":
            entry = self._entry(event)
            if root.owner != event.source and root.owner in entry.known_to:
                count(self._deriver.outputs.tally, "shadowed", event.source, event.name)
            else:
                self._facts.tell(event, entry.fact, run, event.session_id or self._session_of(root))
        elif root.owner == event.source:
            self._lifecycle.apply(run, event)
            if event.source in self._knowing_mode and not run.mode_noted:
                self._note_mode(run, event.source)
        else:
            count(self._deriver.outputs.tally, "shadowed", event.source, event.name)

    def _session_of(self, root: Run) -> str:
        agent = self.state.agents.get(root.agent_id)
        return root.session_id or (agent.session_id if agent is not None else "")

    def _entry(self, event: Event) -> SourceEvent:
        return self._vocabularies[event.source].events[event.name]

    def _find_run(self, event: Event) -> Run | None:
        """The run that the event is about: by its own ids, else the one that this source last said started."""
        state = self.state
        if event.agent_id and event.run_id:
            run = state.runs.get((event.agent_id, event.run_id))
            if event.kind == "fact":
                return run
            if run is None:
                run = self._new_run(event)
            if event.kind in _BEGINNINGS:
                self._follow(run, event)
            return run
        agent = state.agents.get(event.agent_id) if event.agent_id else None
        if agent is not None and event.source in agent.current_run:
            return state.runs.get((event.agent_id, agent.current_run[event.source]))
        session = state.sessions.get(event.session_id) if event.session_id else None
        if session is not None and event.source in session.current_run:
            return state.runs.get(session.current_run[event.source])
        return None

    def _new_run(self, event: Event) -> Run:
        state = self.state
        key: RunKey = (event.agent_id, event.run_id)
        parent = parent_key(event, state)
        root = state.runs[parent].root if parent is not None else key
        run = state.runs[key] = Run(event.agent_id, event.run_id, root, last_at_ns=event.occurred_at_ns)
        if parent is not None:
            run.parent_span_id = parent_span_id(parent, event)
            run.agent_name = agent_name(event.attributes.get("agent_kind", "subagent"))
        state.touch_run(run)
        return run

    def _follow(self, run: Run, event: Event) -> None:
        """Remembers which run this source speaks of from here on, for its records that do not say."""
        agent = self.state.agent(run.agent_id)
        if agent.current_run.get(event.source) != run.run_id:
            agent.current_run[event.source] = run.run_id
            agent.last_at_ns = self.state.now_ns
        session_id = event.session_id or agent.session_id
        if session_id and run.is_root:
            self.state.session(session_id).current_run[event.source] = run.key

    def _without_run(self, event: Event) -> None:
        """Facts need no run. Classic Cline has no runs at all: its usage and tools count in the metrics."""
        if event.kind == "fact":
            self._facts.tell(event, self._entry(event).fact, None, event.session_id)
        elif event.agent_id:
            count(self._deriver.outputs.tally, "late", event.source, event.name)
        elif event.kind == "model_call.usage":
            self._deriver.usage(with_inclusive_input(event.attributes))
        elif event.kind == "tool_call.named":
            self._deriver.measure("cline.tool.calls", 1, with_reported_outcome(event.attributes))

    def _note_mode(self, run: Run, source: str) -> None:
        """A source that knows each run's mode: the same switch that ``task.mode`` tells, once the session is known."""
        mode = run.attributes.get("cline.mode")
        if run.session_id and run.is_root and mode is not None:
            run.mode_noted = True
            switch = Event(
                "fact", source, run.started_at_ns, "run.started", run.session_id, attributes={"cline.mode": mode}
            )
            self._facts.tell(switch, "cline.mode.switched", run, run.session_id)

    # --- deciding ---------------------------------------------------------------------------------

    def _hold(self, root: Run, event: Event) -> None:
        if not root.held:
            root.held_since_ns = self.state.now_ns
            self.state.holding.add(root.key)
        root.held.append(event)
        self.state.touch_run(root)

    def _decide(self, root: Run, owner: str) -> None:
        root.owner = owner
        held, root.held = root.held, []
        self.state.holding.discard(root.key)
        self.state.touch_run(root)
        for event in held:
            run = self._find_run(event) or root
            self._deliver(root, run, event)

    def _release(self, now_ns: int) -> None:
        for key in sorted(self.state.holding):
            root = self.state.runs[key]
            first = root.held[0]
            session = self.state.sessions.get(first.session_id or self.state.agent(root.agent_id).session_id)
            if not root.held_since_ns:
                root.held_since_ns = now_ns
                self.state.touch_run(root)
            claimed = session is not None and bool(session.claimed_by)
            wait_ns = max(self._claim_wait_ns, CLAIMED_WAIT_NS) if claimed else self._claim_wait_ns
            if now_ns - root.held_since_ns >= wait_ns:
                self._decide(root, first.source)

    def _claim_session(self, event: Event) -> None:
        session = self.state.session(event.session_id)
        session.last_at_ns = self.state.now_ns
        session.attributes |= event.attributes
        if event.process not in session.claimed_by:
            session.claimed_by.append(event.process)

    def _end_process(self, event: Event) -> None:
        """A process is gone: what it left open ends at its last sign of life, and its claims are void.

        An idle one that Cline ended is followed by another in the same run, so its runs stay open.
        """
        for key in sorted(self.state.open_runs):
            run = self.state.runs[key]
            if run.process != event.process or run.owner != event.source:
                continue
            if event.attributes.get("exit_reason") == "terminated":
                run.process = ""
                self.state.touch_run(run)
            else:
                self._lifecycle.close_incomplete(run)
        for session_id, session in self.state.sessions.items():
            if event.process in session.claimed_by:
                session.claimed_by.remove(event.process)
                self.state.touch("session", session_id)

    def _describe_agent(self, event: Event) -> None:
        agent = self.state.agent(event.agent_id)
        agent.session_id = event.session_id or agent.session_id
        agent.last_at_ns = self.state.now_ns
        agent.attributes |= {k: v for k, v in event.attributes.items() if k in _AGENT_ATTRIBUTES}

    # --- time -------------------------------------------------------------------------------------

    def _tick(self, now_ns: int) -> None:
        state = self.state
        state.now_ns = max(state.now_ns, now_ns)
        if state.holding:
            self._release(state.now_ns)
        self._facts.forget(state.now_ns)
        if state.now_ns < self._look_at_runs_at_ns:
            return
        self._look_at_runs_at_ns = state.now_ns + _LOOK_EVERY_NS
        for key in sorted(state.open_runs):
            run = state.runs[key]
            root = state.runs.get(run.root, run)
            if not run.heard_at_ns:
                run.heard_at_ns = state.now_ns
                state.touch_run(run)
            if state.now_ns - max(run.heard_at_ns, root.heard_at_ns) > SILENCE_NS:
                self._lifecycle.close_incomplete(run)

    def close_open_runs(self) -> None:
        """Closes every run that is under way as incomplete; one that waits for an owner gets the first that spoke."""
        state = self.state
        for key in sorted(state.holding):
            root = state.runs[key]
            self._decide(root, root.held[0].source)
        for key in sorted(state.open_runs):
            self._lifecycle.close_incomplete(state.runs[key])

    def forget(self) -> None:
        """Drops what had no sign of life for ``MEMORY_NS``; call it now and then, not on every tick."""
        state = self.state
        before = state.now_ns - MEMORY_NS
        for key in [k for k, run in state.runs.items() if run.closed and run.last_at_ns < before]:
            state.touch_run(state.runs.pop(key))
        for agent_id in [k for k, agent in state.agents.items() if agent.last_at_ns < before]:
            del state.agents[agent_id]
            state.touch("agent", agent_id)
        for session_id in [k for k, session in state.sessions.items() if session.last_at_ns < before]:
            del state.sessions[session_id]
            state.touch("session", session_id)


_BEGINNINGS: Final = frozenset({"run.started", "run.claimed", "model_call.started"})
_AGENT_ATTRIBUTES: Final = frozenset({"gen_ai.request.model", "gen_ai.provider.name", "cline.version", *IDENTITY})
