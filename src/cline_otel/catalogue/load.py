"""Reads the catalogue, cross-checks it and compiles it into the tables that decoders and translator use."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple, TypeVar, get_args

import msgspec
from pydantic import BaseModel, ValidationError

from cline_otel.catalogue import model, values
from cline_otel.catalogue.suspicion import looks_like_a_key, looks_random
from cline_otel.events import Kind
from cline_otel.signals import MetricDefinition, Severity

_Model = TypeVar("_Model", bound=BaseModel)

KEYS: Final = ("session_id", "agent_id", "run_id", "iteration", "call_id")
"""The parts of an event's key, in the order of their slots."""

IGNORE: Final = -1
ATTRIBUTE: Final = len(KEYS)
"""A handler's slot is an index into ``KEYS``, or one of these two."""


class CatalogueError(Exception):
    """The catalogue contradicts itself; the text names the file, the entry and what is wrong."""


class FieldHandler(NamedTuple):
    """What becomes of one upstream field: the slot it fills, by which gate, under which attribute name."""

    slot: int
    name: str
    gate: values.Gate


class SourceEvent(msgspec.Struct, frozen=True):
    """One upstream event, compiled. ``handlers`` knows every field that the event may have."""

    name: str
    kind: str
    meaning: str
    fact: str
    known_to: frozenset[str]
    when: tuple[tuple[str, frozenset[str]], ...]
    handlers: dict[str, FieldHandler]
    fields: dict[str, str]
    private: dict[str, str]


class SourceVocabulary(msgspec.Struct, frozen=True):
    """All that one kind of payload can say."""

    events: dict[str, SourceEvent]
    prefixes: tuple[tuple[str, SourceEvent], ...]
    log_messages: tuple[str, ...]

    def find(self, name: str) -> SourceEvent | None:
        """The entry for an upstream event name, or None if the catalogue does not know it."""
        found = self.events.get(name)
        if found is None:
            for prefix, event in self.prefixes:
                if name.startswith(prefix):
                    return event
        return found


class Fact(msgspec.Struct, frozen=True):
    """A log record's recipe. ``carries`` is ordered; ``body_parts`` alternates literal text and attribute names."""

    name: str
    severity: Severity
    severity_by: tuple[tuple[str, dict[str, Severity]], ...]
    body_parts: tuple[tuple[str, str], ...]
    sets: tuple[tuple[str, str], ...]
    carries: tuple[str, ...]
    counts: str
    span_event: bool


class Catalogue(msgspec.Struct, frozen=True):
    """Everything the product knows of names, compiled."""

    attributes: dict[str, model.Attribute]
    metrics: dict[str, MetricDefinition]
    metric_attributes: dict[str, tuple[str, ...]]
    facts: dict[str, Fact]
    cline: SourceVocabulary
    plugin: SourceVocabulary
    other_sources: dict[str, model.OtherSource]


def _read(name: str, shape: type[_Model]) -> _Model:
    text = files("cline_otel.catalogue").joinpath(name).read_text(encoding="utf-8")
    try:
        return shape.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise CatalogueError(f"catalogue/{name}: {error}") from error


def _pattern_gate(name: str, patterns: Mapping[str, str]) -> values.Gate:
    """A gate for strings of an open set. Ids are random by nature; names that look random are suspect."""
    suspicions = (looks_like_a_key,) if name == "identifier" else (looks_like_a_key, looks_random)
    return values.matching(patterns[name], *(() if name == "hex" else suspicions))


def _gate(name: str, attribute: model.Attribute, table: model.AttributesFile) -> values.Gate:
    if name == "gen_ai.provider.name":
        return values.renamed(table.providers, _known_values(attribute, table))
    if attribute.type in ("string", "strings"):
        if attribute.pattern is not None:
            gate = _pattern_gate(attribute.pattern, table.patterns)
        else:
            gate = values.one_of(_known_values(attribute, table))
        return values.each(gate) if attribute.type == "strings" else gate
    if attribute.type == "int":
        return values.integer if attribute.signed else values.amount
    return {"double": values.double, "bool": values.boolean}[attribute.type]


def _internal_gate(field: model.InternalField, table: model.AttributesFile) -> values.Gate:
    if field.type == "string":
        return _pattern_gate(field.pattern or "identifier", table.patterns)
    return {"int": values.amount, "bool": values.boolean, "milliseconds": values.milliseconds}[field.type]


