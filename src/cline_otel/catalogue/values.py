"""Gates: what an upstream value must be to pass, and what it becomes if it is not.

A gate takes any value and returns the value that may leave, ``None`` if there is nothing to say,
``OTHER`` for a string that is not what the catalogue allows, or ``REDACTED`` for one that it would allow
but that looks like a secret. No substring of a refused value survives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from cline_otel.bounded_cache import BoundedCache
from cline_otel.events import AttributeValue
from cline_otel.privacy.pseudonyms import (
    CUSTOM_NAME,
    GENERATED_ID,
    PROVIDER_ID,
    PSEUDONYM,
    PseudonymKind,
    Pseudonyms,
)
from cline_otel.privacy.secret_detectors import MASKED, masked, normalised, secret_kind_of

OTHER: Final = "_OTHER"
"""The conventions' word for a value outside the known set (semantic-conventions, ``error.type``)."""

REDACTED: Final = "_REDACTED"
"""What stands for a value that looks like a key, an e-mail address, a URL, a path or a random run."""

LONGEST_NAME: Final = 1_024
"""Characters; what is longer is no name and gets no pseudonym."""

LONGEST_TEXT: Final = 1_024
"""Characters of free text that leave at most, where the user has opted in."""

Gate = Callable[[object], AttributeValue | None]

MOST: Final = 10**11
"""No size, count, duration or cost that Cline means is larger, and no number of a card or an account is smaller."""

MOST_COUNTED: Final = (1 << 31) - 1
"""No run has more tokens, no file more lines; most telephone numbers are larger."""

_MOST_SIGNED: Final = (1 << 31) - 1
_PATH: Final = re.compile(r"[\w.@~:-]*(?:[/\\][\w.@-]+)+")
"""The words of a path say nothing of an error."""

_LAST_WORD: Final = re.compile(r"\S+\Z")
_MEMORY: Final = 8_192
_LONGEST_REMEMBERED: Final = 256
_MOST_MS: Final = (1 << 63) / 1e6
_ABSENT: Final = frozenset({"", "undefined", "null"})
"""Classic Cline writes a missing value as the string "undefined"."""


def cached(gate: Callable[[str], AttributeValue | None]) -> Gate:
    """A gate for strings that answers repeated values from a bounded memory."""
    memory: BoundedCache[str, AttributeValue | None] = BoundedCache(
        lambda value: None if value in _ABSENT else gate(value),
        _MEMORY,
        lambda value, _answer: len(value) <= _LONGEST_REMEMBERED,
    )

    def passes(value: object) -> AttributeValue | None:
        if type(value) is not str:
            return None if value is None else OTHER
        return memory[value]

    return passes


def one_of(values: frozenset[str]) -> Gate:
    """Only the listed strings."""
    return cached(lambda value: value if value in values else OTHER)


def matching(pattern: str, *, may_be_random: bool = False) -> Gate:
    """Only strings that match in full and do not look like a secret; ids may be random, names may not."""
    fullmatch = re.compile(pattern).fullmatch

    def passes(value: str) -> str:
        if len(value) > LONGEST_NAME or not fullmatch(value):
            return OTHER
        return value if secret_kind_of(value, may_be_random=may_be_random) is None else REDACTED

    return cached(passes)


def one_of_or_matching(values: frozenset[str], pattern: str) -> Gate:
    """The listed strings, and others that match in full and do not look like a secret."""
    others = matching(pattern)
    return cached(lambda value: value if value in values else others(value))


def hashed(pseudonyms: Pseudonyms, kind: PseudonymKind, known: frozenset[str] = frozenset()) -> Gate:
    """The pseudonym of a name; nothing for names that are known to all."""

    def passes(name: str) -> str | None:
        return None if name in known or name == OTHER or len(name) > LONGEST_NAME else pseudonyms.of(kind, name)

    return cached(passes)


def made_pseudonym(value: object) -> str | None:
    """A pseudonym that the plugin has made; nothing that could be a name."""
    return value if isinstance(value, str) and len(value) <= LONGEST_NAME and PSEUDONYM.fullmatch(value) else None


