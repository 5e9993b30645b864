"""All that the translator remembers between events: plain, serialisable, keyed by upstream ids.

Every change is marked with ``touch``, so that a batch writes only what it changed. Keys of the stored
form are ``run/AGENT/RUN``, ``agent/AGENT``, ``session/SESSION``, ``prompt/SESSION/NUMBER``, ``log_event/...``,
``seen/NUMBER`` and ``heard/``; ids are
identifiers without a slash (catalogue pattern ``identifier``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from cline_otel import ids
from cline_otel.events import AttributeValue, BufferedEvent
from cline_otel.signals import SpanEvent
from cline_otel.state_format import Format, UnreadableRow, unchanged
from cline_otel.translate import migrations
from cline_otel.translate.conventions import number
from cline_otel.translate.heard import HEARD, Heard
from cline_otel.translate.seen_events import SeenEvents

_Struct = TypeVar("_Struct")

RunKey = tuple[str, str]
"""(agent id, run id)"""


class RunState(StrEnum):
    """Where a run stands; ``lifecycle.RUN`` is the table."""

    NEW = "new"
    OPEN = "open"
    CLOSED = "closed"


class CallState(StrEnum):
    """Where a model call or tool call stands; ``lifecycle.MODEL_CALL`` and ``TOOL_CALL`` are the tables.

    One that is absent or closed is not stored.
    """

    ABSENT = "absent"
    OPEN = "open"
    ENDED = "ended"
    CLOSED = "closed"
    REQUESTED = "requested"


class ModelCall(msgspec.Struct, array_like=True):
    """A model call that is open, or ended and waiting for its usage. Times are nanoseconds since the Unix epoch.

    ``ended_at_ns`` of one that is open is when the agent went on: it was over by then. ``is_overdue`` is whether it was
    said that it has not ended for long.
    """

    started_at_ns: int
    state: CallState = CallState.OPEN
    first_chunk_at_ns: int | None = None
    ended_at_ns: int | None = None
    attempt: int = 1
    attributes: dict[str, AttributeValue] = msgspec.field(default_factory=dict)
    is_overdue: bool = False

    @property
    def is_passed(self) -> bool:
        """Whether the agent went on while its end was not reported."""
        return self.state is CallState.OPEN and self.ended_at_ns is not None

    @property
    def over_at_ns(self) -> int:
        """When it was over, as far as is known; never before it began."""
        return self.started_at_ns if self.ended_at_ns is None else max(self.ended_at_ns, self.started_at_ns)


class ToolCall(msgspec.Struct, array_like=True):
    """A tool call that is requested, open, or ended and waiting for its name. Times are ns since the Unix epoch.

    ``requested_at_ns`` is when Cline asked whether it may run, and ``answered_at_ns`` when that was decided; None where
    the source does not say it, or nobody has answered yet. One that is requested has ``started_at_ns`` and ``ordinal``
    as they would be if it began at once. ``is_overdue`` is whether it was said that it has not ended for long.
    """

    iteration: int
    ordinal: int
    started_at_ns: int
    state: CallState = CallState.OPEN
    ended_at_ns: int | None = None
    call_id: str = ""
    is_mcp: bool = False
    attributes: dict[str, AttributeValue] = msgspec.field(default_factory=dict)
    requested_at_ns: int | None = None
    answered_at_ns: int | None = None
    is_overdue: bool = False

    @property
    def awaits_approval(self) -> bool:
        """Whether it waits to be told if it may run."""
        return self.state is CallState.REQUESTED and self.answered_at_ns is None

    @property
    def over_at_ns(self) -> int:
        """When it was over, as far as is known; never before it began."""
        return self.started_at_ns if self.ended_at_ns is None else max(self.ended_at_ns, self.started_at_ns)


PROMPT_ATTRIBUTES: Final = ("cline.mode", "cline.repository.hash")
"""What the metrics of a prompt's model calls say of the prompt, subagents' calls among them."""


class Run(msgspec.Struct, array_like=True):
    """One agent's work on one prompt. ``owner`` counts on the root run only.

    ``last_at_ns`` is when its last event occurred, ``seen_at_ns`` when the bridge learnt of it: the bridge may
    be late by days. It is None until the next tick if no time is known yet; so is ``buffered_since_ns``.
    ``buffered`` are the events that wait until the run has an owner. ``prompt_...`` counts on the root run only: all
    calls for its prompt, those of subagents and teammates among them; ``prompt_cost_usd`` is None while none of them
    has a known cost, and ``has_known_cost`` says whether one of the run's own has: a free one costs 0.
    ``joined_in`` is the session in which the run was joined with those of its prompt, empty before that.
    ``agent_number`` is that of the agent. ``active`` are calls that are over, from and to, while others beside them
    are not; ``active_ns`` is active time up to ``active_until_ns`` that is not measured yet. ``tools_requested`` is
    how many tools the last answer asked for, by iteration. ``remote_trace_id`` is the trace of somebody else, in which
    the run's spans are, empty for one of our own; ``remote_link`` is the span of somebody else that it has a link to.
    ``previous_trace_id`` is the trace of the run before it, empty where that is the run's own. ``first_call`` stands
    for the model's id of the first tool call, empty where there is none or its source has none. ``answered_at_ns`` is
    the end of the last model call, and ``hooks_ns`` how long it was from there to the first tool call that it asks for.
    ``terminated_at_ns`` is when Cline ended the process that it was in, while another may still go on with it.
    ``has_failed_call`` is whether its last call failed and nothing began since: then ``error.type`` is that of the
    call. ``told_errors`` are classes of errors that records said which name no run: when, what, and which source.
    """

    agent_id: str
    run_id: str
    root: RunKey
    state: RunState = RunState.NEW
    owner: str = ""
    session_id: str = ""
    agent_name: str = "cline"
    parent_span_id: bytes = b""
    previous: RunKey | None = None
    process: str = ""
    started_at_ns: int = 0
    last_at_ns: int = 0
    seen_at_ns: int | None = None
    attributes: dict[str, AttributeValue] = msgspec.field(default_factory=dict)
    model_calls: dict[int, ModelCall] = msgspec.field(default_factory=dict)
    tool_calls: list[ToolCall] = msgspec.field(default_factory=list)
    tools_started: dict[int, int] = msgspec.field(default_factory=dict)
    model_attempts: dict[int, int] = msgspec.field(default_factory=dict)
    span_events: list[SpanEvent] = msgspec.field(default_factory=list)
    model_call_count: int = 0
    tool_call_count: int = 0
    failed_tool_call_count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    buffered: list[BufferedEvent] = msgspec.field(default_factory=list)
    buffered_since_ns: int | None = None
    has_reported_mode: bool = False
    prompt_model_call_count: int = 0
    prompt_tool_call_count: int = 0
    prompt_input_tokens: int = 0
    prompt_output_tokens: int = 0
    prompt_cost_usd: float | None = None
    prompt_unpriced_tokens: int = 0
    has_known_cost: bool = False
    agent_number: int = 0
    active: list[tuple[int, int]] = msgspec.field(default_factory=list)
    active_until_ns: int = 0
    active_ns: int = 0
    tools_requested: dict[int, int] = msgspec.field(default_factory=dict)
    joined_in: str = ""
    remote_trace_id: bytes = b""
    remote_link: tuple[bytes, bytes] | None = None
    previous_trace_id: bytes = b""
    first_call: bytes = b""
    answered_at_ns: int = 0
    hooks_ns: int = 0
    terminated_at_ns: int | None = None
    has_failed_call: bool = False
    told_errors: list[tuple[int, str, str]] = msgspec.field(default_factory=list)

    @property
    def trace_id(self) -> bytes:
        """16 bytes."""
        return self.remote_trace_id or ids.trace_id(*self.root)

    @property
    def key(self) -> RunKey:
        """(agent id, run id)"""
        return self.agent_id, self.run_id

    @property
    def is_root(self) -> bool:
        """Whether this is the run that the user's prompt started."""
        return self.root == (self.agent_id, self.run_id)

    @property
    def awaits_approval(self) -> bool:
        """Whether one of its tool calls waits to be told if it may run."""
        return any(call.awaits_approval for call in self.tool_calls)

    @property
    def is_of_another(self) -> bool:
        """Whether it is a prompt's run under another key than that which stands for the prompt."""
        return bool(self.joined_in) and not self.is_root

    @property
    def is_whole_task(self) -> bool:
        """Whether it is a task that is told as a whole, without its calls (``tasks``)."""
        return self.agent_id == self.run_id

    def told_error(self, source: str, from_ns: int, to_ns: int) -> str | None:
        """The class of the last error that a source told in a time, if it told one."""
        told = [error for at_ns, error, by in self.told_errors if by == source and from_ns <= at_ns <= to_ns]
        return told[-1] if told else None

    def note_call(self, call_id: str) -> None:
        """Remembers what stands for the first of its tool calls."""
        self.first_call = self.first_call or ids.mark_of_call(call_id)

    def count_usage(self, values: Mapping[str, AttributeValue], unpriced_tokens: int, calls: int) -> None:
        """So many model calls for the prompt of this root run, with their usage and cost."""
        self.prompt_model_call_count += calls
        self.prompt_input_tokens += number(values.get("gen_ai.usage.input_tokens"))
        self.prompt_output_tokens += number(values.get("gen_ai.usage.output_tokens"))
        self.prompt_unpriced_tokens += unpriced_tokens
        cost = values.get("cline.cost_usd")
        if isinstance(cost, float):
            self.prompt_cost_usd = (self.prompt_cost_usd or 0.0) + cost

    def forget_details(self) -> None:
        """Keeps what later events may still ask of a closed run: its root, owner, session and whatever a prompt has."""
        self.attributes = {name: value for name, value in self.attributes.items() if name in PROMPT_ATTRIBUTES}
        self.model_calls, self.tool_calls = {}, []
        self.tools_started, self.model_attempts, self.span_events, self.buffered = {}, {}, [], []
        self.active, self.tools_requested, self.told_errors = [], {}, []


