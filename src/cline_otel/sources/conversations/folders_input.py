"""Folders of conversations as an input: each is read again whenever one of its files has changed.

What nobody has worked on since the bridge first looked is history and left to ``import``.
"""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from cline_otel.sources.compressed import by_plain_name
from cline_otel.sources.conversations.looks import Listing, Looks
from cline_otel.sources.conversations.told import Record, Told, decode_told, encode_told
from cline_otel.sources.interface import Input, Payload, Reading, Unread

FIRST_LOOK_BACK_NS: Final = 3_600 * 10**9
"""What has work so recent is told when the bridge first looks; what is older is history."""

GOES_ON_FOR_NS: Final = 3_600 * 10**9
"""A folder that is not over is looked at in each poll for so long after a change."""

TORN_FOR_NS: Final = 10 * 10**9
"""A file that is no JSON for so long is not being written."""

SETTLED_AFTER_NS: Final = 3 * 10**9
"""Several files are written one after another: all are once none has changed for so long."""


class Folder(NamedTuple):
    """A folder as it stands.

    Attributes:
        path: where it is.
        key: its cursor key.
        signature: changes whenever a file of it does.
        changed_at_ns: when one last did, nanoseconds since the Unix epoch.
        size_bytes: of its conversations.
        has_conversation: whether there is one.
        newest: the name and the size in bytes of the file that changed last.
    """

    path: Path
    key: str
    signature: str
    changed_at_ns: int
    size_bytes: int
    has_conversation: bool
    newest: tuple[str, int]


class _Torn(NamedTuple):
    """Files that could not be read to the end: of which signature, since when, and what is said of them once nobody
    writes them any more; empty before, and where what could be read is told.
    """

    signature: str
    since_ns: int
    problem: str = ""


class _Unchanged(NamedTuple):
    """Since when a folder is as it is, and when that was last seen; nanoseconds of a clock that nobody moves."""

    signature: str
    since_ns: int
    looked_at_ns: int


