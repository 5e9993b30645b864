"""How what must be remembered is written down: as MessagePack, with the version of its layout in front.

A stored value is ``[version, struct]``. Version 1 has no version in front: the struct alone. A struct whose
layout changes otherwise than by a field appended, with a default, gets the next version and a migration from the
one before, which works on plain lists: the classes of old layouts are gone. ``tests/data/stored_layouts.json``
lists all layouts, and a test holds that none changes by the way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

import msgspec

_Struct = TypeVar("_Struct")

Migration = Callable[[Any], Any]
"""What one version stored, as plain values, to what the next one does.

It may raise anything on what is not of its version: the row is then unreadable.
"""

UNVERSIONED: Final = 1


def unchanged(row: Any) -> Any:
    """The migration of a struct that only got a version in front."""
    return row


class UnreadableRow(Exception):  # noqa: N818 - named for the row's state
    """A stored value that is no such struct, or of a release to come; the text never quotes it."""


class Format(Generic[_Struct]):
    """The stored form of one kind of struct.

    Attributes:
        name: what the struct is called in messages and in the list of layouts.
        struct: its class.
        version: of the present layout.
    """

    def __init__(self, name: str, struct: type[_Struct], *migrations: Migration) -> None:
        """``migrations[n]`` makes version n + 2 of version n + 1; there are as many as versions after the first."""
        self.name = name
        self.struct = struct
        self.version = UNVERSIONED + len(migrations)
        self._migrations = migrations
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(tuple[int, struct])  # type: ignore[valid-type]

    def encode(self, value: _Struct) -> bytes:
        """A struct as it is stored."""
        return self._encoder.encode((self.version, value))

    def decode(self, stored: bytes) -> _Struct:
        """A struct from its stored form, of this version or an older one.

        Raises:
            UnreadableRow: it is neither.
        """
        try:
            version, value = self._decoder.decode(stored)
            if version == self.version:
                return value
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError):
            # A table may hold what is no BLOB, which msgspec does not take at all.
            pass
        return self._migrated(stored)

    def _migrated(self, stored: bytes) -> _Struct:
        try:
            plain = msgspec.msgpack.decode(stored)
            version, plain = self._version_of(plain)
            if version > self.version:
                raise UnreadableRow(f"{self.name} of version {version}; this release knows {self.version}")
            for migration in self._migrations[version - UNVERSIONED :]:
                plain = migration(plain)
            return msgspec.convert(plain, self.struct)
        except UnreadableRow:
            raise
        except Exception as error:
            # Not "from error", which could quote the value.
            raise UnreadableRow(f"{self.name}: {type(error).__name__}") from None

    def _version_of(self, plain: Any) -> tuple[int, Any]:
        if isinstance(plain, list) and len(plain) == 2 and type(plain[0]) is int and plain[0] > UNVERSIONED:
            return plain[0], plain[1]
        return UNVERSIONED, plain
