"""``cline-otel explain``: what the catalogue says of an event."""

from __future__ import annotations

import difflib
import re

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from cline_otel.catalogue import model
from cline_otel.catalogue.compiled import Catalogue, SourceEvent
from cline_otel.catalogue.document import (
    Section,
    catalogued_privacy,
    leaves,
    privacy_sections,
    withheld_fields,
)
from cline_otel.catalogue.field_classes import UNMAPPED, unmapped_fields
from cline_otel.catalogue.load import Tables
from cline_otel.cli.errors import fail
from cline_otel.cli.sources import known_sources
from cline_otel.events import KEYS
from cline_otel.markdown import Cell
from cline_otel.privacy.policy import PrivacyClass

_CLASS_MEANINGS = {
    "safe": "a number, or a string of a known form",
    "bounded": "one of a list of known values, else _OTHER",
    "class": "the kind of error in the text, if no other field has it; never the text",
    "pseudonym": "a keyed hash or plain, as far as you allow it",
    "content": "only if you ask for it, and masked",
    "secret": "never",
    "internal": "used by the translator, never exported",
}

_COLUMNS = {"choices": 3, "safe": 2, "bounded": 2, "pseudonym": 3, "content": 2, "never": 3}
"""The tables that a terminal shows, and for how many of their columns it has room."""

_LINK = re.compile(r"\[([^][]*)\]\([^()]*\)")


