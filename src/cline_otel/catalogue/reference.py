"""``docs/telemetry.md``: everything that is exported, from the catalogue. Pure.

``python -m cline_otel.catalogue.reference`` writes the page to standard output; ``make docs`` keeps it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from cline_otel import markdown
from cline_otel.catalogue import model
from cline_otel.catalogue.load import Tables, read_tables
from cline_otel.markdown import Cell

_Published = model.Attribute | model.Metric | model.Span | model.LogEventEntry | model.ResourceAttribute

_CONVENTIONS: Final = {
    "semconv": "semantic conventions",
    "genai": "GenAI conventions",
    "specification": "specification",
    "cline": "cline-otel",
}


def telemetry_document(tables: Tables) -> str:
    """The page, as Markdown: the same catalogue makes the same text."""
    parts = [
        _INTRODUCTION,
        "## Spans",
        _SPANS,
        *(part for name, span in tables.spans.spans.items() for part in _span(name, span)),
        "## Metrics",
        _METRICS,
        markdown.table(
            ("Metric", "Instrument", "Unit", "Attributes", "What it measures", "Defined by", "Since"),
            (_metric(name, metric, tables.metrics) for name, metric in tables.metrics.metrics.items()),
        ),
        "## Log records",
        _LOGS.format(common=markdown.names(tables.log_events.common.carries)),
        markdown.table(
            ("Event name", "Severity", "Body", "Attributes", "Counts in", "Span event", "Since"),
            (_log_record(name, entry) for name, entry in tables.log_events.log_events.items()),
        ),
        "## Attributes",
        _ATTRIBUTES,
        markdown.table(
            ("Attribute", "Type", "Example", "Privacy", "Cardinality", "On", "What it says", "Defined by", "Since"),
            (_attribute(name, each, tables.attributes) for name, each in sorted(tables.attributes.attributes.items())),
        ),
        "## Resource and scope",
        _RESOURCE,
        markdown.table(
            ("Attribute", "Example", "On", "What it says", "Since"),
            (
                ((name,), (each.example,), ", ".join(each.signals), each.description, _since(each))
                for name, each in tables.attributes.resource.items()
            ),
        ),
        "## Events",
        _EVENTS,
        *(part for name, vocabulary in tables.vocabularies.items() for part in _events(name, vocabulary, tables)),
    ]
    return "\n\n".join(parts) + "\n"


def example_of(name: str, table: model.AttributesFile) -> str | int | float | bool:
    """A value that an attribute may have: its own example, or the first of its values."""
    attribute = table.attributes[name]
    if attribute.example is not None:
        return attribute.example
    if attribute.type == "bool":
        return True
    return min(attribute.values or table.values[attribute.values_from or ""])


def _span(name: str, span: model.Span) -> Iterator[str]:
    error = " or ".join(
        f"`{attribute}` is {' or '.join(f'`{value}`' for value in values)}" if values else f"`{attribute}` is set"
        for attribute, values in span.error_when.items()
    )
    yield f"### {name}"
    yield span.description
    yield markdown.table(
        ("Name", "Kind", "Child of", "Status ERROR", "Defined by", "Since"),
        [
            (
                (span.name,),
                span.kind,
                tuple(span.parent),
                error,
                _CONVENTIONS[span.convention],
                _since(span),
            )
        ],
    )
    yield f"Carries, in this order: {markdown.names(span.attributes)}."


def _metric(name: str, metric: model.Metric, table: model.MetricsFile) -> Iterable[Cell]:
    bounds = table.boundaries[metric.boundaries] if metric.boundaries else ()
    instrument: str = metric.instrument
    if bounds:
        instrument += f", {len(bounds)} bounds from {bounds[0]:,} to {bounds[-1]:,}"
    return (
        (name,),
        instrument,
        (metric.unit,),
        (*metric.attributes, *metric.names),
        metric.description,
        _CONVENTIONS[metric.convention],
        _since(metric),
    )


def _log_record(name: str, entry: model.LogEventEntry) -> Iterable[Cell]:
    severities: list[str] = [entry.severity]
    for attribute, by_value in entry.severity_by.items():
        severities += [f"{severity} if `{attribute}` is `{value}`" for value, severity in by_value.items()]
    return (
        (name,),
        ", ".join(severities),
        entry.body,
        tuple(entry.carries),
        entry.counts,
        "yes" if entry.span_event else "",
        _since(entry),
    )


def _attribute(name: str, attribute: model.Attribute, table: model.AttributesFile) -> Iterable[Cell]:
    return (
        (name,),
        attribute.type,
        (str(example_of(name, table)),),
        f"[{attribute.privacy}](privacy.md)",
        attribute.cardinality,
        ", ".join(sorted(attribute.serves)),
        attribute.description,
        _CONVENTIONS[attribute.convention],
        _since(attribute),
    )


def _events(name: str, vocabulary: model.SourceFile, tables: Tables) -> Iterator[str]:
    titles = " and ".join(source.title for source in tables.speakers(name))
    yield f"### Reported by {titles}"
    events = sorted(vocabulary.events.items())
    events += [(f"{prefix}*", entry) for prefix, entry in vocabulary.prefixes.items()]
    yield markdown.table(
        ("Event", "Becomes", "What it means"),
        (((event,), _becomes(entry, tables.spans.kinds), entry.meaning) for event, entry in events),
    )


def _becomes(entry: model.EventEntry, kinds: Mapping[str, model.EventKind]) -> Cell:
    return (entry.log_event,) if entry.log_event is not None else kinds[entry.kind].does


def _since(entry: _Published) -> str:
    return f"{entry.since}; deprecated: {entry.deprecated}" if entry.deprecated else entry.since


_INTRODUCTION: Final = """\
# The telemetry