def _known_values(attribute: model.Attribute, table: model.AttributesFile) -> frozenset[str]:
    return attribute.values or frozenset(table.values[attribute.values_from or ""])


def _check_attributes(table: model.AttributesFile) -> Iterator[str]:
    for name, attribute in table.attributes.items():
        where = f"attributes.toml: {name}"
        if attribute.convention == "cline" and not name.startswith("cline."):
            yield f"{where}: ours begin with 'cline.'"
        if attribute.type in ("string", "strings"):
            ways = [attribute.pattern, attribute.values, attribute.values_from]
            if sum(way is not None for way in ways) != 1:
                yield f"{where}: a string needs exactly one of pattern, values, values_from"
            if attribute.pattern is not None and attribute.pattern not in table.patterns:
                yield f"{where}: no pattern {attribute.pattern!r}"
            if attribute.values_from is not None and attribute.values_from not in table.values:
                yield f"{where}: no values {attribute.values_from!r}"
            if attribute.privacy == "bounded" and attribute.pattern is not None:
                yield f"{where}: bounded means listed values, not a pattern"
        if "metric" in attribute.serves and attribute.cardinality != "low":
            yield f"{where}: a metric attribute must be of low cardinality"
        if "metric" in attribute.serves and attribute.privacy not in ("safe", "bounded"):
            yield f"{where}: a metric attribute must be safe or bounded"


def _check_metrics(table: model.MetricsFile, attributes: Mapping[str, model.Attribute]) -> Iterator[str]:
    for name, metric in table.metrics.items():
        where = f"metrics.toml: {name}"
        if metric.convention == "cline" and not name.startswith("cline."):
            yield f"{where}: ours begin with 'cline.'"
        if (metric.instrument == "histogram") != (metric.boundaries is not None):
            yield f"{where}: histograms, and only they, have boundaries"
        if metric.boundaries is not None and metric.boundaries not in table.boundaries:
            yield f"{where}: no boundaries {metric.boundaries!r}"
        for attribute in metric.attributes:
            if attribute not in attributes or "metric" not in attributes[attribute].serves:
                yield f"{where}: {attribute} is no metric attribute"
    for name, bounds in table.boundaries.items():
        if sorted(set(bounds)) != bounds:
            yield f"metrics.toml: boundaries {name}: must ascend"


def _check_facts(
    table: model.FactsFile, attributes: Mapping[str, model.Attribute], metrics: model.MetricsFile
) -> Iterator[str]:
    common = set(table.common.carries)
    for name, fact in table.facts.items():
        where = f"facts.toml: {name}"
        carried = common | set(fact.carries)
        for attribute in carried:
            if attribute not in attributes or "log" not in attributes[attribute].serves:
                yield f"{where}: {attribute} is no log attribute"
        read = (
            {field for _, field, _, _ in string.Formatter().parse(fact.body) if field}
            | set(fact.severity_by)
            | set(fact.sets)
        )
        for attribute in sorted(read - carried):
            yield f"{where}: uses {attribute} but does not carry it"
        if fact.counts is not None:
            counter = metrics.metrics.get(fact.counts)
            if counter is None or counter.instrument != "counter":
                yield f"{where}: {fact.counts} is no counter"
            else:
                for attribute in set(counter.attributes) - carried:
                    yield f"{where}: counts {fact.counts} but does not carry {attribute}"


def _check_source(
    name: str, table: model.SourceFile, known: Iterable[str], facts: Mapping[str, model.Fact], common: set[str]
) -> Iterator[str]:
    names = set(known)
    kinds = {*get_args(Kind), "ignored"}
    for event_name, event in (table.events | table.prefixes).items():
        where = f"{name}: {event_name}"
        if event.kind not in kinds:
            yield f"{where}: no kind {event.kind!r}"
        if (event.kind == "fact") != (event.fact is not None):
            yield f"{where}: facts, and only they, name a fact"
        if event.fact is not None and event.fact not in facts:
            yield f"{where}: no fact {event.fact!r}"
        elif event.fact is not None:
            allowed = common | set(facts[event.fact].carries)
            for target in set(event.fields.values()) - allowed:
                yield f"{where}: {event.fact} does not carry {target}"
        for target in set(event.fields.values()) - names:
            yield f"{where}: no attribute {target!r}"
    for target in set(table.common.fields.values()) - names:
        yield f"{name}: common: no attribute {target!r}"


