"""Tables of structs that may be many: those that nothing happened to lately are kept as they are stored.

At rest a run takes a fraction of what it does as objects. It is one again with the first question for it, and is laid
to rest but between two steps (``rest``), so that whoever holds one during a step holds the one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from itertools import islice
from typing import ClassVar, NamedTuple, Protocol, TypeVar, overload

from cline_otel.state_format import Format


class Remembered(Protocol):
    """What is in a table: ``last_at_ns`` is when something was last heard of it, nanoseconds since the Unix epoch."""

    last_at_ns: int


class AtRest(NamedTuple):
    """A struct as it is stored."""

    last_at_ns: int
    stored: bytes


_Key = TypeVar("_Key")
_Struct = TypeVar("_Struct", bound=Remembered)
_Default = TypeVar("_Default")


class Table(MutableMapping[_Key, _Struct]):
    """A mapping of keys to structs.

    Args:
        form: how a struct is stored.
    """

    most_awake: ClassVar[int] = 4_096
    """How many are objects after each save."""

    def __init__(self, form: Format[_Struct]) -> None:
        self._form = form
        self._awake: dict[_Key, _Struct] = {}
        self._resting: dict[_Key, AtRest] = {}

    def __getitem__(self, key: _Key) -> _Struct:
        found = self._awake.get(key)
        return self._wake(key) if found is None else found

    @overload
    def get(self, key: _Key) -> _Struct | None: ...

    @overload
    def get(self, key: _Key, default: _Struct | _Default) -> _Struct | _Default: ...

    def get(self, key: _Key, default: object = None) -> object:
        """The struct, or the default where there is none."""
        found = self._awake.get(key)
        if found is not None:
            return found
        return self._wake(key) if key in self._resting else default

    def __contains__(self, key: object) -> bool:
        return key in self._awake or key in self._resting

    def __setitem__(self, key: _Key, value: _Struct) -> None:
        self._resting.pop(key, None)
        self._awake[key] = value

    def __delitem__(self, key: _Key) -> None:
        if self._resting.pop(key, None) is None:
            del self._awake[key]

    def __iter__(self) -> Iterator[_Key]:
        return iter([*self._awake, *self._resting])

    def __len__(self) -> int:
        return len(self._awake) + len(self._resting)

    def glance(self, *texts: str) -> Iterator[tuple[_Key, _Struct]]:
        """All of it, to look at and not to change: what is at rest stays so.

        Args:
            texts: what one that is looked for has among its strings; of what is at rest all else is left out.
        """
        yield from self._awake.items()
        sought = [text.encode() for text in texts]
        for key, resting in self._resting.items():
            if all(each in resting.stored for each in sought):
                yield key, self._form.decode(resting.stored)

    def last_before(self, at_ns: int) -> list[_Key]:
        """Of what nothing was heard since then; what is at rest stays so."""
        return [key for kept in (self._awake, self._resting) for key, each in kept.items() if each.last_at_ns < at_ns]

    def rest(self, changed: Iterable[_Key] = ()) -> None:
        """Lays to rest what is too much, those first that did not change for longest; call it between two steps.

        Args:
            changed: what changed since the last call.
        """
        awake = self._awake
        if len(awake) <= self.most_awake:
            return
        for key in changed:
            if key in awake:
                awake[key] = awake.pop(key)
        for key in list(islice(awake, len(awake) - self.most_awake)):
            value = awake.pop(key)
            self._resting[key] = AtRest(value.last_at_ns, self._form.encode(value))

    def _wake(self, key: _Key) -> _Struct:
        value = self._form.decode(self._resting.pop(key).stored)
        self._awake[key] = value
        return value