def identifier(pseudonyms: Pseudonyms | None, *, by_providers: bool) -> Gate:
    """An id that a machine made up as it is; of one that somebody chose, the pseudonym.

    Args:
        pseudonyms: the installation's.
        by_providers: whether providers make such ids, too: of calls and answers, not of sessions, agents and runs.
    """

    def passes(value: str) -> str:
        if len(value) > LONGEST_NAME:
            return OTHER
        if GENERATED_ID.fullmatch(value):
            return value
        if by_providers and PROVIDER_ID.fullmatch(value):
            return value if secret_kind_of(value, may_be_random=True) is None else REDACTED
        return OTHER if pseudonyms is None else pseudonyms.of("id", value)

    return cached(passes)


def known_or_custom(
    known: Callable[[str], str | None], kind: PseudonymKind, pseudonyms: Pseudonyms | None, plain: Gate
) -> Gate:
    """The known name that a value means; of one that somebody chose the pseudonym, ``custom-`` and 12 digits.

    Args:
        known: the name that everybody may see, or None.
        kind: what is named.
        pseudonyms: the installation's; None where names have none, and then they are ``OTHER``.
        plain: lets a name through that may leave as it is.
    """

    def passes(value: str) -> AttributeValue | None:
        name = known(value)
        if name is not None:
            return name
        if pseudonyms is None or value == OTHER or len(value) > LONGEST_NAME:
            return OTHER
        if CUSTOM_NAME.fullmatch(value):
            return value
        allowed = plain(value)
        return pseudonyms.custom_name(kind, value) if allowed in (None, OTHER, REDACTED) else allowed

    return cached(passes)


def classified(classes: Iterable[tuple[str, str]]) -> Gate:
    """Free text as the class of the first pattern that is found in it; nothing where none is."""
    in_order = tuple(classes)

    def passes(text: str) -> str | None:
        head = _PATH.sub(" ", text[:LONGEST_TEXT])
        # Compiled with the first text, which most commands never see; `re` remembers them.
        return next((name for name, pattern in in_order if re.search(pattern, head, re.IGNORECASE)), None)

    return cached(passes)


def text(value: object) -> str | None:
    """Free text that the user has opted in: its beginning, with everything masked that looks like a secret."""
    if not isinstance(value, str) or value in _ABSENT:
        return None
    whole = normalised(value[: 2 * LONGEST_TEXT])
    head = whole[: 2 * LONGEST_TEXT]
    if len(head) < len(whole) or len(value) > 2 * LONGEST_TEXT:
        head = _LAST_WORD.sub(MASKED, head)  # of which only a beginning may be there, which looks like nothing
    return masked(head)[:LONGEST_TEXT]


def nothing(_: object) -> None:
    """Nothing of any value."""
    return


def renamed(names: Mapping[str, str], values: frozenset[str]) -> Gate:
    """Only the listed strings, some of them under another name."""
    return cached(lambda value: names.get(value) or (value if value in values else OTHER))


def each(gate: Gate) -> Gate:
    """A list, or a single value, as a tuple of strings that each pass the gate."""

    def passes(value: object) -> AttributeValue | None:
        members = value if isinstance(value, list | tuple) else [value]
        passed = [answer for answer in map(gate, members) if isinstance(answer, str)]
        return tuple(passed) or None

    return passes


def integer(value: object) -> int | None:
    """A whole number of 32 bits, also from the decimal string that OTLP JSON uses: exit codes have no more."""
    number = _whole(value)
    return number if number is not None and -_MOST_SIGNED <= number <= _MOST_SIGNED else None


def _whole(value: object) -> int | None:
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
    return number


def amount(value: object) -> int | None:
    """A whole number from 0 to ``MOST_COUNTED``: nothing that is counted can be negative, and no total may go down."""
    number = value if type(value) is int else _whole(value)
    return number if number is not None and 0 <= number <= MOST_COUNTED else None


def double(value: object) -> float | None:
    """A number up to ``MOST`` either way."""
    number = _number(value)
    return number if number is not None and abs(number) <= MOST else None


def _number(value: object) -> float | None:
    if type(value) is float:
        return value
    if type(value) is not int:
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def boolean(value: object) -> bool | None:
    """True or false, nothing else."""
    return value if isinstance(value, bool) else None


def milliseconds(value: object) -> int | None:
    """Milliseconds since the epoch as nanoseconds; None for what is no time between 1970 and 2262."""
    if type(value) is int:
        return value * 1_000_000 if 0 <= value < _MOST_MS else None
    if type(value) is not float or not 0 <= value < _MOST_MS:
        return None
    return int(value) * 1_000_000 + round(value % 1 * 1_000_000)
