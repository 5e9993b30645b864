"""How a preview looks in a terminal, and in a pipe."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.journal.records import KeptRequest, SignalStatus
from cline_otel.preview import ExportedField, Item, Measurement, Outcome, Reason, Sender, Step, Summary, WithheldField
from cline_otel.signals import SERVICE_NAME, Diagnostics, SignalName, SpanKind, StatusCode
from cline_otel.terminal.diagnostics import MEANINGS
from cline_otel.terminal.formatting import glyphs_for, printable

_PIPE_WIDTH: Final = 160
"""Into a pipe or a file, unless COLUMNS says otherwise."""

_LABEL_CELLS: Final = 26
_NAME_CELLS: Final = 40
_FEWEST_CELLS: Final = 12
"""Where less than this is left beside a label, its text goes below it."""

_OUTCOMES: Final[dict[Outcome, tuple[str, str]]] = {
    "read": ("read", ""),
    "superseded": (MEANINGS["superseded"].label, "Not exported: duplicate of the primary source."),
    "duplicate": (MEANINGS["duplicate"].label, "Not exported: it was seen before."),
    "late": (MEANINGS["late"].label, "Not exported: its run is closed."),
    "defect": (MEANINGS["defect"].label, "Not exported: a source or the translator failed on it, please report."),
    "ignored": ("ignored", "ignored"),
    "condition_not_met": ("condition not met", "condition not met"),
    "unknown": ("unknown", "not in the catalogue"),
    "malformed": ("malformed", "malformed"),
    "clock": ("", "time passes; what is still open is closed"),
}
"""In the order of the summary: in few words there, and what is said of an event."""

_IN_ONE_LINE: Final = frozenset({"ignored", "condition_not_met", "unknown", "malformed"})

_REASONS: Final[dict[Reason, tuple[str, str]]] = {
    "redacted": ("looks like a secret", "red"),
    "replaced": ("outside the known values", "yellow"),
    "unlisted": ("not in the catalogue", "yellow"),
    "excluded": ("excluded by you", ""),
    "not_opted_in": ("content, not opted in", ""),
    "not_included": ("not included", ""),
    "no_key": ("no key for its pseudonym", ""),
    "not_plain": ("not allowed in plain", ""),
    "stricter": ("stricter for this event", ""),
    "not_passed_on": ("read, not passed on", "dim"),
    "in_another_field": ("another field has it", "dim"),
    "unusable": ("empty or invalid", "dim"),
    "used_internally": ("internal, never exported", "dim"),
    "condition": ("only a condition", "dim"),
    "never_read": ("never read", "dim"),
}

_NOUNS: Final[dict[SignalName, tuple[str, str]]] = {
    "traces": ("span", "spans"),
    "logs": ("log record", "log records"),
    "metrics": ("measurement", "measurements"),
}
_TIMES: Final = frozenset({"timeUnixNano", "observedTimeUnixNano", "startTimeUnixNano", "endTimeUnixNano"})


class PreviewView:
    """Prints to standard output, as wide as a terminal is."""

    def __init__(self, console: Console | None = None) -> None:
        """``console``: where to print, if not there."""
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        if console is None and not self._console.is_terminal and "COLUMNS" not in os.environ:
            self._console.width = _PIPE_WIDTH
        self._glyphs = glyphs_for(ascii_only=self._console.options.ascii_only)
        self._last_sender: Sender | None = None

    # --- recordings -----------------------------------------------------------------------------------

    def print_step(self, step: Step) -> None:
        """An upstream event: its fields, and what came out after it."""
        words = _OUTCOMES[step.outcome][1]
        if step.outcome in _IN_ONE_LINE or step.outcome == "clock":
            named = f"{self._safe(step.event)}  " if step.event else ""
            self._print(0, Text(f"{_moment(step.at_ns)}  {step.source}  {named}{words}", "dim"))
        else:
            heading = Text(f"{_moment(step.at_ns)}  {step.source}  ", "dim")
            self._print(0, heading.append(self._safe(step.event), "not dim bold"))
            self._print(2, Text(step.meaning, "dim"))
            if words:
                self._print(2, Text(words, "red" if step.outcome == "defect" else "yellow"))
        if step.outcome in _IN_ONE_LINE:
            return
        self._print_taken(step.taken)
        self._print_withheld(step.withheld, step.around)
        for item in (*step.spans, *step.logs):
            self._print_item(item)
        for measurement in step.measurements:
            self._print_measurement(measurement)
        self._console.print()

    def _print_taken(self, taken: Sequence[ExportedField]) -> None:
        if not taken:
            return
        self._print(2, Text("taken", "green"))
        labels = [f"{field.field} {self._glyphs.arrow} {field.attribute}" for field in taken]
        values: list[Text] = []
        for field in taken:
            value = Text(self._safe(_plain(field.value)), "green")
            notes = [note for note, said in (("key", field.is_key), ("pieces masked", field.is_masked)) if said]
            values.append(value.append(f"  {', '.join(notes)}" if notes else "", "dim"))
        cells = max(map(len, labels))
        if 4 + cells + 2 + max(value.cell_len for value in values) > self._console.width:
            cells = min(cells, _NAME_CELLS)
        for label, value in zip(labels, values, strict=True):
            self._print_row(4, Text(label), value, cells)

    def _print_withheld(self, withheld: Sequence[WithheldField], around: Sequence[str]) -> None:
        groups: dict[tuple[Reason, str], list[str]] = {}
        for reason in _REASONS:
            for field in withheld:
                if field.reason == reason:
                    groups.setdefault((reason, field.privacy), []).append(self._withheld_text(field))
        if not groups and not around:
            return
        self._print(2, Text.assemble(("not taken", "yellow"), ("  (with the size in characters, or bytes: B)", "dim")))
        for (reason, privacy), texts in groups.items():
            words, style = _REASONS[reason]
            label = f"{words} ({privacy})" if reason in ("never_read", "stricter") and privacy else words
            self._print_list(4, label, texts, style)
        if around:
            self._print_list(4, "around it, never read", list(map(self._safe, around)), "dim")

    def _withheld_text(self, field: WithheldField) -> str:
        text = f"{field.field} ({field.size:,}{'' if field.unit == 'characters' else ' B'})"
        if field.attribute and field.reason not in ("unusable", "in_another_field"):
            text += f" {self._glyphs.arrow} {field.attribute}"
        return f"{text}: {field.replacement}" if field.replacement else text

    def print_summary(self, summary: Summary, resource_and_scope: ResourceAndScope) -> None:
        """What all steps add up to."""
        outcomes = [f"{summary.events[key]:,} {words[0]}" for key, words in _OUTCOMES.items() if key in summary.events]
        self._print(0, Text.assemble((_many(sum(summary.events.values()), "event", "events"), "bold")))
        self._print(2, Text(", ".join(outcomes) or "none"))
        if summary.lines_without_event:
            self._print(2, Text(f"and {summary.lines_without_event:,} lines of the log without an event", "dim"))
        for noun, times in summary.besides.items():
            self._print(2, Text(f"and {times:,} {noun}", "dim"))
        fields = summary.taken + sum(summary.withheld.values())
        self._print(0, Text.assemble((_many(fields, "field", "fields"), "bold"), " of events that were read"))
        self._print_row(2, Text("taken", "green"), Text(f"{summary.taken:,}"), _LABEL_CELLS)
        for reason, (words, style) in _REASONS.items():
            if reason in summary.withheld:
                self._print_row(2, Text(words, style), Text(f"{summary.withheld[reason]:,}", style), _LABEL_CELLS)
        self._print(0, Text("Would leave", "bold"))
        for signal, nouns in _NOUNS.items():
            number = summary.items.get(signal, 0)
            text = _many(number, *nouns)
            if signal in summary.item_bytes:
                text += f" of {summary.item_bytes[signal]:,} bytes"
            if signal in summary.requests:
                requests = _many(summary.requests[signal], "request", "requests")
                text += f" in {requests} of {summary.request_bytes[signal]:,} bytes"
            self._print(2, Text(text))
        named = [
            *resource_and_scope.resource,
            ("scope", f"{resource_and_scope.scope_name} {resource_and_scope.scope_version}"),
        ]
        said = ", ".join(f"{name} {_plain(value)}" for name, value in named)
        self._print_row(2, Text("resource and scope", "dim"), Text(self._safe(said), "dim"), _LABEL_CELLS)
        for service in summary.services:
            of_service = Text(self._safe(f"the same with {SERVICE_NAME} {service}"), "dim")
            self._print_row(2, Text("and", "dim"), of_service, _LABEL_CELLS)

    # --- the journal ------------------------------------------------------------------------------------

    def print_request(self, kept: KeptRequest, items: Sequence[Item], problem: str, delivery: SignalStatus) -> None:
        """A request that left, was refused or waits, and its items."""
        heading = Text(f"{kept.signal}: {_many(kept.item_count, *_NOUNS[kept.signal])} in one request", "bold")
        self._print(0, heading.append(f" of {len(kept.payload):,} bytes"))
        self._print_row(2, Text("made", "dim"), Text(_moment(kept.created_at_ns)), _LABEL_CELLS)
        to = f" to {kept.destination}" if kept.destination else ""
        if kept.state == "waits":
            self._print_row(2, Text("waits", "yellow"), Text("not delivered yet"), _LABEL_CELLS)
            if delivery.last_error:
                remedy = f"; {delivery.last_remedy}" if delivery.last_remedy else ""
                why = Text(self._safe(delivery.last_error + remedy), "yellow")
                self._print_row(2, Text("trouble", "yellow"), why, _LABEL_CELLS)
        elif kept.state == "left":
            self._print_row(2, Text("left", "green"), Text(_moment(kept.left_at_ns) + self._safe(to)), _LABEL_CELLS)
        else:
            why = Text(f"{_moment(kept.left_at_ns)}: {self._safe(kept.reason)}")
            self._print_row(2, Text("sent, and refused", "red"), why, _LABEL_CELLS)
        for item in items[:1]:
            self._print_sender(item.sender)
        self._print_diagnostics(kept.diagnostics)
        if problem:
            self._print(2, Text(self._safe(problem), "red"))
        elif len(items) < kept.item_count:
            self._print(2, Text(f"the last {len(items)} of its {kept.item_count}:", "dim"))
        for item in items:
            self._print_sender(item.sender)
            self._print_item(item)
        self._console.print()

    def _print_sender(self, sender: Sender) -> None:
        """Says whose the next items are, where the last ones were another's."""
        if sender == self._last_sender:
            return
        self._last_sender = sender
        named = [(pair["key"], _any_value(pair.get("value", {}))) for pair in sender.resource.get("attributes", ())]
        named.append(("scope", f"{sender.scope.get('name', '')} {sender.scope.get('version', '')}"))
        said = ", ".join(f"{name} {value}" for name, value in named)
        self._print_row(2, Text("resource and scope", "dim"), Text(self._safe(said), "dim"), _LABEL_CELLS)

    def _print_diagnostics(self, diagnostics: Diagnostics) -> None:
        if not diagnostics:
            return
        self._print(2, Text("dropped or changed before export", "yellow"))
        for kind, meaning in MEANINGS.items():
            names = [
                f"{self._safe(name)} ({source}{f' {self._glyphs.times}{times:,}' if times > 1 else ''})"
                for (of_kind, source, name), times in diagnostics.items()
                if of_kind == kind
            ]
            if names:
                self._print_list(4, meaning.label, names, "")

    def print_note(self, note: str) -> None:
        """Something to know besides."""
        self._print(0, Text(self._safe(note), "yellow"))

    # --- what leaves --------------------------------------------------------------------------------------

    def _print_item(self, item: Item) -> None:
        content = item.content
        name = content.get("name") or content.get("eventName") or ""
        heading = Text.assemble((f"{_NOUNS[item.signal][0]}  ", "cyan"), (self._safe(name), "bold cyan"))
        self._print(2, heading.append(f"  {_bytes(item.size_bytes)}", "dim"))
        self._print_members(4, content)

    def _print_members(self, indent: int, content: Mapping[str, Any]) -> None:
        """Everything of an OTLP message, by its own names, attributes as if they were such."""
        for member, value in content.items():
            if member in ("name", "eventName"):
                continue
            if member == "attributes":
                for pair in value:
                    text = Text(self._safe(_any_value(pair.get("value", {}))))
                    self._print_row(indent, Text(self._safe(pair.get("key", ""))), text, _NAME_CELLS)
            elif member in ("events", "links"):
                for each in value:
                    self._print(indent, Text.assemble((f"{member[:-1]}  ", "cyan"), self._safe(each.get("name", ""))))
                    self._print_members(indent + 2, each)
            else:
                self._print_row(indent, Text(member, "dim"), Text(self._safe(_member(member, value))), _NAME_CELLS)

    def _print_measurement(self, measurement: Measurement) -> None:
        heading = Text.assemble(("measured  ", "cyan"), (measurement.metric, "bold cyan"))
        heading.append(f"  {_plain(measurement.value)} {measurement.unit}")
        self._print(2, heading.append(f"  {_bytes(measurement.size_bytes)}", "dim"))
        said = ", ".join(f"{name} {_plain(value)}" for name, value in measurement.attributes.items())
        if said:
            self._print(4, Text(self._safe(said)))

    # --- lines ----------------------------------------------------------------------------------------------

    def _safe(self, text: str) -> str:
        return printable(text, self._glyphs)

    def _print(self, indent: int, text: Text) -> None:
        self._print_lines(" " * indent, " " * indent, text, max(self._console.width - indent, 1))

    def _print_row(self, indent: int, label: Text, value: Text, label_cells: int) -> None:
        """A label and what it says, wrapped beside it, or below it where there is no room."""
        head = Text(" " * indent).append_text(label)
        at = indent + max(label_cells, label.cell_len) + 2
        room = self._console.width - at
        if value.cell_len > room and (room < _FEWEST_CELLS or label.cell_len > label_cells):
            self._print_lines("", "", head, self._console.width)
            self._print(indent + 4, value)
            return
        head.append(" " * (at - indent - label.cell_len))
        self._print_lines(head, " " * at, value, room)

    def _print_list(self, indent: int, label: str, parts: Sequence[str], style: str) -> None:
        """A label and a list beside it, with no part of it on two lines that fits on one."""
        room = self._console.width - indent - _LABEL_CELLS - 2
        lines = [""]
        for number, part in enumerate(parts):
            part = f"{part}," if number < len(parts) - 1 else part
            if lines[-1] and len(lines[-1]) + 1 + len(part) > room:
                lines.append("")
            lines[-1] += f" {part}" if lines[-1] else part
        for number, line in enumerate(lines):
            self._print_row(indent, Text("" if number else label, style), Text(line, style), _LABEL_CELLS)

    def _print_lines(self, first: Text | str, further: str, text: Text, width: int) -> None:
        lines: Iterable[Text] = text.wrap(self._console, max(width, 1)) or [text]
        for number, line in enumerate(lines):
            line.rstrip()
            shown = (first.copy() if isinstance(first, Text) else Text(first)) if number == 0 else Text(further)
            self._console.print(shown.append_text(line), soft_wrap=True)


def _moment(at_ns: int | None) -> str:
    if at_ns is None:
        return "at no known time".ljust(24)
    try:
        moment = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return "at no known time".ljust(24)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{at_ns // 1_000_000 % 1_000:03}Z"


def _many(number: int, singular: str, plural: str) -> str:
    return f"{number:,} {singular if number == 1 else plural}"


def _bytes(number: int) -> str:
    return _many(number, "byte", "bytes")


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def _any_value(value: Mapping[str, Any]) -> str:
    """An OTLP ``AnyValue`` as text."""
    for kind, content in value.items():
        if kind == "arrayValue":
            return ", ".join(_any_value(each) for each in content.get("values", ()))
        return _plain(content)
    return ""


def _member(member: str, value: Any) -> str:
    """A member of an OTLP message, as it is and, where that says little, in words."""
    if member in _TIMES:
        return f"{value}  {_moment(int(value))[11:]}"
    if member == "kind":
        return f"{value}  {SpanKind(value).name}"
    if member == "status":
        return f"{value['code']}  {StatusCode(value['code']).name}" if value.get("code") else "unset"
    return _any_value(value) if isinstance(value, dict) else _plain(value)
