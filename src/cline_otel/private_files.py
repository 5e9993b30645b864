"""Folders of mode 0700 and files of mode 0600: what is ours is nobody else's to read.

The process's umask does not matter. What was wider before is taken from others where this user owns it.
A file is never opened through a symbolic link, which another may have put in its place while its folder was
open to all. What of this holds on which system says :mod:`cline_otel.operating_system`.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cline_otel.operating_system.files import PRIVATE_FOLDER_MODE, open_file, restrict_directory, restrict_file


def make_private_directory(path: Path) -> None:
    """Makes ``path`` and what is missing above it, each with mode 0700; what is there stays as it is.

    Raises:
        OSError: it cannot be made.
    """
    try:
        path.mkdir(mode=PRIVATE_FOLDER_MODE)
    except FileNotFoundError:
        make_private_directory(path.parent)
        path.mkdir(mode=PRIVATE_FOLDER_MODE, exist_ok=True)
    except OSError:
        if not path.is_dir():
            raise


def private_directory(path: Path) -> None:
    """Makes ``path`` as :func:`make_private_directory` does; if it is there and ours, others are kept out of it.

    Raises:
        OSError: it cannot be made, or others cannot be kept out.
    """
    make_private_directory(path)
    restrict_directory(path)


def open_private(path: Path, flags: int) -> int:
    """The descriptor of a file of ours; if ``flags`` have ``O_CREAT`` it is made with mode 0600.

    Raises:
        OSError: it cannot be opened, or is a symbolic link, or others cannot be kept out.
    """
    try:
        descriptor = open_file(path, flags, follow_links=False)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, f"{path.name} is a symbolic link", str(path)) from None
        raise
    try:
        restrict_file(descriptor)
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
        os.close(open_private(path, os.O_RDONLY))