def _compile_source(
    table: model.SourceFile, gates: Mapping[str, values.Gate], identifier: values.Gate
) -> SourceVocabulary:
    def nothing(_: object) -> None:
        return None

    shared: dict[str, FieldHandler] = {}
    for field in (*table.common.ignored, *(f for fields in table.common.private.values() for f in fields)):
        shared[field] = FieldHandler(IGNORE, "", nothing)
    for field, target in table.common.fields.items():
        shared[field] = FieldHandler(ATTRIBUTE, target, gates[target])
    for key, aliases in table.keys.items():
        for alias in aliases:
            shared[alias] = FieldHandler(KEYS.index(key), key, values.amount if key == "iteration" else identifier)

    def compiled(name: str, event: model.SourceEvent) -> SourceEvent:
        private: dict[str, str] = {field: privacy for privacy, fields in event.private.items() for field in fields}
        handlers = dict(shared)
        handlers |= {field: FieldHandler(IGNORE, "", nothing) for field in (*event.when, *private)}
        handlers |= {field: FieldHandler(ATTRIBUTE, target, gates[target]) for field, target in event.fields.items()}
        if event.kind == "ignored":
            handlers = {}
        return SourceEvent(
            name=name,
            kind=event.kind,
            meaning=event.meaning,
            fact=event.fact or "",
            known_to=event.known_to,
            when=tuple(event.when.items()),
            handlers=handlers,
            fields=event.fields,
            private=private | {f: privacy for privacy, fields in table.common.private.items() for f in fields},
        )

    return SourceVocabulary(
        events={name: compiled(name, event) for name, event in table.events.items()},
        prefixes=tuple((prefix, compiled(prefix, event)) for prefix, event in table.prefixes.items()),
        log_messages=tuple(table.log_messages.ignored),
    )


def _compile_fact(name: str, fact: model.Fact, common: list[str]) -> Fact:
    return Fact(
        name=name,
        severity=Severity[fact.severity],
        severity_by=tuple(
            (attribute, {value: Severity[severity] for value, severity in by.items()})
            for attribute, by in fact.severity_by.items()
        ),
        body_parts=tuple((literal, field or "") for literal, field, _, _ in string.Formatter().parse(fact.body)),
        sets=tuple(fact.sets.items()),
        carries=tuple(dict.fromkeys([*common, *fact.carries])),
        counts=fact.counts or "",
        span_event=fact.span_event,
    )


@lru_cache(1)
def load() -> Catalogue:
    """The catalogue, read and checked once per process.

    Raises:
        CatalogueError: a file does not fit its model or contradicts another; all findings are named.
    """
    attributes = _read("attributes.toml", model.AttributesFile)
    metrics = _read("metrics.toml", model.MetricsFile)
    facts = _read("facts.toml", model.FactsFile)
    cline = _read("cline.toml", model.SourceFile)
    plugin = _read("plugin.toml", model.SourceFile)
    others = _read("other_sources.toml", model.OtherSourcesFile)
    common = set(facts.common.carries)
    known = {*attributes.attributes, *attributes.internal}
    findings = [
        *_check_attributes(attributes),
        *_check_metrics(metrics, attributes.attributes),
        *_check_facts(facts, attributes.attributes, metrics),
        *_check_source("cline.toml", cline, known, facts.facts, common),
        *_check_source("plugin.toml", plugin, known, facts.facts, common),
    ]
    if findings:
        raise CatalogueError("\n".join(findings))
    gates = {name: _gate(name, attribute, attributes) for name, attribute in attributes.attributes.items()}
    gates |= {name: _internal_gate(field, attributes) for name, field in attributes.internal.items()}
    identifier = _pattern_gate("identifier", attributes.patterns)
    return Catalogue(
        attributes=attributes.attributes,
        metrics={
            name: MetricDefinition(
                name=name,
                instrument=metric.instrument,
                unit=metric.unit,
                description=metric.description,
                value_type=metric.value_type,
                boundaries=tuple(metrics.boundaries[metric.boundaries]) if metric.boundaries else (),
            )
            for name, metric in metrics.metrics.items()
        },
        metric_attributes={name: tuple(metric.attributes) for name, metric in metrics.metrics.items()},
        facts={name: _compile_fact(name, fact, facts.common.carries) for name, fact in facts.facts.items()},
        cline=_compile_source(cline, gates, identifier),
        plugin=_compile_source(plugin, gates, identifier),
        other_sources=others.sources,
    )
