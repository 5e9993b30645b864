"""What becomes of each field that an event of Cline's may have, in one word. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

from cline_otel.catalogue import model

FieldClass = Literal["mapped", "withheld", "unused", "useful and safe, not mapped", "unlisted"]
"""mapped: it becomes something, or steers what does. withheld: it is content, a secret or somebody's name, and no
attribute says how it might leave. unused: safe, and it answers nobody's question. useful and safe, not mapped: it could
leave and should, and does not. unlisted: the catalogue has no word of it, so that it is dropped and counted."""

UNMAPPED: Final = "useful and safe, not mapped"


def field_class(field: str, event: model.EventEntry, vocabulary: model.SourceFile) -> FieldClass:
    """The class of a field of an event; what is said of it there counts before what is said of every event."""
    common = vocabulary.common
    if field in event.fields or field in event.classified or field in event.when:
        return "mapped"
    for private in (event.private, common.private):
        for privacy, fields in private.items():
            if field in fields:
                return UNMAPPED if privacy in ("safe", "bounded") else "withheld"
    if field in event.unused:
        return "unused"
    if field in common.fields or field in common.fallbacks or any(field in keys for keys in vocabulary.keys.values()):
        return "mapped"
    return "unused" if field in common.ignored else "unlisted"


def unmapped_fields(vocabulary: model.SourceFile) -> Iterator[tuple[str, str]]:
    """Events and their fields that are useful and safe and not mapped: what the catalogue has yet to say."""
    for name, event in (vocabulary.events | vocabulary.prefixes).items():
        for fields in (*event.private.values(), *vocabulary.common.private.values()):
            yield from ((name, field) for field in fields if field_class(field, event, vocabulary) == UNMAPPED)
