"""Folders of mode 0700 and files of mode 0600: what is ours is nobody else's to read.

The process's umask does not matter. What was wider before is taken from others where this user owns it.
A file is never opened through a symbolic link, which another may have put in its place while its folder was
open to all.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_FOLDER_MODE: Final = 0o700
_FILE_MODE: Final = 0o600
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_NO_WAITING: Final = getattr(os, "O_NONBLOCK", 0)
_CLOSE_ON_EXEC: Final = getattr(os, "O_CLOEXEC", 0)


def make_private_directory(path: Path) -> None:
    """Makes ``path`` and what is missing above it, each with mode 0700; what is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    try:
        path.mkdir(mode=_FOLDER_MODE)
    except FileNotFoundError:
        make_private_directory(path.parent)
        path.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    except OSError:
        if not path.is_dir():
            raise


def private_directory(path: Path) -> None:
    """Makes ``path`` as :func:`make_private_directory` does; if it is there and ours, others are kept out of it.

    Raises:
        OSError: it cannot be made, or others cannot be kept out.
    """
    make_private_directory(path)
    found = path.stat()
    # A sticky folder, as /tmp is, is shared on purpose.
    if _is_too_wide(found, _FOLDER_MODE) and not found.st_mode & stat.S_ISVTX:
        path.chmod(stat.S_IMODE(found.st_mode) & _FOLDER_MODE)


def open_private(path: Path, flags: int) -> int:
    """The descriptor of a file of ours; if ``flags`` have ``O_CREAT`` it is made with mode 0600.

    Raises:
        OSError: it cannot be opened, or is a symbolic link, or others cannot be kept out.
    """
    try:
        descriptor = os.open(path, flags | _NO_LINK | _CLOSE_ON_EXEC, _FILE_MODE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, f"{path.name} is a symbolic link", str(path)) from None
        raise
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode) and _is_too_wide(found, _FILE_MODE):
            os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & _FILE_MODE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def written_beside(path: Path, content: bytes) -> Iterator[Path]:
    """A file of mode 0600 beside ``path``, which holds ``content`` on the disk and is to be put in its place.

    Nobody sees half of it. What is not put in place by the end of the block is gone; its name begins with a dot
    and ends with ``.tmp``.

    Raises:
        OSError: it cannot be made or written.
    """
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def keep_private(path: Path) -> None:
    """Keeps others out of a file of ours that may be there, and that is not to be opened now."""
    with suppress(OSError):
        os.close(open_private(path, os.O_RDONLY | _NO_WAITING))


def _is_too_wide(found: os.stat_result, mode: int) -> bool:
    return bool(found.st_mode & 0o777 & ~mode) and found.st_uid == os.geteuid()
