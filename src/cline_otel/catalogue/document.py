"""The catalogue as a document: what leaves, by class of privacy, and what never does. Pure.

``python -m cline_otel.catalogue.document`` prints ``docs/privacy.md``; ``make docs`` writes it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from cline_otel import markdown
from cline_otel.catalogue import model
from cline_otel.catalogue.gates import IDENTIFIER
from cline_otel.catalogue.load import Tables, read_tables
from cline_otel.markdown import Cell
from cline_otel.privacy.policy import (
    ALWAYS_INCLUDED,
    CONTENT_VARIABLE,
    EXCLUDE_VARIABLE,
    INCLUDE_VARIABLE,
    PLAIN_VARIABLE,
    PrivacyClass,
    strictest,
)

EVERY_EVENT: Final = "every event"
"""Stands for an event's name where a field is common to all of a source."""

WITHHELD: Final[tuple[PrivacyClass, ...]] = ("content", "pseudonym", "secret")
"""Classes of upstream fields that never leave unless an attribute says how."""

_MOST_VALUES_SHOWN: Final = 24


class Section(NamedTuple):
    """A table with a heading and what is to be said of it; the columns that matter most come first."""

    key: str
    title: str
    text: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def privacy_sections(attributes: model.AttributesFile, sources: Mapping[str, model.SourceFile]) -> tuple[Section, ...]:
    """What leaves and what does not, a table for each class.

    Args:
        attributes: every attribute that may leave.
        sources: each vocabulary, by the titles of the sources that speak it.
    """
    of_class: dict[PrivacyClass, list[tuple[str, model.Attribute]]] = {}
    for name, attribute in sorted(attributes.attributes.items()):
        of_class.setdefault(attribute.privacy, []).append((name, attribute))
    return (
        Section("choices", "You decide", _CHOICES, ("Variable", "A list of", ""), _CHOICES_ROWS),
        Section(
            "safe",
            "Safe: leaves always",
            _SAFE,
            ("Attribute", "Value", "Signals", "What it is"),
            tuple(_row(name, _form_of(each), each) for name, each in of_class.get("safe", ())),
        ),
        Section(
            "bounded",
            "Bounded: leaves where the value is a known one",
            _BOUNDED,
            ("Attribute", "One of", "Signals", "What it is"),
            tuple(_row(name, _known_values(each, attributes), each) for name, each in of_class.get("bounded", ())),
        ),
        Section(
            "pseudonym",
            "Pseudonym: a keyed hash, or plain if you say so",
            _PSEUDONYM,
            ("Attribute", "Group", "Leaves as", "Asked for with", "Signals", "What it is"),
            tuple(sorted((_pseudonym_row(name, each) for name, each in of_class.get("pseudonym", ())), key=_by_group)),
        ),
        Section(
            "content",
            "Content: only if you ask for it, attribute by attribute",
            _CONTENT,
            ("Attribute", "Asked for with", "From", "Signals", "What it is"),
            tuple(_content_row(name, each, sources) for name, each in of_class.get("content", ())),
        ),
        Section(
            "never",
            "Never exported",
            _NEVER,
            ("Event", "Class", "Fields", "Source"),
            tuple(_withheld_rows(attributes, sources)),
        ),
        Section(
            "classes",
            "Free text: its class, and nothing of the text",
            _FREE_TEXT,
            ("Attribute", "Class", "Pattern"),
            tuple(
                ((target,), (name,), (pattern,))
                for target, classes in sorted(attributes.classes.items())
                for name, pattern in classes.items()
            ),
        ),
        Section(
            "patterns",
            "Patterns",
            "Regular expressions in Python's syntax.",
            ("Pattern", "Matches in full"),
            tuple(((name,), (pattern,)) for name, pattern in sorted(attributes.patterns.items())),
        ),
        Section("lists", "Lists", _LISTS, ("List", "Values"), tuple(_lists(attributes))),
    )


def privacy_document(attributes: model.AttributesFile, sources: Mapping[str, model.SourceFile]) -> str:
    """``docs/privacy.md``: the same catalogue makes the same text.

    Args:
        attributes: every attribute that may leave.
        sources: each vocabulary, by the titles of the sources that speak it.
    """
    sections = [
        f"## {section.title}\n\n{section.text}\n\n{markdown.table(section.head, section.rows)}\n"
        for section in privacy_sections(attributes, sources)
    ]
    return "\n".join([_INTRODUCTION, *sections])


def catalogued_privacy(tables: Tables | None = None) -> tuple[model.AttributesFile, dict[str, model.SourceFile]]:
    """What the two functions above take, from the catalogue's own files.

    Args:
        tables: the files; None for those of the built-in sources.

    Raises:
        CatalogueError: the catalogue contradicts itself.
    """
    tables = read_tables() if tables is None else tables
    return tables.attributes, {
        " and ".join(source.title for source in tables.speakers(name)): vocabulary
        for name, vocabulary in tables.vocabularies.items()
    }


