"""The file ``off`` in the state directory: while it is there, the plugin writes nothing and the bridge takes nothing.

Whether it exists is all that counts. Its text says whether what waits is to be erased too, which a
running bridge does and then takes back.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from cline_otel.journal.lock import create_private_directory

_OFF: Final = b"off\n"
_ERASE: Final = b"off, and erase what waits\n"


class OffFile:
    """The user's own switch.

    Every method that writes may raise OSError.
    """

    def __init__(self, path: Path) -> None:
        """``path`` as the installed plugin knows it."""
        self.path = path

    @property
    def exists(self) -> bool:
        """Whether it is there; anything of that name counts, a dangling link too."""
        return os.path.lexists(self.path)

    @property
    def asks_to_erase(self) -> bool:
        """Whether it asks a running bridge to erase what waits."""
        try:
            return self.path.read_bytes() == _ERASE
        except OSError:
            return False

    def create(self, *, erase: bool = False) -> None:
        """Switches off; ``erase`` leaves the word to erase what waits."""
        create_private_directory(self.path.parent)
        descriptor, name = tempfile.mkstemp(prefix=".off.", dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_ERASE if erase else _OFF)
            Path(name).replace(self.path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink(missing_ok=True)
            raise

    def remove(self) -> bool:
        """Takes it away; returns whether it was there."""
        was_there = self.exists
        self.path.unlink(missing_ok=True)
        return was_there
