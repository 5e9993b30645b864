"""Whose a file is, and who may change it: what we read for trust, or write, is ours or root's alone.

A path is walked step by step, as the system would, links included. Whoever owns a step, or may write to a directory on
the way, decides what is found at its end. ``sshd``, ``sudo`` and git look at files in this way (``StrictModes``,
"dubious ownership").
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

TRUSTED_UIDS_VARIABLE: Final = "CLINE_OTEL_BRIDGE_TRUSTED_UIDS"
"""The numbers of users, besides this one and root, whose files and directories are taken for this user's own."""

_MOST_LINKS: Final = 40
"""As many as Linux follows (path_resolution(7))."""


class UntrustedFileError(PermissionError):
    """A file or directory that another user owns or may change; ``strerror`` is a sentence with the remedy."""

    def __init__(self, text: str, path: str) -> None:
        super().__init__(errno.EPERM, text, path)

    def __str__(self) -> str:
        return str(self.strerror)


def trusted_uids(environment: Mapping[str, str] = os.environ) -> frozenset[int]:
    """The users that the environment names; what is no number is said where settings are read."""
    text = environment.get(TRUSTED_UIDS_VARIABLE, "")
    named = (each.strip() for each in text.split(","))
    return frozenset(int(each) for each in named if each.isascii() and each.isdigit())


if sys.platform == "win32":

    def verify_path(path: Path | str) -> None:
        """Nothing: access lists decide, and they are not looked at."""

    def verify_opened(descriptor: int, path: Path | str) -> None:
        """Nothing, as above."""

    def verify_owner(found: os.stat_result, path: str) -> None:
        """Nothing, as above."""

else:
    import grp
    import pwd

    def verify_path(path: Path | str) -> None:
        """Walks to a file or directory, which may be missing, and to where links lead.

        Raises:
            UntrustedFileError: a step on the way, or the end, is neither ours nor root's, or others may write to it. A
                sticky directory, as /tmp is, is no such step: nobody can replace what another has there.
            OSError: a step cannot be looked at.
        """
        for step, found in _steps(path):
            _verify(found, step)

    def verify_opened(descriptor: int, path: Path | str) -> None:
        """The same of an open file alone.

        Raises:
            UntrustedFileError: as above.
        """
        _verify(os.fstat(descriptor), os.fspath(path))

    def verify_owner(found: os.stat_result, path: str) -> None:
        """That what was looked at is ours or root's, whoever may write to it: others cannot get at it.

        Raises:
            UntrustedFileError: it is another user's.
        """
        if found.st_uid not in _trusted():
            raise UntrustedFileError(
                f"{path} belongs to {_named(found.st_uid)}, and this process is of {_named(os.geteuid())}: `chown` it, "
                f"use a place of your own, or name {found.st_uid} in {TRUSTED_UIDS_VARIABLE} if you trust that user",
                path,
            )

    def _verify(found: os.stat_result, path: str) -> None:
        verify_owner(found, path)
        if stat.S_ISLNK(found.st_mode) or (stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX):
            return
        if found.st_mode & stat.S_IWOTH and not stat.S_ISCHR(found.st_mode):
            raise _writable(found, path, "everybody", "o-w")
        if found.st_mode & stat.S_IWGRP and not any(_is_private_group(found.st_gid, uid) for uid in _trusted()):
            raise _writable(found, path, f"group {found.st_gid}", "g-w")

    def _writable(found: os.stat_result, path: str, who: str, change: str) -> UntrustedFileError:
        return UntrustedFileError(
            f"{path}, of {_named(found.st_uid)}, can be written by {who} (mode {stat.S_IMODE(found.st_mode):04o}): "
            f"`chmod {change}` it",
            path,
        )

    def _trusted() -> set[int]:
        # Whoever owns the root directory, as in a user namespace that has no root, decides over all below it anyway.
        return {os.geteuid(), 0, os.stat("/").st_uid, *trusted_uids()}  # noqa: PTH116 - asked for at each step

    def _steps(path: Path | str) -> Iterator[tuple[str, os.stat_result]]:
        given = os.fspath(path)
        current, links = "/", 0
        yield current, os.lstat(current)
        names = deque((given if given.startswith("/") else f"{os.getcwd()}/{given}").split("/"))  # noqa: PTH109
        while names:
            name = names.popleft()
            if name in ("", "."):
                continue
            if name == "..":
                current = os.path.dirname(current)  # noqa: PTH120 - it holds no link
                continue
            step = f"{current.rstrip('/')}/{name}"
            try:
                found = os.lstat(step)
            except (FileNotFoundError, NotADirectoryError):
                return
            yield step, found
            if not stat.S_ISLNK(found.st_mode):
                current = step
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), given)
            target = os.readlink(step)  # noqa: PTH115 - the text, which a Path would change
            current = "/" if target.startswith("/") else current
            names.extendleft(reversed(target.split("/")))

    def _is_private_group(gid: int, uid: int) -> bool:
        """Whether a group is what many systems make for each user, and nobody else's."""
        try:
            group = grp.getgrgid(gid)
        except KeyError:
            return gid == uid
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            return gid == uid and not group.gr_mem
        return (gid == uid or group.gr_name == name) and set(group.gr_mem) <= {name}

    def _named(uid: int) -> str:
        try:
            return f"{pwd.getpwuid(uid).pw_name} (user {uid})"
        except KeyError:
            return f"user {uid}"
