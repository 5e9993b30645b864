"""The translator: one event in, signals out, by the state alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from cline_otel import ids
from cline_otel.catalogue.compiled import Catalogue, SourceEvent
from cline_otel.catalogue.values import OTHER
from cline_otel.events import (
    AgentDescribed,
    BufferedEvent,
    Event,
    LifecycleEvent,
    LogEvent,
    ModelCallStarted,
    ModelCallUsage,
    PluginsNotLoaded,
    ProcessAlive,
    ProcessExited,
    RecordsDropped,
    RecordsRewritten,
    RunClaimed,
    RunStarted,
    SessionAnnounced,
    SessionClaimed,
    SessionUntold,
    Tick,
    ToolCallNamed,
)
from cline_otel.signals import StepOutput, count
from cline_otel.translate import failures, mcp_calls
from cline_otel.translate.conventions import with_inclusive_input
from cline_otel.translate.heard import LOOK_BACK_NS, SESSION_STARTED
from cline_otel.translate.lifecycle import Lifecycle
from cline_otel.translate.log_events import LogEvents
from cline_otel.translate.output import Output
from cline_otel.translate.overdue import Overdue
from cline_otel.translate.ownership import CLAIM_WAIT_NS, Ownership
from cline_otel.translate.process_ends import process_end
from cline_otel.translate.prompts import Prompts
from cline_otel.translate.remote_spans import join_remote
from cline_otel.translate.silence import Silence
from cline_otel.translate.spans import SpanBuilder
from cline_otel.translate.state import State
from cline_otel.translate.stored import Run, RunKey, RunState
from cline_otel.translate.tasks import Tasks

MEMORY_NS: Final = 30 * 24 * 3_600_000_000_000
"""Sessions, agents and closed runs without a sign of life for this long are forgotten."""


class Translator:
    """Events to signals. All memory is in ``state``; what was made since the last ``take`` is in the output.

    ``measures`` is whether anybody wants measurements, ``call_limit_ns`` how long a call may go on until that is said.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        state: State | None = None,
        claim_wait_ns: int = CLAIM_WAIT_NS,
        *,
        measures: bool = True,
        call_limit_ns: int | None = None,
    ) -> None:
        self.state = state if state is not None else State()
        self._sources = catalogue.sources
        self._output = Output(catalogue, measures=measures)
        spans = SpanBuilder(self._output, catalogue)
        self._lifecycle = Lifecycle(self.state, spans, catalogue)
        self._overdue = Overdue(self.state, spans, call_limit_ns)
        self._silence = Silence(self.state)
        self._log_events = LogEvents(self.state, self._output, catalogue)
        self._prompts = Prompts(self.state, catalogue)
        self._ownership = Ownership(self.state, catalogue, self._prompts, self._deliver_buffered, claim_wait_ns)
        self._tasks = Tasks(self.state, self._route)
        self._agent_attributes = frozenset(
            {"gen_ai.request.model", "gen_ai.provider.name", "cline.version", *catalogue.identity}
        )

    def take(self) -> StepOutput:
        """What the steps since the last call produced."""
        return self._output.take()

    def take_back(self, rows: Mapping[str, bytes | None]) -> None:
        """Forgets what the steps since then made; the memory is what these rows say again (``State.take_back``)."""
        self._output.take()
        self.state.take_back(rows)
        self._prompts.forget()

    def step(self, event: Event) -> None:
        """Takes one event in."""
        beside = _BESIDE_RUNS.get(type(event))
        if beside is None:
            self._route(cast(BufferedEvent, event))
        else:
            beside(self, event)

    # --- whose event is it ------------------------------------------------------------------------

    def _take_log_event(self, event: LogEvent) -> None:
        log_event = self._entry(event).log_event
        if log_event == SESSION_STARTED:
            self._hear_of_session(event)
        self._tasks.begin(event, log_event)
        self._route(event)
        self._tasks.end(event, log_event)

    def _route(self, event: BufferedEvent) -> None:
        run = self._find_run(event)
        if run is None:
            self._without_run(event)
            return
        if self._ownership.has_owner(self.state.root_of(run), event):
            self._deliver(self.state.root_of(run), run, event)

    def _deliver_buffered(self, root: Run, event: BufferedEvent) -> None:
        self._deliver(root, self._find_run(event) or root, event)

    def _deliver(self, root: Run, run: Run, event: BufferedEvent) -> None:
        if isinstance(event, RunClaimed):
            return
        self._output.turn_to(root.owner)
        given, run = run, root if run.is_of_another else run
        if isinstance(event, LogEvent):
            entry = self._entry(event)
            if root.owner != event.source and root.owner in entry.known_to:
                count(self._output.diagnostics, "superseded", event.source, event.name)
            else:
                session_id = given.joined_in if given.is_of_another else event.session_id or self.state.session_of(root)
                self._log_events.report(event, entry.log_event, run, session_id)
        elif root.owner != event.source:
            count(self._output.diagnostics, "superseded", event.source, event.name)
            self._hear_of_process(run, event)
        elif run.is_whole_task and run.state is RunState.CLOSED:
            self._measure(event)
        else:
            if run.terminated_at_ns is not None:
                self._lifecycle.follow(run, event.occurred_at_ns)
            self._lifecycle.apply(run, event)
            if not run.has_reported_mode and self._sources[event.source].knows_mode:
                self._report_mode(run)

    def _entry(self, event: Event) -> SourceEvent:
        return self._sources[event.source].vocabulary.events[event.name]

    def _find_run(self, event: BufferedEvent) -> Run | None:
        """The run that the event is about: by its own ids, else the one that this source last said started."""
        state = self.state
        if event.agent_id and event.run_id:
            run = state.runs.get((event.agent_id, event.run_id))
            if isinstance(event, LogEvent):
                return run
            if run is None:
                run = self._new_run(event)
            if not run.joined_in and run.is_root and not self._sources[event.source].yields:
                self._prompts.join(run, event)
            if type(event) in _FOLLOWED:
                self._begin_to_follow(run, event)
            return run
        agent = state.agents.get(event.agent_id) if event.agent_id else None
        if agent is not None and event.source in agent.current_run:
            return state.runs.get((event.agent_id, agent.current_run[event.source]))
        session = state.sessions.get(event.session_id) if event.session_id else None
        if session is not None and event.source in session.current_run:
            return state.runs.get(session.current_run[event.source])
        return self._tasks.run_of(event) if event.session_id and not event.agent_id else None

    def _new_run(self, event: LifecycleEvent | RunClaimed) -> Run:
        state = self.state
        key: RunKey = (event.agent_id, event.run_id)
        parent = self._parent_of(event) if isinstance(event, RunStarted) else None
        root = state.runs[parent].root if parent is not None else key
        run = state.runs[key] = Run(event.agent_id, event.run_id, root, last_at_ns=event.occurred_at_ns)
        if isinstance(event, RunStarted) and parent is not None:
            run.parent_span_id = _parent_span_id(parent, event)
            kind = "subagent" if event.agent_kind is None else event.agent_kind
            run.agent_name = kind if kind in _AGENT_NAMES else "cline"
        state.touch_run(run)
        return run

    def _parent_of(self, event: RunStarted) -> RunKey | None:
        """The run that a run belongs to, or None for a root run; where the event does not say it, its agent's last."""
        agent_id, run_id = event.parent_agent_id, event.parent_run_id
        if agent_id is None:
            return None
        if run_id is None or run_id == OTHER:
            agent = self.state.agents.get(agent_id)
            run_id = agent.current_run.get(event.source, "") if agent is not None else ""
        return (agent_id, run_id) if (agent_id, run_id) in self.state.runs else None

    def _begin_to_follow(self, run: Run, event: LifecycleEvent | RunClaimed) -> None:
        """A source speaks of a run from here on, and says where that belongs."""
        if type(event) is RunStarted:
            self._tasks.adopt(run, event)
        self._follow(run, event)
        if isinstance(event, (RunStarted, RunClaimed)) and event.remote_relation is not None:
            join_remote(run, event)

    def _follow(self, run: Run, event: LifecycleEvent | RunClaimed) -> None:
        """Remembers which run this source speaks of from here on, for its records that do not say."""
        agent = self.state.agent(run.agent_id)
        if agent.current_run.get(event.source) != run.run_id:
            agent.current_run[event.source] = run.run_id
            agent.last_at_ns = self.state.now_ns
        # A claim says nothing of where the source has got to.
        session_id = "" if isinstance(event, RunClaimed) else event.session_id or agent.session_id
        if session_id and (run.is_root or run.is_of_another):
            self.state.session(session_id).current_run[event.source] = run.key

    def _without_run(self, event: BufferedEvent) -> None:
        """Log events need no run. What classic Cline says of no task counts in the metrics."""
        self._output.turn_to(event.source)
        if isinstance(event, LogEvent):
            log_event = self._entry(event).log_event
            if mcp_calls.is_superseded(self.state, log_event, event):
                count(self._output.diagnostics, "superseded", event.source, event.name)
            else:
                self._log_events.report(event, log_event, None, event.session_id)
        elif event.agent_id:
            count(self._output.diagnostics, "late", event.source, event.name)
        else:
            self._measure(event)

    def _measure(self, event: BufferedEvent) -> None:
        """What is of no run that goes on counts in the metrics."""
        if isinstance(event, ModelCallUsage):
            self._output.usage(with_inclusive_input(event), event.attributes, event.occurred_at_ns)
        elif isinstance(event, ToolCallNamed):
            self._output.tool_used(event)
            self._output.tool_decided(event)

    def _report_mode(self, run: Run) -> None:
        """The owner knows each run's mode: the same switch that ``task.mode`` says, once the session is known."""
        mode = run.attributes.get("cline.mode")
        if run.session_id and run.is_root and mode is not None:
            run.has_reported_mode = True
            switch = LogEvent(
                run.owner, run.started_at_ns, RunStarted.kind, "", {"cline.mode": mode}, session_id=run.session_id
            )
            self._log_events.report(switch, "cline.mode.switched", run, run.session_id)

    # --- beside runs --------------------------------------------------------------------------------

    def _claim_session(self, event: SessionClaimed) -> None:
        session = self.state.session(event.session_id)
        session.last_at_ns = self.state.now_ns
        session.attributes |= event.attributes
        session.was_claimed = True
        self.state.heard.claimed(event.occurred_at_ns)
        self.state.touch("heard", "")
        if event.process not in session.claimed_by:
            session.claimed_by.append(event.process)

    def _announce_session(self, event: SessionAnnounced) -> None:
        session = self.state.session(event.session_id)
        session.last_at_ns = self.state.now_ns
        session.announced_by = event.source

    def _hear_of_session(self, event: LogEvent) -> None:
        heard = self.state.heard
        heard.session_at_ns = max(heard.session_at_ns, event.occurred_at_ns)
        self.state.touch("heard", "")
        if event.session_id:
            session = self.state.session(event.session_id)
            session.heard_at_ns = session.heard_at_ns or max(self.state.now_ns, event.occurred_at_ns)

    def _hear_of_untold(self, event: SessionUntold) -> None:
        session = self.state.session(event.session_id)
        session.untold_at_ns = session.untold_at_ns or max(self.state.now_ns, event.occurred_at_ns)

    def _hear_of_failure(self, event: PluginsNotLoaded) -> None:
        self.state.heard.failed(event.occurred_at_ns)
        self.state.touch("heard", "")

    def _hear_of_process(self, run: Run, event: LifecycleEvent) -> None:
        """Of two sources that say the same one may know the process: it is that of the other's run, too."""
        if event.process and run.state is RunState.OPEN and self._says_the_same(run.owner, event.source):
            self.state.place(run, event.process)
            self.state.touch_run(run)

    def _says_the_same(self, owner: str, source: str) -> bool:
        return owner == source or self._sources[owner].vocabulary is self._sources[source].vocabulary

    def _runs_of(self, event: Event) -> list[Run]:
        """The open runs that a process told."""
        runs = (self.state.runs[key] for key in sorted(self.state.runs_of_process.get(event.process, ())))
        return [run for run in runs if self._says_the_same(run.owner, event.source)]

    def _hear_of_life(self, event: ProcessAlive) -> None:
        """Calls of its runs are open, of which there is nothing else to tell."""
        for run in self._runs_of(event):
            self._lifecycle.see(run, event.occurred_at_ns)

    def _end_process(self, event: ProcessExited) -> None:
        """A process is gone: what it left open ends with it (``process_ends``), and its claims are void."""
        runs = self._runs_of(event)
        end = process_end(event, max((run.last_at_ns for run in runs), default=event.occurred_at_ns))
        for run in runs:
            # Nobody saw the end of an approval's wait, during which nothing is told either.
            if end.is_observed or run.awaits_approval:
                run.last_at_ns = max(run.last_at_ns, event.occurred_at_ns)
                self.state.touch_run(run)
        for run in runs:
            if end.outcome and not end.may_be_followed:
                self._lifecycle.close_cut_short(run, end.outcome, end.error_type)
                continue
            self.state.place(run, "")
            if end.outcome:
                self._lifecycle.expect_follower(run, event.occurred_at_ns)
        sessions, process = self.state.sessions, event.process
        for session_id in [key for key, each in sessions.glance(process) if process in each.claimed_by]:
            sessions[session_id].claimed_by.remove(process)
            self.state.touch("session", session_id)

    def _describe_agent(self, event: AgentDescribed) -> None:
        agent = self.state.agent(event.agent_id)
        agent.session_id = event.session_id or agent.session_id
        agent.last_at_ns = self.state.now_ns
        agent.attributes |= {k: v for k, v in event.attributes.items() if k in self._agent_attributes}

    def _count_dropped(self, event: RecordsDropped) -> None:
        count(self._output.diagnostics, "missing", event.source, event.name, 1 if event.count is None else event.count)

    def _count_rewritten(self, event: RecordsRewritten) -> None:
        count(self._output.diagnostics, "rewritten", event.source, event.name, event.count or 1)

    # --- time -------------------------------------------------------------------------------------

    def _tick(self, event: Tick) -> None:
        state = self.state
        if event.moved_ns:
            state.rebase(event.moved_ns)
            self._log_events.look_again()
        state.now_ns = event.occurred_at_ns if event.moved_ns else max(state.now_ns, event.occurred_at_ns)
        state.has_clock = True
        if state.awaiting_owner:
            self._ownership.decide_waiting(state.now_ns)
        if state.terminated_runs:
            self._lifecycle.close_unfollowed(state.now_ns)
        self._log_events.forget(state.now_ns)
        if event.is_behind:
            return
        failures.look(state, self._output)
        self._overdue.look(state.now_ns)
        if not state.heard.since_ns:
            self._hear_since(state.now_ns - LOOK_BACK_NS)
        for run in self._silence.look(state.now_ns):
            self._lifecycle.close_incomplete(run)

    def _hear_since(self, at_ns: int) -> None:
        self.state.heard.since_ns = at_ns
        self.state.touch("heard", "")

    def close_open_runs(self) -> None:
        """Closes every run that is under way as incomplete; one that waits for an owner gets the first that spoke."""
        self._ownership.decide_all()
        self._lifecycle.close_terminated()
        for key in sorted(self.state.open_runs):
            self._lifecycle.close_incomplete(self.state.runs[key])
        self.count_reported_failures()
        # What came meanwhile was passed over.
        self._hear_since(self.state.now_ns)

    def count_reported_failures(self) -> None:
        """Counts the reports of failures that no span has told so far."""
        failures.count_waiting(self.state, self._output)

    def forget(self) -> None:
        """Drops what had no sign of life for ``MEMORY_NS``; call it now and then, not on every tick."""
        state = self.state
        self._prompts.forget()
        before = state.now_ns - MEMORY_NS
        for key in state.runs.last_before(before):
            if key not in state.open_runs and key not in state.awaiting_owner:
                state.touch_run(state.runs.pop(key))
        for kind, remembered in (("agent", state.agents), ("session", state.sessions)):
            for name in remembered.last_before(before):
                if remembered[name].last_at_ns:
                    del remembered[name]
                else:
                    # It was seen before there was a clock, or that was lost.
                    remembered[name].last_at_ns = state.now_ns
                state.touch(kind, name)


