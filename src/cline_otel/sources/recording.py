"""Recordings: files, or folders of files, with what a source once reported; the source is recognized by the content.

Where a source fails on a file, that is counted as a defect of the source, and the other files are read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from cline_otel.signals import Diagnostics, add, count
from cline_otel.sources.compressed import plain_name
from cline_otel.sources.interface import Payload, Recorded, Source
from cline_otel.sources.registry import SOURCES, Registry
from cline_otel.sources.wrappings import (
    LARGEST_RECORDING_BYTES,
    Damaged,
    TooLarge,
    from_first,
    leaves_messages_out,
    lines_within,
    unpacked,
    values_as_lines,
)
from cline_otel.state_directory import JOURNAL_FILE_NAME


class UnreadableRecording(Exception):  # noqa: N818 - named for the recording's state
    """A recording cannot be read; the text names the file, what is wrong and the remedy."""


class _NotARecording(UnreadableRecording):
    """What a file is instead, or what keeps it from being read; in a folder the others are read."""


_TOO_LARGE: Final = (
    f"larger than {LARGEST_RECORDING_BYTES // 1024**2} MiB unpacked, and a replay holds it in memory; "
    "cut it into pieces at ends of lines (`split --line-bytes=256M`) and name one after the other"
)
_STATE_DIRECTORY: Final = (
    "the state directory of cline-otel, in which nothing is left to be read: `cline-otel preview --last 100` shows "
    "what left or waits, `cline-otel status` the rest; name Cline's own files"
)
_TEXT_LOG: Final = (
    "a log in text, as Cline wrote until 2025 and its cores still do: it tells of no calls, tokens or tools. "
    "`cline-otel import` and `cline-otel replay` read the session or task folders that Cline kept of the same time"
)
_DATABASE: Final = "a database, which is not read: name Cline's `sessions` folder, its logs, or the plugin's spool"
_JOURNAL: Final = (
    "a journal of cline-otel: `cline-otel preview --last 100` shows what left or waits, `cline-otel status` the rest, "
    "with CLINE_OTEL_BRIDGE_STATE_DIR set to its directory"
)
_NO_MESSAGES: Final = (
    "systemd's journal without its long messages; write it again with `journalctl --output=json --all`"
)
_HEAD_BYTES: Final = 65_536
_TEXT_LINE: Final = re.compile(rb"\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^{]*$")
_SQLITE_MAGIC: Final = b"SQLite format 3\0"
_APPLICATION_ID: Final = b"CLOT"
"""In a header of SQLite from byte 68 on: a journal of ours."""


def _what_it_is(content: bytes) -> str:
    """What a file is that no source recognises, and what to do, in words; empty if that is not known."""
    if content.startswith(_SQLITE_MAGIC):
        return _JOURNAL if content[68:72] == _APPLICATION_ID else _DATABASE
    if leaves_messages_out(content):
        return _NO_MESSAGES
    lines = [line for line in content[:_HEAD_BYTES].split(b"\n")[:-1] if line.strip()][:50]
    if sum(_TEXT_LINE.match(line) is not None for line in lines) * 2 > len(lines) and b"cline" in content.lower():
        return _TEXT_LOG
    return ""


class Recording(msgspec.Struct):
    """What was found.

    Attributes:
        streams: payloads whose events keep their own order, the streams of the highest rank first.
        diagnostics: what was found besides, which no payload holds.
        read: the files, with the sources they were taken for.
        skipped: files of a folder that are no recording of a source.
        explained: of some of those why, and what to do, in sentences for people that begin with the path.
    """

    streams: list[list[Payload]] = msgspec.field(default_factory=list)
    diagnostics: Diagnostics = msgspec.field(default_factory=dict)
    read: list[tuple[Path, str]] = msgspec.field(default_factory=list)
    skipped: list[Path] = msgspec.field(default_factory=list)
    explained: list[str] = msgspec.field(default_factory=list)


def read_recording(paths: Iterable[Path], only: str | None = None, sources: Registry = SOURCES) -> Recording:
    """Reads files and folders; of a folder its own files count, and those where a source keeps recordings in it.

    Args:
        paths: what to read.
        only: the one source that counts.
        sources: the sources that there are.

    Raises:
        UnreadableRecording: a path does not exist, cannot be read, or a file named outright is of no known source.
    """
    reader = _Reader(sources, only)
    known = sources.recordings
    for path in paths:
        if path.is_dir():
            read_before = len(reader.recording.read)
            for member in _members(path, sources):
                if member.is_file():
                    reader.read_member(member)
            if len(reader.recording.read) == read_before and (path / JOURNAL_FILE_NAME).exists():
                reader.recording.explained.insert(0, f"{path}: {_STATE_DIRECTORY}")
        elif not path.exists():
            raise UnreadableRecording(f"{path}: no such file or folder; name {_any_of([*known, 'a folder of these'])}")
        elif not reader.read(path):
            raise UnreadableRecording(f"{path}: not a recording of a known source; name {_any_of(known)}")
    reader.recording.streams = [stream for name in sources for stream in reader.streams[name]]
    return reader.recording


def _members(folder: Path, sources: Registry) -> list[Path]:
    try:
        further = (member for source in sources.values() for member in source.recordings_in(folder))
        return list(dict.fromkeys([*sorted(folder.iterdir()), *further]))
    except OSError as error:
        raise UnreadableRecording(f"{folder}: cannot be read ({error.strerror}); check its permissions") from None


def _any_of(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


class _Reader:
    def __init__(self, sources: Registry, only: str | None) -> None:
        self.recording = Recording()
        self.streams: dict[str, list[list[Payload]]] = {name: [] for name in sources}
        self._sources = sources
        self._only = only

    def read_member(self, path: Path) -> None:
        """Reads a file of a folder; what is wrong with this one stops nothing."""
        try:
            is_read = self.read(path)
        except _NotARecording as error:
            self.recording.explained.append(str(error))
            is_read = False
        if not is_read:
            self.recording.skipped.append(path)

    def read(self, path: Path) -> bool:
        """Reads one file; whether it is a recording of a source, one that does not count among them."""
        stored = self._stored(path)
        try:
            content = unpacked(stored)
        except Damaged as error:
            raise _NotARecording(
                f"{path}: cannot be unpacked ({error}): it is cut off or damaged; copy it again"
            ) from None
        except TooLarge:
            raise _NotARecording(f"{path}: {_TOO_LARGE}") from None
        source, recognised = self._recognised(content)
        if source is None:
            if (what := _what_it_is(content)) != "":
                raise _NotARecording(f"{path}: {what}")
            return False
        if self._only is not None and source.name != self._only:
            return True
        # What is read again by its path is unpacked there if its name says so.
        is_read_by_path = recognised is (content if plain_name(path.name) != path.name else stored)
        if source.reads_around and not is_read_by_path:
            raise _NotARecording(f"{path}: a part of a folder that is read as a whole: unpack it there by its own name")
        if (why_not := source.why_not(recognised)) != "":
            raise _NotARecording(f"{path}: {why_not}")
        self.recording.read.append((path, source.name))
        recorded = self._recorded(source, path, recognised)
        add(self.recording.diagnostics, recorded.diagnostics)
        self.streams[source.name].append(recorded.payloads)
        return True

    def _stored(self, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                stored = file.read(LARGEST_RECORDING_BYTES + 1)
        except OSError as error:
            raise UnreadableRecording(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
        if len(stored) > LARGEST_RECORDING_BYTES:
            raise _NotARecording(f"{path}: {_TOO_LARGE}")
        return stored

    def _recognised(self, content: bytes) -> tuple[Source | None, bytes]:
        """The source that a file is of, and what of it is for that source; as it is, if it is recognised so."""
        if (source := self._source_of(content)) is not None:
            return source, content
        if b"{" not in content:
            return None, content
        for unwrap in (lines_within, values_as_lines):
            inner = from_first(unwrap(content), lambda line: self._source_of(line) is not None)
            if inner and (source := self._source_of(inner)) is not None:
                return source, inner
        return None, content

    def _source_of(self, content: bytes) -> Source | None:
        return next((source for source in self._sources.values() if self._is_of(source, content)), None)

    def _is_of(self, source: Source, content: bytes) -> bool:
        try:
            return source.recognises(content)
        except Exception:
            count(self.recording.diagnostics, "defect", source.name, "recording")
            return False

    def _recorded(self, source: Source, path: Path, content: bytes) -> Recorded:
        try:
            return source.recorded(path, content)
        except Exception:
            count(self.recording.diagnostics, "defect", source.name, "recording")
            return Recorded([], {})
