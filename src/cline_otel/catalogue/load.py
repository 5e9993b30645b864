"""Reads the catalogue, cross-checks it and compiles it into the tables that decoders and translator use."""

from __future__ import annotations

import string
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError

from cline_otel.catalogue import model, values
from cline_otel.catalogue.checks import findings
from cline_otel.catalogue.gates import Gates
from cline_otel.catalogue.values import OTHER
from cline_otel.events import EVENT_TYPES, KEYS, AttributeValue, Event, steering_fields
from cline_otel.privacy.policy import Policy, PrivacyClass, strictest
from cline_otel.signals import MetricDefinition, Severity, SpanKind

_Model = TypeVar("_Model", bound=BaseModel)

ATTRIBUTE: Final = -1
TEXT: Final = -2
FALLBACK: Final = -3
"""A handler's slot is the place of a key or steering field among the event's own fields, or one of these three: an
attribute; one with free text that the user has opted in; one that is only set where no other field says it."""


class CatalogueError(Exception):
    """The catalogue contradicts itself; the text names the file, the entry and what is wrong."""


class FieldHandler(NamedTuple):
    """What becomes of one upstream field: the slot it fills, by which gate, under which name."""

    slot: int
    name: str
    gate: values.Gate


_NO_KEY: Final = ("", "", "", 0, "")

Plan = tuple[tuple[tuple[str, FieldHandler], ...], tuple[str, ...]]
"""Fields with who reads them, and fields that are not listed."""

_MOST_PLANS: Final = 256
_LONGEST_PLAN: Final = 4_096
"""Characters of all names together: what is longer is no record of Cline's and would fill the memory."""


class SourceEvent(msgspec.Struct, frozen=True):
    """One upstream event, compiled.

    ``handlers`` knows every field that the event may have, and what becomes of it: nothing, or one thing or more.
    ``blank`` has the values of the event's own fields where no upstream field says them.
    """

    name: str
    kind: str
    event_type: type[Event]
    blank: tuple[object, ...]
    meaning: str
    fact: str
    known_to: frozenset[str]
    when: tuple[tuple[str, frozenset[str]], ...]
    handlers: dict[str, tuple[FieldHandler, ...]]
    fields: dict[str, tuple[str, ...]]
    classified: dict[str, str]
    private: dict[str, PrivacyClass]
    plans: dict[tuple[str, ...], Plan] = msgspec.field(default_factory=dict)

    def plan(self, keys: tuple[str, ...]) -> Plan:
        """Which of a record's fields are read, by whom, and which are unlisted; remembered for all its like."""
        plan = self.plans.get(keys)
        if plan is None:
            plan = (
                tuple((key, handler) for key in keys for handler in self.handlers.get(key, ())),
                tuple(key for key in keys if key not in self.handlers),
            )
            if sum(map(len, keys)) <= _LONGEST_PLAN:
                if len(self.plans) >= _MOST_PLANS:
                    self.plans.clear()
                self.plans[keys] = plan
        return plan


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


class SourceTraits(msgspec.Struct, frozen=True):
    """What a source is able to do."""

    rank: int
    claims_sessions: bool
    knows_mode: bool
    vocabulary: SourceVocabulary


class SpanDefinition(msgspec.Struct, frozen=True):
    """A span's recipe. ``attributes`` is ordered; its name is ``operation`` and the value of ``named_by``."""

    operation: str
    named_by: str
    kind: SpanKind
    attributes: tuple[str, ...]
    inherits: tuple[str, ...]
    error_when: tuple[tuple[str, frozenset[str]], ...]

    def name_of(self, values: Mapping[str, AttributeValue]) -> str:
        """The name of a span with these values."""
        return f"{self.operation} {values.get(self.named_by, OTHER)}"

    def is_error(self, values: Mapping[str, AttributeValue]) -> bool:
        """Whether the status of a span with these values is ERROR."""
        return any(name in values and (not accepted or values[name] in accepted) for name, accepted in self.error_when)


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
    """Everything the product knows of names, compiled.

    ``identity`` are the attributes that say who an agent works for.
    """

    attributes: dict[str, model.Attribute]
    metrics: dict[str, MetricDefinition]
    metric_attributes: dict[str, tuple[str, ...]]
    spans: dict[str, SpanDefinition]
    identity: tuple[str, ...]
    facts: dict[str, Fact]
    cline: SourceVocabulary
    plugin: SourceVocabulary
    sources: dict[str, SourceTraits]
    other_sources: dict[str, model.OtherSource]
    excluded: frozenset[str]


