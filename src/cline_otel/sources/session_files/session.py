"""A session's folder, as records in the order of time: its manifest, and a file of messages for each agent.

``<session>.json`` is the manifest, ``<session>.messages.json`` the root agent's conversation, every other
``<agent>.messages.json`` that of a subagent or teammate. Cline rewrites them whole, and not atomically.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from cline_otel.sources.compressed import by_plain_name, is_cut_off, opened, stored_as
from cline_otel.sources.conversations.messages import (
    Message,
    TornFile,
    first_message,
    instant_ms,
    messages_of,
    milliseconds,
    table,
    table_of,
    word,
)
from cline_otel.sources.conversations.records import Fields
from cline_otel.sources.conversations.told import Record
from cline_otel.sources.session_files.walk import Call, Walk, task_texts

MESSAGES: Final = ".messages.json"
_SUBAGENT: Final = "agent_"
_HEAD_BYTES: Final = 4_096
_SAID_SESSION: Final = re.compile(rb'"sessionId"\s{0,9}:\s{0,9}"([^"\\]{1,256})"')
_ASKS_TEAMMATE: Final = "team_run_task"

_OUTCOMES: Final = {"completed": "completed", "idle": "aborted", "cancelled": "aborted", "failed": "failed"}
"""The outcome of a session's last run by the manifest's status, where the messages do not say one."""

_CLIENTS: Final = {"cli": "cline-cli", "core": "cline-sdk", "vscode": "vscode"}
_ORDER: Final[Mapping[object, int]] = {"run.started": 0, "model_call.finished": 1, "run.finished": 3}
_FIRST_VSCODE_VERSION: Final = 3
"""The editors' core calls itself ``vscode`` wherever it runs; a lower version is that of another editor's plugin."""


class Manifest(NamedTuple):
    """What a session's manifest says.

    Attributes:
        session_id: the session.
        status: ``running``, ``idle``, ``completed``, ``cancelled``, ``failed``; empty if it says none.
        ended_at_ms: when it ended, ms since the Unix epoch; None while it has not.
        pid: the process that it runs in; None if it does not say.
        source: the kind of program that runs Cline.
        version: that program's.
        has_prompt: whether somebody asked for something.
        started_at_ms: when it began, ms since the Unix epoch; None if it does not say.
    """

    session_id: str
    status: str = ""
    ended_at_ms: int | None = None
    pid: int | None = None
    source: str = ""
    version: str = ""
    has_prompt: bool = False
    started_at_ms: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether nobody works on the session now."""
        return self.status in _OUTCOMES


def read_manifest(given: Mapping[str, object], session_id: str) -> Manifest:
    """The manifest of a session, of the object that its file holds."""
    pid = given.get("pid")
    return Manifest(
        session_id,
        word(given.get("status")),
        instant_ms(given.get("ended_at")),
        pid if isinstance(pid, int) and not isinstance(pid, bool) and pid > 0 else None,
        word(given.get("source")),
        word(table(table(given.get("metadata")).get("sessionHistoryOrigin")).get("version")),
        bool(word(given.get("prompt")).strip()),
        instant_ms(given.get("started_at")),
    )


def surface_of(manifest: Manifest) -> str:
    """Where Cline was used; empty if that is not known."""
    if manifest.source == "vscode" and _major(manifest.version) < _FIRST_VSCODE_VERSION:
        return "jetbrains" if manifest.version else ""
    return _CLIENTS.get(manifest.source, "")


class SessionRecords(NamedTuple):
    """What a session's files say.

    Attributes:
        session_id: the session.
        status: the session's, as the manifest has it.
        records: in the order of time, those that may still change left out.
        torn: names of files that could be read in part only.
        untold_at_ms: when the session was last heard of, ms since the Unix epoch, if a prompt was made and nothing that
            came of it is there; else None.
    """

    session_id: str
    status: str
    records: list[Record]
    torn: tuple[str, ...]
    untold_at_ms: int | None = None


