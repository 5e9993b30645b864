"""One upstream record's fields, through the catalogue's gates, as one event."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, cast

from cline_otel.catalogue.load import ATTRIBUTE, KEYS, SourceEvent
from cline_otel.catalogue.values import OTHER
from cline_otel.events import AttributeValue, Event, Kind, Source
from cline_otel.signals import Tally, count

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,79}")


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
        fields = dict(fields).items()
        present = dict(fields)
        if any(present.get(name) not in accepted for name, accepted in entry.when):
            return None
    session_id = agent_id = run_id = call_id = ""
    iteration = 0
    attributes: dict[str, AttributeValue] = {}
    handlers = entry.handlers
    for key, value in fields:
        handler = handlers.get(key)
        if handler is None:
            count(tally, "dropped_field", source, f"{entry.name}:{nameable(key)}")
            continue
        slot = handler.slot
        if slot < 0:
            continue
        answer = handler.gate(value)
        if answer is None:
            continue
        if answer == OTHER:
            count(tally, "replaced_value", source, handler.name)
            if slot != ATTRIBUTE:
                continue
        if slot == ATTRIBUTE:
            attributes[handler.name] = answer
        elif slot == 0:
            session_id = session_id or cast(str, answer)
        elif slot == 1:
            agent_id = cast(str, answer)
        elif slot == 2:
            run_id = cast(str, answer)
        elif slot == 3:
            iteration = cast(int, answer)
        else:
            call_id = cast(str, answer)
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


assert KEYS == ("session_id", "agent_id", "run_id", "iteration", "call_id")  # noqa: S101 - the slots above
