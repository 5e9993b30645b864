"""Task files, written as classic Cline writes them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from cline_otel.sources.classic_tasks.dialect import DIALECT
from cline_otel.sources.conversations.told import Record
from cline_otel.sources.task_files.task import CHAT, HISTORY, METADATA, read_task

TASK: Final = "1795717412451"
ULID: Final = "01M8CHJDK6SE1AEE2CC8WQVT05"
START_MS: Final = 1_795_717_412_460
MODEL: Final = {"providerId": "anthropic", "modelId": "claude-sonnet-4-5", "mode": "act"}

Message = dict[str, Any]


def say(at_ms: int, kind: str, text: str = "", **more: Any) -> Message:
    return {"ts": START_MS + at_ms, "type": "say", "say": kind, "text": text, "modelInfo": MODEL, **more}


def ask(at_ms: int, kind: str, text: str = "", **more: Any) -> Message:
    return {"ts": START_MS + at_ms, "type": "ask", "ask": kind, "text": text, **more}


def request(at_ms: int, tokens_in: int = 0, tokens_out: int = 0, **given: Any) -> Message:
    used = {"tokensIn": tokens_in, "tokensOut": tokens_out, "cacheWrites": 0, "cacheReads": 0, "cost": 0.5}
    return say(at_ms, "api_req_started", json.dumps({"request": "<task>x</task>", **used, **given}))


def user(at_ms: int, *texts: str) -> Message:
    parts = [{"type": "text", "text": text} for text in texts or ("<task>x</task>",)]
    return {"role": "user", "content": parts, "ts": START_MS + at_ms}


def answer(at_ms: int, text: str, prompt: int = 0, completion: int = 0, cached: int = 0, **more: Any) -> Message:
    tokens = {"prompt": prompt, "completion": completion, "cached": cached}
    parts = [{"type": "text", "text": text}]
    metrics = {"tokens": tokens}
    return {
        "role": "assistant",
        "content": parts,
        "ts": START_MS + at_ms,
        "modelInfo": MODEL,
        "metrics": metrics,
        **more,
    }


READ: Final = "I read.\n<read_file>\n<path>a.py</path>\n</read_file>"
DONE: Final = "Done.\n<attempt_completion>\n<result>all done</result>\n</attempt_completion>"


def write_task(
    directory: Path,
    chat: Iterable[Message],
    history: Iterable[Message] | None,
    *,
    name: str = TASK,
    changed_at_ns: int | None = None,
    metadata: object = None,
) -> Path:
    folder = directory / name
    folder.mkdir(parents=True, exist_ok=True)
    contents = {CHAT: list(chat), HISTORY: None if history is None else list(history), METADATA: metadata}
    for file, content in contents.items():
        if content is not None:
            write_file(folder / file, json.dumps(content), changed_at_ns)
    return folder


def write_file(path: Path, text: str, changed_at_ns: int | None = None) -> None:
    path.write_text(text, encoding="utf-8")
    if changed_at_ns is not None:
        os.utime(path, ns=(changed_at_ns, changed_at_ns))


def records_of(folder: Path, ulid: str = "") -> list[Record]:
    story = read_task(folder, "", DIALECT, lambda _: ulid)
    return [*story.records, *story.end]


def told(found: Iterable[Record], event: str) -> list[Record]:
    return [record for record in found if record["event"] == event]


def only(found: Iterable[Record], event: str) -> Record:
    (record,) = told(found, event)
    return record


COMPLETED: Final = (
    [
        say(0, "task", "x"),
        request(20, 100, 10),
        say(300, "text", "I read."),
        say(420, "tool", json.dumps({"tool": "readFile", "path": "a.py"})),
        request(500, 200, 20),
        say(800, "completion_result", "all done"),
        ask(1_000, "completion_result"),
    ],
    [
        user(30),
        answer(400, READ, 100, 10),
        user(510, "[read_file for 'a.py'] Result:\n1 | x = 1"),
        answer(900, DONE, 200, 20),
    ],
)
"""A task of two calls that was completed: what was shown, and the conversation."""