def read_session(folder: Path, *, is_over: bool, unpacks: bool = False) -> SessionRecords:
    """Everything that a session's files say so far.

    Args:
        folder: the session's.
        is_over: whether nothing more comes of what was begun. Else only an answer that asks for nothing more ends a
            run, and that not before the manifest says that nobody works on the session: it is written by itself, and
            may still be that of before the last prompt.
        unpacks: whether compressed files are read too.

    Raises:
        OSError: a file cannot be read.
    """
    session_id, files = conversations_of(folder, unpacks=unpacks)
    path = folder / f"{session_id}.json"
    try:
        manifest = read_manifest(table_of(stored_as(path) if unpacks else path), session_id)
    except FileNotFoundError:
        manifest = Manifest(session_id)
    return _Session(manifest, files, is_over=is_over).read()


def conversations_of(folder: Path, *, unpacks: bool = False) -> tuple[str, dict[str, Path]]:
    """The session of a folder, and its conversations by agent, the root agent's by the session; no copies of them.

    Args:
        folder: the session's.
        unpacks: whether compressed files are read too.

    Raises:
        OSError: a file cannot be read.
    """
    paths = folder.glob(f"*{MESSAGES}*") if unpacks else folder.glob(f"*{MESSAGES}")
    named = {
        name.removesuffix(MESSAGES): path
        for name, path in sorted(by_plain_name(paths).items())
        if name.endswith(MESSAGES)
    }
    said = {name: _session_in(path) for name, path in named.items()}
    session_id = next((session for name, session in said.items() if session == name), folder.name)
    return session_id, {
        name: path for name, path in named.items() if name == (said[name] or name) or said[name].endswith(f"__{name}")
    }


def _session_in(path: Path) -> str:
    """Whose conversation a file says it is: a session's, or ``SESSION__AGENT``; empty if it does not say."""
    with opened(path) as file:
        head = file.read(_HEAD_BYTES).partition(b'"messages"')[0]
    found = _SAID_SESSION.search(head)
    return found[1].decode("utf-8", "replace") if found is not None else ""


