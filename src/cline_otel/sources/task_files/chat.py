"""What the user saw of a task, ``ui_messages.json``, as facts without any text of it.

Only whole messages and the JSON that the program itself wrote into them are read: a prompt or a file that quotes such
messages is text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from cline_otel.sources.conversations.messages import Message, milliseconds, table, table_in, word
from cline_otel.sources.task_files.dialect import Dialect, Usage

SHOWS_TOOL: Final = frozenset(
    {"tool", "command", "use_mcp_server", "browser_action_launch", "use_subagents", "subagent", "new_task"}
)
"""Messages that show a tool and, where the user is asked, ask about it."""

_FROM_ANSWER: Final = SHOWS_TOOL | {"text", "reasoning", "completion_result", "followup", "plan_mode_respond"}
"""Messages that show what an answer says, while it comes."""

_RESUMES: Final = frozenset({"resume_task", "resume_completed_task"})
_MODES: Final = {"PLAN MODE": "plan", "ACT MODE": "act"}
_MODE: Final = "# Current Mode\n"
_ENVIRONMENT: Final = "<environment_details>"
_ERROR_CHARACTERS: Final = 2_000


class ShownTool(msgspec.Struct):
    """A message that shows a tool: of which kind, and whether the user was asked about it, None if it does not say.

    ``shown_at_ms`` is when, and ``answered_at_ms`` when the next message came, which the program shows after the user's
    answer; None where there is none.
    """

    kind: str
    was_asked: bool | None
    creates_file: bool = False
    shown_at_ms: int = 0
    answered_at_ms: int | None = None


class ModelRequest(msgspec.Struct):
    """A request to the model, from its ``api_req_started`` and what was shown until the next. Times are ms.

    Attributes:
        at_ms: when it began.
        index: of the last message of the conversation before it; None where that is not said.
        usage: what it used, as far as the program knows.
        error_text: why it failed; empty if it did not.
        is_cancelled: whether the user stopped it.
        model: the model, its provider and the mode; each is empty where it is not known.
        shown: tools that its answer asks for.
        subagents: what subagents used meanwhile: when that was said, and how much.
        answered_at_ms: when the last of its answer began to be shown; None if nothing was.
        completed_at_ms: when the task's result was shown.
        rested_at_ms: when the user was asked what to do next; None while the program goes on.
        last_at_ms: the last that was shown of it.
    """

    at_ms: int
    index: int | None
    usage: Usage
    error_text: str
    is_cancelled: bool
    model: tuple[str, str, str]
    shown: list[ShownTool] = []
    subagents: list[tuple[int, Usage]] = []
    answered_at_ms: int | None = None
    completed_at_ms: int | None = None
    rested_at_ms: int | None = None
    last_at_ms: int = 0


class Chat(msgspec.Struct):
    """All of what was shown: the user's prompts, by time in ms, and the requests."""

    prompts: list[int] = []
    requests: list[ModelRequest] = []


def read_chat(messages: Iterable[Message], dialect: Dialect) -> Chat:
    """The facts of what was shown, in its order."""
    chat = Chat()
    asking: ShownTool | None = None
    for message in messages:
        at_ms = milliseconds(message.get("ts"))
        if at_ms is None:
            continue
        said, asked = word(message.get("say")), word(message.get("ask"))
        if asking is not None and asked not in _RESUMES:
            asking.answered_at_ms = max(at_ms, asking.shown_at_ms)
        asking = None
        if not chat.prompts or said == "user_feedback":
            chat.prompts.append(at_ms)
        elif said == "api_req_started":
            chat.requests.append(_request(message, at_ms, dialect))
        elif chat.requests and chat.prompts[-1] < chat.requests[-1].at_ms:
            _add(chat.requests[-1], said or asked, message, at_ms, dialect, is_asked=bool(asked))
            shown = chat.requests[-1].shown
            asking = shown[-1] if shown and shown[-1].was_asked and shown[-1].shown_at_ms == at_ms else None
    return chat


def _request(message: Message, at_ms: int, dialect: Dialect) -> ModelRequest:
    given = json_in(message)
    request = given.get("request")
    around = environment_in(request) if isinstance(request, str) else ""
    index = message.get("conversationHistoryIndex")
    reason = word(given.get("cancelReason"))
    error_text = word(given.get("streamingFailedMessage"))[:_ERROR_CHARACTERS]
    if reason in ("streaming_failed", "retries_exhausted"):
        error_text = error_text or reason
    return ModelRequest(
        at_ms,
        index if isinstance(index, int) and not isinstance(index, bool) else None,
        dialect.usage(given),
        error_text,
        reason == "user_cancelled",
        model_of(message, around, dialect),
        last_at_ms=at_ms,
    )


def model_of(message: Message, around: str, dialect: Dialect) -> tuple[str, str, str]:
    """The model, its provider and the mode, as a message says or else the text around its prompt; each may be empty."""
    info = table(message.get("modelInfo"))
    model, provider = dialect.model(around)
    return (
        word(info.get("modelId")) or model,
        word(info.get("providerId")) or provider,
        word(info.get("mode")) or mode_in(around),
    )


def environment_in(text: str) -> str:
    """What the program itself says of its surroundings at the end of a prompt; empty if it says nothing."""
    at = text.rfind(_ENVIRONMENT)
    return text[at:] if at >= 0 else ""


def mode_in(around: str) -> str:
    """The mode that the text around a prompt says; empty if it says none."""
    at = around.rfind(_MODE)
    return next((mode for words, mode in _MODES.items() if at >= 0 and around.startswith(words, at + len(_MODE))), "")


def _add(request: ModelRequest, kind: str, message: Message, at_ms: int, dialect: Dialect, *, is_asked: bool) -> None:
    if kind in _RESUMES or (kind == "completion_result" and is_asked):
        request.rested_at_ms = request.rested_at_ms or at_ms
        return
    if kind == "subagent_usage":
        request.subagents.append((at_ms, dialect.usage(json_in(message))))
    elif kind == "api_req_failed" and is_asked:
        request.error_text = request.error_text or word(message.get("text"))[:_ERROR_CHARACTERS] or "error"
    elif kind == "mistake_limit_reached" or (kind == "error" and "consecutive mistakes" in word(message.get("text"))):
        request.error_text = request.error_text or "mistake limit reached"
    if kind in SHOWS_TOOL and kind != "subagent":
        creates_file = kind == "tool" and word(json_in(message).get("tool")) == "newFileCreated"
        request.shown.append(ShownTool(kind, dialect.was_asked(message), creates_file, at_ms))
    if kind == "completion_result":
        request.completed_at_ms = at_ms
    if kind in _FROM_ANSWER:
        request.answered_at_ms = max(request.answered_at_ms or 0, at_ms)
    request.last_at_ms = max(request.last_at_ms, at_ms)


def json_in(message: Message) -> Mapping[str, object]:
    """The JSON that the program wrote as a message's text; nothing of what is none."""
    return table_in(word(message.get("text")))
