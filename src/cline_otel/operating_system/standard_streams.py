"""Standard streams for a process that was started without some, as by ``2>&-`` or from a desktop."""

from __future__ import annotations

import os
import sys
from typing import Final

_NAMES: Final = ("stdin", "stdout", "stderr")


def open_missing_streams() -> None:
    """Opens the null device in place of each standard stream that is missing.

    Python has None where a descriptor was closed (``sys.stdin`` and its kin), and the next file that is opened would
    get its number: whatever a library then writes to "stderr" would get into that file. So it is called before any
    file is opened.
    """
    for number, name in enumerate(_NAMES):
        if getattr(sys, name) is not None:
            continue
        mode, flags = ("r", os.O_RDONLY) if name == "stdin" else ("w", os.O_WRONLY)
        opened = os.open(os.devnull, flags)
        if opened != number:
            os.dup2(opened, number)
            os.close(opened)
        os.set_inheritable(number, True)
        setattr(sys, name, open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False))  # noqa: SIM115 - for the rest of the process
