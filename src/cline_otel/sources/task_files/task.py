"""A task's folder, as records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from cline_otel.sources.compressed import stored_as
from cline_otel.sources.conversations.messages import TornFile, messages_of, milliseconds, table_of, word
from cline_otel.sources.task_files.chat import Chat, read_chat
from cline_otel.sources.task_files.dialect import Client, Dialect
from cline_otel.sources.task_files.history import History, read_history
from cline_otel.sources.task_files.story import Story, Task, tell

CHAT: Final = "ui_messages.json"
HISTORY: Final = "api_conversation_history.json"
METADATA: Final = "task_metadata.json"

_CLIS: Final = "Cline CLI"
"""How the name of the host begins where it is the command line."""


class TornTask(Exception):  # noqa: N818 - named for the task's state
    """Files of a task are no JSON, so that nothing of it is told; ``names`` are theirs."""

    def __init__(self, names: list[str]) -> None:
        super().__init__(", ".join(names))
        self.names = tuple(names)


def read_task(
    folder: Path, prefix: str, dialect: Dialect, ulid_of: Callable[[str], str], *, unpacks: bool = False
) -> Story:
    """Everything that a task's files say so far.

    Args:
        folder: the task's.
        prefix: what the names of its files begin with; empty for the program's own.
        dialect: which program's it is.
        ulid_of: what the program's own telemetry calls a task; empty where that is not known.
        unpacks: whether compressed files are read too.

    Raises:
        OSError: a file cannot be read.
        TornTask: a file is torn, or being written.
    """
    torn: list[str] = []
    history, chat = History(), Chat()
    paths = {name: folder / f"{prefix}{name}" for name in (HISTORY, CHAT, METADATA)}
    if unpacks:
        paths = {name: stored_as(path) for name, path in paths.items()}
    # The conversation first: what was shown is then not older.
    for name in (HISTORY, CHAT):
        try:
            if name == HISTORY:
                history = read_history(messages_of(paths[name], ""), dialect)
            else:
                chat = read_chat(messages_of(paths[name], ""), dialect)
        except FileNotFoundError:
            continue
        except TornFile:
            torn.append(name)
    if torn:
        raise TornTask(torn)
    task_id = folder.name if not prefix and _is_id(folder.name) else _id_of(chat, history)
    clients, models = _read_metadata(paths[METADATA], dialect)
    return tell(Task(task_id, ulid_of(task_id), clients, models), chat, history)


def _is_id(name: str) -> bool:
    return name.isascii() and name.replace("-", "").isalnum() and len(name) >= 8


def _id_of(chat: Chat, history: History) -> str:
    """A task that is in no folder of its own is told by when it began."""
    return str(next(iter([*chat.prompts, *history.asked_at_ms]), 0))


def _read_metadata(
    path: Path, dialect: Dialect
) -> tuple[list[tuple[int, Client]], list[tuple[int, tuple[str, str, str]]]]:
    """What ran the agent, and the models, each from which time on, ms since the Unix epoch."""
    try:
        given = table_of(path)
    except OSError:
        given = {}
    clients = [
        (at_ms, Client(_client(word(each.get("host_name")), dialect), word(each.get("cline_version"))))
        for each in _tables(given.get("environment_history"))
        if (at_ms := milliseconds(each.get("ts"))) is not None
    ]
    models = [
        (at_ms, (word(each.get("model_id")), word(each.get("model_provider_id")), word(each.get("mode"))))
        for each in _tables(given.get("model_usage"))
        if (at_ms := milliseconds(each.get("ts"))) is not None
    ]
    return clients or [(0, Client(dialect.client))], models


def _client(host: str, dialect: Dialect) -> str:
    return "cline-cli" if host.startswith(_CLIS) else dialect.client


def _tables(value: object) -> list[dict[str, object]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
