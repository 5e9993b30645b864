"""Folders of mode 0700 and files of mode 0600: what is ours is nobody else's to read.

The process's umask does not matter. What was wider before is taken from others where this user owns it.
A file of ours is never opened through a symbolic link, which another may have put in its place while its folder was
open to all; and neither one of ours nor what is read for trust is used where another user owns it or a step on the way
to it, or may change one (:mod:`cline_otel.operating_system.owners`). What of this holds on which system says
:mod:`cline_otel.operating_system`.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cline_otel.operating_system.files import PRIVATE_FOLDER_MODE, open_file, restrict_directory, restrict_file
from cline_otel.operating_system.owners import UntrustedFileError, verify_opened, verify_path


def make_directory(path: Path, mode: int = PRIVATE_FOLDER_MODE) -> None:
    """Makes ``path`` and what is missing above it, each with that mode; what is there stays as it is.

    Of what is made above it, ``Path.mkdir`` would leave the mode to the umask.

    Raises:
        OSError: it cannot be made.
    """
    try:
        path.mkdir(mode=mode)
    except FileNotFoundError:
        make_directory(path.parent, mode)
        path.mkdir(mode=mode, exist_ok=True)
    except OSError:
        if not path.is_dir():
            raise


def private_directory(path: Path) -> None:
    """Makes ``path`` as :func:`make_directory` does; if it is there and ours, others are kept out of it.

    Raises:
        UntrustedFileError: it is another user's, or another may put another in its place.
        OSError: it cannot be made, or others cannot be kept out.
    """
    verify_path(path.parent)
    make_directory(path)
    restrict_directory(path)
    verify_path(path)


def open_private(path: Path, flags: int) -> int:
    """The descriptor of a file of ours; if ``flags`` have ``O_CREAT`` it is made with mode 0600.

    Raises:
        UntrustedFileError: it is another user's, or a step on the way is, or others may change one.
        OSError: it cannot be opened, is a symbolic link or no regular file, or others cannot be kept out.
    """
    verify_path(path.parent)
    try:
        # What is not ours is not emptied either.
        descriptor = open_file(path, flags & ~os.O_TRUNC, follow_links=False)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, f"{path.name} is a symbolic link", str(path)) from None
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, f"{path.name} is not a regular file", str(path))
        restrict_file(descriptor)
        verify_opened(descriptor, path)
        if flags & os.O_TRUNC:
            os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_trusted(path: Path) -> int:
    """The descriptor of a file that is read for what it says: settings, secrets, what others may be told.

    Links are followed: people link ``~/.cline``, Kubernetes links what it mounts. It may be no regular file.

    Raises:
        UntrustedFileError: a step on the way, or the file, is neither ours nor root's, or others may change it.
        OSError: it cannot be opened.
    """
    verify_path(path)
    descriptor = open_file(path, os.O_RDONLY, follow_links=True)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            verify_opened(descriptor, path)
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
        UntrustedFileError: another user owns its directory or may change what is there.
        OSError: it cannot be made or written.
    """
    verify_path(path.parent)
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
    """Keeps others out of a file of ours that may be there, and that is not to be opened now.

    Raises:
        UntrustedFileError: it is another user's, or a step on the way is, or others may change one.
    """
    try:
        os.close(open_private(path, os.O_RDONLY))
    except UntrustedFileError:
        raise
    except OSError:
        pass
