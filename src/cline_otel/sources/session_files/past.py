"""Sessions that are past, as import takes them: what is known of each without reading it, and then all of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from cline_otel.operating_system.process_interface import Processes
from cline_otel.sources.compressed import plain_name, stored_as
from cline_otel.sources.conversations.folders_input import TORN_FOR_NS, Folder
from cline_otel.sources.conversations.messages import amount, table, table_of
from cline_otel.sources.conversations.past import PastRecords
from cline_otel.sources.conversations.told import Record, Told, decode_told, encode_told
from cline_otel.sources.interface import PastReading, PastSession
from cline_otel.sources.session_files.input import SessionFilesInput
from cline_otel.sources.session_files.session import (
    MESSAGES,
    Manifest,
    read_manifest,
    read_session,
    surface_of,
)

_BEGAN: Final = re.compile(r"(\d{13})_")
"""Cline names a session by when it began."""


def past_sessions(
    source: str, directories: Iterable[Path], processes: Processes, path: Path | None
) -> Iterator[PastSession]:
    """The sessions of Cline's own directories, or what a path names: such a directory, one with ``sessions`` in it, or
    a session's folder. What lies elsewhere than in Cline's own is a copy: nobody works on it, and it may be compressed.
    """
    own = list(directories)
    if path is None:
        for directory in own:
            within = SessionFilesInput(source, directory, processes)
            yield from _in_folders(within, within.folders())
        return
    named = path.absolute()
    if any(plain_name(each.name).endswith(MESSAGES) for each in path.glob(f"*{MESSAGES}*")):
        within = SessionFilesInput(source, named.parent, processes, is_copy=named.parent not in own)
        yield from _in_folders(within, [named])
        return
    for directory in (named, named / "sessions"):
        within = SessionFilesInput(source, directory, processes, is_copy=directory not in own)
        yield from _in_folders(within, within.folders())


def _in_folders(within: SessionFilesInput, folders: Iterable[Path]) -> Iterator[PastSession]:
    for folder in folders:
        found = within.look(folder)
        if found is not None and found.has_conversation:
            yield PastSessionFolder(within, found)


class PastSessionFolder(PastSession):
    """A session's folder.

    Args:
        within: what reads the directory that it is in.
        found: the folder.
    """

    def __init__(self, within: SessionFilesInput, found: Folder) -> None:
        self._within = within
        self._found = found
        name = found.path.name
        path = found.path / f"{name}.json"
        given = _given(stored_as(path) if within.is_copy else path)
        manifest = read_manifest(given, name)
        self.source = within.source
        self.key = found.key
        self.signature = found.signature
        self.surface = surface_of(manifest) or "other"
        self.began_at_ns = _began_ms(manifest, found) * 1_000_000
        self.ended_at_ns = max(_ended_ms(manifest, found) * 1_000_000, self.began_at_ns)
        self.size_bytes = found.size_bytes
        self.tokens, self.cost_usd = _usage(given)

    def read(self, cursor: bytes | None) -> PastReading:
        """What its files say; one that is being written is read another time."""
        told = (decode_told(cursor) if cursor is not None else None) or Told()
        is_copy = self._within.is_copy
        # Of a copy nothing more comes, whatever its manifest says.
        is_over = is_copy or self._within.is_over(self._found)
        session_id, status, records, torn, _ = read_session(self._found.path, is_over=is_over, unpacks=is_copy)
        if torn and not is_copy and self._within.unchanged_ns(self._found) < TORN_FOR_NS:
            return PastReading(session_id, (), lambda run_ids: iter(()), cursor)
        past = PastRecords(_by_ends(records))
        over = [record for record in records if past.is_over(record)]
        goes_on = len(over) < len(records)
        told = told.after(over, "" if goes_on else self.signature, status, is_over=is_over)
        names = ", ".join(f"{name}{MESSAGES}" for name in torn)
        problem = f"{self._found.path}: {names} cannot be read to the end; what comes before is taken"
        return PastReading(
            session_id,
            past.prompts,
            partial(past.payloads, self.source, self.key),
            encode_told(told) if over else cursor,
            problem if torn else "",
        )


def _by_ends(records: Iterable[Record]) -> list[Record]:
    """The records of calls that are over as one each: the end says when a call began, so the start has little more."""
    told: dict[int, Record] = {}
    started: dict[tuple[object, ...], int] = {}
    for place, record in enumerate(records):
        told[place] = record
        if record["event"] == "tool_call.started":
            started[_call_of(record)] = place
        elif record["event"] == "tool_call.finished" and (at := started.pop(_call_of(record), None)) is not None:
            told[place] = {**told.pop(at), **record}
    return list(told.values())


def _call_of(record: Record) -> tuple[object, ...]:
    return record["agent_id"], record["run_id"], record["message_id"], record["call_id"]


def _given(path: Path) -> Mapping[str, object]:
    try:
        return table_of(path)
    except OSError:
        return {}


def _began_ms(manifest: Manifest, found: Folder) -> int:
    if manifest.started_at_ms is not None:
        return manifest.started_at_ms
    named = _BEGAN.match(found.path.name)
    return int(named[1]) if named is not None else found.changed_at_ns // 1_000_000


def _ended_ms(manifest: Manifest, found: Folder) -> int:
    if manifest.is_over and manifest.ended_at_ms is not None:
        return manifest.ended_at_ms
    return found.changed_at_ns // 1_000_000


def _usage(given: Mapping[str, object]) -> tuple[int | None, float | None]:
    """Tokens and cost. Zero is what Cline writes when it does not know."""
    metadata = table(given.get("metadata"))
    usage = table(metadata.get("aggregateUsage")) or table(metadata.get("usage"))
    tokens = int(amount(usage.get("inputTokens")) or 0) + int(amount(usage.get("outputTokens")) or 0)
    return tokens or None, float(amount(usage.get("totalCost")) or 0.0) or None
