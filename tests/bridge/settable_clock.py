"""Runs ``cline-otel`` under a wall clock that somebody else sets, while it runs: ``settable_clock.py FILE ARGUMENTS``.

The file holds how many nanoseconds the clock is ahead, a signed number of eight bytes.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path

AHEAD = struct.Struct("<q")


def set_ahead(path: Path, ahead_ns: int) -> None:
    """From now on the clock of whoever runs by this file is so far ahead; the file is made if it is missing."""
    if not path.exists():
        path.write_bytes(AHEAD.pack(ahead_ns))
    with path.open("r+b") as file:
        file.write(AHEAD.pack(ahead_ns))


def main() -> None:
    path = Path(sys.argv.pop(1))
    with path.open("rb") as file:
        shared = mmap.mmap(file.fileno(), AHEAD.size, access=mmap.ACCESS_READ)
    true_ns = time.time_ns

    def time_ns() -> int:
        return true_ns() + AHEAD.unpack_from(shared)[0]

    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9
    # Its modules take the clock over when they are imported.
    from cline_otel.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
