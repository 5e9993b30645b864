"""One agent's conversation, as records: where its runs begin and end, its model calls, its tool calls.

The rules are measured (docs/fidelity.md): a model call lasts from the message before its answer to the answer; a tool
call from the answer that asked for it to its result, one after the other but for those that start an agent. Times that
are inferred so are marked, in ``timing``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from cline_otel.sources.conversations.edits import change_of
from cline_otel.sources.conversations.messages import (
    Message,
    amount,
    blocks_of,
    milliseconds,
    size_of,
    table,
    text_of,
    word,
)
from cline_otel.sources.conversations.outcome import mcp_server_in, outcome_of, output_of
from cline_otel.sources.conversations.records import INFERRED, Fields, record_of
from cline_otel.sources.conversations.told import Record

_MODE: Final = re.compile(r'\s{0,20}<user_input mode="(act|plan|yolo)"')
_WRAPPED: Final = re.compile(r"\s{0,20}<user_input [^>]{0,80}>")
_END_OF_WRAPPED: Final = "</user_input>"
_LONGEST_TASK: Final = 1_000_000
"""Characters; a longer text starts no agent that is found again."""

_STARTS_AGENTS: Final = frozenset({"spawn_agent", "team_run_task"})
_RUN_BESIDE: Final = "spawn_agent"
"""Calls of this tool run at the same time; all others one after the other (captures)."""

_USAGE: Final = (
    ("input_tokens", "inputTokens"),
    ("output_tokens", "outputTokens"),
    ("cache_read_tokens", "cacheReadTokens"),
    ("cache_write_tokens", "cacheWriteTokens"),
    ("cost_usd", "cost"),
)
"""Fields of a record, and what a message's ``metrics`` call them."""

_ENDS_RUN: Final = frozenset({"submit_and_exit", "attempt_completion"})
"""Tools whose result is the end of a run, with no answer after it."""


class Call(msgspec.Struct, frozen=True):
    """A tool call, and where it stands; ``fields`` are those that every record of it has."""

    agent_id: str
    run_id: str
    message_id: str
    call_id: str
    name: str
    asked_at_ms: int
    given: object
    fields: Fields