class Tables(NamedTuple):
    """The catalogue's files as they are written, checked."""

    attributes: model.AttributesFile
    metrics: model.MetricsFile
    spans: model.SpansFile
    facts: model.FactsFile
    cline: model.SourceFile
    plugin: model.SourceFile
    others: model.OtherSourcesFile

    @property
    def built_in_tools(self) -> list[str]:
        """Names of Cline's own tools, sorted."""
        return sorted(self.attributes.values["tools"])


def _read(name: str, shape: type[_Model]) -> _Model:
    text = files("cline_otel.catalogue").joinpath(name).read_text(encoding="utf-8")
    try:
        return shape.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise CatalogueError(f"catalogue/{name}: {error}") from error


def _compile_source(table: model.SourceFile, gates: Gates) -> SourceVocabulary:
    key_gates = {"iteration": values.amount, "call_id": gates.identifier}
    shared: dict[str, tuple[FieldHandler, ...]] = {
        alias: (FieldHandler(KEYS.index(key), key, key_gates.get(key, gates.key_identifier)),)
        for key, aliases in table.keys.items()
        for alias in aliases
    }
    shared = dict.fromkeys(table.common.ignored, ()) | shared

    def compiled(name: str, event: model.SourceEvent) -> SourceEvent:
        event_type = EVENT_TYPES.get(event.kind, Event)
        steering = steering_fields(event_type)
        private = _class_by_field(table.common.private, event.private)
        fields = table.common.fields | event.fields
        handlers = shared | dict.fromkeys((*dict(event.when), *private), ())
        for field, targets in (fields | table.common.fallbacks).items():
            said = [private[field]] if field in private else []
            slot = ATTRIBUTE if field in fields else FALLBACK
            handlers[field] = tuple(
                FieldHandler(
                    len(KEYS) + steering.index(target) if target in steering else TEXT if gate is values.text else slot,
                    target,
                    gate,
                )
                for target in targets
                if (gate := (gates.of_made if field in table.common.pseudonyms else gates.of)(target, *said))
                is not values.nothing
            )
        for field, target in event.classified.items():
            gate = gates.of_free_text(target, *([private[field]] if field in private else []))
            handlers[field] = (*handlers.get(field, ()), FieldHandler(FALLBACK, target, gate))
        return SourceEvent(
            name=name,
            kind=event.kind,
            event_type=event_type,
            blank=(*_NO_KEY, *(None for _ in steering)),
            meaning=event.meaning,
            fact=event.fact or "",
            known_to=event.known_to,
            when=tuple(event.when.items()),
            handlers=handlers if event.kind != "ignored" else {},
            fields=table.common.fallbacks | fields,
            classified=event.classified,
            private=private,
        )

    return SourceVocabulary(
        events={name: compiled(name, event) for name, event in table.events.items()},
        prefixes=tuple((prefix, compiled(prefix, event)) for prefix, event in table.prefixes.items()),
        log_messages=tuple(table.log_messages.ignored),
    )


def _class_by_field(*tables: Mapping[PrivacyClass, list[str]]) -> dict[str, PrivacyClass]:
    """The strictest class that any of the tables says of a field."""
    said: dict[str, PrivacyClass] = {}
    for table in tables:
        for privacy, fields in table.items():
            for field in fields:
                said[field] = strictest(privacy, said.get(field, "safe"))
    return said


