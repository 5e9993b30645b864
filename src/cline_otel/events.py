"""The vocabulary: what any source can report, in one small set of events, a class for each kind.

A decoder turns one upstream record into an event of this module and nothing else; the translator
knows no other input. Time enters the core only here: every event carries when it happened, and a
``Tick`` says what time it is now.

What a class adds to ``Event`` steers the translator and never leaves; what may leave is in ``attributes``.
"""

from __future__ import annotations

from typing import ClassVar, Final

import msgspec

AttributeValue = str | bool | int | float | tuple[str, ...]
"""A value that OpenTelemetry can carry: scalar, or an array of strings."""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that happened, as one source reports it.

    Attributes:
        kind: the role in the lifecycle, which the catalogue's source tables name; a class each.
        source: who reports it: a source's name, or ``clock``.
        occurred_at_ns: when it happened, nanoseconds since the Unix epoch.
        name: the catalogue's name of the upstream event, for example ``task.tokens``.
        process: what stands for the Cline process that reports it, where the source knows it; empty elsewhere.
        attributes: catalogued attributes only, by their OpenTelemetry names. What the
            catalogue does not list never gets this far.
        session_id: Cline's session (``ulid``, ``sessionId``); empty when the record has none.
        agent_id: Cline's agent; empty when the record has none.
        run_id: one prompt of that agent; empty when the record has none.
        iteration: the model call within the run, counted from 1; 0 when the record has none.
        call_id: the model's id of a tool call; empty where the source has none.
    """

    kind: ClassVar[str] = ""

    source: str
    occurred_at_ns: int
    name: str = ""
    process: str = ""
    attributes: dict[str, AttributeValue] = {}
    session_id: str = ""
    agent_id: str = ""
    run_id: str = ""
    iteration: int = 0
    call_id: str = ""


class SessionClaimed(Event, tag="session.claimed", frozen=True):
    """The plugin was loaded for a session and will report its runs."""

    kind: ClassVar[str] = "session.claimed"


class SessionAnnounced(Event, tag="session.announced", frozen=True):
    """Cline's files have a session that is worked on: they will tell its runs, some time after they began."""

    kind: ClassVar[str] = "session.announced"


class SessionUntold(Event, tag="session.untold", frozen=True):
    """Cline's files say that a session had a prompt, and hold nothing that tells what came of it."""

    kind: ClassVar[str] = "session.untold"


class PluginsNotLoaded(Event, tag="plugins.not_loaded", frozen=True):
    """Cline could not load its plugins and went on without them."""

    kind: ClassVar[str] = "plugins.not_loaded"


class ProcessAlive(Event, tag="process.alive", frozen=True):
    """A process of Cline's lives, and calls are open in it, of which there is nothing else to tell."""

    kind: ClassVar[str] = "process.alive"


class ProcessExited(Event, tag="process.exited", frozen=True):
    """A process of Cline's is gone; ``exit_reason`` where it could still say one."""

    kind: ClassVar[str] = "process.exited"

    exit_reason: str | None = None


class AgentDescribed(Event, tag="agent.described", frozen=True):
    """An agent exists: its session and model."""

    kind: ClassVar[str] = "agent.described"

    parent_agent_id: str | None = None


class RunClaimed(Event, tag="run.claimed", frozen=True):
    """Who shall own a run, where all of the past is at hand (replay), and what the owner says of a remote span.

    ``owner`` is another source than that which reports the run, if that one yields to it.
    """

    kind: ClassVar[str] = "run.claimed"

    remote_trace_id: str | None = None
    remote_span_id: str | None = None
    remote_relation: str | None = None
    owner: str | None = None


class RunStarted(Event, tag="run.started", frozen=True):
    """An agent begins to work on a prompt; a subagent's or teammate's run names the call that made it.

    ``task_ulid`` is the session as which another source tells all of the task, without runs.
    ``remote_trace_id`` and ``remote_span_id``, hex digits, are of the span of somebody else in which Cline was started,
    and ``remote_relation`` is what a root run is to it: its ``child``, or only a ``link`` to it.
    """

    kind: ClassVar[str] = "run.started"

    parent_agent_id: str | None = None
    parent_run_id: str | None = None
    parent_iteration: int | None = None
    parent_ordinal: int | None = None
    agent_kind: str | None = None
    parent_message_id: str | None = None
    parent_call_id: str | None = None
    task_ulid: str | None = None
    remote_trace_id: str | None = None
    remote_span_id: str | None = None
    remote_relation: str | None = None


class RunFinished(Event, tag="run.finished", frozen=True):
    """An agent's run ended."""

    kind: ClassVar[str] = "run.finished"


class ModelCallStarted(Event, tag="model_call.started", frozen=True):
    """A model request is about to be sent; ``attempt`` counts from 1 where Cline asks again after an overflow."""

    kind: ClassVar[str] = "model_call.started"

    attempt: int | None = None


class ModelCallFirstChunk(Event, tag="model_call.first_chunk", frozen=True):
    """The first piece of text or reasoning arrived."""

    kind: ClassVar[str] = "model_call.first_chunk"


