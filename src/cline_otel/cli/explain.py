"""``cline-otel explain``: what the catalogue says of an event."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table

from cline_otel.catalogue import model
from cline_otel.catalogue.document import (
    KEY_ATTRIBUTES,
    Cell,
    Section,
    catalogued_privacy,
    privacy_sections,
    withheld_fields,
)
from cline_otel.catalogue.load import KEYS, Catalogue, SourceEvent, load
from cline_otel.cli.main import fail

_KIND_MEANING = {
    "ignored": "nothing: bookkeeping",
    "fact": "a log record",
    "agent.described": "nothing by itself; names the agent's model and session",
    "session.claimed": "nothing by itself; the plugin will own the session's runs",
    "process.exited": "what the process left open is closed as incomplete",
    "records.dropped": "a count in `status`",
    "run.started": "opens span `invoke_agent`; log cline.run.started; metrics cline.run.started, cline.task.started",
    "run.finished": "closes span `invoke_agent`; log cline.run.finished; metrics gen_ai.invoke_agent.duration, "
    "cline.run.completed, cline.run.duration",
    "model_call.started": "opens span `chat`",
    "model_call.first_chunk": "time to first chunk of span `chat`; metric gen_ai.client.operation.time_to_first_chunk",
    "model_call.ended": "the end of span `chat`; metric gen_ai.client.operation.duration",
    "model_call.usage": "tokens and cost of span `chat`; metrics gen_ai.client.token.usage, cline.cost",
    "model_call.finished": "closes span `chat`; log cline.model_call.failed if it failed; metrics "
    "gen_ai.client.operation.duration, gen_ai.client.operation.time_to_first_chunk, gen_ai.client.token.usage, "
    "cline.cost",
    "tool_call.started": "opens span `execute_tool`",
    "tool_call.finished": "closes span `execute_tool`; log cline.tool_call.failed if it failed; metrics "
    "gen_ai.execute_tool.duration, cline.tool.calls",
    "tool_call.named": "the name of span `execute_tool`; metric cline.tool.calls",
}


_CLASS_MEANING = {
    "safe": "a number, or a string of a known form",
    "bounded": "one of a list of known values, else _OTHER",
    "pseudonym": "a keyed hash, or plain, as you allow it",
    "content": "only if you ask for it, masked",
    "secret": "never",
    "internal": "steers the translator, never leaves",
    "class of it": "what kind of error the text tells of, where no other field says it; never the text",
}

_COLUMNS = {"choices": 3, "safe": 2, "bounded": 2, "pseudonym": 3, "content": 2, "never": 3}
"""How many columns of each table a terminal has room for."""

_LINK = re.compile(r"\[([^]]*)\]\([^)]*\)")


def explain_event(name: str | None) -> None:
    """Prints one event's entry, or the list of all."""
    catalogue = load()
    if name is None:
        _list_all(catalogue)
        return
    found = [
        (source, entry)
        for source, vocabulary in (("plugin", catalogue.plugin), ("cline.log, otlp", catalogue.cline))
        if (entry := vocabulary.find(name)) is not None
    ]
    elsewhere = [
        (source, other.names[name]) for source, other in catalogue.other_sources.items() if name in other.names
    ]
    if not found and not elsewhere:
        known = [*catalogue.plugin.events, *catalogue.cline.events]
        known += [other_name for other in catalogue.other_sources.values() for other_name in other.names]
        near = difflib.get_close_matches(name, known, 3)
        hint = f"; did you mean {' or '.join(near)}?" if near else "; `cline-otel explain` lists all"
        fail(f"{name}: the catalogue knows no such event{hint}", 2)
    console = Console()
    for source, entry in found:
        _print_entry(console, source, entry, catalogue)
    for source, meaning in elsewhere:
        console.print(f"[bold]{escape(name)}[/]  told by {source}, which is not read yet")
        console.print(f"  {escape(meaning)}")
        console.print(f"  [dim]{escape(catalogue.other_sources[source].description)}[/]")


def explain_privacy() -> None:
    """Prints every attribute that may leave, by class, and what never leaves."""
    console = Console()
    attributes, sources = catalogued_privacy()
    for section in privacy_sections(attributes, sources):
        if section.key in _COLUMNS:
            _print_section(console, section, _COLUMNS[section.key])
    console.print("[dim]docs/privacy.md has all of it: patterns, lists, classes of free text.[/]")


