"""The catalogue compiled: the tables that decoders, translator and encoders look things up in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from cline_otel.catalogue import model, values
from cline_otel.catalogue.values import OTHER
from cline_otel.events import AttributeValue, Event
from cline_otel.prices.table import PriceTable
from cline_otel.privacy.policy import PrivacyClass
from cline_otel.signals import MetricDefinition, Severity, SpanKind

ATTRIBUTE: Final = -1
TEXT: Final = -2
FALLBACK: Final = -3
"""A handler's slot is the place of a key or steering field among the event's own fields, or one of these three: an
attribute; one with free text that the user has opted in; one that is only set where no other field says it."""


class FieldHandler(NamedTuple):
    """What becomes of one upstream field: the slot it fills, by which gate, under which name."""

    slot: int
    name: str
    gate: values.Gate


Read = tuple[tuple[str, FieldHandler], ...]
"""Fields with who reads them."""

Plan = tuple[Read, tuple[str, ...]]
"""The fields that are read, and those that are not listed."""

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
    log_event: str
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
    read_messages: tuple[tuple[str, SourceEvent], ...] = ()

    def find(self, name: str) -> SourceEvent | None:
        """The entry for an upstream event name, or None if the catalogue does not know it."""
        found = self.events.get(name)
        if found is None:
            for prefix, event in self.prefixes:
                if name.startswith(prefix):
                    return event
        return found


class SpanDefinition(msgspec.Struct, frozen=True):
    """A span's recipe. ``attributes`` is ordered; its name is ``operation`` and the value of ``named_by``, if any.

    ``error_says`` has the words of an error's message, each a text and the attribute whose value follows it.
    """

    operation: str
    named_by: str
    kind: SpanKind
    attributes: tuple[str, ...]
    inherits: tuple[str, ...]
    error_when: tuple[tuple[str, frozenset[str]], ...]
    error_says: tuple[tuple[str, str], ...]

    def name_of(self, values: Mapping[str, AttributeValue]) -> str:
        """The name of a span with these values."""
        return f"{self.operation} {values.get(self.named_by, OTHER)}" if self.named_by else self.operation

    def is_error(self, values: Mapping[str, AttributeValue]) -> bool:
        """Whether the status of a span with these values is ERROR."""
        for name, accepted in self.error_when:  # noqa: SIM110 - a generator costs more than all that it looks at
            if name in values and (not accepted or values[name] in accepted):
                return True
        return False

    def error_message_of(self, values: Mapping[str, AttributeValue]) -> str:
        """The message of an error's status: values that may leave, and no text of anybody's."""
        return ", ".join([f"{text}{values[name]}" for text, name in self.error_says if name in values])


class LogEventDefinition(msgspec.Struct, frozen=True):
    """A log record's recipe. ``carries`` is ordered; ``body_parts`` alternates literal text and attribute names."""

    name: str
    severity: Severity
    severity_by: tuple[tuple[str, dict[str, Severity]], ...]
    body_parts: tuple[tuple[str, str], ...]
    sets: tuple[tuple[str, str], ...]
    carries: tuple[str, ...]
    counts: tuple[str, ...]
    span_event: bool
    repeats: str = ""
    repeats_when: tuple[tuple[str, frozenset[str]], ...] = ()

    def repeated(self, values: Mapping[str, AttributeValue]) -> str:
        """Whose failure it tells once more, as ``model.Repeat`` has it; empty where it tells one of its own."""
        if self.repeats and all(values.get(name) in accepted for name, accepted in self.repeats_when):
            return self.repeats
        return ""


class Source(msgspec.Struct, frozen=True):
    """A source: its names, rank and capabilities, as ``model.SourceTable`` explains them, and what it can say."""

    name: str
    rank: int
    title: str
    piece: str
    claims_sessions: bool
    knows_mode: bool
    numbers_attempts: bool
    keys_by_ids: bool
    yields: bool
    vocabulary: SourceVocabulary


class ShownMetric(msgspec.Struct, frozen=True):
    """A metric under another name, for those of our series that have all of ``when``.

    ``shown`` has the names of our attributes where they differ: none for one that is left out.
    """

    definition: MetricDefinition
    when: frozenset[tuple[str, AttributeValue]]
    shown: dict[str, tuple[str, ...]]
    sets: tuple[tuple[str, str], ...]


class ShownLogRecord(msgspec.Struct, frozen=True):
    """A log record under another name, as ``model.ProfileLogRecord`` explains it."""

    name: str
    event_name: str
    when: tuple[tuple[str, frozenset[str]], ...]
    unless: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...]
    renames: dict[str, str]
    less: dict[str, tuple[str, ...]]
    values: dict[str, dict[str, str]]
    duration_ms: str


class Profile(msgspec.Struct, frozen=True):
    """Under which names telemetry is exported. What a table does not know is exported as it is.

    Attributes:
        schema_url: of the conventions that the names are of; empty for none.
        spans: by operation, the names of attributes that differ; none for one that is left out.
        metrics: by our name.
        log_records_of_logs: by the name of the log record that each replaces.
        log_records_of_spans: by the operation of the span that each is made of.
    """

    schema_url: str
    spans: dict[str, dict[str, tuple[str, ...]]]
    metrics: dict[str, tuple[ShownMetric, ...]]
    log_records_of_logs: dict[str, ShownLogRecord]
    log_records_of_spans: dict[str, tuple[ShownLogRecord, ...]]

    @property
    def definitions(self) -> dict[str, MetricDefinition]:
        """Of the metrics that it shows, by their names."""
        return {metric.definition.name: metric.definition for metrics in self.metrics.values() for metric in metrics}


class Catalogue(msgspec.Struct, frozen=True):
    """Everything the product knows of names, compiled.

    ``sources`` has the highest rank first. ``identity`` are the attributes that say who an agent works for.
    ``prices`` is what calls are priced by. ``shown_metrics`` are ours and those of the profile. ``services`` has the
    ``service.name`` of those sources that have one of their own.
    """

    attributes: dict[str, model.Attribute]
    metrics: dict[str, MetricDefinition]
    metric_attributes: dict[str, tuple[str, ...]]
    spans: dict[str, SpanDefinition]
    identity: tuple[str, ...]
    log_events: dict[str, LogEventDefinition]
    sources: dict[str, Source]
    vocabularies: dict[str, SourceVocabulary]
    other_sources: dict[str, model.OtherSource]
    excluded: frozenset[str]
    prices: PriceTable
    profile: Profile
    shown_metrics: dict[str, MetricDefinition]
    services: dict[str, str]
