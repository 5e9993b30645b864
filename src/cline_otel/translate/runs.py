"""How runs begin, go on and end: what they take over from their session and agent, and what they leave behind."""

from __future__ import annotations

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.events import AttributeValue, LifecycleEvent
from cline_otel.translate import failures
from cline_otel.translate.spans import SpanBuilder
from cline_otel.translate.state import State
from cline_otel.translate.stored import Run, RunState


class Runs:
    """Opens and closes runs in the state."""

    def __init__(self, state: State, spans: SpanBuilder, catalogue: Catalogue) -> None:
        self._state = state
        self._spans = spans
        self._identity = catalogue.identity
        self._inherited = catalogue.spans["invoke_agent"].inherits

    def start(self, run: Run, event: LifecycleEvent) -> None:
        """The run is under way from ``event`` on."""
        state = self._state
        run.state = RunState.OPEN
        run.started_at_ns = run.last_at_ns = event.occurred_at_ns
        state.open_runs.add(run.key)
        root = state.runs.get(run.root)
        if root is not None:
            run.owner = root.owner
            run.session_id = run.session_id or root.session_id
            run.remote_trace_id = root.remote_trace_id
        agent = state.agent(run.agent_id)
        session_id = run.session_id or event.session_id or agent.session_id
        session = state.sessions.get(session_id)
        known: dict[str, AttributeValue] = {}
        if session is not None:
            known |= session.attributes
            mode = session.mode.get(event.source)
            if mode and run.is_root:
                known["cline.mode"] = mode
        known |= agent.attributes | event.attributes
        run.attributes = {name: known[name] for name in self._inherited if name in known}
        if session_id and run.session_id != session_id:
            self._join_session(run, session_id, event.source)
        if run.agent_name != "cline" and session is not None:
            run.agent_number = self._number(run, session_id)
        self._spans.run_started(run)

    def _number(self, run: Run, session_id: str) -> int:
        """What tells the agent of a run from others of its name in the session: its position among them, from 1."""
        agent = self._state.agent(run.agent_id)
        if not agent.number:
            numbers = self._state.session(session_id).agent_numbers
            agent.number = numbers[run.agent_name] = numbers.get(run.agent_name, 0) + 1
        return agent.number

    def note(self, run: Run, event: LifecycleEvent) -> None:
        """What any event says of its run: that it lives, in which process, and for which session."""
        if event.session_id and not run.session_id:
            self._join_session(run, event.session_id, event.source)
        self.see(run, event.occurred_at_ns)
        if event.process and run.process != event.process:
            self._state.place(run, event.process)
        if not run.is_root:
            root = self._state.runs.get(run.root)
            if root is not None and root.state is not RunState.CLOSED:
                self.see(root, event.occurred_at_ns)
                self._state.touch_run(root)

    def close(self, run: Run, ended_at_ns: int) -> None:
        """The run is over, and none of its calls is open."""
        self._identify(run)
        self._spans.run_finished(run, max(ended_at_ns, run.started_at_ns))
        if run.attributes["cline.outcome"] == "failed":
            kind = "run_with_call" if run.has_failed_call else "run"
            failures.tell(self._state, kind, ended_at_ns, self._state.session_of(run), run.attributes)
        run.state = RunState.CLOSED
        run.last_at_ns = ended_at_ns
        run.forget_details()
        self._state.open_runs.discard(run.key)
        self._state.leave_process(run)
        self._state.touch_run(run)

    def see(self, run: Run, occurred_at_ns: int) -> None:
        """The run gave a sign of life, which the bridge learns now."""
        now_ns = self._state.now_ns
        run.last_at_ns = max(run.last_at_ns, occurred_at_ns)
        run.seen_at_ns = max(occurred_at_ns, now_ns) if self._state.has_clock else None

    def _join_session(self, run: Run, session_id: str, source: str) -> None:
        """A run's session may be learnt late: the plugin knows it for sure with the first model call."""
        run.session_id = session_id
        agent = self._state.agent(run.agent_id)
        agent.session_id = session_id
        agent.last_at_ns = self._state.now_ns
        if not run.is_root:
            return
        session = self._state.session(session_id)
        session.last_at_ns = self._state.now_ns
        session.current_run[source] = run.key
        for name, value in session.attributes.items():
            run.attributes.setdefault(name, value)
        self._spans.output.session(session, run.started_at_ns)
        if session.last_root is None:
            if not session.lost:
                self._spans.output.measure("cline.task.started", 1, run.attributes, run.started_at_ns)
        elif session.last_root != run.key:
            run.previous = session.last_root
            previous = self._state.runs.get(session.last_root)
            run.previous_trace_id = previous.remote_trace_id if previous is not None else b""
        session.last_root = run.key

    def _identify(self, run: Run) -> None:
        """A run whose owner does not say who it works for learns it from what another source said of the agent."""
        known: dict[str, AttributeValue] = {}
        for agent_id in (run.root[0], run.agent_id):
            agent = self._state.agents.get(agent_id)
            known |= agent.attributes if agent is not None else {}
        for name in self._identity:
            if name in known:
                run.attributes.setdefault(name, known[name])