_BESIDE_RUNS: Final[Mapping[type[Event], Callable[[Translator, Any], None]]] = {
    Tick: Translator._tick,
    AgentDescribed: Translator._describe_agent,
    SessionClaimed: Translator._claim_session,
    SessionAnnounced: Translator._announce_session,
    SessionUntold: Translator._hear_of_untold,
    PluginsNotLoaded: Translator._hear_of_failure,
    ProcessAlive: Translator._hear_of_life,
    ProcessExited: Translator._end_process,
    RecordsDropped: Translator._count_dropped,
    RecordsRewritten: Translator._count_rewritten,
    LogEvent: Translator._take_log_event,
}
"""Events that are about no run, or may be; all others are."""

_FOLLOWED: Final[frozenset[type[Event]]] = frozenset({RunStarted, RunClaimed, ModelCallStarted})
"""After these a source speaks of their run until it says otherwise."""

_AGENT_NAMES: Final = frozenset({"subagent", "teammate"})


def _parent_span_id(parent: RunKey, event: RunStarted) -> bytes:
    """The tool call that spawned a run, or the parent's run if the plugin did not see which call it was."""
    if event.parent_message_id is not None and event.parent_call_id is not None:
        return ids.asked_call_span_id(*parent, event.parent_message_id, event.parent_call_id)
    if event.parent_iteration is not None and event.parent_ordinal is not None:
        return ids.tool_call_span_id(*parent, event.parent_iteration, event.parent_ordinal)
    return ids.run_span_id(*parent)