class ModelCallEnded(Event, tag="model_call.ended", frozen=True):
    """A model call is over; its usage comes in an event of its own."""

    kind: ClassVar[str] = "model_call.ended"


class ModelCallUsage(Event, tag="model_call.usage", frozen=True):
    """Tokens and cost of one model call; ``uncached_input_tokens`` where the source counts the cache apart.

    ``is_sum`` is whether it is that of any number of calls.
    """

    kind: ClassVar[str] = "model_call.usage"

    uncached_input_tokens: int | None = None
    is_sum: bool | None = None


class ModelCallFinished(Event, tag="model_call.finished", frozen=True):
    """A model call is over, with its usage or its error. Times are nanoseconds since the Unix epoch.

    ``requested_tool_calls`` is how many tools the answer asks for.
    """

    kind: ClassVar[str] = "model_call.finished"

    attempt: int | None = None
    started_at_ns: int | None = None
    first_chunk_at_ns: int | None = None
    requested_tool_calls: int | None = None


class ToolCallRequested(Event, tag="tool_call.requested", frozen=True):
    """A tool call may have to be approved from now on: Cline asks the user unless the settings approve it."""

    kind: ClassVar[str] = "tool_call.requested"


class ToolCallStarted(Event, tag="tool_call.started", frozen=True):
    """A tool call begins; ``ordinal`` is its place, from 0, among the iteration's tool starts."""

    kind: ClassVar[str] = "tool_call.started"

    ordinal: int | None = None


class ToolCallFinished(Event, tag="tool_call.finished", frozen=True):
    """A tool call is over. Times are nanoseconds since the Unix epoch.

    ``auto_approved`` is whether the user's settings approved it, False where somebody was asked; ``answered_at_ns`` is
    when that was answered.
    """

    kind: ClassVar[str] = "tool_call.finished"

    ordinal: int | None = None
    started_at_ns: int | None = None
    ended_at_ns: int | None = None
    is_mcp: bool | None = None
    auto_approved: bool | None = None
    answered_at_ns: int | None = None


class ToolCallNamed(Event, tag="tool_call.named", frozen=True):
    """Which tool it was that was just used, where a source says it in an event of its own.

    ``auto_approved`` is whether the user's settings approved it, False where somebody was asked.
    """

    kind: ClassVar[str] = "tool_call.named"

    auto_approved: bool | None = None


class RecordsDropped(Event, tag="records.dropped", frozen=True):
    """A source could not write so many of its records."""

    kind: ClassVar[str] = "records.dropped"

    count: int | None = None


class RecordsRewritten(Event, tag="records.rewritten", frozen=True):
    """So many records that a source reported stand differently, or not at all, where it read them."""

    kind: ClassVar[str] = "records.rewritten"

    count: int | None = None


class LogEvent(Event, tag="log_event", frozen=True):
    """Something beside the run's own life that becomes a log record."""

    kind: ClassVar[str] = "log_event"


class Tick(Event, tag="tick", frozen=True):
    """What time it is now.

    ``is_behind`` is whether there may be more to read of what happened until then, ``moved_ns`` how far the wall clock
    was set forward since the last tick, or back.
    """

    kind: ClassVar[str] = "tick"

    is_behind: bool = False
    moved_ns: int = 0


LifecycleEvent = (
    RunStarted
    | ModelCallStarted
    | ModelCallFirstChunk
    | ModelCallEnded
    | ModelCallUsage
    | ModelCallFinished
    | ToolCallRequested
    | ToolCallStarted
    | ToolCallFinished
    | ToolCallNamed
    | RunFinished
)
"""What the owner of a run reports of it."""

BufferedEvent = LifecycleEvent | RunClaimed | LogEvent
"""What can be about a run, and so may wait for its owner."""

EVENT_TYPES: Final[dict[str, type[Event]]] = {
    event_type.kind: event_type
    for event_type in (
        SessionClaimed,
        SessionAnnounced,
        SessionUntold,
        PluginsNotLoaded,
        ProcessAlive,
        ProcessExited,
        AgentDescribed,
        RunClaimed,
        RunStarted,
        RunFinished,
        ModelCallStarted,
        ModelCallFirstChunk,
        ModelCallEnded,
        ModelCallUsage,
        ModelCallFinished,
        ToolCallRequested,
        ToolCallStarted,
        ToolCallFinished,
        ToolCallNamed,
        RecordsDropped,
        RecordsRewritten,
        LogEvent,
        Tick,
    )
}
"""The classes by kind."""

KEYS: Final = ("session_id", "agent_id", "run_id", "iteration", "call_id")
"""The parts of an event's key, the last fields of ``Event``."""


def steering_fields(event_type: type[Event]) -> tuple[str, ...]:
    """The fields that a kind of event has beyond what all have."""
    return event_type.__struct_fields__[len(Event.__struct_fields__) :]


def tick(now_ns: int, *, is_behind: bool = False, moved_ns: int = 0) -> Tick:
    """The event that advances the clock: nanoseconds since the Unix epoch."""
    return Tick("clock", now_ns, "tick", is_behind=is_behind, moved_ns=moved_ns)
