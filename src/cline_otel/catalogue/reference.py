"""``docs/telemetry.md``: everything that is exported, from the catalogue. Pure.

``python -m cline_otel.catalogue.reference`` writes the page to standard output; ``make docs`` keeps it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from cline_otel import markdown
from cline_otel.catalogue import model
from cline_otel.catalogue.load import Tables, read_profile, read_tables
from cline_otel.catalogue.profiles import DEFAULT_PROFILE, profile_names
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
        _RESOURCE.format(services=", ".join(_services(tables)) or "no source"),
        markdown.table(
            ("Attribute", "Example", "On", "What it says", "Since"),
            (
                ((name,), (each.example,), ", ".join(each.signals), each.description, _since(each))
                for name, each in tables.attributes.resource.items()
            ),
        ),
        "## Profiles",
        _PROFILES,
        markdown.table(
            ("Profile", "What it is for"),
            (((name,), f"{read_profile(name).description}{_default(name)}") for name in profile_names()),
        ),
        *(part for name in profile_names() for part in _profile(name, read_profile(name))),
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
    events += [(f"{begin}…", entry) for begin, entry in vocabulary.log_messages.read.items()]
    yield markdown.table(
        ("Event", "Becomes", "What it means"),
        (((event,), _becomes(entry, tables.spans.kinds), entry.meaning) for event, entry in events),
    )


def _default(name: str) -> str:
    return " The default." if name == DEFAULT_PROFILE else ""


def _profile(name: str, profile: model.ProfileFile) -> Iterator[str]:
    rows = [*_shown_spans(profile), *_shown_metrics(profile), *_shown_log_records(profile)]
    if rows:
        yield f"### {name}"
        yield markdown.table(("Ours", "Under this profile"), rows)


def _shown_spans(profile: model.ProfileFile) -> Iterator[tuple[Cell, Cell]]:
    for operation, span in profile.spans.items():
        for own in sorted(span.drops):
            yield f"`{own}` on `{operation}`", "left out"
        for own, shown in span.renames.items():
            yield f"`{own}` on `{operation}`", (shown,)
        for shown, own in span.copies.items():
            yield f"`{own}` on `{operation}`", f"`{shown}` besides"


def _shown_metrics(profile: model.ProfileFile) -> Iterator[tuple[Cell, Cell]]:
    for metric in profile.metrics:
        parts = [f"`{metric.of}`", *(f"where `{own}` is `{value}`" for own, value in metric.when.items())]
        shown = [f"metric `{metric.name}`", f"unit `{metric.unit}`" if metric.unit else "without unit"]
        shown += [f"a {metric.instrument}, its sum"] if metric.instrument else []
        shown += [f"`{own}` as `{other}`" for own, other in metric.renames.items()]
        shown += [f"`{other}` is `{value}`" for other, value in metric.sets.items()]
        yield " ".join(parts), ", ".join(shown)


def _shown_log_records(profile: model.ProfileFile) -> Iterator[tuple[Cell, Cell]]:
    for name, record in profile.log_records.items():
        parts = [f"log record `{record.of_log}`" if record.of_log else f"span `{record.of_span}`"]
        parts += [
            f"where `{own}` is {' or '.join(f'`{value}`' for value in sorted(values))}"
            for own, values in record.when.items()
        ]
        parts += [f"without {' and '.join(f'`{own}`' for own in sorted(record.unless))}"] if record.unless else []
        shown = [f"`{other}` is `{own}`{_less(record.less.get(other, []))}" for other, own in record.attributes.items()]
        shown += [f"`{record.duration_ms}` is the span's duration"] if record.duration_ms else []
        verb = "" if record.of_log else " besides"
        yield " ".join(parts), f"log record `{name}`{verb}, in which {', '.join(shown)}"


def _services(tables: Tables) -> Iterator[str]:
    """The sources that have a service of their own."""
    for source in tables.sources.values():
        if source.service is not None:
            yield f"{source.title} (`{source.service}`)"


def _less(others: Iterable[str]) -> str:
    return "".join(f" less `{own}`" for own in others)


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
another one. Series with values of before take no room from those that can grow: up to 2,000 more of a metric stay,
and the oldest beyond them end once they are delivered."""

_LOGS: Final = """\
Each has an event name, a severity, the trace and span that it belongs to, and, as far as they are known, {common}.

Words in braces stand for an attribute's value, "unknown" where it is absent. The sentences are for people and may be
reworded in any release; go by the event name and the attributes."""

_ATTRIBUTES: Final = """\
All that may be on a span, span event, log record or metric, and nothing else may."""

_RESOURCE: Final = """\
`OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` replace and add attributes. Unless one of them says `service.name`,
what these tell has one of its own, under a resource of its own in the same request: {services}. The scope is
`cline-otel`, on spans and log records with its version; on metrics a version would split the totals at each upgrade."""

_PROFILES: Final = """\
`CLINE_OTEL_BRIDGE_PROFILE` says under which names telemetry is exported. Names are given where requests are made: what
is stored, counted, shown in the terminal and excluded goes by ours, so that another profile changes no total. A series
keeps its total under its new name; backends take it for a new one, and one that gets totals is told of its start with a
point 0 again. What exceeds a metric's budget of series has the profile's name where one metric of the profile has all
of ours; else it is exported under our name, since it does not say which of the profile's metrics it is of. What a
profile does not name is exported as it is. The privacy classes hold under each: a profile shows no value that would not
leave without it."""

_EVENTS: Final = """\
What Cline reports, by source, and what becomes of it: a log record, or a part of a run's life. Log
records of runs, failed model calls and failed tool calls are made where their spans are."""


if __name__ == "__main__":
    sys.stdout.buffer.write(telemetry_document(read_tables()).encode())