class Agent(msgspec.Struct, array_like=True):
    """What is known of an agent; ``current_run`` by source: a source may lag behind another.

    ``number`` tells it from others of its name in the session, from 1; 0 for a root agent, or while it is not known.
    """

    session_id: str = ""
    attributes: dict[str, AttributeValue] = msgspec.field(default_factory=dict)
    current_run: dict[str, str] = msgspec.field(default_factory=dict)
    last_at_ns: int = 0
    number: int = 0


class Session(msgspec.Struct, array_like=True):
    """What is known of a session. ``claimed_by`` holds the plugin processes that will report its runs.

    ``lost`` stands for a stored session that could not be read: it keeps the ids of further log records apart from
    those of before, which counted the same, and says that runs went before. Empty where nothing was lost.
    ``announced_by`` is the source that will tell its runs some time after they began, empty if none is known to.
    ``agent_numbers`` has the last number that an agent of each name got. ``is_counted`` is whether ``cline.sessions``
    has it; one that had runs before that metric was is not counted again. ``heard_at_ns`` is when the bridge learnt
    that it was registered, ``untold_at_ns`` that its files hold a prompt and nothing that came of it, 0 for never;
    ``was_claimed`` is whether the plugin was ever loaded for it.
    """

    claimed_by: list[str] = msgspec.field(default_factory=list)
    attributes: dict[str, AttributeValue] = msgspec.field(default_factory=dict)
    current_run: dict[str, RunKey] = msgspec.field(default_factory=dict)
    last_root: RunKey | None = None
    mode: dict[str, str] = msgspec.field(default_factory=dict)
    log_event_ordinals: dict[str, int] = msgspec.field(default_factory=dict)
    last_at_ns: int = 0
    lost: str = ""
    agent_numbers: dict[str, int] = msgspec.field(default_factory=dict)
    is_counted: bool = False
    announced_by: str = ""
    heard_at_ns: int = 0
    untold_at_ns: int = 0
    was_claimed: bool = False

    @property
    def is_new(self) -> bool:
        """Whether ``cline.sessions`` has yet to count it."""
        return not self.is_counted and self.last_root is None and not self.lost