*`make docs` writes this page from the catalogue: `src/cline_otel/catalogue/` and each source's `catalogue.toml`.
`cline-otel explain EVENT` shows what becomes of one event.*

Names, units and the ids of spans and log records are what dashboards and alerts build on. Which of them may change, and
how, is in [stability.md](stability.md). Who may see which attribute, and what never leaves, is in
[privacy.md](privacy.md); what a user excludes is on no signal."""

_SPANS: Final = """\
A trace is one prompt and all that follows until the agent answers, fails or is stopped. Times are Cline's own, or those
at which the source saw it ([fidelity.md](fidelity.md))."""

_METRICS: Final = """\
Each series counts from a start time of its own. Never a session, run, call or user is an attribute of a metric. A
metric has up to 2,000 series, one of them, with `otel.metric.overflow`, for all that exceeds them. Names that
somebody chose, which leave as pseudonyms, use up half of them at most: what has a new one then counts without it.
Gauges say what holds when they are sent. `CLINE_OTEL_BRIDGE_METRIC_ATTRIBUTES` names attributes of the resource that
are on every data point too: what counts is the value they have when an event is taken in, and a total is never given
another one."""

_LOGS: Final = """\
Each has an event name, a severity, the trace and span that it belongs to, and, as far as they are known, {common}.

Words in braces stand for an attribute's value, "unknown" where it is absent. The sentences are for people and may be
reworded in any release; go by the event name and the attributes."""

_ATTRIBUTES: Final = """\
All that may be on a span, span event, log record or metric, and nothing else may."""

_RESOURCE: Final = """\
`OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` replace and add attributes. The scope is `cline-otel`, on spans and
log records with its version; on metrics a version would split the totals at each upgrade."""

_EVENTS: Final = """\
What Cline reports, by source, and what becomes of it: a log record, or a part of a run's life. Log
records of runs, failed model calls and failed tool calls are made where their spans are."""


if __name__ == "__main__":
    sys.stdout.buffer.write(telemetry_document(read_tables()).encode())
