"""The events that an agent emits, and what may stand in them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, get_args, get_type_hints

import msgspec

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
"""An id that the agent gives. It leaves as it is where it looks made by a machine, else as a pseudonym."""

_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Nanoseconds = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
"""Since the Unix epoch."""

_Number = Annotated[int, msgspec.Meta(ge=0, le=10**11)]
_Usd = Annotated[float, msgspec.Meta(ge=0, le=1e11)]


class InvalidEvent(ValueError):  # noqa: N818 - named for the event's state
    """An event has a value that it can't have; the text names the event, the field and what was expected."""


class AgentRun(msgspec.Struct, frozen=True, kw_only=True):
    """One prompt of an agent, with all that comes of it. The run of a prompt of the user's is a trace.

    Attributes:
        session_id: the conversation; its runs form a chain of traces.
        agent_id: the agent.
        run_id: the prompt; of its own within the agent.
    """

    session_id: _Id
    agent_id: _Id
    run_id: _Id


class AgentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What every event says.

    Attributes:
        run: whose it is.
        at_ns: when it happened, nanoseconds since the Unix epoch; None for now.
    """

    kind: ClassVar[str] = ""

    run: AgentRun
    at_ns: _Nanoseconds | None = None


class AgentRunStarted(AgentEvent, frozen=True, kw_only=True):
    """An agent begins to work on a prompt. A subagent names the run, and if known the tool call, that made it.

    Attributes:
        mode: how it works.
        parent: the run that it is part of; None for a root run.
        parent_model_call_id, parent_tool_call_id: the tool call of that run which made it.
    """

    kind: ClassVar[str] = "run.started"

    mode: Literal["act", "plan", "yolo"] | None = None
    parent: AgentRun | None = None
    parent_model_call_id: _Id | None = None
    parent_tool_call_id: _Id | None = None


class AgentModelCallStarted(AgentEvent, frozen=True, kw_only=True):
    """A model is asked. Need not be said: it shows a call that is under way.

    Attributes:
        model_call_id: the call; of its own within the run.
    """

    kind: ClassVar[str] = "model_call.started"

    model_call_id: _Id


class AgentModelCallFinished(AgentEvent, frozen=True, kw_only=True):
    """A model has answered, or failed to.

    Attributes:
        model_call_id: the call; of its own within the run.
        started_at_ns, first_chunk_at_ns: when it began, and when the first of the answer came, nanoseconds since the
            Unix epoch.
        provider, model: as the model's provider names them.
        input_tokens: what was read, the cache included.
        output_tokens, cache_read_tokens, cache_write_tokens: what was written, and what the cache had and took.
        cost_usd: what it cost; None to have it computed.
        tool_calls: how many tools the answer asks for.
        error_text: why it failed; only its class leaves.
    """

    kind: ClassVar[str] = "model_call.finished"

    model_call_id: _Id
    started_at_ns: _Nanoseconds | None = None
    first_chunk_at_ns: _Nanoseconds | None = None
    provider: _Name | None = None
    model: _Name | None = None
    input_tokens: _Number | None = None
    output_tokens: _Number | None = None
    cache_read_tokens: _Number | None = None
    cache_write_tokens: _Number | None = None
    cost_usd: _Usd | None = None
    tool_calls: _Number | None = None
    error_text: str | None = None


class AgentToolCallStarted(AgentEvent, frozen=True, kw_only=True):
    """A tool begins to run.

    Attributes:
        model_call_id: the model call whose answer asked for it.
        tool_call_id: the call; of its own within the model call.
        tool_name: the tool.
        input_bytes: how long its arguments are.
    """

    kind: ClassVar[str] = "tool_call.started"

    model_call_id: _Id
    tool_call_id: _Id
    tool_name: _Name
    input_bytes: _Number | None = None


class AgentToolCallFinished(AgentEvent, frozen=True, kw_only=True):
    """A tool has run, or was not allowed to.

    Attributes:
        model_call_id, tool_call_id, tool_name: as it began.
        outcome: ``error``: it ran and failed; ``rejected``: it never ran.
        started_at_ns: when it began, nanoseconds since the Unix epoch, where no event said so.
        error_type: the class of the failure, as docs/telemetry.md lists them.
        exit_code: a command's.
        output_bytes: how long its result is.
        mcp_server: the MCP server that it is of.
    """

    kind: ClassVar[str] = "tool_call.finished"

    model_call_id: _Id
    tool_call_id: _Id
    tool_name: _Name
    outcome: Literal["success", "error", "rejected"]
    started_at_ns: _Nanoseconds | None = None
    error_type: _Name | None = None
    exit_code: int | None = None
    output_bytes: _Number | None = None
    mcp_server: _Name | None = None


class AgentRunFinished(AgentEvent, frozen=True, kw_only=True):
    """An agent is done with a prompt.

    Attributes:
        outcome: how it ended.
        error_text: why it failed; only its class leaves.
    """

    kind: ClassVar[str] = "run.finished"

    outcome: Literal["completed", "failed", "aborted"]
    error_text: str | None = None


_NAMES = {
    "at_ns": "time_unix_ms",
    "model_call_id": "message_id",
    "tool_call_id": "call_id",
    "parent_model_call_id": "parent_message_id",
    "parent_tool_call_id": "parent_call_id",
    "started_at_ns": "started_at_ms",
    "first_chunk_at_ns": "first_chunk_at_ms",
}
"""The fields that a record names otherwise."""


class Recorder:
    """Makes records of events, and numbers calls in the order in which they are heard of."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], dict[str, dict[str, int]]] = {}

    def record(self, event: AgentEvent, now_ns: int) -> dict[str, object]:
        """The record of an event.

        Args:
            event: what happened.
            now_ns: when that was if it does not say so itself, nanoseconds since the Unix epoch.

        Raises:
            InvalidEvent: it has a value that it cannot have.
        """
        kind = type(event)
        if not isinstance(event, AgentEvent) or not kind.kind:
            raise InvalidEvent(f"{kind.__name__}: no event; emit one of cline_otel's Agent… classes")
        try:
            said = msgspec.to_builtins(event)
            msgspec.convert(said, kind)
        except msgspec.ValidationError as error:
            raise InvalidEvent(_described(kind, str(error))) from None
        except (TypeError, RecursionError) as error:
            raise InvalidEvent(f"{kind.__name__}: {error}") from None
        given = {name: value for name, value in said.items() if value is not None}
        given |= given.pop("run")
        if (parent := given.pop("parent", None)) is not None:
            given |= {"parent_agent_id": parent["agent_id"], "parent_run_id": parent["run_id"]}
        given.setdefault("at_ns", now_ns)
        record: dict[str, object] = {"event": kind.kind}
        for name, value in given.items():
            record[_NAMES.get(name, name)] = value / 1e6 if name.endswith("_ns") else value
        return record | self._further(event, record)

    def _further(self, event: AgentEvent, record: dict[str, object]) -> dict[str, object]:
        run = (event.run.agent_id, event.run.run_id)
        if isinstance(event, AgentRunStarted):
            return {"agent_kind": "root" if event.parent is None else "subagent"}
        if isinstance(event, AgentRunFinished):
            self._calls.pop(run, None)
            return {"status": record.pop("outcome")}
        calls = self._calls.setdefault(run, {})
        tools = calls.setdefault(str(record["message_id"]), {})
        further: dict[str, object] = {"iteration": [*calls].index(str(record["message_id"])) + 1}
        if isinstance(event, AgentToolCallStarted | AgentToolCallFinished):
            further["ordinal"] = tools.setdefault(event.tool_call_id, len(tools))
        if isinstance(event, AgentToolCallFinished):
            further["ended_at_ms"] = record["time_unix_ms"]
            if event.mcp_server is not None:
                further["is_mcp"] = True
        return further


def _described(kind: type[AgentEvent], problem: str) -> str:
    """What is wrong with an event, from what msgspec says of it; of a word, which ones can stand there."""
    problem, _, place = problem.partition(" - at `$.")
    field = place.rstrip("`")
    choices = get_args(get_type_hints(kind).get(field))
    words = [str(word) for choice in choices for word in get_args(choice) or (choice,) if isinstance(word, str)]
    return f"{kind.__name__}.{field}: {problem}" + (f"; it is one of {', '.join(words)}" if words else "")