class _Session:
    def __init__(self, manifest: Manifest, files: dict[str, Path], *, is_over: bool) -> None:
        self._manifest = manifest
        self._files = files
        self._is_over = is_over
        self._walks: dict[str, Walk] = {}
        self._runs: list[tuple[int, str]] = []
        self._ended_calls: set[tuple[str, str, str]] = set()
        self._made_by: dict[str, Call] = {}
        self._torn: list[str] = []

    def read(self) -> SessionRecords:
        root_id = self._manifest.session_id
        records: list[Record] = []
        # Parents before those whom they start: an agent's first message is younger than the call that made it.
        others = sorted(
            (first_ms, name) for name in self._files if name != root_id and (first_ms := self._first_ms(name))
        )
        for name in [*([root_id] if root_id in self._files else []), *(name for _, name in others)]:
            records += self._agent(name)
        records += self._ends()
        records.sort(key=_place_of)
        return SessionRecords(root_id, self._manifest.status, records, tuple(self._torn), self._untold_at_ms())

    def _untold_at_ms(self) -> int | None:
        manifest = self._manifest
        if self._runs or not manifest.has_prompt or not (self._is_over or manifest.is_over):
            return None
        return manifest.ended_at_ms or manifest.started_at_ms

    def _first_ms(self, name: str) -> int | None:
        path = self._files.get(name)
        if path is None:
            return None
        with opened(path) as file:
            first = first_message(file) or {}
            if is_cut_off(file):
                self._is_torn(name)
        return milliseconds(first.get("ts"))

    def _messages(self, name: str) -> Iterator[Message]:
        path = self._files.get(name)
        if path is None:
            return
        try:
            yield from messages_of(path)
        except TornFile:
            self._is_torn(name)

    def _is_torn(self, name: str) -> None:
        if name not in self._torn:
            self._torn.append(name)

    def _agent(self, name: str) -> list[Record]:
        agent_id = self._agent_id(name)
        walk = Walk(self._manifest.session_id, agent_id, lambda message, at_ms: self._parent(name, message, at_ms))
        self._walks[name] = walk
        records = walk.take(self._messages(name))
        for record in records:
            if record["event"] == "tool_call.finished":
                self._ended_calls.add((agent_id, str(record["run_id"]), str(record["call_id"])))
            elif record["event"] == "run.started" and name == self._manifest.session_id:
                self._runs.append((int(record["time_unix_ms"]), str(record["run_id"])))
        return records

    def _agent_id(self, name: str) -> str:
        """The id of an agent. A teammate's file is named as somebody called it, so its beginning stands for that."""
        is_machines = name == self._manifest.session_id or name.startswith(_SUBAGENT)
        return name if is_machines else f"teammate_{self._first_ms(name) or 0:013}"

    def _parent(self, name: str, message: Message, at_ms: int) -> Fields:
        """Who runs Cline, and whose work a run is part of: of the call with its prompt's text, else the root's."""
        known: dict[str, str | None] = {
            "client_name": surface_of(self._manifest) or None,
            "client_version": self._manifest.version or None,
        }
        if name == self._manifest.session_id:
            return {**known, "agent_kind": "root"}
        known["agent_kind"] = "subagent" if name.startswith(_SUBAGENT) else "teammate"
        call = self._claim(task_texts(message), name)
        if call is None:
            run_id = next((run_id for began_ms, run_id in reversed(self._runs) if began_ms <= at_ms), None)
            return {**known, "parent_agent_id": self._manifest.session_id, "parent_run_id": run_id}
        self._made_by[name] = call
        return {
            **known,
            "parent_agent_id": call.agent_id,
            "parent_run_id": call.run_id,
            "parent_message_id": call.message_id,
            "parent_call_id": call.call_id,
        }

    def _claim(self, texts: list[str], name: str) -> Call | None:
        """The oldest call that waits for an agent with one of these texts, word for word."""
        waiting = [
            (calls[0].asked_at_ms, other, text)
            for other, walk in self._walks.items()
            if other != name
            for text in texts
            if (calls := walk.tasks.get(text))
        ]
        if not waiting:
            return None
        _, other, text = min(waiting)
        calls = self._walks[other].tasks[text]
        call = calls.pop(0)
        if not calls:
            del self._walks[other].tasks[text]
        return call

    def _ends(self) -> list[Record]:
        """The ends of the runs that go on, as far as it is known that they do not."""
        root_id = self._manifest.session_id
        root = self._walks.get(root_id)
        is_over = self._is_over or (self._manifest.is_over and root is not None and bool(root.status))
        records: list[Record] = []
        for name, walk in self._walks.items():
            if name != root_id and walk.run_id and (is_over or self._is_answered_for(name)):
                records += walk.end(walk.last_at_ms, walk.status or self._outcome())
        if root is not None and root.run_id and is_over:
            at_ms = max(walk.last_at_ms for walk in self._walks.values())
            if not root.status and self._manifest.ended_at_ms is not None:
                at_ms = max(at_ms, self._manifest.ended_at_ms)
            records += root.end(at_ms, root.status or self._outcome())
        return records

    def _is_answered_for(self, name: str) -> bool:
        """Whether the call that made an agent has its result: that of a teammate has it when the work begins."""
        call = self._made_by.get(name)
        if call is None or call.name == _ASKS_TEAMMATE:
            return False
        return (call.agent_id, call.run_id, call.call_id) in self._ended_calls

    def _outcome(self) -> str:
        return _OUTCOMES.get(self._manifest.status, "incomplete")


def _place_of(record: Record) -> tuple[object, int]:
    return record["time_unix_ms"], _ORDER.get(record["event"], 2)


def _major(version: str) -> int:
    head = version.partition(".")[0]
    return int(head) if head.isascii() and head.isdigit() and len(head) < 6 else 0
