"""Recordings: files, or folders of files, with what a source once reported; the source is recognized by the content.

Where a source fails on a file, that is counted as a defect of the source, and the other files are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from cline_otel.signals import Diagnostics, add, count
from cline_otel.sources.interface import Payload, Recorded, Source
from cline_otel.sources.registry import SOURCES, Registry


class UnreadableRecording(Exception):  # noqa: N818 - named for the recording's state
    """A recording cannot be read; the text names the file, what is wrong and the remedy."""


class Recording(msgspec.Struct):
    """What was found.

    Attributes:
        streams: payloads whose events keep their own order, the streams of the highest rank first.
        diagnostics: what was found besides, which no payload holds.
        read: the files, with the sources they were taken for.
        skipped: files of a folder that are no recording of a source.
    """

    streams: list[list[Payload]] = msgspec.field(default_factory=list)
    diagnostics: Diagnostics = msgspec.field(default_factory=dict)
    read: list[tuple[Path, str]] = msgspec.field(default_factory=list)
    skipped: list[Path] = msgspec.field(default_factory=list)


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
            for member in _members(path, sources):
                if member.is_file() and not reader.read(member):
                    reader.recording.skipped.append(member)
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

    def read(self, path: Path) -> bool:
        """Reads one file; whether it is a recording of a source, one that does not count among them."""
        try:
            content = path.read_bytes()
        except OSError as error:
            raise UnreadableRecording(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
        source = next((source for source in self._sources.values() if self._is_of(source, content)), None)
        if source is None:
            return False
        if self._only is not None and source.name != self._only:
            return True
        self.recording.read.append((path, source.name))
        recorded = self._recorded(source, path, content)
        add(self.recording.diagnostics, recorded.diagnostics)
        self.streams[source.name].append(recorded.payloads)
        return True

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
