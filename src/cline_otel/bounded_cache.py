"""What is made of a key, remembered while there is room."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Key = TypeVar("Key")
Value = TypeVar("Value")


class BoundedCache(dict[Key, Value]):
    """What was made, by the key that it was made of; subscripting with a new key makes it.

    What is found costs one dict lookup, which is why it is a ``dict`` and no function. A full cache
    is emptied: values that recur are back after one miss each, and no bookkeeping slows the rest.
    """

    __slots__ = ("_is_kept", "_make", "_max_entries")

    def __init__(self, make: Callable[[Key], Value], max_entries: int, is_kept: Callable[[Key, Value], bool]) -> None:
        """``make`` makes what is kept, where ``is_kept`` says so: what is long would fill the memory."""
        super().__init__()
        self._make = make
        self._max_entries = max_entries
        self._is_kept = is_kept

    def __missing__(self, key: Key) -> Value:
        value = self._make(key)
        if self._is_kept(key, value):
            if len(self) >= self._max_entries:
                self.clear()
            self[key] = value
        return value
