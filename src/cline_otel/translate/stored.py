"""What is stored of runs and their calls, of agents, sessions, prompts and log events: a struct for each kind."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

from cline_otel import ids
from cline_otel.events import AttributeValue, BufferedEvent
from cline_otel.signals import SpanEvent
from cline_otel.state_format import Format, unchanged
from cline_otel.translate import migrations
from cline_otel.translate.conventions import number

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


class ModelCall(msgspec.Struct, array_like=True, gc=False):
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


class ToolCall(msgspec.Struct, array_like=True, gc=False):
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


class Run(msgspec.Struct, array_like=True, gc=False):
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


class Agent(msgspec.Struct, array_like=True, gc=False):
    """What is known of an agent; ``current_run`` by source: a source may lag behind another.

    ``number`` tells it from others of its name in the session, from 1; 0 for a root agent, or while it is not known.
    """

    session_id: str = ""
    attributes: dict[str, AttributeValue] = msgspec.field(default_factory=dict)
    current_run: dict[str, str] = msgspec.field(default_factory=dict)
    last_at_ns: int = 0
    number: int = 0


class Session(msgspec.Struct, array_like=True, gc=False):
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


class Prompt(msgspec.Struct, array_like=True, gc=False):
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


class Observation(msgspec.Struct, array_like=True, gc=False):
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