class FoldersInput(Input):
    """Follows the folders of one directory.

    Args:
        source: the source's name.
        directory: where the folders are.
        wall_clock_ns: nanoseconds since the Unix epoch.
        monotonic_ns: nanoseconds of a clock that nobody moves.
        is_copy: whether nobody works on what is there.

    Attributes:
        directory: where the folders are.
        is_copy: whether nobody works on what is there. Of a copy compressed files are read too. What is followed may be
            written by anybody at any time, and nothing of it is unpacked.
        of_what: what each is of, in words.
    """

    of_what: str

    def __init__(
        self,
        source: str,
        directory: Path,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        *,
        is_copy: bool = False,
    ) -> None:
        super().__init__(source)
        self.directory = directory
        self.is_copy = is_copy
        self._prefix = f"{source}/{_digest(str(directory.absolute()))}"
        self._wall_clock_ns = wall_clock_ns
        self._monotonic_ns = monotonic_ns
        self._keys: dict[str, str] = {}
        self._listing = Listing(directory, monotonic_ns)
        self._looks = Looks(monotonic_ns)
        self._torn: dict[str, _Torn] = {}
        self._unchanged: dict[str, _Unchanged] = {}

    # --- what a kind of folder has of its own -----------------------------------------------------

    @abstractmethod
    def is_conversation(self, name: str) -> bool:
        """Whether a file of this name holds one."""

    @abstractmethod
    def is_beside(self, path: Path, name: str) -> bool:
        """Whether a file of this name in a folder is read too."""

    @abstractmethod
    def read_folder(self, folder: Folder, told: Told) -> Reading | None:
        """What is new of a folder after what was told; None if nothing is.

        Raises:
            OSError: a file cannot be read.
        """

    def may_begin(self) -> bool:
        """Whether what is written from now on is told, even if there is no such directory yet."""
        return True

    # --- as an input ------------------------------------------------------------------------------

    def owns(self, key: str) -> bool:
        """Whether it is that of the directory, or of a folder in it."""
        return key == self._prefix or key.startswith(f"{self._prefix}/")

    def can_go_on_from(self, cursor: bytes) -> bool:
        """A cursor is what was told."""
        return decode_told(cursor) is not None

    def read(self, cursors: Mapping[str, bytes], limit_bytes: int) -> list[Reading]:
        """What is new of the folders whose files have changed."""
        self.problems = {}
        since_ms = self._since_ms(cursors)
        if since_ms is None:
            first = Told(since_ms=(self._wall_clock_ns() - FIRST_LOOK_BACK_NS) // 1_000_000)
            return [self._reading(self._prefix, first, [])] if self.may_begin() else []
        readings: list[Reading] = []
        size_bytes = 0
        for folder in self._due():
            told = self._told(folder, cursors, since_ms)
            reading = self._read(folder, told) if told is not None else None
            if reading is not None:
                # It is due until its cursor says that it was taken.
                readings.append(reading)
                size_bytes += sum(map(len, reading.payload.parts))
            else:
                self._looked(folder, is_over=told is None or told.is_over)
            if size_bytes > limit_bytes:
                break
        return readings

    def ends(self) -> dict[str, bytes | None]:
        """From now on: what is in the files is passed by."""
        ends: dict[str, bytes | None] = {folder.key: None for folder in self._present()}
        return ends | {self._prefix: encode_told(Told(since_ms=self._wall_clock_ns() // 1_000_000 + 1))}

    def unread(self, cursors: Mapping[str, bytes]) -> Unread:
        """Of folders that have changed since they were told, all of their size: how much is new is not known."""
        since_ms = self._since_ms(cursors)
        size_bytes = 0
        for folder in self._present() if since_ms is not None else ():
            told = self._told(folder, cursors, since_ms or 0)
            if told is not None and told.signature != folder.signature:
                size_bytes += folder.size_bytes
        return Unread(size_bytes, records=None if size_bytes else 0)

    def missing(self, cursors: Iterable[str]) -> list[str]:
        """Folders that were deleted."""
        below = f"{self._prefix}/"
        keys = [key for key in cursors if key.startswith(below)]
        if not keys or not self.directory.is_dir():
            return []
        present = set(self._keys_by_name().values())
        return [key for key in keys if key not in present] if not self.problems else []

    # --- folders ----------------------------------------------------------------------------------

    def key(self, path: Path) -> str:
        """The cursor key of a folder."""
        return self._key(path.name)

    def folders(self) -> list[Path]:
        """Whatever may be a folder with conversations."""
        return [self.directory / name for name in self._keys_by_name()]

    def _key(self, name: str) -> str:
        return self._keys.get(name) or f"{self._prefix}/{_digest(name)}"

    def _keys_by_name(self) -> dict[str, str]:
        """The cursor keys of whatever may be a folder with conversations, by its name, ascending."""
        names: list[str] = []
        is_new = True
        try:
            names, is_new = self._listing.names()
        except OSError as error:
            self.problems[self._prefix] = f"{self.directory}: cannot be read ({error.strerror}); check its permissions"
        if is_new:
            # Most folders stay, and are asked for at each poll.
            self._keys = {name: self._key(name) for name in names}
            self._forget_others()
        return self._keys

    def _forget_others(self) -> None:
        """What is known of folders that are not there any more."""
        self._looks.keep(self._keys)
        keys = set(self._keys.values())
        if len(self._unchanged) > len(keys):
            self._unchanged = {key: known for key, known in self._unchanged.items() if key in keys}
        self._torn = {key: torn for key, torn in self._torn.items() if key in keys}

    def look(self, path: Path) -> Folder | None:
        """A folder as it stands; None for one with nothing to read in it, or that cannot be looked at."""
        key, files = self.key(path), []
        try:
            with os.scandir(path) as entries:
                named = by_plain_name(entries) if self.is_copy else {entry.name: entry for entry in entries}
            for name, entry in named.items():
                if self.is_conversation(name) or self.is_beside(path, name):
                    status = entry.stat(follow_symlinks=False)
                    files.append((name, status.st_size, status.st_mtime_ns))
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problems[key] = f"{path}: cannot be read ({error.strerror}); check its permissions"
            return None
        sizes_bytes = [size_bytes for name, size_bytes, _ in files if self.is_conversation(name)]
        if not files:
            return None
        name, size_bytes, changed_at_ns = max(files, key=lambda file: file[2])
        signature = _digest(repr(sorted(files)))
        return Folder(
            path, key, signature, changed_at_ns, sum(sizes_bytes), bool(sizes_bytes), newest=(name, size_bytes)
        )

    def unchanged_ns(self, folder: Folder) -> int:
        """For how long none of its files has changed: as they say when it is found so, from then on by our own clock.

        The wall clock may be set in between, and then files are of the future, or of long ago.
        """
        now_ns = self._monotonic_ns()
        known = self._unchanged.get(folder.key)
        if known is not None and known.signature == folder.signature:
            since_ns = known.since_ns
        else:
            since_ns = now_ns - max(self._wall_clock_ns() - folder.changed_at_ns, 0)
            if known is not None:
                since_ns = max(since_ns, known.looked_at_ns)
        self._unchanged[folder.key] = _Unchanged(folder.signature, since_ns, now_ns)
        return now_ns - since_ns

    def _since_ms(self, cursors: Mapping[str, bytes]) -> int | None:
        cursor = cursors.get(self._prefix)
        told = None if cursor is None else decode_told(cursor)
        return None if told is None else told.since_ms

    def _told(self, folder: Folder, cursors: Mapping[str, bytes], since_ms: int) -> Told | None:
        """What was told of a folder; None for one that is history."""
        cursor = cursors.get(folder.key)
        if cursor is None and folder.changed_at_ns < since_ms * 1_000_000:
            return None
        return (decode_told(cursor) if cursor is not None else None) or Told(since_ms=since_ms)

    def _present(self) -> Iterator[Folder]:
        return (folder for path in self.folders() if (folder := self.look(path)) is not None)

    def _due(self) -> Iterator[Folder]:
        """The folders that are worth a look now."""
        for name in self._looks.due(self._keys_by_name()):
            path = self.directory / name
            folder = self.look(path)
            if folder is not None:
                yield folder
            elif self.key(path) not in self.problems:
                self._looks.found_nothing(name, str(path))

    def _looked(self, folder: Folder, *, is_over: bool) -> None:
        """There is nothing new; whatever is waited for, or said at each poll, is looked at in the next one too."""
        unchanged_ns = self.unchanged_ns(folder)
        if folder.key in self._torn or folder.key in self.problems or not (is_over or unchanged_ns > GOES_ON_FOR_NS):
            return
        newest, size_bytes = folder.newest
        stamp = size_bytes, folder.changed_at_ns
        self._looks.looked(folder.path.name, str(folder.path / newest), stamp, unchanged_ns)

    def _read(self, folder: Folder, told: Told) -> Reading | None:
        torn = self._torn.get(folder.key)
        if torn is not None and torn.signature == folder.signature:
            if torn.problem:
                self.problems[folder.key] = torn.problem
            if torn.problem or self._monotonic_ns() - torn.since_ns < TORN_FOR_NS:
                return None
        try:
            return self.read_folder(folder, told)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problems[folder.key] = (
                f"{folder.path}: cannot be read ({error.strerror}); check its permissions; "
                f"other {self.of_what} are read"
            )
            return None

    def _is_torn_for_good(self, folder: Folder) -> bool:
        """Whether files that are torn have been as they are for so long that nobody writes them.

        Before that, and until they change, the folder is not read again.
        """
        now_ns = self._monotonic_ns()
        torn = self._torn.get(folder.key)
        if torn is None or torn.signature != folder.signature:
            self._torn[folder.key] = _Torn(folder.signature, now_ns)
            return False
        return now_ns - torn.since_ns >= TORN_FOR_NS

    def _leave(self, folder: Folder, problem: str) -> None:
        """Says at each look what is torn for good, and reads it no more before it changes."""
        self._torn[folder.key] = _Torn(folder.signature, self._monotonic_ns(), problem)
        self.problems[folder.key] = problem

    def _is_whole(self, folder: Folder) -> None:
        self._torn.pop(folder.key, None)

    def _reading(self, key: str, told: Told, records: list[Record]) -> Reading:
        parts = [msgspec.json.encode(record) for record in records]
        return Reading(key, encode_told(told), Payload(self.source, parts, place=key))


def _digest(text: str) -> str:
    """What stands for a path or a name, either of which may reveal somebody's."""
    return blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