def _compile_span(span: model.Span, excluded: frozenset[str]) -> SpanDefinition:
    ((literal, field, _, _),) = string.Formatter().parse(span.name)
    return SpanDefinition(
        operation=literal.strip(),
        named_by=field or "",
        kind=SpanKind[span.kind],
        attributes=tuple(name for name in span.attributes if name not in excluded),
        inherits=tuple(span.inherits),
        error_when=tuple((name, frozenset(accepted)) for name, accepted in span.error_when.items()),
    )


def _compile_fact(name: str, fact: model.Fact, common: list[str], excluded: frozenset[str]) -> Fact:
    parts = ((literal, field or "") for literal, field, _, _ in string.Formatter().parse(fact.body))
    return Fact(
        name=name,
        severity=Severity[fact.severity],
        severity_by=tuple(
            (attribute, {value: Severity[severity] for value, severity in by.items()})
            for attribute, by in fact.severity_by.items()
        ),
        body_parts=tuple(
            (literal + "unknown", "") if field in excluded else (literal, field) for literal, field in parts
        ),
        sets=tuple(fact.sets.items()),
        carries=tuple(name for name in dict.fromkeys([*common, *fact.carries]) if name not in excluded),
        counts=fact.counts or "",
        span_event=fact.span_event,
    )


@lru_cache(1)
def read_tables() -> Tables:
    """The catalogue's files, read once per process; enough where only names are asked for.

    Raises:
        CatalogueError: a file does not fit its model or contradicts another; all findings are named.
    """
    tables = Tables(
        attributes=_read("attributes.toml", model.AttributesFile),
        metrics=_read("metrics.toml", model.MetricsFile),
        spans=_read("spans.toml", model.SpansFile),
        facts=_read("facts.toml", model.FactsFile),
        cline=_read("cline.toml", model.SourceFile),
        plugin=_read("plugin.toml", model.SourceFile),
        others=_read("other_sources.toml", model.OtherSourcesFile),
    )
    sources = {"cline.toml": tables.cline, "plugin.toml": tables.plugin}
    if found := findings(tables.attributes, tables.metrics, tables.spans, tables.facts, sources):
        raise CatalogueError("\n".join(found))
    return tables


@lru_cache(4)
def load(policy: Policy = Policy()) -> Catalogue:  # noqa: B008 - immutable
    """The catalogue as the user's decisions make it. The files are read and checked once per process.

    Args:
        policy: the user's decisions; without any, nothing leaves but what is safe or bounded.

    Raises:
        CatalogueError: a file does not fit its model or contradicts another; all findings are named.
    """
    tables = read_tables()
    gates = Gates(tables.attributes, policy)
    cline, plugin = _compile_source(tables.cline, gates), _compile_source(tables.plugin, gates)
    return Catalogue(
        attributes=tables.attributes.attributes,
        metrics={
            name: MetricDefinition(
                name=name,
                instrument=metric.instrument,
                unit=metric.unit,
                description=metric.description,
                value_type=metric.value_type,
                boundaries=tuple(tables.metrics.boundaries[metric.boundaries]) if metric.boundaries else (),
            )
            for name, metric in tables.metrics.metrics.items()
        },
        metric_attributes={
            name: tuple(attribute for attribute in metric.attributes if attribute not in policy.excluded)
            for name, metric in tables.metrics.metrics.items()
        },
        spans={name: _compile_span(span, policy.excluded) for name, span in tables.spans.spans.items()},
        identity=tuple(
            name
            for name, attribute in tables.attributes.attributes.items()
            if attribute.group in ("user", "device", "organization")
        ),
        facts={
            name: _compile_fact(name, fact, tables.facts.common.carries, policy.excluded)
            for name, fact in tables.facts.facts.items()
        },
        cline=cline,
        plugin=plugin,
        sources={
            "plugin": SourceTraits(2, True, True, plugin),
            "cline-log": SourceTraits(1, False, False, cline),
            "otlp": SourceTraits(1, False, False, cline),
        },
        other_sources=tables.others.sources,
        excluded=policy.excluded,
    )
