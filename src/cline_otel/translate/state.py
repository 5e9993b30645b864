"""All that the translator remembers between events: plain, serialisable, keyed by upstream ids.

Every change is marked with ``touch``, so that a batch writes only what it changed. Keys of the stored
form are ``run/AGENT/RUN``, ``agent/AGENT``, ``session/SESSION`` and ``fact/...``; ids are identifiers
without a slash (catalogue pattern ``identifier``).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from cline_otel.events import AttributeValue, Event
from cline_otel.signals import SpanEvent

RunKey = tuple[str, str]
"""(agent id, run id)"""


class ModelCall(msgspec.Struct, array_like=True):
    """A model call that is open, or over and waiting for its usage."""

    started_at_ns: int
    first_chunk_at_ns: int = 0
    ended_at_ns: int = 0
    attempt: int = 1
    attributes: dict[str, AttributeValue] = msgspec.field(default_factory=dict)


class ToolCall(msgspec.Struct, array_like=True):
    """A tool call that is open, or over and waiting for its name."""

    iteration: int
    ordinal: int
    started_at_ns: int
    ended_at_ns: int = 0
    call_id: str = ""
    attributes: dict[str, AttributeValue] = msgspec.field(default_factory=dict)


class Run(msgspec.Struct, array_like=True):
    """One agent's work on one prompt. ``owner`` counts on the root run only.

    ``last_at_ns`` is when its last event occurred, ``heard_at_ns`` when the bridge heard of it: the bridge may
    be late by days. It is 0 until the next tick if no time was told yet; so is ``held_since_ns``.
    """

    agent_id: str
    run_id: str
    root: RunKey
    owner: str = ""
    session_id: str = ""
    agent_name: str = "cline"
    parent_span_id: bytes = b""
    previous: RunKey = ("", "")
    process: str = ""
    started_at_ns: int = 0
    last_at_ns: int = 0
    closed: bool = False
    attributes: dict[str, AttributeValue] = msgspec.field(default_factory=dict)
    model_calls: dict[int, ModelCall] = msgspec.field(default_factory=dict)
    tool_calls: list[ToolCall] = msgspec.field(default_factory=list)
    tools_started: dict[int, int] = msgspec.field(default_factory=dict)
    models_asked: dict[int, int] = msgspec.field(default_factory=dict)
    span_events: list[SpanEvent] = msgspec.field(default_factory=list)
    model_call_count: int = 0
    tool_call_count: int = 0
    failed_tool_call_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    held: list[Event] = msgspec.field(default_factory=list)
    held_since_ns: int = 0
    mode_noted: bool = False
    heard_at_ns: int = 0

    @property
    def key(self) -> RunKey:
        """(agent id, run id)"""
        return self.agent_id, self.run_id

    @property
    def is_root(self) -> bool:
        """Whether this is the run that the user's prompt started."""
        return self.root == (self.agent_id, self.run_id)

    def forget_details(self) -> None:
        """Keeps what later events may still ask of a closed run: its root, owner and session."""
        self.attributes, self.model_calls, self.tool_calls = {}, {}, []
        self.tools_started, self.models_asked, self.span_events, self.held = {}, {}, [], []


class Agent(msgspec.Struct, array_like=True):
    """What is known of an agent; ``current_run`` by source: a source may lag behind another."""

    session_id: str = ""
    attributes: dict[str, AttributeValue] = msgspec.field(default_factory=dict)
    current_run: dict[str, str] = msgspec.field(default_factory=dict)
    last_at_ns: int = 0


class Session(msgspec.Struct, array_like=True):
    """What is known of a session. ``claimed_by`` holds the plugin processes that will tell its runs."""

    claimed_by: list[str] = msgspec.field(default_factory=list)
    attributes: dict[str, AttributeValue] = msgspec.field(default_factory=dict)
    current_run: dict[str, RunKey] = msgspec.field(default_factory=dict)
    last_root: RunKey = ("", "")
    mode: dict[str, str] = msgspec.field(default_factory=dict)
    fact_ordinals: dict[str, int] = msgspec.field(default_factory=dict)
    last_at_ns: int = 0


class Telling(msgspec.Struct, array_like=True):
    """One fact that was passed on: when it happened, when the bridge last heard of it, and which sources told it."""

    occurred_at_ns: int
    touched_at_ns: int
    told_by: list[str]


_run_decoder = msgspec.msgpack.Decoder(Run)
_agent_decoder = msgspec.msgpack.Decoder(Agent)
_session_decoder = msgspec.msgpack.Decoder(Session)
_tellings_decoder = msgspec.msgpack.Decoder(list[Telling])
_encode = msgspec.msgpack.Encoder().encode


class State:
    """The translator's memory."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.runs: dict[RunKey, Run] = {}
        self.agents: dict[str, Agent] = {}
        self.sessions: dict[str, Session] = {}
        self.tellings: dict[str, list[Telling]] = {}
        self.open_runs: set[RunKey] = set()
        self.holding: set[RunKey] = set()
        self._changed: set[tuple[str, str | RunKey]] = set()

    def touch_run(self, run: Run) -> None:
        """Marks a run for the next save."""
        self._changed.add(("run", (run.agent_id, run.run_id)))

    def touch(self, kind: str, key: str) -> None:
        """Marks an ``agent``, ``session`` or ``fact`` for the next save."""
        self._changed.add((kind, key))

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
        saved: dict[str, bytes | None] = {}
        for kind, key in self._changed:
            if kind == "run":
                assert isinstance(key, tuple)  # noqa: S101 - runs, and only they, have two keys
                run = self.runs.get(key)
                saved[f"run/{key[0]}/{key[1]}"] = None if run is None else _encode(run)
            else:
                assert isinstance(key, str)  # noqa: S101
                table: dict[str, Agent] | dict[str, Session] | dict[str, list[Telling]]
                table = {"agent": self.agents, "session": self.sessions, "fact": self.tellings}[kind]  # type: ignore[assignment]
                value = table.get(key)
                saved[f"{kind}/{key}"] = None if value is None else _encode(value)
        self._changed.clear()
        return saved

    @classmethod
    def restore(cls, rows: Iterable[tuple[str, bytes]]) -> State:
        """The state from stored rows; rows of other kinds are left alone."""
        state = cls()
        for key, value in rows:
            kind, _, rest = key.partition("/")
            if kind == "run":
                run = _run_decoder.decode(value)
                state.runs[run.key] = run
                if run.started_at_ns and not run.closed:
                    state.open_runs.add(run.key)
                if run.held:
                    state.holding.add(run.key)
            elif kind == "agent":
                state.agents[rest] = _agent_decoder.decode(value)
            elif kind == "session":
                state.sessions[rest] = _session_decoder.decode(value)
            elif kind == "fact":
                state.tellings[rest] = _tellings_decoder.decode(value)
        return state