def explain_event(name: str | None) -> None:
    """Prints one event's entry, or the list of all."""
    sources = known_sources()
    catalogue, tables = sources.catalogue(), sources.tables
    if name is None:
        _list_all(catalogue, tables)
        return
    found = [
        (_speakers(tables, vocabulary), entry, tables.vocabularies[vocabulary])
        for vocabulary, compiled in catalogue.vocabularies.items()
        if (entry := compiled.find(name)) is not None
    ]
    elsewhere = [
        (source, other.names[name]) for source, other in catalogue.other_sources.items() if name in other.names
    ]
    if not found and not elsewhere:
        known = [event for vocabulary in catalogue.vocabularies.values() for event in vocabulary.events]
        known += [other_name for other in catalogue.other_sources.values() for other_name in other.names]
        near = difflib.get_close_matches(name, known, 3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; `cline-otel explain` lists all"
        fail(f"{name}: the catalogue knows no such event{hint}", 2)
    console = Console()
    for source, entry, table in found:
        event = table.events.get(entry.name) or table.prefixes[entry.name]
        _print_entry(console, source, entry, catalogue, tables)
        _print_fields(console, entry, event, tables.attributes)
        _print_unmapped(console, [field for named, field in unmapped_fields(table) if named == entry.name])
        if entry.kind != "ignored":
            _print_shared_fields(console, entry, event, table.common, tables.attributes)
    for source, meaning in elsewhere:
        console.print(f"[bold]{escape(name)}[/]  reported by {source}, which is not read yet")
        console.print(f"  {escape(meaning)}")
        console.print(f"  [dim]{escape(catalogue.other_sources[source].description)}[/]")


def explain_privacy() -> None:
    """Prints every attribute that may leave, by class, and what never leaves."""
    console = Console(highlight=False)
    for section in privacy_sections(*catalogued_privacy(known_sources().tables)):
        if section.key in _COLUMNS:
            _print_section(console, section, _COLUMNS[section.key])
    console.print("[dim]Patterns, lists and classes of free text: docs/privacy.md[/]")


def _speakers(tables: Tables, vocabulary: str) -> str:
    return ", ".join(source.title for source in tables.speakers(vocabulary))


def _becomes(entry: SourceEvent, tables: Tables) -> str:
    return f"log record {entry.log_event}" if entry.kind == "log_event" else tables.spans.kinds[entry.kind].describe()


def _list_all(catalogue: Catalogue, tables: Tables) -> None:
    """Two lines an event, so that nothing is squeezed in a narrow terminal."""
    listed: list[tuple[str, str, str, str]] = []
    for vocabulary_name, vocabulary in catalogue.vocabularies.items():
        source = _speakers(tables, vocabulary_name)
        for name, entry in [*sorted(vocabulary.events.items()), *vocabulary.prefixes]:
            shown = name if name in vocabulary.events else f"{name}*"
            becomes = {"ignored": "-", "log_event": entry.log_event}.get(entry.kind, entry.kind)
            listed.append((shown, source, becomes, entry.meaning))
        listed += [(f"{begin}…", source, entry.kind, entry.meaning) for begin, entry in vocabulary.read_messages]
    for source, other in catalogue.other_sources.items():
        listed += [(name, source, "not read yet", meaning) for name, meaning in sorted(other.names.items())]
        listed += [(f"{prefix}*", source, "-", "Counted, then dropped") for prefix in other.prefixes]
    console = Console(soft_wrap=True)
    name_cells = max(len(name) for name, *_ in listed)
    source_cells = max(len(source) for _, source, *_ in listed)
    for name, source, becomes, meaning in listed:
        console.print(f"[bold]{escape(name):<{name_cells}}[/]  {source:<{source_cells}}  {becomes}", highlight=False)
        console.print(f"  [dim]{escape(meaning)}[/]", highlight=False)
    left_out = [f"{name}: {field}" for table in tables.vocabularies.values() for name, field in unmapped_fields(table)]
    _print_unmapped(console, left_out or ["none"])


def _print_unmapped(console: Console, fields: list[str]) -> None:
    """Fields that could leave and should, and do not: what the catalogue has yet to say."""
    if fields:
        console.print(f"[bold]{UNMAPPED.capitalize()}:[/] {escape(', '.join(fields))}", highlight=False)


def _print_entry(console: Console, source: str, entry: SourceEvent, catalogue: Catalogue, tables: Tables) -> None:
    console.print(f"[bold]{escape(entry.name)}[/]  reported by {source}")
    _say(console, entry.meaning)
    _say(console, f"Becomes: {_becomes(entry, tables)}")
    if entry.log_event:
        log_event = catalogue.log_events[entry.log_event]
        body = "".join(literal + (f"{{{name}}}" if name else "") for literal, name in log_event.body_parts)
        counted = f"; counts in {', '.join(log_event.counts)}" if log_event.counts else ""
        _say(console, f"{log_event.severity.name}: {body}{counted}")
    if entry.known_to:
        owners = ", ".join(sorted(entry.known_to))
        _say(console, f"Superseded in a run that the {owners} owns: it reports the same itself")
    for name, accepted in entry.when:
        _say(console, f"Only if {name} is {' or '.join(sorted(accepted))}")


def _say(console: Console, text: str) -> None:
    """A paragraph, all of it indented."""
    console.print(Padding(escape(text), (0, 0, 0, 2)))


def _print_fields(
    console: Console, entry: SourceEvent, event: model.EventEntry, attributes: model.AttributesFile
) -> None:
    """The event's own fields, what each leaves as, and what the classes of privacy mean."""
    withheld = withheld_fields(event, attributes)
    rows: list[tuple[str, str, str]] = []
    for field in dict.fromkeys([*event.fields, *event.classified]) if entry.kind != "ignored" else ():
        said = entry.private.get(field, "safe")
        leaves_as = [_leaving(target, said, attributes) for target in event.fields.get(field, ())]
        leaves_as += [(event.classified[field], "class")] if field in event.classified else []
        shown = [leaving for leaving in leaves_as if leaving[1]] or [("dropped", said)]
        rows += [("" if number else field, *leaving) for number, leaving in enumerate(shown)]
    rows += [(field, "dropped", privacy) for field, privacy in withheld.items() if field not in event.fields]
    if not rows:
        return
    table = Table("  Field", "Leaves as", "Privacy class", box=None, pad_edge=False, header_style="dim")
    for field, target, privacy in rows:
        table.add_row(f"  {escape(field)}", "[dim]dropped[/]" if target == "dropped" else target, privacy)
    console.print(table)
    classes = {privacy for _, target, privacy in rows if target != "dropped"}
    for privacy, meaning in _CLASS_MEANINGS.items():
        if privacy in classes:
            console.print(f"  [dim]{privacy}: {meaning}[/]", highlight=False)


def _leaving(target: str, said: PrivacyClass, attributes: model.AttributesFile) -> tuple[str, str]:
    """What a field leaves as, and the class; the class is empty if the field's own does not let it leave."""
    attribute = attributes.attributes.get(target)
    if attribute is None:
        return "-", "internal"
    return target, attribute.privacy if leaves(attribute.privacy, said) else ""


def _print_shared_fields(
    console: Console,
    entry: SourceEvent,
    event: model.EventEntry,
    common: model.SourceCommon,
    attributes: model.AttributesFile,
) -> None:
    """Fields that any event of the source may have, and those that are not read, folded into some lines."""
    keys = [field for field, read in entry.handlers.items() if any(handler.name in KEYS for handler in read)]
    shared = [
        field
        for field in (common.fields | common.fallbacks)
        if field not in event.fields and any(target in attributes.attributes for target in entry.fields[field])
    ]
    always = [
        field
        for field in shared
        if any(attributes.attributes[target].privacy in ("safe", "bounded") for target in entry.fields[field])
    ]
    dropped = [field for field in withheld_fields(common, attributes) if field not in event.fields]
    shown = {*keys, *shared, *dropped, *event.fields, *event.classified, *withheld_fields(event, attributes)}
    table = Table(box=None, pad_edge=False, show_header=False)
    for label, fields in (
        ("ids", keys),
        ("always", always),
        ("if included", [field for field in shared if field not in always]),
        ("dropped", dropped),
        ("not read", [field for field in entry.handlers if field not in shown]),
    ):
        if fields:
            table.add_row(f"  [dim]{label}[/]", f"[dim]{escape(', '.join(fields))}[/]")
    console.print("  [dim]Also, as any event of this source:[/]")
    console.print(table)


def _print_section(console: Console, section: Section, columns: int) -> None:
    console.print(f"[bold]{escape(section.title)}[/]")
    text = _LINK.sub(r"\1", section.text).replace("`", "").replace("\n", " ")
    console.print(f"[dim]{escape(text)}[/]")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for number, head in enumerate(section.head[:columns]):
        table.add_column(head, no_wrap=number == 0)
    for row in section.rows:
        table.add_row(*(escape(_plain(cell)) for cell in row[:columns]))
    console.print(table)
    console.print()


def _plain(cell: Cell) -> str:
    return cell.replace("`", "") if isinstance(cell, str) else ", ".join(cell)