class Prompt(msgspec.Struct, array_like=True):
    """A prompt of a session: its runs as sources name them, by Cline's agent and run, or by session and message.

    ``number`` is its place among those of the session that were heard of; ``started_at_ns`` is when it began, as it was
    reported first, nanoseconds since the Unix epoch; ``owner`` is empty until it is known.
    """

    session_id: str
    number: int
    started_at_ns: int
    message_id: str = ""
    owner: str = ""
    run: RunKey | None = None
    run_by_ids: RunKey | None = None

    def key(self, *, by_ids: bool) -> RunKey | None:
        """The run as such sources name it; None if none has reported it."""
        return self.run_by_ids if by_ids else self.run


class Observation(msgspec.Struct, array_like=True):
    """One log event that was passed on: when it happened, when the bridge last learnt of it, and from which sources.

    ``number`` is its place among those of the very same moment, from 1; 0 where that was not kept.
    """

    occurred_at_ns: int
    seen_at_ns: int
    seen_from: list[str]
    number: int = 0


RUN: Final = Format("run", Run, migrations.run_1_to_2)
AGENT: Final = Format("agent", Agent, unchanged)
SESSION: Final = Format("session", Session, migrations.session_1_to_2)
PROMPT: Final = Format("prompt", Prompt, unchanged)
OBSERVATIONS: Final = Format("observations", list[Observation], unchanged)


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
        self.runs: dict[RunKey, Run] = {}
        self.agents: dict[str, Agent] = {}
        self.sessions: dict[str, Session] = {}
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
            if kind == "agent":
                saved[f"agent/{key}"] = _stored(AGENT, self.agents.get(key))
            elif kind == "session":
                saved[f"session/{key}"] = _stored(SESSION, self.sessions.get(key))
            elif kind == "heard":
                saved["heard/"] = HEARD.encode(self.heard)
            else:
                saved[f"log_event/{key}"] = _stored(OBSERVATIONS, self.observations.get(key))
        saved |= {key: PROMPT.encode(prompt) for key, prompt in self._changed_prompts.items()}
        self._changed_runs.clear()
        self._changed.clear()
        self._changed_prompts.clear()
        self._unreadable_keys.clear()
        return saved

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
        elif kind == "agent":
            self.agents.pop(key, None)
        elif kind == "session":
            self.sessions.pop(key, None)
        elif kind == "log_event":
            self.observations.pop(key, None)
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
        elif kind == "agent":
            self.agents[key] = AGENT.decode(value)
        elif kind == "session":
            self.sessions[key] = SESSION.decode(value)
        elif kind == "log_event":
            self.observations[key] = OBSERVATIONS.decode(value)
        elif kind == "prompt":
            prompt = PROMPT.decode(value)
            self.prompts.setdefault(prompt.session_id, []).append(prompt)
        elif kind == "heard":
            self.heard = HEARD.decode(value)
        elif kind == "seen":
            self.seen.restore_row(key, value)


def _stored(form: Format[_Struct], value: _Struct | None) -> bytes | None:
    return None if value is None else form.encode(value)
