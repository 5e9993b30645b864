"""One upstream record's fields, through the catalogue's gates, as one event."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from cline_otel.catalogue.compiled import ATTRIBUTE, FALLBACK, FieldHandler, SourceEvent
from cline_otel.catalogue.values import OTHER, REDACTED
from cline_otel.events import KEYS, AttributeValue, Event
from cline_otel.privacy.secret_detectors import MASKED, secret_kind_of
from cline_otel.signals import Diagnostics, count

_LONGEST_NAME: Final = 64
_NAME: Final = re.compile(r"[A-Za-z]+[0-9]{0,3}(?:[._:-][A-Za-z]+[0-9]{0,3}){0,6}")

VAGUE: Final = frozenset({OTHER, "Error", "unknown", "AI_APICallError", "AI_RetryError"})
"""Classes of errors that say less than the class of the error's text: none at all, and Cline's catch-alls."""

_REFUSED: Final = frozenset({OTHER, REDACTED})

Answer = tuple[FieldHandler, AttributeValue | None]
"""A field's handler and what its gate said of the value."""


def nameable(name: object) -> str:
    """A name fit for a diagnostic: itself if it is made of words as Cline's names are, else ``_OTHER``."""
    return _nameable(name) if isinstance(name, str) and len(name) <= _LONGEST_NAME else OTHER


@lru_cache(4_096)
def _nameable(name: str) -> str:
    return name if _NAME.fullmatch(name) and secret_kind_of(name) is None else OTHER


def look_up(
    find: Callable[[str], SourceEvent | None], name: str, source: str, diagnostics: Diagnostics
) -> SourceEvent | None:
    """The entry of a vocabulary for an upstream event's name; None for one that is ignored, or unknown and counted."""
    entry = find(name)
    if entry is None:
        count(diagnostics, "unmapped_event", source, nameable(name))
        return None
    return None if entry.kind == "ignored" else entry


def to_event(
    entry: SourceEvent,
    source: str,
    occurred_at_ns: int,
    fields: Mapping[str, object],
    diagnostics: Diagnostics,
    process: str = "",
) -> Event | None:
    """The event that a record becomes, or None if it does not meet the entry's conditions.

    Fields that the entry does not list are dropped and counted by name; values that a gate refuses
    become ``_OTHER`` or ``_REDACTED`` and are counted by the attribute's name.
    """
    if entry.when and not meets_conditions(entry, fields):
        return None
    read, unlisted = entry.plan(tuple(fields))
    for key in unlisted:
        count_dropped(entry, source, key, diagnostics)
    answers: list[Answer] = [(handler, handler[2](fields[key])) for key, handler in read]
    return build_event(entry, source, occurred_at_ns, answers, diagnostics, process)


def meets_conditions(entry: SourceEvent, present: Mapping[str, object]) -> bool:
    """Whether the fields that the entry's ``when`` names have one of the accepted values."""
    return all(isinstance(value := present.get(name), str) and value in accepted for name, accepted in entry.when)


def count_dropped(entry: SourceEvent, source: str, key: str, diagnostics: Diagnostics) -> None:
    """A field that the entry does not list."""
    count(diagnostics, "dropped_field", source, f"{entry.name}:{nameable(key)}")


def build_event(
    entry: SourceEvent,
    source: str,
    occurred_at_ns: int,
    answers: Iterable[Answer],
    diagnostics: Diagnostics,
    process: str = "",
) -> Event:
    """The event of an entry from its fields' handlers (none that is ignored) and what their gates answered."""
    own: list[Any] = [*entry.blank]  # the gates, checked with the catalogue, give what the event's fields are
    attributes: dict[str, AttributeValue] = {}
    fallbacks: list[tuple[str, AttributeValue]] = []
    for (slot, name, _), answer in answers:
        if answer is None:
            continue
        if answer in _REFUSED:
            count(diagnostics, "replaced_value" if answer == OTHER else "redacted_value", source, name)
            if 0 <= slot < len(KEYS):
                continue
            if slot == ATTRIBUTE:
                # Of two fields that say the same the one that says something counts, whichever comes first.
                attributes.setdefault(name, answer)
                continue
        if slot == ATTRIBUTE:
            attributes[name] = answer
        elif slot >= 0:
            if not own[slot]:
                own[slot] = answer
        elif slot == FALLBACK:
            fallbacks.append((name, answer))
        else:
            if MASKED in str(answer):
                count(diagnostics, "redacted_value", source, name)
            attributes[name] = answer
    for name, answer in fallbacks:
        if attributes.get(name, OTHER) in VAGUE:
            attributes[name] = answer
    return entry.event_type(source, occurred_at_ns, entry.name, process, attributes, *own)