class Walk:
    """Goes through the messages of one agent's file.

    Args:
        session_id: the session.
        agent_id: the agent; the root agent's, which no file says, is the session's id.
        belongs_to: fields that say whose run a prompt's is, from the message that begins it.

    Attributes:
        run_id: the run that goes on: its prompt's message id; empty before the first.
        last_at_ms: when the last message was written, ms since the Unix epoch.
        is_answered: whether the run has come to an end by itself: a last answer that asks for no tool.
        failed_at_ms: when the run failed, as Cline shows it to the user; None if it did not.
        pending: records of the last answer, which may still be rewritten.
        tasks: calls that start agents and whose agent was not found yet, by the text that they give it.
    """

    def __init__(self, session_id: str, agent_id: str, belongs_to: Callable[[Message, int], Fields]) -> None:
        self.session_id = session_id
        self.agent_id = agent_id
        self._belongs_to = belongs_to
        self.run_id = ""
        self.last_at_ms = 0
        self.is_answered = False
        self.failed_at_ms: int | None = None
        self.pending: list[Record] = []
        self.tasks: dict[str, list[Call]] = {}
        self._error_text = ""
        self._iteration = 0
        self._open: dict[str, Call] = {}
        self._last_result_at_ms = 0
        self._records: list[Record] = []

    def take(self, messages: Iterable[Message]) -> list[Record]:
        """What the messages say, in their order, without the end of the last run."""
        for message in messages:
            at_ms = milliseconds(message.get("ts"))
            role = message.get("role")
            if at_ms is None or role not in ("user", "assistant"):
                continue
            self._confirm()
            if role == "assistant":
                self._answer(message, at_ms)
            else:
                self._user(message, at_ms)
            self.last_at_ms = max(self.last_at_ms, at_ms)
        return self._made()

    def end(self, at_ms: int, status: str) -> list[Record]:
        """The end of the run that goes on, if there is one; what was pending is so no more.

        One whose files say no more than that its process is gone has ``status`` ``incomplete``.
        """
        self._end(at_ms, status)
        return self._made()

    @property
    def status(self) -> str:
        """How the run that goes on stands, as the messages alone say it; empty if they do not."""
        if self.failed_at_ms is not None:
            return "failed"
        return "completed" if self.is_answered else ""

    # --- messages ---------------------------------------------------------------------------------

    def _made(self) -> list[Record]:
        made, self._records = self._records, []
        return made

    def _confirm(self) -> None:
        if self.pending:
            self._records += self.pending
            self.pending = []

    def _end(self, at_ms: int, status: str) -> None:
        self._confirm()
        if self.run_id:
            error_type = "process_exited" if status == "incomplete" else None
            ended = {"status": status, "error_type": error_type, "error_text": self._error_text or None}
            self._add("run.finished", at_ms, ended)
        self.run_id = ""
        self._open = {}

    def _user(self, message: Message, at_ms: int) -> None:
        blocks = blocks_of(message)
        results = [block for block in blocks if block.get("type") == "tool_result"]
        for block in results:
            self._result(block, at_ms)
        if results or not any(text_of(block) for block in blocks):
            return
        metadata = table(message.get("metadata"))
        if metadata.get("userRunSpan") == 0 or metadata.get("kind") == "compaction_summary":
            return
        self._end(self.last_at_ms, self.status or "aborted")
        self._begin(message, at_ms, blocks)

    def _begin(self, message: Message, at_ms: int, blocks: list[Mapping[str, object]]) -> None:
        self.run_id = word(message.get("id")) or str(at_ms)
        self.is_answered, self.failed_at_ms, self._error_text = False, None, ""
        self._iteration = 0
        mode = next((found[1] for block in blocks if (found := _MODE.match(text_of(block)))), None)
        fields = {"session_id": self.session_id, "prompt_id": self.run_id, "mode": mode}
        self._add("run.started", at_ms, {**fields, **self._belongs_to(message, at_ms), "timing": INFERRED})

    def _answer(self, message: Message, at_ms: int) -> None:
        if not self.run_id:
            return
        self._iteration += 1
        message_id = word(message.get("id")) or str(at_ms)
        blocks = blocks_of(message)
        if table(message.get("metadata")).get("displayOnly") is True:
            self.is_answered, self.failed_at_ms = False, at_ms
            self._error_text = text = "".join(text_of(block) for block in blocks)
            self.pending = [self._model_call(message, message_id, at_ms, {"error_text": text})]
            return
        self._last_result_at_ms = at_ms
        asked = [block for block in blocks if block.get("type") == "tool_use"]
        self.is_answered = not asked
        self.pending = [self._model_call(message, message_id, at_ms, {"tool_calls": len(asked)})]
        for ordinal, block in enumerate(asked):
            self._ask(block, message_id, ordinal, at_ms)

    def _ask(self, block: Mapping[str, object], message_id: str, ordinal: int, at_ms: int) -> None:
        call_id, name, given = word(block.get("id")) or str(ordinal), word(block.get("name")), block.get("input")
        fields: dict[str, str | float | None] = {
            "message_id": message_id,
            "call_id": call_id,
            "iteration": self._iteration,
            "ordinal": ordinal,
            "tool_name": name,
        }
        call = Call(self.agent_id, self.run_id, message_id, call_id, name, at_ms, given, fields)
        self._open[call_id] = call
        self._remember_task(call)
        self.pending.append(self._record("tool_call.started", at_ms, {**fields, "input_bytes": size_of(given)}))

    def _model_call(self, message: Message, message_id: str, at_ms: int, further: Fields) -> Record:
        metrics, model = table(message.get("metrics")), table(message.get("modelInfo"))
        usage = {name: amount(metrics.get(said)) for name, said in _USAGE}
        return self._record(
            "model_call.finished",
            at_ms,
            {
                "message_id": message_id,
                "iteration": self._iteration,
                "started_at_ms": min(self.last_at_ms or at_ms, at_ms),
                "model": word(model.get("id")) or None,
                "provider": word(model.get("provider")) or None,
                # Zero usage is what Cline writes when it does not know.
                **(usage if any(usage.values()) else {}),
                **further,
                "timing": INFERRED,
            },
        )

    def _result(self, block: Mapping[str, object], at_ms: int) -> None:
        call = self._open.pop(word(block.get("tool_use_id")), None)
        if call is None:
            return
        if call.name == _RUN_BESIDE:
            started_at_ms = call.asked_at_ms
        else:
            started_at_ms, self._last_result_at_ms = min(self._last_result_at_ms, at_ms), at_ms
        output = output_of(block.get("content"))
        outcome = outcome_of(call.name, output, is_error=block.get("is_error") is True, ran=True)
        succeeded = outcome.outcome == "success"
        self.is_answered = succeeded and call.name in _ENDS_RUN
        self._add(
            "tool_call.finished",
            at_ms,
            {
                **call.fields,
                "started_at_ms": started_at_ms,
                "ended_at_ms": at_ms,
                "outcome": outcome.outcome,
                "error_type": outcome.error_type,
                "exit_code": outcome.exit_code,
                "is_mcp": outcome.is_mcp or None,
                "mcp_server": mcp_server_in(call.name) if outcome.is_mcp else None,
                "output_bytes": size_of(output),
                **(change_of(call.name, call.given, output) if succeeded else {}),
                "timing": INFERRED,
            },
        )

    def _remember_task(self, call: Call) -> None:
        given = table(call.given)
        text = given.get("task") if call.name in _STARTS_AGENTS else None
        if call.name.startswith("subagent_"):
            text = given.get("prompt")
        if isinstance(text, str) and text.strip() and len(text) <= _LONGEST_TASK:
            self.tasks.setdefault(text.strip(), []).append(call)

    def _record(self, event: str, at_ms: int, fields: Fields) -> Record:
        return record_of(event, at_ms, self.agent_id, self.run_id, fields)

    def _add(self, event: str, at_ms: int, fields: Fields) -> None:
        self._records.append(self._record(event, at_ms, fields))


def task_texts(message: Message) -> list[str]:
    """What a message's text may be the task of: as it is, and without what Cline puts around it."""
    texts = [text_of(block) for block in blocks_of(message) if text_of(block)]
    found = []
    for text in [*texts, "".join(texts)] if len(texts) > 1 else texts:
        found.append(text.strip())
        wrapped, end = _WRAPPED.match(text), text.rfind(_END_OF_WRAPPED)
        if wrapped is not None and end >= 0:
            found.append(text[wrapped.end() : end].strip())
    return found
