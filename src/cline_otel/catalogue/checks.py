"""Whether the catalogue's files agree with themselves and with each other."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from typing import Final

from cline_otel.catalogue import model
from cline_otel.catalogue.gates import IDENTIFIER, MODEL
from cline_otel.events import EVENT_TYPES, Event, RunClaimed, Tick, steering_fields

OVERFLOW: Final = "otel.metric.overflow"
"""Set by the metrics themselves, on any of them (metrics SDK specification, cardinality limits)."""


def findings(
    attributes: model.AttributesFile,
    metrics: model.MetricsFile,
    spans: model.SpansFile,
    log_events: model.LogEventsFile,
    vocabularies: Mapping[str, model.SourceFile],
    sources: Mapping[str, model.SourceTable],
) -> list[str]:
    """Every contradiction, as a line that names the file, the entry, what is wrong and what to write where.

    Vocabularies go by file.
    """
    return [
        *_check_attributes(attributes),
        *_check_metrics(metrics, attributes.attributes),
        *_check_spans(spans, attributes.attributes),
        *_check_kinds(spans, metrics, log_events),
        *_check_served(attributes.attributes, metrics, spans, log_events),
        *_check_steering(attributes),
        *_check_log_events(log_events, attributes.attributes, metrics),
        *(
            finding
            for name, table in vocabularies.items()
            for finding in _check_source(name, table, attributes, log_events)
        ),
        *_check_ranks(sources),
        *(finding for name, table in vocabularies.items() for finding in _check_known_to(name, table, sources)),
    ]


def _check_attributes(table: model.AttributesFile) -> Iterator[str]:
    for name, attribute in table.attributes.items():
        where = f"attributes.toml: {name}"
        if attribute.convention == "cline" and not name.startswith("cline."):
            yield f"{where}: ours begin with 'cline.': rename it, or write whose it is into its convention"
        if attribute.type in ("string", "strings"):
            if attribute.privacy in ("safe", "bounded"):
                ways = [attribute.values, attribute.values_from]
                if attribute.group is None:
                    ways.append(attribute.pattern)
                if sum(way is not None for way in ways) != 1:
                    yield f"{where}: a string needs exactly one of pattern, values, values_from: add or take out"
            if attribute.pattern not in (None, IDENTIFIER, MODEL, *table.patterns):
                yield f"{where}: no pattern {attribute.pattern!r}: add it to [patterns] in attributes.toml"
            if attribute.values_from is not None and attribute.values_from not in table.values:
                yield f"{where}: no values {attribute.values_from!r}: add them to [values] in attributes.toml"
            if attribute.privacy == "bounded" and attribute.pattern is not None and attribute.group is None:
                yield (
                    f"{where}: bounded means listed values, not a pattern, unless a group may have other names plain: "
                    "add values and take the pattern out, or add a group"
                )
            if attribute.privacy == "pseudonym" and attribute.group is None:
                yield f"{where}: a pseudonym belongs to a group: add its group here"
            if attribute.privacy == "pseudonym" and (attribute.hashes is None) == (attribute.pattern is None):
                yield (
                    f"{where}: a pseudonym either hashes a kind of name or has a pattern for the plain one: "
                    "add hashes or a pattern here, not both"
                )
        for value in sorted(
            {*attribute.renames.values()} - (attribute.values or {*table.values.get(attribute.values_from or "", ())})
        ):
            yield f"{where}: renames something to {value!r}, which it never is: add that to its values, or take it out"
        has_examples = attribute.type == "bool" or attribute.values is not None or attribute.values_from is not None
        if attribute.example is None and not has_examples:
            yield f"{where}: has no example: add one here"
        if "metric" in attribute.serves and not _is_name(attribute):
            if attribute.cardinality != "low":
                yield f"{where}: a metric attribute must be of low cardinality: take 'metric' out of its serves"
            if attribute.privacy not in ("safe", "bounded"):
                yield f"{where}: a metric attribute must be safe or bounded: take 'metric' out of its serves"


def _is_name(attribute: model.Attribute) -> bool:
    """Whether it stands for a name that somebody chose for a thing, never for a person or what belongs to one."""
    return attribute.privacy == "pseudonym" and attribute.group in ("names", "repository")


def _add_attribute(signal: model.Serves) -> str:
    return f"add it to [attributes] in attributes.toml, or {signal!r} to its serves there"


def _check_metrics(table: model.MetricsFile, attributes: Mapping[str, model.Attribute]) -> Iterator[str]:
    for name, metric in table.metrics.items():
        where = f"metrics.toml: {name}"
        if metric.convention == "cline" and not name.startswith("cline."):
            yield f"{where}: ours begin with 'cline.': rename it, or write whose it is into its convention"
        if (metric.instrument == "histogram") != (metric.boundaries is not None):
            yield f"{where}: histograms, and only they, have boundaries: add them here, or take them out"
        if metric.boundaries is not None and metric.boundaries not in table.boundaries:
            yield f"{where}: no boundaries {metric.boundaries!r}: add them to [boundaries] in metrics.toml"
        for attribute in (*metric.attributes, *metric.names):
            if attribute not in attributes or "metric" not in attributes[attribute].serves:
                yield f"{where}: {attribute} is no metric attribute: {_add_attribute('metric')}"
            elif _is_name(attributes[attribute]) != (attribute in metric.names):
                yield (
                    f"{where}: {attribute} stands in the wrong list: add it to names here if somebody chose what it "
                    "names, else to attributes, and take it out of the other"
                )
        if metric.instrument == "gauge" and metric.names:
            yield f"{where}: a gauge has no budget of series that names could use up: take its names out"
    for name, bounds in table.boundaries.items():
        if sorted(set(bounds)) != bounds:
            yield f"metrics.toml: boundaries: {name} must ascend: write each bound once, the lowest first"


def _check_spans(table: model.SpansFile, attributes: Mapping[str, model.Attribute]) -> Iterator[str]:
    for name, span in table.spans.items():
        where = f"spans.toml: {name}"
        parts = list(string.Formatter().parse(span.name))
        is_own = span.convention == "cline" and span.name == name
        if not is_own and (len(parts) != 1 or parts[0][0] != f"{name} " or not parts[0][1]):
            yield f"{where}: its name is '{name} ' and one attribute in braces: write it so"
        for parent in span.parent:
            if parent not in table.spans:
                yield f"{where}: no span {parent!r} to be its parent: add [spans.{parent}] here, or take it out"
        named = {field for _, field, _, _ in parts if field}
        for word in span.error_says:
            fields = [field for _, field, _, _ in string.Formatter().parse(word)]
            if len(fields) != 1 or not fields[0]:
                yield f"{where}: {word!r} is no word of an error's message: write a text and one attribute in braces"
            else:
                named |= {fields[0]}
        for attribute in sorted({*span.attributes, *span.inherits, *span.error_when, *named}):
            if attribute not in attributes or "span" not in attributes[attribute].serves:
                yield f"{where}: {attribute} is no span attribute: {_add_attribute('span')}"
        for attribute in sorted({*span.inherits, *span.error_when, *named} - {*span.attributes}):
            yield f"{where}: uses {attribute} but does not carry it: add it to its attributes here"
        for attribute in sorted({each for each in span.attributes if span.attributes.count(each) > 1}):
            yield f"{where}: carries {attribute} twice: take one out of its attributes"
        for attribute, accepted in span.error_when.items():
            known = attributes[attribute].values if attribute in attributes else None
            for value in sorted({*accepted} - (known or {*accepted})):
                yield f"{where}: {attribute} is never {value!r}: add the value to its values in attributes.toml"


def _check_kinds(table: model.SpansFile, metrics: model.MetricsFile, log_events: model.LogEventsFile) -> Iterator[str]:
    kinds = {*EVENT_TYPES, "ignored"} - {Tick.kind, RunClaimed.kind}
    for kind in sorted(kinds - table.kinds.keys()):
        yield f"spans.toml: kinds: what an event {kind} does is not said: add it to [kinds]"
    for kind in sorted(table.kinds.keys() - kinds):
        yield f"spans.toml: kinds: no event is a {kind}: add a class to events.py, or take it out"
    for kind, entry in table.kinds.items():
        for name in sorted({*entry.metrics} - metrics.metrics.keys()):
            yield f"spans.toml: kinds: {kind}: no metric {name}: add it to [metrics] in metrics.toml"
        for name in sorted({*entry.logs} - log_events.log_events.keys()):
            yield f"spans.toml: kinds: {kind}: no log record {name}: add [log_events.{name!r}] to log_events.toml"


def _check_served(
    attributes: Mapping[str, model.Attribute],
    metrics: model.MetricsFile,
    spans: model.SpansFile,
    log_events: model.LogEventsFile,
) -> Iterator[str]:
    on_span_events = {
        name for log_event in log_events.log_events.values() if log_event.span_event for name in log_event.carries
    }
    carried = {
        "span": {name for span in spans.spans.values() for name in span.attributes} | on_span_events,
        "log": {*log_events.common.carries}
        | {name for log_event in log_events.log_events.values() for name in log_event.carries},
        "metric": {name for metric in metrics.metrics.values() for name in (*metric.attributes, *metric.names)},
    }
    where = {
        "span": "a span's attributes in spans.toml, or to a log record that is a span event too",
        "log": "what a log record carries in log_events.toml",
        "metric": "a metric's attributes in metrics.toml",
    }
    for name, attribute in attributes.items():
        for signal in sorted(attribute.serves):
            if name not in carried[signal] and name != OVERFLOW:
                yield (
                    f"attributes.toml: {name}: serves {signal} and no {signal} carries it: add it to {where[signal]}, "
                    f"or take {signal!r} out of its serves"
                )


def _check_steering(table: model.AttributesFile) -> Iterator[str]:
    steering = {field for event_type in EVENT_TYPES.values() for field in steering_fields(event_type)}
    for name in sorted(steering - table.internal.keys()):
        yield f"attributes.toml: internal: {name} is a field of an event and has no type: add it to [internal]"
    for name in sorted(table.internal.keys() - steering):
        yield f"attributes.toml: internal: no event has a field {name}: add it to a class in events.py, or take it out"


def _check_log_events(
    table: model.LogEventsFile, attributes: Mapping[str, model.Attribute], metrics: model.MetricsFile
) -> Iterator[str]:
    common = set(table.common.carries)
    for name, log_event in table.log_events.items():
        where = f"log_events.toml: {name}"
        carried = common | set(log_event.carries)
        for attribute in sorted(carried):
            if attribute not in attributes or "log" not in attributes[attribute].serves:
                yield f"{where}: {attribute} is no log attribute: {_add_attribute('log')}"
        read = (
            {field for _, field, _, _ in string.Formatter().parse(log_event.body) if field}
            | set(log_event.severity_by)
            | set(log_event.sets)
        )
        for attribute in sorted(read - carried):
            yield f"{where}: uses {attribute} but does not carry it: add it to its carries here"
        for counts in log_event.counts:
            counter = metrics.metrics.get(counts)
            if counter is None or counter.instrument != "counter":
                yield (
                    f"{where}: {counts} is no counter: "
                    "add it to [metrics] in metrics.toml as one, or take it out of counts"
                )
            else:
                for attribute in sorted({*counter.attributes, *counter.names} - carried):
                    yield (
                        f"{where}: counts {counts} but does not carry {attribute}: "
                        "add it to its carries here, or take it out of the metric's attributes in metrics.toml"
                    )


def _check_ranks(sources: Mapping[str, model.SourceTable]) -> Iterator[str]:
    """Live, whoever claims sessions owns a run at once; a replay goes by rank: both have to say the same.

    Each that claims sessions has a rank of its own. Others may be equals: the first to report a run owns it.
    """
    claiming: dict[int, str] = {}
    others = max((source.rank for source in sources.values() if not source.claims_sessions), default=-1)
    for name, source in sources.items():
        if source.claims_sessions and (other := claiming.setdefault(source.rank, name)) != name:
            yield (
                f"catalogue.toml: source {name}: it claims sessions, as {other} does, so their ranks must differ: "
                "write another rank in [source] of its catalogue.toml"
            )
        if source.claims_sessions and source.rank <= others:
            yield (
                f"catalogue.toml: source {name}: it claims sessions, so its rank has to be above {others}: "
                "raise the rank in [source] of its catalogue.toml"
            )


def _check_known_to(name: str, table: model.SourceFile, sources: Mapping[str, model.SourceTable]) -> Iterator[str]:
    for event_name, event in (table.events | table.prefixes).items():
        for source in sorted(event.known_to - sources.keys()):
            yield (
                f"{name}: {event_name}: known to {source!r}, which is no source: "
                "take it out of known_to, or write the name that [source] of a catalogue.toml has"
            )


def _check_source(
    name: str, table: model.SourceFile, attributes: model.AttributesFile, log_events: model.LogEventsFile
) -> Iterator[str]:
    names = {*attributes.attributes, *attributes.internal}
    kinds = {*EVENT_TYPES, "ignored"}
    for event_name, event in (table.events | table.prefixes).items():
        where = f"{name}: {event_name}"
        targets = {target for field_targets in event.fields.values() for target in field_targets}
        targets |= set(event.classified.values())
        if event.kind not in kinds:
            yield (
                f"{where}: no kind {event.kind!r}: write one of [kinds] in spans.toml, "
                "or add a class to events.py and the kind to [kinds]"
            )
        if (event.kind == "log_event") != (event.log_event is not None):
            yield f"{where}: log events, and only they, name one: add log_event here, or take it out"
        if event.log_event is not None and event.log_event not in log_events.log_events:
            yield f"{where}: no log event {event.log_event!r}: add [log_events.{event.log_event!r}] to log_events.toml"
        elif event.log_event is not None:
            allowed = {*log_events.common.carries, *log_events.log_events[event.log_event].carries}
            for target in sorted(targets - allowed):
                yield (
                    f"{where}: {event.log_event} does not carry {target}: "
                    f"add it to the carries of [log_events.{event.log_event!r}] in log_events.toml"
                )
        for target in sorted(targets - names):
            yield f"{where}: no attribute {target!r}: add it to [attributes] in attributes.toml"
        own = steering_fields(EVENT_TYPES.get(event.kind, Event))
        for target in sorted((targets & attributes.internal.keys()) - {*own}):
            yield f"{where}: an event {event.kind} has no field {target}: add it to its class in events.py"
        for target in sorted(set(event.classified.values()) - attributes.classes.keys()):
            yield f"{where}: {target} has no classes of free text: add [classes.{target!r}] to attributes.toml"
    for targets_of_field in (*table.common.fields.values(), *table.common.fallbacks.values()):
        for target in sorted(set(targets_of_field) - names):
            yield f"{name}: common: no attribute {target!r}: add it to [attributes] in attributes.toml"
