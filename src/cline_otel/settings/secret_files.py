"""Files that hold secrets: read where nobody but their owner may use them, refused otherwise, as are others' files."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from cline_otel.operating_system.files import others_may_use
from cline_otel.operating_system.owners import UntrustedFileError
from cline_otel.private_files import open_trusted
from cline_otel.settings.values import SettingsError


def read_secret_file(
    path: Path, most_bytes: int, *, not_regular: str, open_to_others: str, unreadable: Callable[[str], str]
) -> bytes:
    """What a file holds, of which no more than ``most_bytes`` are read.

    Args:
        path: it may be a symbolic link.
        most_bytes: what stands behind them is not looked at.
        not_regular: the message for what is no file, such as a FIFO.
        open_to_others: the message for a file that others may use.
        unreadable: makes the message for what cannot be read, of the system's reason.

    Raises:
        SettingsError: with one of these messages.
    """
    try:
        with os.fdopen(open_trusted(path), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise SettingsError(not_regular)
            if others_may_use(found):
                raise SettingsError(open_to_others)
            return file.read(most_bytes)
    except UntrustedFileError as error:
        raise SettingsError(unreadable(str(error))) from None
    except OSError as error:
        raise SettingsError(unreadable(os.strerror(error.errno or 0))) from None
