"""The file ``off`` in the state directory: while it is there, the plugin writes nothing and the bridge takes nothing.

Whether it exists is all that counts. Its text may ask a running bridge to erase what waits, with a token.
The bridge writes the token of what it has carried out into the file ``erased`` beside it, so that whoever
asked knows that it was done, and for them: only ``on`` takes a request back, by removing it with the file.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

from cline_otel.operating_system.files import replace
from cline_otel.private_files import keep_private, open_private, private_directory, written_beside

_OFF: Final = b"off\n"
_ERASED_NAME: Final = "erased"
_REQUEST: Final = re.compile(rb"off, erase ([0-9a-f]{32})\n")
_CARRIED_OUT: Final = re.compile(rb"([0-9a-f]{32})\n")
_MOST_BYTES: Final = 256
_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR)


class OffFile:
    """The user's own switch.

    Every method that writes may raise OSError.
    """

    def __init__(self, path: Path) -> None:
        """``path`` as the installed plugin knows it."""
        self.path = path
        self._erased = path.with_name(_ERASED_NAME)
        self._was_there: bool | None = None

    @property
    def exists(self) -> bool:
        """Whether it is there; anything of that name counts, a dangling link too.

        While that is unknown it is as it was; if it was never known, it counts as there.
        """
        try:
            os.lstat(self.path)
        except OSError as error:
            if error.errno in _ABSENT:
                self._was_there = False
        else:
            self._was_there = True
        return self._was_there is not False

    @property
    def is_known(self) -> bool:
        """Whether it is known, from the last look or before, if it is there."""
        return self._was_there is not None

    @property
    def erase_request(self) -> str | None:
        """The token of the request to erase what waits; None if there is none."""
        return _token(self.path, _REQUEST)

    @property
    def carried_out(self) -> str | None:
        """The token of the last request that a bridge has carried out."""
        return _token(self._erased, _CARRIED_OUT)

    def create(self) -> None:
        """Switches off; where it is off, nothing changes, and a request to erase stays."""
        self._make_directory()
        try:
            descriptor = open_private(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            # Anything of that name counts, another user's too.
            with suppress(OSError):
                keep_private(self.path)
            return
        try:
            # Its being there is enough, on a full disk too.
            with suppress(OSError):
                os.write(descriptor, _OFF)
        finally:
            os.close(descriptor)

    def ask_to_erase(self) -> str:
        """Switches off, and asks a running bridge to erase what waits.

        Returns the request's token: that of one which is not carried out yet, if there is one.
        """
        pending = self.erase_request
        if pending is not None and pending != self.carried_out:
            return pending
        token = secrets.token_hex(16)
        self._write(self.path, b"off, erase %s\n" % token.encode())
        return token

    def carry_out(self, token: str) -> None:
        """What the request asked for is erased."""
        self._write(self._erased, b"%s\n" % token.encode())

    def remove(self) -> bool:
        """Takes it away, and what it asked for; returns whether it was there."""
        was_there = self.exists
        self.path.unlink(missing_ok=True)
        return was_there

    def _make_directory(self) -> None:
        try:
            private_directory(self.path.parent)
        except OSError:
            # Where others cannot be kept out it may be written all the same.
            if not self.path.parent.is_dir():
                raise

    def _write(self, path: Path, content: bytes) -> None:
        self._make_directory()
        with written_beside(path, content) as temporary:
            replace(temporary, path)


def _token(path: Path, pattern: re.Pattern[bytes]) -> str | None:
    try:
        descriptor = open_private(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        match = pattern.fullmatch(os.read(descriptor, _MOST_BYTES))
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return match[1].decode() if match else None