def leaves(privacy: PrivacyClass, said: PrivacyClass) -> bool:
    """Whether an attribute of one class leaves, in some form, from a field that its event calls another."""
    return strictest(privacy, said) == privacy != "secret"


def withheld_fields(
    event: model.EventEntry | model.SourceCommon, attributes: model.AttributesFile
) -> dict[str, PrivacyClass]:
    """The fields of an event, or of all, that never leave in any form, with the class that forbids it."""
    return {
        field: said
        for said in WITHHELD
        for field in event.private.get(said, ())
        if not any(
            leaves(attributes.attributes[target].privacy, said)
            for target in event.fields.get(field, ())
            if target in attributes.attributes
        )
    }


def _row(name: str, value: Cell, attribute: model.Attribute) -> tuple[Cell, ...]:
    return (name,), value, _signals(attribute), attribute.description


def _signals(attribute: model.Attribute) -> str:
    return ", ".join(sorted(attribute.serves))


def _form_of(attribute: model.Attribute) -> Cell:
    if attribute.pattern == IDENTIFIER:
        return "an id that a machine made up; of any other the keyed hash"
    if attribute.pattern is not None:
        return (attribute.pattern,)
    numbers = {"int": "whole number, also negative" if attribute.signed else "whole number", "double": "number"}
    return {**numbers, "bool": "true or false"}[attribute.type]


def _known_values(attribute: model.Attribute, table: model.AttributesFile) -> Cell:
    if attribute.values is not None and len(attribute.values) <= _MOST_VALUES_SHOWN:
        return tuple(sorted(attribute.values))
    count = len(attribute.values or table.values[attribute.values_from or ""])
    known = f"the {count} of the list `{attribute.values_from}`"
    if attribute.group is None:
        return known
    return f"{known}; with `{PLAIN_VARIABLE}={attribute.group}` also what matches `{attribute.pattern}`"


def _pseudonym_row(name: str, attribute: model.Attribute) -> tuple[Cell, ...]:
    group = attribute.group or ""
    asked = [] if group in ALWAYS_INCLUDED else [f"{INCLUDE_VARIABLE}={group}"]
    if attribute.hashes is not None:
        form = f"hash of kind `{attribute.hashes}`"
    else:
        form, asked = f"itself, if it matches `{attribute.pattern}`", [*asked, f"{PLAIN_VARIABLE}={group}"]
    return (name,), group, form, tuple(asked) or "nothing", _signals(attribute), attribute.description


def _by_group(row: tuple[Cell, ...]) -> tuple[str, Cell]:
    return str(row[1]), row[0]


def _content_row(name: str, attribute: model.Attribute, sources: Mapping[str, model.SourceFile]) -> tuple[Cell, ...]:
    origins = [
        f"{event_name}: {field}"
        for table in sources.values()
        for event_name, event in sorted(table.events.items())
        for field, targets in sorted(event.fields.items())
        if name in targets
    ]
    return (name,), (f"{CONTENT_VARIABLE}={name}",), tuple(origins), _signals(attribute), attribute.description


def _withheld_rows(
    attributes: model.AttributesFile, sources: Mapping[str, model.SourceFile]
) -> Iterator[tuple[Cell, ...]]:
    for titles, table in sorted(sources.items(), key=lambda spoken: spoken[0]):
        events = sorted((table.events | table.prefixes).items())
        common = withheld_fields(table.common, attributes)
        for privacy in WITHHELD:
            fields = [_with_exceptions(field, events) for field, said in sorted(common.items()) if said == privacy]
            if fields:
                yield EVERY_EVENT, privacy, ", ".join(fields), titles
        for name, event in events:
            own = withheld_fields(event, attributes)
            for privacy in WITHHELD:
                names = tuple(sorted(field for field, said in own.items() if said == privacy))
                if names:
                    yield (name,), privacy, names, titles


def _with_exceptions(field: str, events: Iterable[tuple[str, model.EventEntry]]) -> str:
    exceptions = [f"`{name}`" for name, event in events if field in event.fields]
    return f"`{field}`" + (f" (but in {', '.join(exceptions)})" if exceptions else "")


def _lists(attributes: model.AttributesFile) -> Iterator[tuple[Cell, ...]]:
    for name, values in sorted(attributes.values.items()):
        renamed = attributes.providers if name == "providers" else {}
        yield (name,), tuple(f"{value} → {renamed[value]}" if value in renamed else value for value in sorted(values))