def _becomes(entry: SourceEvent) -> str:
    return f"log record {entry.fact}" if entry.kind == "fact" else _KIND_MEANING[entry.kind]


def _list_all(catalogue: Catalogue) -> None:
    """Two lines an event, so that nothing is squeezed in a narrow terminal."""
    listed: list[tuple[str, str, str, str]] = []
    for source, vocabulary in (("plugin", catalogue.plugin), ("log, otlp", catalogue.cline)):
        for name, entry in [*sorted(vocabulary.events.items()), *vocabulary.prefixes]:
            shown = name if name in vocabulary.events else f"{name}*"
            becomes = {"ignored": "-", "fact": entry.fact}.get(entry.kind, entry.kind)
            listed.append((shown, source, becomes, entry.meaning))
    for source, other in catalogue.other_sources.items():
        listed += [(name, source, "not read yet", meaning) for name, meaning in sorted(other.names.items())]
        listed += [(f"{prefix}*", source, "-", "Counted, then dropped") for prefix in other.prefixes]
    console = Console(soft_wrap=True)
    name_cells = max(len(name) for name, *_ in listed)
    source_cells = max(len(source) for _, source, *_ in listed)
    for name, source, becomes, meaning in listed:
        console.print(f"[bold]{escape(name):<{name_cells}}[/]  {source:<{source_cells}}  {becomes}", highlight=False)
        console.print(f"  [dim]{escape(meaning)}[/]", highlight=False)


def _print_entry(console: Console, source: str, entry: SourceEvent, catalogue: Catalogue) -> None:
    console.print(f"[bold]{escape(entry.name)}[/]  told by {source}")
    console.print(f"  {escape(entry.meaning)}")
    console.print(f"  Becomes: {escape(_becomes(entry))}")
    if entry.fact:
        fact = catalogue.facts[entry.fact]
        body = "".join(literal + (f"{{{name}}}" if name else "") for literal, name in fact.body_parts)
        counted = f"; counts in {fact.counts}" if fact.counts else ""
        console.print(f"  {fact.severity.name}: {escape(body)}{counted}")
    if entry.known_to:
        console.print(
            f"  Not repeated from a run that the {', '.join(sorted(entry.known_to))} owns: it tells the same itself"
        )
    for name, accepted in entry.when:
        console.print(f"  Only if {name} is {' or '.join(sorted(accepted))}")
    if entry.kind != "ignored":
        _print_fields(console, entry)
    _print_rest(console, entry)


def _print_fields(console: Console, entry: SourceEvent) -> None:
    """The event's own fields, what each leaves as, and what the classes of privacy mean."""
    attributes, sources = catalogued_privacy()
    own = _own(entry, sources)
    rows: list[tuple[str, str, str]] = []
    for field, targets in own.fields.items():
        for number, target in enumerate(targets):
            attribute = attributes.attributes.get(target)
            privacy = attribute.privacy if attribute is not None else "internal"
            rows.append(("" if number else field, target if attribute is not None else "-", privacy))
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("  Field", "Leaves as", "Privacy class", "Values"):
        table.add_column(column, overflow="fold")
    for slot, key in enumerate(KEYS):
        aliases = [field for field, read in entry.handlers.items() if any(handler.slot == slot for handler in read)]
        if aliases:
            target = _KEY_ATTRIBUTES[key]
            class_of_key = catalogue.attributes[target].privacy
            table.add_row(f"  {', '.join(aliases)}", target, class_of_key, "an identifier; spans are keyed by it")
    for field, targets in entry.fields.items():
        for target in targets:
            attribute = catalogue.attributes.get(target)
            if attribute is None:
                table.add_row(f"  {field}", "-", "internal", "steers the translator, never leaves")
            else:
                table.add_row(f"  {field}", target, attribute.privacy, _limits(attribute))
    for field, target in entry.classified.items():
        table.add_row(f"  {field}", target, "bounded", "its class, where no other field says it; never the text")
    for field, privacy in entry.private.items():
        if field not in entry.fields:
            table.add_row(f"  {field}", "[dim]dropped[/]", privacy, "")
    if table.row_count:
        console.print(table)
    silent = [f for f, read in entry.handlers.items() if not read and f not in {*entry.private, *entry.fields}]
    if silent:
        console.print(f"  [dim]Never read: {escape(', '.join(silent))}[/]")
