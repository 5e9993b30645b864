"""A lock that a process holds on an open file until it closes it or ends, however it ends."""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    import msvcrt

    # What is locked cannot be read by others, so it is a byte where no content is.
    _LOCKED_OFFSET = 1 << 30

    def lock(descriptor: int) -> None:
        """As elsewhere; waits 10 s at most."""
        _lock_byte(descriptor, msvcrt.LK_LOCK)

    def is_locked(descriptor: int) -> bool:
        """As elsewhere; whoever looks holds the lock for that moment, so two that look at once may see each other."""
        try:
            _lock_byte(descriptor, msvcrt.LK_NBLCK)
        except OSError:
            return True
        _lock_byte(descriptor, msvcrt.LK_UNLCK)
        return False

    def _lock_byte(descriptor: int, mode: int) -> None:
        os.lseek(descriptor, _LOCKED_OFFSET, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, mode, 1)
        finally:
            os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def lock(descriptor: int) -> None:
        """Locks the file for this process, as soon as nobody else holds the lock.

        Raises:
            OSError: it cannot be locked.
        """
        fcntl.flock(descriptor, fcntl.LOCK_EX)

    def is_locked(descriptor: int) -> bool:
        """Whether somebody else holds the lock, or nobody can tell; ``descriptor`` is to be closed after that look."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        return False
