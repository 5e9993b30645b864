"""What a stream tells, as records: who was at work, which calls and tools there were, and how it ended.

The stream does not say of which agent an event is, but when agents begin and end. While one agent is at work it is that
one's; of several it is the one that can be meant, since an agent is either in a model call or in its tools. Where
several can be meant, tokens, cost and tools are counted for the prompt and no span is made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec

from cline_otel.decode.json_text import json_value
from cline_otel.sources.conversations.edits import change_of
from cline_otel.sources.conversations.messages import size_of
from cline_otel.sources.conversations.outcome import mcp_server_in, outcome_of
from cline_otel.sources.conversations.records import INFERRED, record_of
from cline_otel.sources.conversations.told import Record
from cline_otel.sources.json_stream.lines import AgentEvent, Line, Model, read_line
from cline_otel.sources.json_stream.names import PlainNames

MOST_RECORDS: Final = 100_000
"""Of one stream; a longer one is told so far."""

_MAKES_AGENTS: Final = frozenset({"spawn_agent", "team_run_task"})
_RUNS_BESIDE: Final = "spawn_agent"
_OUTCOMES: Final = {
    "completed": "completed",
    "aborted": "aborted",
    "cancelled": "aborted",
    "error": "failed",
    "failed": "failed",
}


@dataclass(slots=True)
class _Tool:
    call_id: str
    name: str
    iteration: int
    ordinal: int
    started_at_ms: int
    given: object
    ended_at_ms: int | None = None


@dataclass(slots=True)
class _Agent:
    """An agent's work on one prompt; ``is_known`` is whether it is known what it is at."""

    agent_id: str
    run_id: str
    kind: str
    began_ms: int
    parent: _Agent | None = None
    timing: str | None = None
    model: Model | None = None
    is_known: bool = True
    iteration: int = 0
    call_started_ms: int | None = None
    first_chunk_ms: int | None = None
    is_answered: bool = False
    tools: list[_Tool] = field(default_factory=list)
    error_type: str = ""
    status: str = ""
    ended_ms: int | None = None
    calls: list[Record] = field(default_factory=list)

    @property
    def open_tools(self) -> list[_Tool]:
        """Those that have not ended."""
        return [tool for tool in self.tools if tool.ended_at_ms is None]

    def may_begin(self, iteration: int) -> bool:
        """Whether an iteration with this number may be its next."""
        return self.call_started_ms is None and self.iteration == iteration - 1 and not self.open_tools

    def is_in_call(self) -> bool:
        """Whether it waits for the model."""
        return self.call_started_ms is not None

    def may_use(self, tool: str) -> bool:
        """Whether a tool may be one that its last answer asks for."""
        beside = tool == _RUNS_BESIDE and all(each.name == _RUNS_BESIDE for each in self.open_tools)
        return self.is_answered and (beside or not self.open_tools)


