"""Recordings of session files: a session's folder, known by its root agent's conversation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from cline_otel.signals import Diagnostics, count
from cline_otel.sources.compressed import plain_name
from cline_otel.sources.conversations.told import UNTOLD
from cline_otel.sources.interface import Payload, Recorded
from cline_otel.sources.session_files.session import MESSAGES, conversations_of, read_session

_HEAD_BYTES: Final = 65_536


def is_root_conversation(content: bytes) -> bool:
    """Whether a file holds the conversation of a session's root agent."""
    head = content[:_HEAD_BYTES]
    opening = head.partition(b'"messages"')
    return head.lstrip()[:1] == b"{" and bool(opening[1]) and b'"sessionId"' in opening[0] and not _has_lines(head)


def _has_lines(head: bytes) -> bool:
    """Whether the first line is a JSON value of its own, and more follows."""
    first, _, rest = head.lstrip().partition(b"\n")
    if not rest.strip():
        return False
    try:
        msgspec.json.decode(first, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True


def conversations_in(folder: Path) -> Iterable[Path]:
    """Conversations of the sessions in a folder: in ``sessions`` below it, or in it as Cline's own."""
    return sorted(
        path
        for below in ("sessions/*/", "*/")
        for path in folder.glob(f"{below}*{MESSAGES}*")
        if plain_name(path.name).endswith(MESSAGES)
    )


def recorded(source: str, path: Path) -> Recorded:
    """All that the session with this conversation says; that of a subagent or teammate is told with its root's."""
    folder = path.parent
    session_id, conversations = conversations_of(folder, unpacks=True)
    if path != conversations.get(session_id, path):
        return Recorded([], {})
    diagnostics: Diagnostics = {}
    _, _, records, torn, untold_at_ms = read_session(folder, is_over=True, unpacks=True)
    for _ in torn:
        count(diagnostics, "malformed", source, "file")
    if untold_at_ms is not None:
        records.append({"event": UNTOLD, "time_unix_ms": untold_at_ms, "session_id": session_id})
    return Recorded(
        [Payload(source, [msgspec.json.encode(record) for record in records], place=str(path))], diagnostics
    )
