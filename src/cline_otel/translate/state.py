"""All that the translator remembers between events: plain, serialisable, keyed by upstream ids.

Every change is marked with ``touch``, so that a batch writes only what it changed. Keys of what is stored (``stored``)
are ``run/AGENT/RUN``, ``agent/AGENT``, ``session/SESSION``, ``prompt/SESSION/NUMBER``, ``log_event/...``,
``seen/NUMBER`` and ``heard/``; ids are identifiers without a slash (catalogue pattern ``identifier``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, MutableMapping
from typing import Any, TypeVar

from cline_otel import ids
from cline_otel.state_format import Format, UnreadableRow
from cline_otel.translate.heard import HEARD, Heard
from cline_otel.translate.seen_events import SeenEvents
from cline_otel.translate.stored import (
    AGENT,
    OBSERVATIONS,
    PROMPT,
    RUN,
    SESSION,
    Agent,
    Observation,
    Prompt,
    Run,
    RunKey,
    RunState,
    Session,
)
from cline_otel.translate.tables import Table

_Struct = TypeVar("_Struct")


class FollowedRuns:
    """Which runs changed, for one who looks at those alone.

    Args:
        saved: those that changed and are saved.
        changed: those that changed and are not saved yet.
    """

    def __init__(self, saved: set[RunKey], changed: set[RunKey]) -> None:
        self._saved = saved
        self._changed = changed

    def take(self) -> set[RunKey]:
        """Those that changed since the last call; one that is not saved yet may be among them again."""
        taken = self._saved | self._changed
        self._saved.clear()
        return taken


class State:
    """The translator's memory.

    Attributes:
        now_ns: the last time that was given, 0 before the first tick.
        has_clock: whether one was given.
        seen: which events were reported before.
        unreadable: how many stored rows could not be read, by kind; the next save deletes them.
    """

    def __init__(self) -> None:
        self.now_ns = 0
        self.has_clock = False
        self.runs: Table[RunKey, Run] = Table(RUN)
        self.agents: Table[str, Agent] = Table(AGENT)
        self.sessions: Table[str, Session] = Table(SESSION)
        self.observations: dict[str, list[Observation]] = {}
        self.prompts: dict[str, list[Prompt]] = {}
        self.seen = SeenEvents()
        self.heard = Heard()
        self.open_runs: set[RunKey] = set()
        self.awaiting_owner: set[RunKey] = set()
        self.terminated_runs: set[RunKey] = set()
        self.runs_of_process: dict[str, set[RunKey]] = {}
        self.unreadable: dict[str, int] = {}
        self._changed: set[tuple[str, str]] = set()
        self._changed_runs: set[RunKey] = set()
        self._followers: list[set[RunKey]] = []
        self._changed_prompts: dict[str, Prompt] = {}
        self._unreadable_keys: set[str] = set()
        self._tables: Mapping[str, tuple[MutableMapping[str, Any], Format[Any]]] = {
            "agent": (self.agents, AGENT),
            "session": (self.sessions, SESSION),
            "log_event": (self.observations, OBSERVATIONS),
        }

    def root_of(self, run: Run) -> Run:
        """The root run that a run belongs to; the run itself where that is not known."""
        return self.runs.get(run.root, run)

    def open_root(self, run: Run) -> Run | None:
        """The root run that a run belongs to, marked for the next save; None if it is closed or not known."""
        root = self.runs.get(run.root)
        if root is None or root.state is RunState.CLOSED:
            return None
        self.touch_run(root)
        return root

    def place(self, run: Run, process: str) -> None:
        """An open run is told by that process from here on; empty for none."""
        self.leave_process(run)
        run.process = process
        if process:
            self.runs_of_process.setdefault(process, set()).add(run.key)

    def leave_process(self, run: Run) -> None:
        """A run is no longer one that its process has open."""
        runs = self.runs_of_process.get(run.process)
        if runs is not None:
            runs.discard(run.key)
            if not runs:
                del self.runs_of_process[run.process]

    def rebase(self, moved_ns: int) -> None:
        """The wall clock was set: what waits, or is silent, has been for as long as before."""
        for key in self.open_runs | self.awaiting_owner:
            run = self.runs[key]
            if run.seen_at_ns is not None:
                run.seen_at_ns += moved_ns
            if run.buffered_since_ns is not None:
                run.buffered_since_ns += moved_ns
            self.touch_run(run)
        for told in self.heard.told_failures:
            told.seen_at_ns += moved_ns
        for reported in self.heard.reported_failures:
            reported.seen_at_ns += moved_ns
        self.touch("heard", "")
        for name, observations in self.observations.items():
            for observation in observations:
                observation.seen_at_ns += moved_ns
            self.touch("log_event", name)
        for agent_id, agent in self.agents.items():
            agent.last_at_ns = max(agent.last_at_ns + moved_ns, 0)
            self.touch("agent", agent_id)
        for session_id, session in self.sessions.items():
            session.last_at_ns = max(session.last_at_ns + moved_ns, 0)
            self.touch("session", session_id)

    def touch_run(self, run: Run) -> None:
        """Marks a run for the next save."""
        self._changed_runs.add((run.agent_id, run.run_id))

    def follow_runs(self) -> FollowedRuns:
        """Which runs change from now on, at first all that there are."""
        changed = set(self.runs)
        self._followers.append(changed)
        return FollowedRuns(changed, self._changed_runs)

    def touch(self, kind: str, key: str) -> None:
        """Marks an ``agent``, ``session``, ``log_event`` or what was ``heard`` for the next save."""
        self._changed.add((kind, key))

    def touch_prompt(self, prompt: Prompt) -> None:
        """Marks a prompt for the next save."""
        self._changed_prompts[f"prompt/{prompt.session_id}/{prompt.number}"] = prompt

    def session_of(self, run: Run) -> str:
        """The session that a run is of, as far as that is known; empty if it is not."""
        agent = self.agents.get(run.agent_id)
        return run.session_id or run.joined_in or (agent.session_id if agent is not None else "")

    def agent(self, agent_id: str) -> Agent:
        """The agent, made on first mention."""
        agent = self.agents.get(agent_id)
        if agent is None:
            agent = self.agents[agent_id] = Agent(last_at_ns=self.now_ns)
        self._changed.add(("agent", agent_id))
        return agent

    def session(self, session_id: str) -> Session:
        """The session, made on first mention."""
        session = self.sessions.get(session_id)
        if session is None:
            session = self.sessions[session_id] = Session(last_at_ns=self.now_ns)
        self._changed.add(("session", session_id))
        return session

    def changes(self) -> dict[str, bytes | None]:
        """What changed since the last call, by stored key; None where it is gone."""
        saved: dict[str, bytes | None] = dict.fromkeys(self._unreadable_keys)
        saved |= {f"seen/{number}": row for number, row in self.seen.changes().items()}
        for run_key in self._changed_runs:
            saved[f"run/{run_key[0]}/{run_key[1]}"] = _stored(RUN, self.runs.get(run_key))
        for changed in self._followers:
            changed |= self._changed_runs
        for kind, key in self._changed:
            if kind == "heard":
                saved["heard/"] = HEARD.encode(self.heard)
            else:
                table, form = self._tables[kind]
                saved[f"{kind}/{key}"] = _stored(form, table.get(key))
        saved |= {key: PROMPT.encode(prompt) for key, prompt in self._changed_prompts.items()}
        self._rest()
        self._changed_runs.clear()
        self._changed.clear()
        self._changed_prompts.clear()
        self._unreadable_keys.clear()
        return saved

    def _rest(self) -> None:
        self.runs.rest(self._changed_runs)
        self.agents.rest(key for kind, key in self._changed if kind == "agent")
        self.sessions.rest(key for kind, key in self._changed if kind == "session")

    @classmethod
    def restore(cls, rows: Iterable[tuple[str, bytes]]) -> State:
        """The state from stored rows; rows of other kinds are left alone, unreadable ones counted."""
        state = cls()
        state._put_rows(rows)
        return state

    def take_back(self, rows: Mapping[str, bytes | None]) -> None:
        """Makes these rows what is stored again, None for what is not, in the place of what was not saved after all.

        As after a restart, it is not known what time it is; unreadable rows are counted anew.
        """
        self.now_ns, self.has_clock = 0, False
        self.unreadable.clear()
        for key in rows:
            self._drop_row(*key.split("/", 1))
        self._put_rows((key, value) for key, value in rows.items() if value is not None)

    def _put_rows(self, rows: Iterable[tuple[str, bytes]]) -> None:
        for key, value in rows:
            self._rest()
            kind, _, rest = key.partition("/")
            try:
                self._restore_row(kind, rest, value)
            except UnreadableRow:
                self.unreadable[kind] = self.unreadable.get(kind, 0) + 1
                self._unreadable_keys.add(key)
                if kind == "session":
                    self.sessions[rest] = Session(lost=ids.digest_of_lost(value))
                    self.touch("session", rest)

    def _drop_row(self, kind: str, key: str) -> None:
        if kind == "run":
            agent_id, _, run_id = key.partition("/")
            run_key = (agent_id, run_id)
            run = self.runs.pop(run_key, None)
            if run is not None:
                self.leave_process(run)
            self.open_runs.discard(run_key)
            self.awaiting_owner.discard(run_key)
            self.terminated_runs.discard(run_key)
            for changed in self._followers:
                changed.add(run_key)
        elif kind in self._tables:
            self._tables[kind][0].pop(key, None)
        elif kind == "prompt":
            session_id, _, number = key.rpartition("/")
            kept = [each for each in self.prompts.pop(session_id, ()) if str(each.number) != number]
            if kept:
                self.prompts[session_id] = kept
        elif kind == "heard":
            self.heard = Heard()
        elif kind == "seen":
            self.seen.drop_row(key)

    def _restore_row(self, kind: str, key: str, value: bytes) -> None:
        if kind == "run":
            run = RUN.decode(value)
            self.runs[run.key] = run
            if run.state is RunState.OPEN:
                self.open_runs.add(run.key)
                self.place(run, run.process)
                if run.terminated_at_ns is not None:
                    self.terminated_runs.add(run.key)
            if run.buffered:
                self.awaiting_owner.add(run.key)
        elif kind in self._tables:
            table, form = self._tables[kind]
            table[key] = form.decode(value)
        elif kind == "prompt":
            prompt = PROMPT.decode(value)
            self.prompts.setdefault(prompt.session_id, []).append(prompt)
        elif kind == "heard":
            self.heard = HEARD.decode(value)
        elif kind == "seen":
            self.seen.restore_row(key, value)


def _stored(form: Format[_Struct], value: _Struct | None) -> bytes | None:
    return None if value is None else form.encode(value)
