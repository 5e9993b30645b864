"""When folders are worth a look: what has not changed for long is asked seldom, and costs less than a look.

A folder costs some fifty microseconds to look at, and one that is finished stays for as long as its user keeps it. So
each poll asks one file of a finished folder whether it has changed, the one that changed last: who goes on with a
conversation writes into it. Its other files are looked at after a share of the time for which none has changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

OLD_AFTER_NS: Final = 24 * 3_600 * 10**9
"""A folder without a change for so long is old; that it is now is a reason to look at it."""

LOOK_AFTER_SHARE: Final = 8
"""All files of a finished folder are looked at once they have not changed for a further eighth of the time for which
they have not: half a minute after the last change every four seconds."""

ASK_AFTER_SHARE: Final = 1_800
"""One file is asked after a further 1800th of the time for which it was asked in vain: at each poll for the first
quarter of an hour, and after an hour still within the time for which other sources wait for a claim."""

MOST_NS: Final = 60 * 10**9
"""However long nothing has changed all files are looked at so often, and those of an old folder no more often."""

_LIST_AGAIN_NS: Final = 10 * 10**9
"""Some file systems do not say that a directory has changed."""

_SETTLED_NS: Final = 3 * 10**9
"""Two changes of a directory within the same tick of its file system's clock look like one; of FAT's that is 2 s."""

Stamp = tuple[int, int]
"""Size in bytes and time of the last change, nanoseconds since the Unix epoch."""


class Listing:
    """The folders in a directory, listed again when it has changed.

    Args:
        directory: it need not be there.
        monotonic_ns: nanoseconds of a clock that nobody moves.
    """

    def __init__(self, directory: Path, monotonic_ns: Callable[[], int]) -> None:
        self._directory = directory
        self._monotonic_ns = monotonic_ns
        self._names: list[str] = []
        self._stamp: tuple[int, int, int] | None = None
        self._changed_at_ns = self._listed_at_ns = 0

    def names(self) -> tuple[list[str], bool]:
        """The names, ascending, and whether they were listed anew; none if there is no such directory.

        Raises:
            OSError: it cannot be read.
        """
        now_ns = self._monotonic_ns()
        try:
            status = self._directory.stat()
            stamp = status.st_dev, status.st_ino, status.st_mtime_ns
            if stamp != self._stamp:
                self._changed_at_ns = now_ns
            elif now_ns - self._changed_at_ns > _SETTLED_NS and now_ns - self._listed_at_ns < _LIST_AGAIN_NS:
                return self._names, False
            self._stamp = None
            with os.scandir(self._directory) as entries:
                self._names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            self._stamp, self._names = None, []
            return [], True
        self._stamp, self._listed_at_ns = stamp, now_ns
        return self._names, True


class _Watch(NamedTuple):
    """What is known of a folder: the file to ask, what it said, since when it is asked; and when to ask and to look
    again, nanoseconds of a clock that nobody moves.
    """

    path: str
    stamp: Stamp | None
    since_ns: int
    ask_at_ns: int
    look_at_ns: int


class Looks:
    """Says which folders are worth a look now.

    Args:
        monotonic_ns: nanoseconds of a clock that nobody moves.
    """

    def __init__(self, monotonic_ns: Callable[[], int]) -> None:
        self._monotonic_ns = monotonic_ns
        self._watches: dict[str, _Watch] = {}

    def due(self, names: Iterable[str]) -> Iterator[str]:
        """Those of the folders that may have changed, and those that nobody has looked at for long."""
        now_ns = self._monotonic_ns()
        for name in names:
            watch = self._watches.get(name)
            if watch is not None:
                if now_ns < watch.ask_at_ns:
                    continue
                if now_ns < watch.look_at_ns and _stamp(watch.path) == watch.stamp:
                    self._watches[name] = watch._replace(ask_at_ns=now_ns + _ask_after_ns(now_ns - watch.since_ns))
                    continue
            yield name

    def looked(self, name: str, path: str, stamp: Stamp, unchanged_ns: int) -> None:
        """A finished folder was looked at; ``path`` is the file of it that changed last, as ``stamp`` says."""
        self._put(name, path, stamp, unchanged_ns)

    def found_nothing(self, name: str, path: str) -> None:
        """A folder was looked at, and there was nothing in it to read."""
        watch = self._watches.get(name)
        is_same = watch is not None and watch.path == path
        self._put(name, path, _stamp(path), self._monotonic_ns() - watch.since_ns if watch and is_same else 0)

    def keep(self, names: Iterable[str]) -> None:
        """Forgets all other folders."""
        self._watches = {name: watch for name in names if (watch := self._watches.get(name)) is not None}

    def _put(self, name: str, path: str, stamp: Stamp | None, unchanged_ns: int) -> None:
        now_ns = self._monotonic_ns()
        watch = self._watches.get(name)
        is_same = watch is not None and (watch.path, watch.stamp) == (path, stamp)
        since_ns = watch.since_ns if watch is not None and is_same else now_ns
        look_after_ns = _share(unchanged_ns, LOOK_AFTER_SHARE)
        if unchanged_ns < OLD_AFTER_NS:
            look_after_ns = min(look_after_ns, OLD_AFTER_NS - unchanged_ns)
        ask_after_ns = MOST_NS if unchanged_ns > OLD_AFTER_NS else _ask_after_ns(now_ns - since_ns)
        self._watches[name] = _Watch(path, stamp, since_ns, now_ns + ask_after_ns, now_ns + look_after_ns)


def _ask_after_ns(asked_for_ns: int) -> int:
    return _share(asked_for_ns, ASK_AFTER_SHARE)


def _share(duration_ns: int, share: int) -> int:
    return min(max(duration_ns, 0) // share, MOST_NS)


def _stamp(path: str) -> Stamp | None:
    """None for what is not there, or cannot be asked."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns
