"""Session files as tests write them: a folder that is rewritten as Cline does it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

SESSION: Final = "1790000000000_k3x9p"
START_MS: Final = 1_790_000_000_000
USAGE: Final = {"inputTokens": 100, "outputTokens": 10, "cacheReadTokens": 5, "cacheWriteTokens": 0, "cost": 0.25}
MODEL: Final = {"id": "gpt-5", "provider": "openai"}

Message = dict[str, Any]


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def ask(call_id: str, tool: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": tool, "input": given}


def gave(call_id: str, content: Any, *, is_error: bool = False) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": call_id, "content": content}
    return block | ({"is_error": True} if is_error else {})


def user(at: int, *blocks: dict[str, Any], id: str = "", **more: Any) -> Message:  # noqa: A002 - as Cline has it
    """A message of the user's, ``at`` ms after the start."""
    return {"id": id or f"msg_u{at:07}", "role": "user", "ts": START_MS + at, "content": list(blocks), **more}


def answer(at: int, *blocks: dict[str, Any], **more: Any) -> Message:
    """An answer of the model's, with its usage."""
    message = {"id": f"msg_a{at:07}", "role": "assistant", "ts": START_MS + at, "content": list(blocks)}
    return {**message, "modelInfo": MODEL, "metrics": USAGE, **more}


def write_session(
    directory: Path,
    messages: Sequence[Message],
    status: str = "completed",
    agents: dict[str, Sequence[Message]] | None = None,
    changed_at_ns: int | None = None,
    **manifest: Any,
) -> Path:
    """Writes a session's folder as it stands now, all its files changed at that time."""
    folder = directory / SESSION
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{SESSION}.json"]
    about = {"session_id": SESSION, "status": status, "source": "cli", "pid": 1, **manifest}
    paths[0].write_text(json.dumps(about), encoding="utf-8")
    for name, conversation in {SESSION: messages, **(agents or {})}.items():
        said = SESSION if name == SESSION else f"{SESSION}__{name}"
        paths.append(folder / f"{name}.messages.json")
        document = {"version": 1, "agent": "lead", "sessionId": said, "messages": list(conversation)}
        paths[-1].write_text(json.dumps(document), encoding="utf-8")
    for path in paths if changed_at_ns is not None else ():
        assert changed_at_ns is not None
        os.utime(path, ns=(changed_at_ns, changed_at_ns))
    return folder