_INTRODUCTION: Final = """\
# What leaves, and what never does

*`make docs` writes this page from the catalogue, `src/cline_otel/catalogue/`. `cline-otel explain --privacy` shows most
of it in the terminal, `cline-otel explain EVENT` what becomes of one event.*

**The promise.** No code, no file's content, path or name, no argument of a command or tool, no prompt, answer or error
text, nothing personal and no key leaves, unless you name it yourself. What leaves says what happened, how long it took,
what it cost and why it failed; not what about, not to whom.

## Three lines of defence

1. **An allowlist.** Only the attributes of this page leave, in spans, metrics and log records alike. A field of Cline
   that is not listed is dropped and counted by its name. A listed one is checked by its class; what fails the check
   becomes `_OTHER`, and no part of it survives. An event may be stricter with an attribute than this page,
   never looser. Ids of traces, spans and log records are hashes of ids that are listed here; names of spans and bodies
   of log records are made of the catalogue's words and of values that have passed.
2. **Secret detectors.** A string of an open set, such as a model's name or an id, is also refused if it has the
   shape of a key or token, an e-mail address, a URL, a path or, in names, a random run: `_REDACTED` leaves instead.
   Free text that you have asked for is masked piece by piece (`[masked]`). Values of closed sets are not searched.
3. **The collector.** The configurations in `collector-config/` have a redaction processor with patterns of its own
   ([collector.md](collector.md)). What it finds has passed two lines that it should not have passed.

What `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` add to the resource leaves as you wrote it, without what those
detectors find, which the start says with the name of the attribute. The start and `status` list the rest by its names.

`cline-otel status` counts what was dropped, replaced and redacted, by the name of the field or attribute, never with a
value.

**Pseudonyms** are the first 32 hex digits of HMAC-SHA-256 over kind and name, under a key that is made once for each
installation and never leaves it (`pseudonyms.json` in the state directory; only its owner can read it). A name has the
same pseudonym for as long as the key stays, so two tools can be distinguished and one can be followed. Without the key
nobody can try names against it, and those of two installations do not match. `cline-otel key rotate` makes a new key:
from then on every name has another pseudonym. What waits keeps the old ones, and ids that a machine made stay the same.

**Ids** of sessions, agents, runs, calls and answers leave as they are if they have a form that Cline, a provider or
another machine makes up, and no word where something drawn by lot belongs. Applications on Cline's SDK may choose
others, and then they are names: their pseudonyms of kind `id` leave instead, the same from every source.
"""

_CHOICES: Final = """\
Lists are separated by commas; a word that is none of those is an error at the start. What leaves beyond the default,
`cline-otel run` says when it starts, and `cline-otel status` too, content and plain names in red. Whose run it was
(`user`, `device`, `organization`) is never on a metric, whatever is included; `repository`, where it is, is on those of
runs, tokens, cost and active time."""

_CHOICES_ROWS: Final[tuple[tuple[Cell, ...], ...]] = (
    (
        (INCLUDE_VARIABLE,),
        ("user", "device", "organization", "repository"),
        "whose run it was, and for which repository, leaves too, as pseudonyms",
    ),
    (
        (PLAIN_VARIABLE,),
        ("names", "user", "device", "organization"),
        "these leave as they are, not as pseudonyms; all but `names` have to be included as well",
    ),
    (
        (CONTENT_VARIABLE,),
        "attributes of class content",
        "these leave, with everything masked that looks like a secret",
    ),
    ((EXCLUDE_VARIABLE,), "attributes of any class", "these do not leave, whatever the others say"),
)

_SAFE: Final = """\
Cannot say anything of your work: numbers, times, Cline's own words and ids. Strings have to match a
[pattern](#patterns) and must not have the shape of a secret."""

_BOUNDED: Final = """\
In Cline's telemetry these fields can hold any text. Only values of a list leave; anything else becomes `_OTHER`. Long
lists go by their [names](#lists)."""

_PSEUDONYM: Final = f"""\
Names that people or organizations chose, and who they are. The group `names` leaves as hashes; another group leaves not
at all without `{INCLUDE_VARIABLE}=` and the group, and then as hashes. With
`{PLAIN_VARIABLE}=` and the group the names leave instead, never both together."""

_CONTENT: Final = """\
What somebody wrote or a tool answered. At most 1,024 characters leave, with `[masked]` for every piece that looks like
a key, an address or a path. Masking finds shapes, not meanings: ask for it only where everybody who sees the telemetry
may see the text."""

_NEVER: Final = """\
These fields exist in Cline's telemetry and are not exported, whatever is included; nor is any field that is not listed
at all. (Content that can be asked for is in the table before.) The plugin reads no content into its spool in the first
place ([spool-format.md](spool-format.md))."""

_FREE_TEXT: Final = """\
Where Cline gives the reason only as text, its first 1,024 characters are searched for these patterns in this order, in
any case of letters. The class of the first that is found leaves, and only where no other field names one."""

_LISTS: Final = """\
The known values that bounded attributes share. An arrow points from Cline's value to the one of the semantic
conventions that leaves instead."""


if __name__ == "__main__":
    sys.stdout.buffer.write(privacy_document(*catalogued_privacy()).encode())
