"""The file sink: OTLP JSON lines that the collector's otlpjsonfile receiver reads, one export request a line.

A line is on the disk before its rows leave the queue. A crash can leave a torn last line, whose rows
are still queued, so the next start cuts it off before it writes them again.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from cline_otel.destinations import FileDestination
from cline_otel.encode.otlp_json import to_json_line
from cline_otel.export.interface import IN_THREAD_FROM_BYTES, Batch, Delivered, ExportResult, Refused, Unreachable
from cline_otel.operating_system.files import replace, sync_directory
from cline_otel.private_files import keep_private, open_private, private_directory
from cline_otel.signals import SignalName

ROTATE_AT_BYTES: Final = 64 * 1024 * 1024
KEPT_FILES: Final = 4
_TAIL_BYTES: Final = 64 * 1024


class OtlpFileExporter:
    """Appends one signal's requests to ``<directory>/<signal>.jsonl``.

    At ``rotate_at_bytes`` the file becomes ``<signal>.1.jsonl``, that one ``<signal>.2.jsonl`` and so
    on; ``kept_files`` such are kept. Files have mode 0600, their directory 0700.
    """

    def __init__(
        self, destination: FileDestination, *, rotate_at_bytes: int = ROTATE_AT_BYTES, kept_files: int = KEPT_FILES
    ) -> None:
        """Prepare: others are kept out of what is there; the file is opened with the first line."""
        self._destination = destination
        self._path = destination.directory / f"{destination.signal}.jsonl"
        self._rotate_at_bytes = rotate_at_bytes
        self._kept_files = kept_files
        self._descriptor: int | None = None
        self._size_bytes = 0
        # What cannot be done is reported with the first line.
        with suppress(OSError):
            if destination.directory.is_dir():
                private_directory(destination.directory)
        for path in self._names():
            keep_private(path)

    @property
    def description(self) -> str:
        """Where the lines go."""
        return self._destination.describe()

    async def export(self, batch: Batch) -> ExportResult:
        """Append the batch as one line and wait until the disk has it."""
        try:
            line = await _line(self._destination.signal, batch.payload)
        except ValueError as error:
            return Refused(str(error), "unsendable")
        try:
            self._append(line)
        except OSError as error:
            self._close()
            return Unreachable(f"cannot write {self._path} ({error.strerror})")
        return Delivered()

    def abort(self) -> None:
        """Nothing: an export is one write, which has ended or is not begun."""

    async def close(self) -> None:
        """Close the file."""
        self._close()

    def _append(self, line: bytes) -> None:
        if self._descriptor is not None and self._size_bytes and self._size_bytes + len(line) > self._rotate_at_bytes:
            self._close()
            self._rotate()
        descriptor = self._open() if self._descriptor is None else self._descriptor
        try:
            written = 0
            while written < len(line):
                written += os.write(descriptor, line[written:])
            os.fsync(descriptor)
        except OSError:
            # The rows stay queued and will come again, so no half or doubtful line may stay.
            os.ftruncate(descriptor, self._size_bytes)
            raise
        self._size_bytes += len(line)

    def _open(self) -> int:
        private_directory(self._destination.directory)
        descriptor = open_private(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._descriptor = descriptor
        self._size_bytes = _whole_lines_bytes(descriptor)
        os.ftruncate(descriptor, self._size_bytes)
        sync_directory(self._destination.directory)
        return descriptor

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _rotate(self) -> None:
        names = self._names()
        for older, newer in zip(reversed(names), reversed(names[:-1]), strict=False):
            if newer.exists():
                replace(newer, older)

    def _names(self) -> list[Path]:
        """The file, and those that it becomes, the newest first."""
        numbers = range(1, self._kept_files + 1)
        return [self._path, *(self._path.with_name(f"{self._destination.signal}.{number}.jsonl") for number in numbers)]


async def _line(signal: SignalName, payload: bytes) -> bytes:
    if len(payload) > IN_THREAD_FROM_BYTES:
        return await asyncio.to_thread(to_json_line, signal, payload) + b"\n"
    return to_json_line(signal, payload) + b"\n"


def _whole_lines_bytes(descriptor: int) -> int:
    """How much of the file is whole lines."""
    end = os.fstat(descriptor).st_size
    while end > 0:
        start = max(end - _TAIL_BYTES, 0)
        os.lseek(descriptor, start, os.SEEK_SET)
        newline = os.read(descriptor, end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0
