"""Gates: what an upstream value must be to pass, and what it becomes if it is not.

A gate takes any value and returns the value that may leave, ``None`` if there is nothing to say, or
``OTHER`` for a string that is not what the catalogue allows. No substring of a refused value survives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from cline_otel.events import AttributeValue

OTHER: Final = "_OTHER"
"""The conventions' word for a value outside the known set (semantic-conventions, ``error.type``)."""

Gate = Callable[[object], AttributeValue | None]

MOST: Final = (1 << 53) - 1
"""No number that Cline means is larger: beyond it JavaScript has no exact integers. So sums stay in range."""

_MEMORY = 8_192
_INT64: Final = 1 << 63
_ABSENT: Final = frozenset({"", "undefined", "null"})
"""Classic Cline writes a missing value as the string "undefined"."""


def remembered(gate: Callable[[str], AttributeValue | None]) -> Gate:
    """A gate for strings that answers repeated values from a bounded memory."""
    memory: dict[str, AttributeValue | None] = {}

    def passes(value: object) -> AttributeValue | None:
        if type(value) is not str:
            return None if value is None else OTHER
        try:
            return memory[value]
        except KeyError:
            if len(memory) >= _MEMORY:
                memory.clear()
            answer = memory[value] = None if value in _ABSENT else gate(value)
            return answer

    return passes


def one_of(values: frozenset[str]) -> Gate:
    """Only the listed strings."""
    return remembered(lambda value: value if value in values else OTHER)


def matching(pattern: str, *suspicions: Callable[[str], bool]) -> Gate:
    """Only strings that match in full and that none of the suspicions falls on."""
    fullmatch = re.compile(pattern).fullmatch

    def passes(value: str) -> str:
        return value if fullmatch(value) and not any(suspects(value) for suspects in suspicions) else OTHER

    return remembered(passes)


def renamed(names: Mapping[str, str], values: frozenset[str]) -> Gate:
    """Only the listed strings, some of them under another name."""
    return remembered(lambda value: names.get(value) or (value if value in values else OTHER))


def each(gate: Gate) -> Gate:
    """A list, or a single value, as a tuple of strings that each pass the gate."""

    def passes(value: object) -> AttributeValue | None:
        members = value if isinstance(value, list | tuple) else [value]
        passed = [answer for answer in map(gate, members) if isinstance(answer, str)]
        return tuple(passed) or None

    return passes


def integer(value: object) -> int | None:
    """A whole number up to ``MOST`` either way, also from the decimal string that OTLP JSON uses."""
    if type(value) is int:
        number = value
    elif isinstance(value, str) and len(value) <= 20:
        try:
            number = int(value)
        except ValueError:
            return None
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    else:
        return None
    return number if -MOST <= number <= MOST else None


def amount(value: object) -> int | None:
    """A whole number from 0: nothing that is counted can be negative, and no total may go down."""
    number = integer(value)
    return number if number is not None and number >= 0 else None


def double(value: object) -> float | None:
    """A number up to ``MOST`` either way."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if abs(number) <= MOST else None


def boolean(value: object) -> bool | None:
    """True or false, nothing else."""
    return value if isinstance(value, bool) else None


def milliseconds(value: object) -> int | None:
    """Milliseconds since the epoch as nanoseconds; None for what is no time between 1970 and 2262."""
    number = double(value)
    if number is None or not 0 <= number < _INT64 / 1e6:
        return None
    return int(number) * 1_000_000 + round(number % 1 * 1_000_000)
