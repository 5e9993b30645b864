"""Recordings of task files: a task's folder, or its two files alone, known by what is in them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from cline_otel.signals import Diagnostics, count
from cline_otel.sources.compressed import plain_name, stored_as
from cline_otel.sources.conversations.messages import Message, TornFile, messages_in, table
from cline_otel.sources.interface import Payload, Recorded
from cline_otel.sources.task_files.chat import json_in
from cline_otel.sources.task_files.dialect import Dialect
from cline_otel.sources.task_files.task import CHAT, HISTORY, TornTask, read_task
from cline_otel.sources.task_files.tasks_list import TasksList

_MOST_MESSAGES: Final = 400
_ROO_FIELDS: Final = frozenset({"isAnswered", "autoApprovalDecision", "isProtected", "apiProtocol"})
_KILO_FIELDS: Final = frozenset({"inferenceProvider", "usageMissing"})


def program_of(content: bytes) -> str:
    """Whose task files a file is of: ``cline``, ``roo``, ``kilo``; empty for none.

    A conversation with the model looks the same with all of them and counts as Cline's.
    """
    if content[:64].lstrip()[:1] != b"[":
        return ""
    found = ""
    for message in _first_messages(content):
        if message.get("type") in ("say", "ask") and "ts" in message and ("say" in message or "ask" in message):
            found = found or "cline"
            given = json_in(message) if message.get("say") == "api_req_started" else {}
            if "kiloCode" in table(message.get("metadata")) or _KILO_FIELDS & given.keys():
                return "kilo"
            if _ROO_FIELDS & (message.keys() | given.keys()):
                found = "roo"
        elif message.get("role") in ("user", "assistant") and "content" in message:
            return "cline"
        elif not found:
            return ""
    return found


def _first_messages(content: bytes) -> Iterator[Message]:
    try:
        yield from islice(messages_in(io.BytesIO(content), ""), _MOST_MESSAGES)
    except TornFile:
        return


def tasks_in(folder: Path) -> Iterable[Path]:
    """Files that tell a task each: in ``legacy/tasks`` below a folder, in ``tasks``, or in it as the program's own."""
    return sorted(
        path
        for below in ("legacy/tasks/*/", "tasks/*/", "*/")
        for name in (CHAT, HISTORY)
        for path in folder.glob(f"{below}{name}*")
        if plain_name(path.name) == name and (name == CHAT or not stored_as(path.with_name(CHAT)).exists())
    )


def recorded(source: str, path: Path, dialect: Dialect) -> Recorded:
    """All that the task with this file says; the conversation is told with what was shown of it."""
    plain = path.with_name(plain_name(path.name))
    name = next((name for name in (CHAT, HISTORY) if plain.name.endswith(name)), "")
    prefix = plain.name.removesuffix(name)
    if (
        not name
        or stored_as(plain) != path
        or (name == HISTORY and stored_as(path.with_name(f"{prefix}{CHAT}")).exists())
    ):
        return Recorded([], {})
    diagnostics: Diagnostics = {}
    try:
        story = read_task(
            path.parent, prefix, dialect, TasksList(path.parent.parent, unpacks=True).ulid_of, unpacks=True
        )
    except TornTask:
        count(diagnostics, "malformed", source, "file")
        return Recorded([], diagnostics)
    parts = [msgspec.json.encode(record) for record in (*story.records, *story.end)]
    return Recorded([Payload(source, parts, place=str(path))], diagnostics)
