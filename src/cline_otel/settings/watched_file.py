"""Small files that other programs write, read again when their status says that they changed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

import msgspec

from cline_otel.operating_system.files import status_of
from cline_otel.operating_system.owners import UntrustedFileError
from cline_otel.private_files import open_trusted

MAX_BYTES: Final = 16 * 1024 * 1024

_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR)


class WatchedFile:
    """One JSON object in a file that may be missing, half written or unreadable at any look.

    Attributes:
        path: the file.
        fields: what the file last held; empty while it is missing, or was never readable.
        is_known: whether ``fields`` says what the file holds, or held before it became unreadable.
        problem: why it cannot be read just now; empty while it can, or is missing. Holds no
            content, and a path only where another user owns it or may change it.
        modified_at_ns: the file's modification time at the last look, nanoseconds since the Unix epoch.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is looked at before :meth:`look`."""
        self.path = path
        self.fields: dict[str, object] = {}
        self.is_known = False
        self.problem = ""
        self.modified_at_ns = 0
        self._status: tuple[int, ...] | None = None

    @property
    def is_there(self) -> bool:
        """Whether the last look found something of that name."""
        return self._status is not None or bool(self.problem)

    def look(self) -> bool:
        """Reads the file if its status changed since the last look, or the system kept it from being read then.

        Returns whether it was read, or went away, or a further reason keeps it from being read.
        """
        try:
            found = self.path.stat()
        except OSError as error:
            if error.errno not in _ABSENT:
                self._fail_for_now(error)
                return False
            was_there = self.is_there
            self.fields, self.is_known, self.problem, self._status = {}, True, "", None
            return was_there
        status = status_of(found)
        if status == self._status:
            return False
        # The status is the older of the two: a change in between is found at the next look.
        self._status = status
        self.modified_at_ns = found.st_mtime_ns
        before = self.problem
        self._read(found)
        return self._status is not None or self.problem != before

    def _read(self, found: os.stat_result) -> None:
        if not stat.S_ISREG(found.st_mode):
            self.problem = "it is not a regular file"
            return
        if found.st_size > MAX_BYTES:
            self.problem = f"it is larger than {MAX_BYTES} bytes"
            return
        try:
            with os.fdopen(open_trusted(self.path), "rb") as file:
                value = msgspec.json.decode(file.read(MAX_BYTES + 1))
        except UntrustedFileError as error:
            self.problem = str(error)
            # A directory above may be given back without any change of the file.
            self._status = None
        except OSError as error:
            self._fail_for_now(error)
        except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
            # Cline writes such files in place, so one may be seen half written.
            self.problem = "it is not JSON, or too deep"
        else:
            if isinstance(value, dict):
                self.fields, self.is_known, self.problem = value, True, ""
            else:
                self.problem = "it holds no JSON object"

    def _fail_for_now(self, error: OSError) -> None:
        self.problem = os.strerror(error.errno or errno.EIO)
        # What comes of the process or the disk passes without a change of the file.
        self._status = None