class StreamStory:
    """Reads a stream, line by line.

    Args:
        names: how names that people choose are written down.
    """

    def __init__(self, names: PlainNames | None = None) -> None:
        self._names = PlainNames() if names is None else names
        self._agents: list[_Agent] = []
        self._records: list[Record] = []
        self._tools: dict[str, tuple[_Agent, _Tool]] = {}
        self._unclear_tools: dict[str, str] = {}
        self._teammates: dict[str, tuple[str, str]] = {}
        self._held: tuple[AgentEvent, int] | None = None
        self._last_at_ms = 0

    def take(self, raw: bytes) -> None:
        """A line; one that is none of the stream's says nothing."""
        line = read_line(raw)
        at_ms = line.at_ms if line is not None else None
        if line is None or at_ms is None or len(self._records) >= MOST_RECORDS:
            return
        self._last_at_ms = max(self._last_at_ms, at_ms)
        held, self._held = self._held, None
        if held is not None and not _repeats(line, held[0]):
            self._apply(None, *held)
        event = line.event
        if line.type == "hook_event":
            self._hook(line, at_ms)
        elif line.type == "agent_event" and event is not None:
            if event.type == "usage":
                # That of a teammate comes twice: without its name, and then with it.
                self._held = event, at_ms
            else:
                self._apply(None, event, at_ms)
        elif line.type == "team_event" and event is not None:
            self._team(event, at_ms)
        elif line.type == "run_result":
            self._result(line, at_ms)
        elif line.type == "run_aborted" and (root := self._root()) is not None:
            root.status = "aborted"

    def end(self) -> list[Record]:
        """All that was told, in the order of time; what goes on has ended with the stream, nobody knows how."""
        if self._held is not None:
            self._apply(None, *self._held)
            self._held = None
        records = [*self._records]
        makers = self._makers()
        for number, agent in enumerate(self._agents):
            records.append(self._begin_of(agent, makers.get(number)))
            records += [{**call, **self._model_of(agent)} for call in agent.calls]
            ended_ms = self._last_at_ms if agent.ended_ms is None else agent.ended_ms
            if agent.call_started_ms is not None and agent.is_known:
                records.append(
                    self._record(agent, "model_call.started", agent.call_started_ms, iteration=agent.iteration)
                )
            records.append(
                self._record(
                    agent,
                    "run.finished",
                    ended_ms,
                    status=agent.status or "incomplete",
                    error_type=agent.error_type or None,
                )
            )
        order = {"run.started": 0, "run.finished": 2}
        return sorted(records, key=lambda each: (each["time_unix_ms"], order.get(str(each["event"]), 1)))

    # --- who is at work ---------------------------------------------------------------------------------

    def _hook(self, line: Line, at_ms: int) -> None:
        if line.hook_event_name == "agent_start" and line.agent_id:
            self._start(line, at_ms)
        elif line.hook_event_name in ("agent_end", "agent_error"):
            agent = self._at_work_as(line.agent_id)
            if agent is not None:
                agent.ended_ms = at_ms
                agent.status = "completed" if line.hook_event_name == "agent_end" else "failed"

    def _start(self, line: Line, at_ms: int) -> None:
        teammate = self._teammates.get(line.agent_id)
        root = self._root()
        if teammate is not None:
            parent, kind = root, "teammate"
        elif line.parent_agent_id:
            parent, kind = self._at_work_as(line.parent_agent_id) or root, "subagent"
        else:
            parent, kind = None, "root"
            if root is not None and root.timing is not None and root.ended_ms is None:
                return
        agent = _Agent(line.agent_id, f"run_{at_ms:013}", kind, at_ms, parent)
        if teammate is not None and teammate[1]:
            agent.model = Model(teammate[1])
        self._agents.append(agent)

    def _root(self) -> _Agent | None:
        return next((agent for agent in reversed(self._agents) if agent.kind == "root"), None)

    def _at_work_as(self, agent_id: str) -> _Agent | None:
        return next((agent for agent in self._at_work() if agent.agent_id == agent_id), None)

    def _at_work(self) -> list[_Agent]:
        return [agent for agent in self._agents if agent.ended_ms is None]

    def _unnamed(self) -> list[_Agent]:
        """Those whose events do not say whose they are: of a teammate's they do."""
        return [agent for agent in self._at_work() if agent.kind != "teammate"]

    def _pick(
        self, agent: _Agent | None, fits: Callable[[_Agent], bool], *, only_fitting: bool = False
    ) -> _Agent | None:
        """Whose an event is: that agent's, if the event says so, else that of the only one that can be meant."""
        if agent is not None:
            return agent
        unnamed = self._unnamed()
        fitting = [each for each in unnamed if not each.is_known or fits(each)]
        if len(fitting) == 1:
            return fitting[0]
        if not fitting:
            return unnamed[0] if len(unnamed) == 1 and not only_fitting else None
        for each in fitting:
            each.is_known = False
        return None

    # --- what happens -------------------------------------------------------------------------------------

    def _apply(self, agent: _Agent | None, event: AgentEvent, at_ms: int) -> None:
        if not self._agents:
            self._agents.append(
                _Agent(f"agent_{at_ms:013}", f"run_{at_ms:013}", "root", at_ms, timing=INFERRED),
            )
        match event.type, event.content_type:
            case "iteration_start", _:
                self._iteration(agent, event, at_ms)
            case "iteration_end", _:
                self._iteration_end(agent, event)
            case "content_start", "text" | "reasoning":
                self._chunk(agent, at_ms)
            case "content_start", "tool":
                self._tool(agent, event, at_ms)
            case "content_end", "tool":
                self._tool_end(event, at_ms)
            case "usage", _:
                self._usage(agent, event, at_ms)
            case "error", _:
                self._error(agent, event)
            case "done", _:
                self._done(event, at_ms)

    def _iteration(self, agent: _Agent | None, event: AgentEvent, at_ms: int) -> None:
        agent = self._pick(agent, lambda each: each.may_begin(event.iteration))
        if agent is not None:
            agent.is_known, agent.iteration, agent.is_answered = True, event.iteration, False
            agent.call_started_ms, agent.first_chunk_ms = at_ms, None

    def _iteration_end(self, agent: _Agent | None, event: AgentEvent) -> None:
        over = [
            each
            for each in ([agent] if agent is not None else self._at_work())
            if each.is_answered and each.iteration == event.iteration and not each.open_tools
        ]
        if len(over) == 1:
            over[0].is_answered = False

    def _chunk(self, agent: _Agent | None, at_ms: int) -> None:
        waiting = [
            each for each in ([agent] if agent is not None else self._at_work()) if each.kind != "teammate" or agent
        ]
        waiting = [each for each in waiting if not each.is_known or each.is_in_call()]
        if len(waiting) == 1 and waiting[0].is_in_call() and waiting[0].first_chunk_ms is None:
            waiting[0].first_chunk_ms = at_ms

    def _usage(self, agent: _Agent | None, event: AgentEvent, at_ms: int) -> None:
        agent = self._pick(agent, _Agent.is_in_call, only_fitting=True)
        usage: dict[str, int | float | None] = {
            "input_tokens": event.input_tokens,
            "output_tokens": event.output_tokens,
            "cache_read_tokens": event.cache_read_tokens,
            "cache_write_tokens": event.cache_write_tokens,
            "cost_usd": event.cost,
        }
        if not any(usage.values()):
            usage = {}
        if agent is None or agent.call_started_ms is None or not agent.is_known:
            root = self._root()
            if usage and root is not None and self._at_work():
                self._records.append(self._record(root, "model_call.usage", at_ms, **usage))
            return
        agent.calls.append(
            self._record(
                agent,
                "model_call.finished",
                at_ms,
                iteration=agent.iteration,
                started_at_ms=agent.call_started_ms,
                first_chunk_at_ms=agent.first_chunk_ms,
                **usage,
            )
        )
        agent.call_started_ms, agent.is_answered = None, True

    def _tool(self, agent: _Agent | None, event: AgentEvent, at_ms: int) -> None:
        agent = self._pick(agent, lambda each: each.may_use(event.tool_name))
        if agent is None or not agent.is_known:
            self._unclear_tools[event.tool_call_id] = event.tool_name
            return
        ordinal = sum(tool.iteration == agent.iteration for tool in agent.tools)
        given = _value_of(event.input)
        tool = _Tool(event.tool_call_id, event.tool_name, agent.iteration, ordinal, at_ms, given)
        agent.tools.append(tool)
        self._tools[tool.call_id] = agent, tool
        self._records.append(
            self._record(
                agent,
                "tool_call.started",
                at_ms,
                **_key_of(tool),
                **self._names.tool(tool.name),
                input_bytes=size_of(given),
            )
        )

    def _tool_end(self, event: AgentEvent, at_ms: int) -> None:
        output, is_error = _value_of(event.output), bool(_value_of(event.error))
        outcome = outcome_of(event.tool_name, output, is_error=is_error, ran=True)
        agent, tool = self._tools.pop(event.tool_call_id, (None, None))
        if agent is None or tool is None:
            name, root = self._unclear_tools.pop(event.tool_call_id, ""), self._root()
            if name and root is not None:
                named = self._record(root, "tool_call.named", at_ms, **self._names.tool(name))
                self._records.append({**named, "success": outcome.outcome == "success"})
            return
        server = mcp_server_in(tool.name) if outcome.is_mcp else None
        change = change_of(tool.name, tool.given, output) if outcome.outcome == "success" else {}
        tool.ended_at_ms, tool.given = at_ms, None
        self._records.append(
            {
                **self._record(
                    agent,
                    "tool_call.finished",
                    at_ms,
                    **_key_of(tool),
                    **self._names.tool(tool.name),
                    started_at_ms=tool.started_at_ms,
                    outcome=outcome.outcome,
                    error_type=outcome.error_type,
                    exit_code=outcome.exit_code,
                    output_bytes=size_of(output),
                    **(self._names.server(server) if server is not None else {}),
                    **change,
                ),
                **({"is_mcp": True} if outcome.is_mcp else {}),
            }
        )

    def _error(self, agent: _Agent | None, event: AgentEvent) -> None:
        """Of an answer that did not come; that a tool failed is told so, too, and says nothing more."""
        failing = [each for each in ([agent] if agent is not None else self._agents) if each.is_in_call()]
        if len(failing) == 1 and event.error_class:
            failing[0].error_type = event.error_class

    def _done(self, event: AgentEvent, at_ms: int) -> None:
        """How the agent that was the last to end has ended."""
        ended = [agent for agent in self._agents if agent.ended_ms is not None]
        agent = max(ended, key=lambda each: each.ended_ms or 0) if ended else self._root()
        if agent is not None:
            agent.ended_ms = agent.ended_ms if agent.ended_ms is not None else at_ms
            agent.status = _OUTCOMES.get(event.reason, agent.status)

    def _team(self, event: AgentEvent, at_ms: int) -> None:
        if event.type == "teammate_spawned" and event.teammate is not None:
            self._teammates[event.teammate.runtime_agent_id] = event.agent_id, event.teammate.model_id
        elif event.type == "agent_event" and event.event is not None:
            ids = [runtime_id for runtime_id, (name, _) in self._teammates.items() if name == event.agent_id]
            agent = self._at_work_as(ids[-1]) if ids else None
            if agent is not None and event.event.type != "done":
                self._apply(agent, event.event, at_ms)

    def _result(self, line: Line, at_ms: int) -> None:
        for root in (agent for agent in self._agents if agent.kind == "root"):
            root.model = line.model
            if root.ended_ms is None:
                root.ended_ms = at_ms
                root.status = _OUTCOMES.get(line.finish_reason, root.status)

    # --- records --------------------------------------------------------------------------------------------

    def _begin_of(self, agent: _Agent, maker: _Tool | None) -> Record:
        parent = agent.parent
        return self._record(
            agent,
            "run.started",
            agent.began_ms,
            agent_kind=agent.kind,
            client_name="cline-cli" if agent.kind == "root" else None,
            parent_agent_id=parent.agent_id if parent is not None else None,
            parent_run_id=parent.run_id if parent is not None else None,
            parent_iteration=maker.iteration if maker is not None else None,
            parent_ordinal=maker.ordinal if maker is not None else None,
            timing=agent.timing,
        )

    def _makers(self) -> dict[int, _Tool]:
        """The call that made an agent: one that lasted longer than the agent, if no other did so too."""
        waiting = {
            number: [
                tool
                for tool in agent.parent.tools
                if tool.name in _MAKES_AGENTS and _holds(tool, agent, at_end=agent.kind == "subagent")
            ]
            for number, agent in enumerate(self._agents)
            if agent.parent is not None
        }
        found: dict[int, _Tool] = {}
        while sure := [number for number, tools in waiting.items() if len(tools) == 1]:
            tool = waiting.pop(sure[0])[0]
            found[sure[0]] = tool
            for tools in waiting.values():
                tools[:] = [each for each in tools if each is not tool]
        return found

    def _model_of(self, agent: _Agent) -> Record:
        if agent.model is None or not agent.model.id:
            return {}
        model: Record = {"model": self._names.model(agent.model.id)}
        return model | ({"provider": agent.model.provider} if agent.model.provider else {})

    def _record(self, agent: _Agent, event: str, at_ms: int, **fields: str | int | float | None) -> Record:
        return record_of(event, at_ms, agent.agent_id, agent.run_id, fields)


