"""What really happened in a recorded run: the model server's own record, Cline's own tool clocks, its session files.

A recording folder holds either these raw files (``truth_llm.jsonl``, ``hooks.jsonl``, ``plugin.jsonl``,
``sessions/``, ``legacy/`` of classic Cline) or one ``truth.json`` that was made from them (``tests/data/scrub.py``),
without any content.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

TRUTH_FILE: Final = "truth.json"

_TOOL_ELEMENT: Final = re.compile(r"^<(\w+)>$", re.MULTILINE)
"""How a model calls a tool of classic Cline: an element in its text, which begins on a line of its own."""


class ModelCallTruth(msgspec.Struct, frozen=True):
    """One model call as the server saw it: from the first attempt's arrival to the last attempt's answer.

    Times are nanoseconds since the Unix epoch; ``error_status`` is 0 if it was answered in the end.
    """

    response_id: str
    started_at_ns: int
    ended_at_ns: int
    attempts: int = 1
    error_status: int = 0
    tools: tuple[str, ...] = ()


class ToolCallTruth(msgspec.Struct, frozen=True):
    """One executed tool call by Cline's own clock. Times are nanoseconds since the Unix epoch, whole milliseconds."""

    agent_id: str
    iteration: int
    call_id: str
    tool_name: str
    started_at_ns: int
    ended_at_ns: int


class UsageTruth(msgspec.Struct, frozen=True):
    """The usage of one model call as Cline's session files have it; input includes the cache, cost in US dollars."""

    is_root: bool
    input_tokens: int
    output_tokens: int
    cost_usd: float = 0.0


class Truth(msgspec.Struct, frozen=True):
    """All that is known of a recorded run."""

    model_calls: tuple[ModelCallTruth, ...] = ()
    tool_calls: tuple[ToolCallTruth, ...] = ()
    usage: tuple[UsageTruth, ...] = ()


def read_truth(folder: Path) -> Truth:
    """The truth of a recording folder; empty where it has none."""
    path = folder / TRUTH_FILE
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Truth)
    return Truth(
        tuple(_model_calls(_json_lines(folder / "truth_llm.jsonl"))),
        tuple(sorted(_tool_calls(folder), key=lambda call: (call.started_at_ns, call.call_id))),
        (*_usage(folder), *_classic_usage(folder)),
    )


def _json_lines(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [msgspec.json.decode(line) for line in path.read_bytes().split(b"\n") if line.strip()]


def _model_calls(attempts: Iterable[dict[str, Any]]) -> Iterator[ModelCallTruth]:
    """Attempts with the same conversation, the earlier ones refused, are one call: Cline retries inside it."""
    call: ModelCallTruth | None = None
    call_key: tuple[object, ...] = ()
    for attempt in attempts:
        answer = attempt.get("answer") or {}
        key = (attempt.get("scenario"), attempt.get("step"), attempt.get("n_messages"))
        ended_at_ns = attempt.get("t_end_ns") or attempt["t_start_ns"]
        continues = call is not None and call.error_status and key == call_key
        if call is not None and not continues:
            yield call
        call = ModelCallTruth(
            response_id=str(attempt.get("rid", "")),
            started_at_ns=call.started_at_ns if call is not None and continues else attempt["t_start_ns"],
            ended_at_ns=ended_at_ns,
            attempts=call.attempts + 1 if call is not None and continues else 1,
            error_status=int(answer.get("error") or 0),
            tools=tuple(str(tool["name"]) for tool in answer.get("tools") or ()) or _classic_tools(answer),
        )
        call_key = key
    if call is not None:
        yield call


def _classic_tools(answer: dict[str, Any]) -> tuple[str, ...]:
    return tuple(_TOOL_ELEMENT.findall(answer.get("text") or ""))


def _tool_calls(folder: Path) -> Iterator[ToolCallTruth]:
    """From the hooks, which Cline tells its clock; from the plugin's hook calls where no hook ran."""
    seen: set[tuple[str, int, str]] = set()
    for call in [*_from_hooks(folder), *_from_plugin(folder)]:
        key = (call.agent_id, call.iteration, call.call_id)
        if key not in seen:
            seen.add(key)
            yield call


def _from_hooks(folder: Path) -> Iterator[ToolCallTruth]:
    for line in _json_lines(folder / "hooks.jsonl"):
        try:
            told = msgspec.json.decode(line.get("stdin_raw") or "{}")
        except msgspec.DecodeError:
            continue
        result = told.get("tool_result")
        if isinstance(result, dict) and "startedAt" in result:
            yield _tool_call(told["agent_id"], told.get("iteration", 0), result["id"], result["name"], result)


def _from_plugin(folder: Path) -> Iterator[ToolCallTruth]:
    for line in _json_lines(folder / "plugin.jsonl"):
        context = line.get("ctx") or {}
        if line["kind"] == "afterTool" and "startedAt" in context:
            snapshot, call = context["snapshot"], context["toolCall"]
            yield _tool_call(snapshot["agentId"], snapshot["iteration"], call["toolCallId"], call["toolName"], context)


def _tool_call(agent_id: str, iteration: int, call_id: str, name: str, clock: dict[str, Any]) -> ToolCallTruth:
    return ToolCallTruth(
        agent_id, iteration, call_id, name, _instant_ns(clock["startedAt"]), _instant_ns(clock["endedAt"])
    )


def _instant_ns(value: str | float) -> int:
    if isinstance(value, str):
        return round(datetime.fromisoformat(value).timestamp() * 1_000) * 1_000_000
    return round(value) * 1_000_000


def _usage(folder: Path) -> Iterator[UsageTruth]:
    """From the session files; a subagent's file is named after its agent, a session's own after the session."""
    for path in sorted(folder.glob("sessions/*/*.messages.json")):
        is_root = path.name == f"{path.parent.name}.messages.json"
        for message in msgspec.json.decode(path.read_bytes())["messages"]:
            metrics = message.get("metrics")
            if message.get("role") == "assistant" and metrics:
                yield UsageTruth(
                    is_root,
                    metrics.get("inputTokens", 0),
                    metrics.get("outputTokens", 0),
                    float(metrics.get("cost") or 0),
                )


def _classic_usage(folder: Path) -> Iterator[UsageTruth]:
    """From the task files; what subagents used stands there once for all calls of them."""
    for path in sorted(folder.glob("legacy/tasks/*/ui_messages.json")):
        for message in msgspec.json.decode(path.read_bytes()):
            if message.get("say") in ("api_req_started", "subagent_usage"):
                usage = msgspec.json.decode(message["text"])
                cached = (usage.get("cacheReads") or 0) + (usage.get("cacheWrites") or 0)
                yield UsageTruth(
                    message["say"] == "api_req_started",
                    (usage.get("tokensIn") or 0) + cached,
                    usage.get("tokensOut") or 0,
                    float(usage.get("cost") or 0),
                )
