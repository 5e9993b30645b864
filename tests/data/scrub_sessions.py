"""Makes session files without any content: every text becomes another of the same length, equal where it was equal.

Kept are roles, ids, times, models, usage, the names of Cline's tools, sizes, which lines of an edit are the same, what
makes a text the task of an agent, and the fixed phrases by which Cline says why a call failed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_WRAPPED: Final = re.compile(r'(<user_input mode="\w+">)(.*)(</user_input>)', re.DOTALL)
_PHRASES: Final = re.compile(
    r"Command exited with code -?\d+|Command failed: |User denied the tool execution|Command not executed: "
    r"|Tool call \w+ was rejected before execution: AI_NoSuchToolError|Internal server error|Invalid API key"
    r"|\bwas aborted\b|timed out after \d+ ?m?s|File created successfully"
)
_KEPT_KEYS: Final = frozenset(
    {"success", "isError", "finishReason", "iterations", "insert_line", "type", "status", "mode"}
)
_PATCH_MARKERS: Final = re.compile(r"\*\*\* (?:Add File|Update File|Delete File|Move to): |[+-]|\*\*\* \w+ Patch")


class Masks:
    """What stands for each text."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def text(self, text: str) -> str:
        """Another text that is as long in JSON; the same for the same."""
        if not text:
            return text
        number = self._numbers.setdefault(text, len(self._numbers) + 1)
        length = len(json.dumps(text, ensure_ascii=False).encode()) - 2
        return f"t{number}".ljust(length, "x")[: max(length, 1)]

    def lines(self, text: str) -> str:
        """A text whose lines are masked each; what a patch does with them stays."""
        return "\n".join(self._line(line) for line in text.split("\n"))

    def _line(self, line: str) -> str:
        marker = _PATCH_MARKERS.match(line)
        head = marker[0] if marker is not None else ""
        return head + self.text(line[len(head) :])

    def prompt(self, text: str) -> str:
        """A user's text, with what Cline puts around it."""
        wrapped = _WRAPPED.fullmatch(text)
        return "".join((wrapped[1], self.text(wrapped[2].strip()), wrapped[3])) if wrapped else self.text(text.strip())

    def value(self, value: Any, key: str = "") -> Any:
        """Any value of a tool's."""
        if isinstance(value, str):
            return self._string(value, key)
        if isinstance(value, list):
            return [self.value(item, key) for item in value]
        if isinstance(value, dict):
            return {name: item if name in _KEPT_KEYS else self.value(item, name) for name, item in value.items()}
        return value

    def _string(self, text: str, key: str) -> str:
        if text.startswith("{"):
            try:
                return json.dumps(self.value(json.loads(text)), separators=(",", ":"), ensure_ascii=False)
            except json.JSONDecodeError:
                pass
        if key in ("new_text", "old_text", "input"):
            return self.lines(text)
        phrases = list(_PHRASES.finditer(text))
        if phrases:
            return ("" if phrases[0].start() == 0 else "x ") + " ".join(phrase[0] for phrase in phrases)
        return self.text(text.strip() if key in ("task", "prompt") else text)


def scrub_session(folder: Path, target: Path) -> None:
    """A session's folder."""
    masks = Masks()
    target.mkdir(parents=True)
    for path in sorted(folder.glob("*.json")):
        document = json.loads(path.read_bytes())
        scrubbed = _conversation(document, masks) if "messages" in document else _manifest(document)
        name = re.sub(r"^(\w+?)__(\w+)\.messages", lambda found: f"member__{found[2]}.messages", path.name)
        if not path.name.endswith(".compaction.json"):
            (target / name).write_text(json.dumps(scrubbed, separators=(",", ":"), ensure_ascii=False) + "\n")


def _manifest(manifest: Mapping[str, Any]) -> dict[str, Any]:
    names = ("version", "session_id", "source", "started_at", "ended_at", "exit_code", "status", "interactive")
    kept = {name: manifest[name] for name in names if name in manifest}
    metadata = manifest.get("metadata", {})
    further = {name: metadata[name] for name in ("sessionHistoryOrigin", "usage", "totalCost") if name in metadata}
    return {**kept, "pid": 1, "cwd": "scrubbed", "prompt": "scrubbed", "metadata": further}


def _conversation(document: Mapping[str, Any], masks: Masks) -> dict[str, Any]:
    head = {name: document[name] for name in ("version", "updated_at", "agent", "sessionId") if name in document}
    head["sessionId"] = re.sub(r"__teamtask__\w+?__", "__teamtask__member__", head.get("sessionId", ""))
    return {**head, "messages": [_message(message, masks) for message in document["messages"]]}


def _message(message: Mapping[str, Any], masks: Masks) -> dict[str, Any]:
    kept = {name: message[name] for name in ("id", "role", "ts", "modelInfo", "metrics") if name in message}
    if "metadata" in message:
        known = ("userRunSpan", "kind", "displayOnly", "displayRole")
        kept["metadata"] = {name: message["metadata"][name] for name in known if name in message["metadata"]}
    return {**kept, "content": [_block(block, message["role"], masks) for block in message["content"]]}


def _block(block: Mapping[str, Any], role: str, masks: Masks) -> dict[str, Any]:
    kept = {name: block[name] for name in ("type", "id", "name", "tool_use_id", "is_error") if name in block}
    if "__" in kept.get("name", ""):
        kept["name"] = "server__tool"
    if "text" in block:
        phrase = _PHRASES.match(block["text"]) if role == "assistant" else None
        kept["text"] = phrase[0] if phrase is not None else masks.prompt(block["text"])
    if "thinking" in block:
        kept["thinking"] = masks.text(block["thinking"])
    for name in ("input", "content"):
        if name in block:
            kept[name] = masks.value(block[name])
    return kept