def records_of(content: bytes) -> list[bytes]:
    """The records of a whole stream, a line each."""
    story = StreamStory()
    for raw in content.split(b"\n"):
        story.take(raw)
    return [msgspec.json.encode(record) for record in story.end()]


def _repeats(line: Line, held: AgentEvent) -> bool:
    """Whether a line is the same usage again, with the name of the teammate that it is of."""
    inner = line.event.event if line.type == "team_event" and line.event is not None else None
    return inner is not None and inner.type == "usage" and inner.usage == held.usage


def _holds(tool: _Tool, agent: _Agent, *, at_end: bool) -> bool:
    """Whether an agent was at work within a call; a teammate goes on when its call is over."""
    began = tool.started_at_ms <= agent.began_ms + _HOOK_MS
    ended = tool.ended_at_ms is None or (agent.ended_ms or agent.began_ms) <= tool.ended_at_ms
    return began and (ended if at_end else tool.ended_at_ms is None or agent.began_ms <= tool.ended_at_ms)


_HOOK_MS: Final = 100
"""An agent's beginning is told by a hook, which may come so much before what its call's is told by."""


def _key_of(tool: _Tool) -> dict[str, str | int]:
    return {"iteration": tool.iteration, "ordinal": tool.ordinal, "call_id": tool.call_id}


def _value_of(raw: msgspec.Raw) -> object:
    try:
        return json_value.decode(raw) if bytes(raw) else None
    except msgspec.DecodeError:
        return None
