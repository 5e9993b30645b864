"""What was said to the model and back, ``api_conversation_history.json``, as facts without any text of it."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from cline_otel.sources.conversations.messages import Message, amount, blocks_of, milliseconds, table, text_of
from cline_otel.sources.task_files.chat import environment_in, model_of
from cline_otel.sources.task_files.dialect import Dialect, Usage
from cline_otel.sources.task_files.tool_uses import Result, ToolUse, is_interrupted, results, tool_uses


class Answer(msgspec.Struct):
    """An answer of the model's, what it was an answer to, and what came of its tools. Times are ms.

    Attributes:
        index: its place in the conversation.
        at_ms: when it was written; None where messages have no time.
        asked_at_ms: when the message before it was written.
        usage: as the answer itself says.
        model: the model, its provider and the mode; each is empty where it is not known.
        tools: what it asks for.
        is_interrupted: whether it was cut off.
        results: what its tools gave.
        followed_at_ms: when the next message was written; None if there is none, or it has no time.
    """

    index: int
    at_ms: int | None
    asked_at_ms: int | None
    usage: Usage
    model: tuple[str, str, str]
    tools: list[ToolUse]
    is_interrupted: bool
    results: list[Result] = []
    followed_at_ms: int | None = None


class History(msgspec.Struct):
    """All answers, and when the messages of the user's side were written, in ms."""

    answers: list[Answer] = []
    asked_at_ms: list[int] = []


def read_history(messages: Iterable[Message], dialect: Dialect) -> History:
    """The facts of a conversation, in its order."""
    history = History()
    before_ms: int | None = None
    around = ""
    for index, message in enumerate(messages):
        at_ms = milliseconds(message.get("ts"))
        last = history.answers[-1] if history.answers else None
        if message.get("role") == "assistant":
            history.answers.append(_answer(message, index, at_ms, before_ms, around, dialect))
        elif message.get("role") == "user":
            around = next(
                (text for each in reversed(blocks_of(message)) if (text := environment_in(text_of(each)))), ""
            )
            history.asked_at_ms += [at_ms] if at_ms is not None else []
            if last is not None and last.index == index - 1:
                last.results, last.followed_at_ms = list(results(message)), at_ms
        before_ms = at_ms
    return history


def _answer(
    message: Message, index: int, at_ms: int | None, before_ms: int | None, around: str, dialect: Dialect
) -> Answer:
    tokens = table(table(message.get("metrics")).get("tokens"))
    prompt, cached = amount(tokens.get("prompt")), amount(tokens.get("cached"))
    return Answer(
        index,
        at_ms,
        before_ms,
        Usage(None if prompt is None else prompt + (cached or 0), amount(tokens.get("completion"))),
        model_of(message, around, dialect),
        tool_uses(message, dialect.tools),
        is_interrupted(message),
    )
