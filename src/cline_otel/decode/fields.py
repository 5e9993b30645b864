"""One upstream record's fields, through the catalogue's gates, as one event."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from cline_otel.catalogue.load import ATTRIBUTE, KEYS, FieldHandler, SourceEvent
from cline_otel.catalogue.values import OTHER
from cline_otel.events import AttributeValue, Event, Kind, Source
from cline_otel.signals import Tally, count

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,79}")


Answer = tuple[FieldHandler, AttributeValue | None]
"""A field's handler and what its gate said of the value."""


def nameable(name: object) -> str:
    """A name fit for a tally: itself if it looks like an identifier, else ``_OTHER``."""
    return name if isinstance(name, str) and _NAME.fullmatch(name) else OTHER


def to_event(
    entry: SourceEvent,
    source: Source,
    occurred_at_ns: int,
    fields: Iterable[tuple[str, object]],
    tally: Tally,
    process: str = "",
) -> Event | None:
    """The event that a record becomes, or None if the catalogue calls it bookkeeping.

    Fields that the entry does not list are dropped and counted by name; values that a gate refuses
    become ``_OTHER`` and are counted by the attribute's name.
    """
    if entry.when:
        fields = list(fields)
        if not meets_conditions(entry, dict(fields)):
            return None
    known: list[Answer] = []
    handlers = entry.handlers
    for key, value in fields:
        handler = handlers.get(key)
        if handler is None:
            count_dropped(entry, source, key, tally)
        elif handler[0] >= 0:
            known.append((handler, handler[2](value)))
    return build_event(entry, source, occurred_at_ns, known, tally, process)


def meets_conditions(entry: SourceEvent, present: Mapping[str, object]) -> bool:
    """Whether the fields that the entry's ``when`` names have one of the accepted values."""
    return all(isinstance(value := present.get(name), str) and value in accepted for name, accepted in entry.when)


def count_dropped(entry: SourceEvent, source: Source, key: str, tally: Tally) -> None:
    """A field that the entry does not list."""
    count(tally, "dropped_field", source, f"{entry.name}:{nameable(key)}")


def build_event(
    entry: SourceEvent,
    source: Source,
    occurred_at_ns: int,
    answers: Iterable[Answer],
    tally: Tally,
    process: str = "",
) -> Event:
    """The event of an entry from its fields' handlers (none that is ignored) and what their gates answered."""
    keys: list[Any] = ["", "", "", 0, ""]  # the gates, checked with the catalogue, give what an Event's keys are
    attributes: dict[str, AttributeValue] = {}
    for (slot, name, _), answer in answers:
        if answer is None:
            continue
        if answer == OTHER:
            count(tally, "replaced_value", source, name)
            if slot != ATTRIBUTE:
                continue
        if slot == ATTRIBUTE:
            attributes[name] = answer
        elif not keys[slot]:
            keys[slot] = answer
    session_id, agent_id, run_id, iteration, call_id = keys
    return Event(
        cast(Kind, entry.kind),
        source,
        occurred_at_ns,
        entry.name,
        session_id,
        agent_id,
        run_id,
        iteration,
        call_id,
        process,
        attributes,
    )


assert KEYS == ("session_id", "agent_id", "run_id", "iteration", "call_id")  # noqa: S101 - the order of a handler's slots
