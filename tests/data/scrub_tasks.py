"""Task files without a word of anybody's: of every text there is left by which of the program's own it was."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cline_otel.sources.classic_tasks.dialect import TOOLS
from cline_otel.sources.task_files.chat import mode_in
from cline_otel.sources.task_files.task import CHAT, HISTORY, METADATA
from cline_otel.sources.task_files.tool_uses import INTERRUPTED, tool_uses

HARMLESS: Final = "scrubbed"
KEPT: Final = ("ts", "type", "say", "ask", "partial", "conversationHistoryIndex", "modelInfo")
OF_HOOKS: Final = ("hook_status", "hook_output_stream", "checkpoint_created")
USAGE: Final = ("tokensIn", "tokensOut", "cacheWrites", "cacheReads", "cost", "cancelReason", "source")
MISTAKES: Final = "Too many consecutive mistakes (3)."
PHRASES: Final = re.compile(
    r"The user denied this operation\.|The tool execution failed with the following error:"
    r"|Command (?:failed with exit code -?\d+|executed successfully \(exit code 0\)|was cancelled by the user)\."
    r"|Error:\n"
)
LABEL: Final = re.compile(r"\[(\w+)")
HISTORY_ITEM: Final = (
    "id", "ulid", "ts", "tokensIn", "tokensOut", "cacheWrites", "cacheReads", "totalCost", "modelId",
)  # fmt: skip


def scrub_tasks(legacy: Path, target: Path) -> None:
    """The folder ``legacy`` of a capture, as one of the same form."""
    for task in sorted((legacy / "tasks").iterdir()):
        folder = target / "tasks" / task.name
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / CHAT, list(_chat(_read(task / CHAT))))
        _write(folder / HISTORY, list(_history(_read(task / HISTORY))))
        metadata = _read(task / METADATA)
        _write(folder / METADATA, {name: metadata.get(name) for name in ("environment_history", "model_usage")})
    (target / "state").mkdir(parents=True, exist_ok=True)
    items = _read(legacy / "state" / "taskHistory.json")
    _write(target / "state" / "taskHistory.json", [{name: item.get(name) for name in HISTORY_ITEM} for item in items])


def _chat(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for message in messages:
        said = message.get("say")
        if said in OF_HOOKS:
            continue
        kept = {name: message[name] for name in KEPT if name in message}
        text = message.get("text") or ""
        if said in ("api_req_started", "subagent_usage"):
            kept["text"] = json.dumps({name: value for name, value in json.loads(text).items() if name in USAGE})
        elif "tool" in (said, message.get("ask")):
            kept["text"] = json.dumps({"tool": json.loads(text)["tool"]})
        elif text:
            kept["text"] = MISTAKES if "consecutive mistakes" in text else HARMLESS
        yield kept


def _history(messages: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for message in messages:
        texts = list(_answer(message)) if message["role"] == "assistant" else [*map(_given, message["content"])]
        content = [{"type": "text", "text": text} for text in texts if text]
        yield {name: message[name] for name in ("role", "ts", "modelInfo", "metrics") if name in message} | {
            "content": content
        }


def _answer(message: dict[str, Any]) -> Iterator[str]:
    for use in tool_uses(message, TOOLS):
        yield f"{HARMLESS}\n<{use.name}>\n</{use.name}>"
    if not tool_uses(message, TOOLS):
        yield HARMLESS
    if any(INTERRUPTED in part["text"] for part in message["content"]):
        yield f"{INTERRUPTED}user]"


def _given(part: dict[str, Any]) -> str:
    text = part.get("text", "")
    label = LABEL.match(text)
    if label is not None and "] Result:" in text:
        phrase = PHRASES.match(text.partition("] Result:\n")[2])
        return f"[{label[1]}] Result:\n{phrase[0] if phrase is not None else HARMLESS}"
    mode = mode_in(text)
    return f"<environment_details>\n# Current Mode\n{mode.upper()} MODE\n</environment_details>" if mode else HARMLESS


def _read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=0) + "\n", encoding="utf-8")
