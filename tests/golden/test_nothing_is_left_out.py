"""Nothing that is useful and safe arrives and is dropped: the class of ``explain`` that says so is empty."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from bench.fixed_key import recording_of
from msgspec.structs import replace

from cline_otel.catalogue.field_classes import UNMAPPED, field_class, unmapped_fields
from cline_otel.catalogue.load import read_tables
from cline_otel.catalogue.model import SourceFile
from cline_otel.sources.registry import SOURCES
from corpus import capture_paths

TABLES = read_tables()


def vocabulary_of(source: str) -> SourceFile:
    return TABLES.vocabularies[TABLES.sources[source].vocabulary or source]


def arriving(path: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """Source, event, field and value of all that a recording holds of events that the catalogue knows by name."""
    for payload in (payload for stream in recording_of([path]).streams for payload in stream):
        for record in SOURCES[payload.source].explode(payload):
            if record.name in vocabulary_of(payload.source).events:
                yield from ((payload.source, record.name, field, value) for field, value in record.fields.items())


def is_safe_by_its_type(value: bytes) -> bool:
    """A number, or true or false, cannot say anything of the user's work."""
    said = msgspec.json.decode(value)
    return isinstance(said, bool | int | float) or (
        isinstance(said, dict) and not {"boolValue", "intValue", "doubleValue"}.isdisjoint(said)
    )


@pytest.mark.parametrize("name", TABLES.vocabularies)
def test_the_catalogue_leaves_out_nothing_that_is_useful_and_safe(name: str) -> None:
    assert not list(unmapped_fields(TABLES.vocabularies[name]))


@pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)
def test_a_recording_holds_nothing_useful_and_safe_that_is_not_mapped(path: Path) -> None:
    left_out: set[str] = set()
    for source, event_name, field, value in arriving(path):
        vocabulary = vocabulary_of(source)
        said = field_class(field, vocabulary.events[event_name], vocabulary)
        if said == UNMAPPED or (said == "unlisted" and is_safe_by_its_type(value)):
            left_out.add(f"{source}: {event_name}: {field}")
    assert not left_out, "map each in the source's catalogue, or say in its event that it is unused"


def test_a_useful_field_that_is_not_mapped_is_found() -> None:
    vocabulary = TABLES.vocabularies["cline"]
    event = replace(vocabulary.events["task.tokens"], private={"safe": ["thinkingTokens"]})
    changed = replace(vocabulary, events={"task.tokens": event})
    assert list(unmapped_fields(changed)) == [("task.tokens", "thinkingTokens")]
    assert field_class("surprise", event, changed) == "unlisted"
    assert field_class("tokensIn", event, changed) == "mapped"
    assert field_class("ulid", event, changed) == "mapped"
    assert field_class("platform", event, changed) == "unused"
    assert field_class("teamName", event, changed) == "withheld"
