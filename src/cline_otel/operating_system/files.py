"""Opening, keeping private, replacing, and identifying files."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

PRIVATE_FOLDER_MODE: Final = 0o700
PRIVATE_FILE_MODE: Final = 0o600

_ACCESS_FLAGS: Final = os.O_RDONLY | os.O_WRONLY | os.O_RDWR

_WAITS_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16)


def file_number(found: os.stat_result) -> int:
    """What distinguishes a file from others on its device, over renames: the inode, or a hash of a file id of 128 bits.

    Returns:
        A number of at most 64 bits.
    """
    return (found.st_ino ^ (found.st_ino >> 64)) & (1 << 64) - 1


def status_of(found: os.stat_result) -> tuple[int, ...]:
    """What is another one whenever a file was replaced, written, or opened to others."""
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode


def status_at(path: Path) -> tuple[int, ...]:
    """The status of the file at a path now; empty for one that is missing, or that cannot be looked at."""
    try:
        return status_of(path.stat())
    except OSError:
        return ()


def narrowed_mode(mode: int, allowed: int, *, is_ours: bool) -> int | None:
    """The permissions that keep others out of what has ``mode``; None if nothing is to be done or not by us."""
    return mode & allowed if mode & 0o777 & ~allowed and is_ours else None


def windows_creation(flags: int) -> tuple[int, int]:
    """The access and the creation disposition that ``CreateFileW`` takes for ``os.open``'s ``flags``."""
    read, write = 0x8000_0000, 0x4000_0000
    access = {os.O_RDONLY: read, os.O_WRONLY: write, os.O_RDWR: read | write}[flags & _ACCESS_FLAGS]
    if flags & os.O_CREAT and flags & os.O_EXCL:
        return access, 1  # CREATE_NEW
    if flags & os.O_CREAT:
        return access, 2 if flags & os.O_TRUNC else 4  # CREATE_ALWAYS, OPEN_ALWAYS
    return access, 5 if flags & os.O_TRUNC else 3  # TRUNCATE_EXISTING, OPEN_EXISTING


def while_denied(
    action: Callable[[], object],
    waits_seconds: Iterable[float] = _WAITS_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Does ``action``, again after each wait while it is denied, as by somebody who has a file open for a moment.

    Raises:
        PermissionError: it was denied the last time, too.
        OSError: whatever else ``action`` raises.
    """
    for wait_seconds in waits_seconds:
        try:
            action()
        except PermissionError:
            sleep(wait_seconds)
        else:
            return
    action()


if sys.platform == "win32":
    import ctypes
    import msvcrt
    from ctypes import wintypes

    _SHARE_ALL: Final = 0x1 | 0x2 | 0x4  # FILE_SHARE_READ, FILE_SHARE_WRITE, FILE_SHARE_DELETE
    _ATTRIBUTE_NORMAL: Final = 0x80
    _INVALID_HANDLE: Final = ctypes.c_void_p(-1).value

    _kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)
    _kernel32.CreateFileW.argtypes = (
        wintypes.LPCWSTR,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.LPVOID,
        wintypes.DWORD,
        wintypes.DWORD,
        wintypes.HANDLE,
    )
    _kernel32.CreateFileW.restype = wintypes.HANDLE
    _kernel32.CloseHandle.argtypes = (wintypes.HANDLE,)

    def open_file(path: Path | str, flags: int, *, follow_links: bool) -> int:
        """As elsewhere. ``os.open`` shares no deletion: nobody could rename or delete what is open here."""
        if not follow_links and os.path.islink(path):  # noqa: PTH114 - also of a str
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        access, disposition = windows_creation(flags)
        handle = _kernel32.CreateFileW(os.fspath(path), access, _SHARE_ALL, None, disposition, _ATTRIBUTE_NORMAL, None)
        if handle == _INVALID_HANDLE:
            code = ctypes.get_last_error()
            # With the system's code Python finds errno and the class.
            raise OSError(0, ctypes.FormatError(code), str(path), code)
        try:
            return msvcrt.open_osfhandle(handle, flags & os.O_APPEND | os.O_NOINHERIT)
        except BaseException:
            _kernel32.CloseHandle(handle)
            raise

    def restrict_directory(path: Path) -> None:
        """Nothing: it has the access list of its parent, or the one that it was made with."""

    def restrict_file(descriptor: int) -> None:
        """Nothing: it has the access list of its directory."""

    def set_mode(path: Path, mode: int) -> None:
        """Nothing: it has the access list of its directory."""

    def is_ours(found: os.stat_result) -> bool:
        """Always: who owns it is not looked at, and the access list decides."""
        return True

    def others_may_use(found: os.stat_result) -> bool:
        """Never: access lists are not looked at, and the mode says nothing."""
        return False

    def sync_directory(directory: Path) -> None:
        """Nothing: a directory cannot be flushed; the file system's own log brings its names to the disk."""

    def replace(temporary: Path, path: Path) -> None:
        """As elsewhere. Whoever has ``path`` open for a moment, as virus scanners do, is waited for."""
        while_denied(lambda: temporary.replace(path))

else:

    def open_file(path: Path | str, flags: int, *, follow_links: bool) -> int:
        """The descriptor of a file, which a child process does not inherit; what is made has mode 0600.

        Args:
            path: the file.
            flags: as for ``os.open``. Nobody is waited for if it is a FIFO.
            follow_links: if not, a symbolic link is an error with ``ELOOP``.

        Raises:
            OSError: it cannot be opened.
        """
        flags |= os.O_NONBLOCK
        return os.open(path, flags if follow_links else flags | os.O_NOFOLLOW, PRIVATE_FILE_MODE)

    def restrict_directory(path: Path) -> None:
        """Keeps others out of a directory if it is ours, and not sticky and so shared on purpose, as /tmp is.

        Raises:
            OSError: they cannot be kept out.
        """
        found = path.stat()
        mode = narrowed_mode(stat.S_IMODE(found.st_mode), PRIVATE_FOLDER_MODE, is_ours=is_ours(found))
        if mode is not None and not found.st_mode & stat.S_ISVTX:
            path.chmod(mode)

    def restrict_file(descriptor: int) -> None:
        """Keeps others out of an open file if it is a regular one of ours.

        Raises:
            OSError: they cannot be kept out.
        """
        found = os.fstat(descriptor)
        mode = narrowed_mode(stat.S_IMODE(found.st_mode), PRIVATE_FILE_MODE, is_ours=is_ours(found))
        if mode is not None and stat.S_ISREG(found.st_mode):
            os.fchmod(descriptor, mode)

    def set_mode(path: Path, mode: int) -> None:
        """Gives a file that is not private its mode.

        Raises:
            OSError: it cannot be given one.
        """
        path.chmod(mode)

    def is_ours(found: os.stat_result) -> bool:
        """Whether it belongs to the user whose process this is."""
        return found.st_uid == os.geteuid()

    def others_may_use(found: os.stat_result) -> bool:
        """Whether its mode lets anybody but its owner read, write or run it."""
        return bool(found.st_mode & 0o077)

    def sync_directory(directory: Path) -> None:
        """Brings the names in a directory to the disk: a new file is durable only once its name is.

        Raises:
            OSError: it cannot.
        """
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def replace(temporary: Path, path: Path) -> None:
        """Puts a file in the place of another on the same file system, or of none; nobody sees half of it.

        Raises:
            OSError: it cannot be put there.
        """
        temporary.replace(path)
