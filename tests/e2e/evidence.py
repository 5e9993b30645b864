"""What really happened in a scenario, by witnesses that owe nothing to the bridge or its plugin.

The model server's record says which model calls were made and which tools they asked for. Cline's own
hook says when each tool started and ended, its session files say how many tokens were used.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from .model_server import OK, ModelRequest, read_record
from .scenarios import HUB_WITHOUT_PLUGIN, SCENARIOS, WITHOUT_PLUGIN, Scenario
from .scripts import find_cues

AgentKey = tuple[str, str]
"""(play, script): within a play each agent has a script of its own."""


@dataclass(frozen=True)
class ModelCall:
    """One model call: its HTTP attempts in order, of which only the last can have been answered."""

    agent: AgentKey
    turn: int
    attempts: tuple[ModelRequest, ...]

    @property
    def answer(self) -> ModelRequest | None:
        """The attempt that was answered, if one was."""
        return self.attempts[-1] if self.attempts[-1].status == OK else None

    @property
    def started_at_ns(self) -> int:
        """When the server had the first attempt."""
        return self.attempts[0].started_at_ns

    @property
    def ended_at_ns(self) -> int:
        """Just before the server wrote the last bytes of the last attempt."""
        return self.attempts[-1].ended_at_ns


@dataclass(frozen=True)
class HookWitness:
    """What Cline told its own hook of a tool call; times in nanoseconds since the Unix epoch."""

    agent_id: str
    iteration: int
    started_at_ns: int
    ended_at_ns: int
    failed: bool


@dataclass(frozen=True)
class ToolCall:
    """A tool call that the model asked for.

    ``hook`` is None where Cline rejected the call before it ran, or was killed while it ran. ``plays``
    is the script of the agent that the call set to work, empty where it set none. ``outcome`` is
    ``success``, ``error``, ``rejected`` or ``incomplete``.
    """

    call_id: str
    name: str
    agent: AgentKey
    turn: int
    plays: str
    hook: HookWitness | None
    outcome: str


@dataclass(frozen=True)
class SessionTokens:
    """What the files of one session say of its usage, subagents and teammates included; cost in US dollars."""

    session_id: str
    play: str
    model_calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cost_usd: float


class Evidence:
    """The witnesses of one scenario's results folder."""

    def __init__(self, folder: Path, scenario: Scenario | None = None) -> None:
        """``scenario`` is what was played, where it is none of ``SCENARIOS``."""
        outcome = json.loads((folder / "outcome.json").read_text())
        self.folder = folder
        self.failure: str = outcome["failure"]
        self.runs: list[dict[str, Any]] = outcome["runs"]
        self.bridge_exit_code: int | None = outcome.get("bridge_exit_code")
        self.scenario: Scenario = scenario or next(
            each for each in (*SCENARIOS, WITHOUT_PLUGIN, HUB_WITHOUT_PLUGIN) if each.name == outcome["scenario"]
        )
        self.words: dict[str, str] = json.loads((folder / "words.json").read_text())
        self.requests = read_record(folder / "model_requests.jsonl")
        self.model_calls = _group_attempts(self.requests)
        self.hooks = dict(_read_hooks(folder / "tool_witness"))
        self.outcomes: dict[str, str] = {
            finished["play"]: run.outcome for run, finished in zip(self.scenario.runs, self.runs, strict=False)
        }
        """How the runs of a play are expected to have ended."""
        self.tool_calls = list(self._tool_calls())
        self.sessions = {session.play: session for session in _read_sessions(folder)}
        self.makers = {(tool.agent[0], tool.plays): tool for tool in self.tool_calls if tool.plays}
        """The tool call that set an agent to work, by agent; root agents have none."""

    def _tool_calls(self) -> Iterator[ToolCall]:
        for call in self.model_calls:
            for tool in call.answer.tools if call.answer else []:
                hook = self.hooks.get(tool.call_id)
                if hook is not None:
                    outcome = "error" if hook.failed else "success"
                else:
                    is_cut_short = self.outcomes[call.agent[0]] == "incomplete"
                    outcome = "incomplete" if is_cut_short else "rejected"
                yield ToolCall(tool.call_id, tool.name, call.agent, call.turn, tool.plays, hook, outcome)


def _group_attempts(requests: list[ModelRequest]) -> list[ModelCall]:
    attempts: dict[tuple[AgentKey, int], list[ModelRequest]] = defaultdict(list)
    for request in requests:
        attempts[(request.play, request.script), request.turn].append(request)
    return [ModelCall(agent, turn, tuple(group)) for (agent, turn), group in attempts.items()]


def _read_hooks(folder: Path) -> Iterator[tuple[str, HookWitness]]:
    for path in sorted(folder.iterdir()):
        told = json.loads(path.read_text())
        result = told["tool_result"]
        yield (
            result["id"],
            HookWitness(
                told["agent_id"],
                told["iteration"],
                _milliseconds(result["startedAt"]) * 1_000_000,
                _milliseconds(result["endedAt"]) * 1_000_000,
                _failed(result.get("output")),
            ),
        )


def _milliseconds(timestamp: str) -> int:
    return round(datetime.fromisoformat(timestamp).timestamp() * 1000)


def _failed(output: Any) -> bool:
    """Whether a tool's output tells of a failure: its own, an MCP server's, or that of a part of it."""
    parts = output if isinstance(output, list) else [output]
    return any(
        part.get("success") is False or part.get("isError") is True or bool(part.get("error"))
        for part in parts
        if isinstance(part, dict)
    )


def _read_sessions(folder: Path) -> Iterator[SessionTokens]:
    for session in sorted(folder.glob("home-*/.cline/data/sessions/*")):
        manifest = json.loads((session / f"{session.name}.json").read_text())
        usages = [
            message["metrics"]
            for path in sorted(session.glob("*.messages.json"))
            for message in json.loads(path.read_text())["messages"]
            if message.get("metrics")
        ]
        yield SessionTokens(
            session.name,
            find_cues(manifest["prompt"])[0][1],
            len(usages),
            sum(usage["inputTokens"] for usage in usages),
            sum(usage["outputTokens"] for usage in usages),
            sum(usage["cacheReadTokens"] for usage in usages),
            sum(usage["cacheWriteTokens"] for usage in usages),
            sum(usage.get("cost") or 0.0 for usage in usages),
        )
