"""Reads the catalogue, cross-checks it and compiles it into the tables that decoders and translator use."""

from __future__ import annotations

import string
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final, NamedTuple, TypeVar

import msgspec

from cline_otel.catalogue import model, profiles, values
from cline_otel.catalogue.checks import findings
from cline_otel.catalogue.compiled import (
    ATTRIBUTE,
    FALLBACK,
    TEXT,
    Catalogue,
    FieldHandler,
    LogEventDefinition,
    Source,
    SourceEvent,
    SourceVocabulary,
    SpanDefinition,
)
from cline_otel.catalogue.gates import Gates
from cline_otel.events import EVENT_TYPES, KEYS, Event, steering_fields
from cline_otel.prices.table import Naming, NoPrices, PriceTable
from cline_otel.privacy.policy import Policy, PrivacyClass, strictest
from cline_otel.signals import MetricDefinition, Severity, SpanKind

_Model = TypeVar("_Model", bound=model.Strict)

SOURCE_NAMES: Final = "sources"
"""``values_from`` of an attribute whose values are the names of the sources."""


class CatalogueError(Exception):
    """The catalogue contradicts itself; the text names the file, the entry and what is wrong."""


_NO_KEY: Final = ("", "", "", 0, "")


class SourceText(NamedTuple):
    """A source's ``catalogue.toml``: where it is from, for messages, and its text."""

    where: str
    text: str


class Tables(NamedTuple):
    """The catalogue's files as they are written, checked. ``sources`` has the highest rank first."""

    attributes: model.AttributesFile
    metrics: model.MetricsFile
    spans: model.SpansFile
    log_events: model.LogEventsFile
    sources: dict[str, model.SourceTable]
    vocabularies: dict[str, model.SourceFile]
    others: model.OtherSourcesFile

    def speakers(self, vocabulary: str) -> list[model.SourceTable]:
        """The sources that speak a vocabulary."""
        return [source for source in self.sources.values() if (source.vocabulary or source.name) == vocabulary]

    @property
    def built_in_tools(self) -> list[str]:
        """Names of Cline's own tools, sorted."""
        return sorted(self.attributes.values["tools"])


def _read(name: str, shape: type[_Model]) -> _Model:
    try:
        text = files("cline_otel.catalogue").joinpath(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CatalogueError(f"catalogue/{name}: there is no such file, and no such vocabulary") from None
    return _validated(SourceText(f"catalogue/{name}", text), shape, lambda table: table)


def _validated(source: SourceText, shape: type[_Model], part: Callable[[dict[str, Any]], Any]) -> _Model:
    try:
        return shape.from_table(part(tomllib.loads(source.text)))
    except ValueError as error:
        raise CatalogueError(f"{source.where}: {error}") from error


def built_in_sources() -> tuple[SourceText, ...]:
    """The ``catalogue.toml`` of every folder of ``cline_otel.sources``."""
    found: list[SourceText] = []
    for folder in sorted(files("cline_otel.sources").iterdir(), key=lambda folder: folder.name):
        table = folder.joinpath("catalogue.toml")
        if table.is_file():
            found.append(
                SourceText(f"cline_otel/sources/{folder.name}/catalogue.toml", table.read_text(encoding="utf-8"))
            )
    return tuple(found)


def _read_sources(
    texts: Iterable[SourceText],
) -> tuple[dict[str, model.SourceTable], dict[str, model.SourceFile], dict[str, model.SourceFile]]:
    """Sources by name, highest rank first; their vocabularies by name; and those by file, for what is found wrong."""
    tables = [(text, _validated(text, model.SourceTable, lambda table: table.get("source", {}))) for text in texts]
    tables.sort(key=lambda read: -read[1].rank)
    names = Counter(source.name for _, source in tables)
    own: dict[str, SourceText] = {}
    for text, source in tables:
        if names[source.name] > 1:
            raise CatalogueError(f"{text.where}: another source is called {source.name}, too")
        if source.vocabulary is None:
            own[source.name] = text
        elif _without_source(tomllib.loads(text.text)):
            raise CatalogueError(f"{text.where}: it names a vocabulary, so it must not have one of its own")
    vocabularies: dict[str, model.SourceFile] = {}
    by_file: dict[str, model.SourceFile] = {}
    for _, source in tables:
        name = source.vocabulary or source.name
        if name in vocabularies:
            continue
        if name in own:
            where = own[name].where
            vocabularies[name] = _validated(own[name], model.SourceFile, _without_source)
        else:
            where = f"{name}.toml"
            vocabularies[name] = _read(where, model.SourceFile)
        by_file[where] = vocabularies[name]
    return {source.name: source for _, source in tables}, vocabularies, by_file


def _without_source(table: dict[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in table.items() if name != "source"}


def _compile_source(table: model.SourceFile, gates: Gates) -> SourceVocabulary:
    key_gates = {"iteration": values.amount, "call_id": gates.identifier}
    shared: dict[str, tuple[FieldHandler, ...]] = {
        alias: (FieldHandler(KEYS.index(key), key, key_gates.get(key, gates.key_identifier)),)
        for key, aliases in table.keys.items()
        for alias in aliases
    }
    shared = dict.fromkeys(table.common.ignored, ()) | shared

    def compiled(name: str, event: model.EventEntry) -> SourceEvent:
        event_type = EVENT_TYPES.get(event.kind, Event)
        steering = steering_fields(event_type)
        private = _class_by_field(table.common.private, event.private)
        fields = table.common.fields | event.fields
        handlers = shared | dict.fromkeys((*dict(event.when), *private, *event.unused), ())
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
            log_event=event.log_event or "",
            known_to=event.known_to,
            when=tuple(event.when.items()),
            handlers=handlers if event.kind != "ignored" else {},
            fields={**table.common.fallbacks, **fields},
            classified=event.classified,
            private=private,
        )

    return SourceVocabulary(
        events={name: compiled(name, event) for name, event in table.events.items()},
        prefixes=tuple((prefix, compiled(prefix, event)) for prefix, event in table.prefixes.items()),
        log_messages=tuple(table.log_messages.ignored),
        read_messages=tuple((begin, compiled(begin, event)) for begin, event in table.log_messages.read.items()),
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
        error_says=tuple(
            (text, name)
            for word in span.error_says
            for text, name, _, _ in string.Formatter().parse(word)
            if name is not None and name not in excluded
        ),
    )


def _compile_log_event(
    name: str, log_event: model.LogEventEntry, common: list[str], excluded: frozenset[str]
) -> LogEventDefinition:
    parts = ((literal, field or "") for literal, field, _, _ in string.Formatter().parse(log_event.body))
    return LogEventDefinition(
        name=name,
        severity=Severity[log_event.severity],
        severity_by=tuple(
            (attribute, {value: Severity[severity] for value, severity in by.items()})
            for attribute, by in log_event.severity_by.items()
        ),
        body_parts=tuple(
            (literal + "unknown", "") if field in excluded else (literal, field) for literal, field in parts
        ),
        sets=tuple(log_event.sets.items()),
        carries=tuple(name for name in dict.fromkeys([*common, *log_event.carries]) if name not in excluded),
        counts=log_event.counts,
        span_event=log_event.span_event,
        repeats=log_event.repeats.of if log_event.repeats else "",
        repeats_when=tuple(
            (name, frozenset(accepted))
            for name, accepted in (log_event.repeats.when if log_event.repeats else {}).items()
        ),
    )


def read_tables(sources: tuple[SourceText, ...] | None = None) -> Tables:
    """The catalogue's files, read once per process; enough where only names are asked for.

    Args:
        sources: the sources that there are; None for the built-in ones.

    Raises:
        CatalogueError: a file does not fit its model or contradicts another; all findings are named.
    """
    return _checked_tables(sources)


@lru_cache(4)
def _checked_tables(sources: tuple[SourceText, ...] | None) -> Tables:
    known, vocabularies, by_file = _read_sources(built_in_sources() if sources is None else sources)
    tables = Tables(
        attributes=_with_sources(_read("attributes.toml", model.AttributesFile), known),
        metrics=_read("metrics.toml", model.MetricsFile),
        spans=_read("spans.toml", model.SpansFile),
        log_events=_read("log_events.toml", model.LogEventsFile),
        sources=known,
        vocabularies=vocabularies,
        others=_read("other_sources.toml", model.OtherSourcesFile),
    )
    if found := findings(tables.attributes, tables.metrics, tables.spans, tables.log_events, by_file, known):
        raise CatalogueError("\n".join(found))
    return tables


def _with_sources(table: model.AttributesFile, sources: Iterable[str]) -> model.AttributesFile:
    """Attributes whose values are the names of the sources, which no list has to repeat."""
    named = frozenset(sources)
    attributes = {
        name: msgspec.structs.replace(attribute, values=named, values_from=None)
        if attribute.values_from == SOURCE_NAMES
        else attribute
        for name, attribute in table.attributes.items()
    }
    return msgspec.structs.replace(table, attributes=attributes)


@lru_cache(8)
def read_profile(name: str, sources: tuple[SourceText, ...] | None = None) -> model.ProfileFile:
    """A profile, checked against the catalogue's files.

    Args:
        name: one of ``profiles.profile_names``.
        sources: the sources that there are; None for the built-in ones.

    Raises:
        CatalogueError: there is none of this name, or it does not fit them; all findings are named.
    """
    profile = _read(f"profiles/{name}.toml", model.ProfileFile)
    tables = read_tables(sources)
    names = profiles.Names(tables.attributes, tables.metrics, tables.spans, tables.log_events)
    if found := profiles.findings_of(name, profile, names):
        raise CatalogueError("\n".join(found))
    return profile


@lru_cache(4)
def load(
    policy: Policy = Policy(),  # noqa: B008 - immutable
    sources: tuple[SourceText, ...] | None = None,
    prices: PriceTable = NoPrices(),  # noqa: B008 - immutable
    profile: str = profiles.DEFAULT_PROFILE,
    service_name: str = "",
) -> Catalogue:
    """The catalogue as the user's decisions make it. The files are read and checked once per process.

    Args:
        policy: the user's decisions; without any, nothing leaves but what is safe or bounded.
        sources: the sources that there are; None for the built-in ones.
        prices: what calls are priced by; without any, no cost is computed.
        profile: the one whose names are exported.
        service_name: what the user calls all that is exported; empty where sources may have services of their own.

    Raises:
        CatalogueError: a file does not fit its model or contradicts another; all findings are named.
    """
    tables = read_tables(sources)
    gates = Gates(tables.attributes, policy)
    vocabularies = {name: _compile_source(table, gates) for name, table in tables.vocabularies.items()}
    metrics = {
        name: MetricDefinition(
            name=name,
            instrument=metric.instrument,
            unit=metric.unit,
            description=metric.description,
            value_type=metric.value_type,
            names=tuple(metric.names),
            boundaries=tuple(tables.metrics.boundaries[metric.boundaries]) if metric.boundaries else (),
        )
        for name, metric in tables.metrics.metrics.items()
    }
    shown = profiles.compiled(read_profile(profile, sources), metrics, tables.attributes)
    return Catalogue(
        attributes=tables.attributes.attributes,
        metrics=metrics,
        metric_attributes={
            name: tuple(each for each in (*metric.attributes, *metric.names) if each not in policy.excluded)
            for name, metric in tables.metrics.metrics.items()
        },
        spans={name: _compile_span(span, policy.excluded) for name, span in tables.spans.spans.items()},
        identity=tuple(
            name
            for name, attribute in tables.attributes.attributes.items()
            if attribute.group in ("user", "device", "organization")
        ),
        log_events={
            name: _compile_log_event(name, log_event, tables.log_events.common.carries, policy.excluded)
            for name, log_event in tables.log_events.log_events.items()
        },
        sources={
            name: Source(
                name=name,
                rank=source.rank,
                title=source.title,
                piece=source.piece,
                claims_sessions=source.claims_sessions,
                knows_mode=source.knows_mode,
                numbers_attempts=source.numbers_attempts,
                keys_by_ids=source.keys_by_ids,
                yields=source.yields,
                vocabulary=vocabularies[source.vocabulary or name],
            )
            for name, source in tables.sources.items()
        },
        vocabularies=vocabularies,
        other_sources=tables.others.sources,
        excluded=policy.excluded,
        prices=prices.as_exported(_naming(gates.of("gen_ai.provider.name")), _naming(gates.of("gen_ai.request.model"))),
        profile=shown,
        shown_metrics=metrics | shown.definitions,
        services={}
        if service_name
        else {name: source.service for name, source in tables.sources.items() if source.service is not None},
    )


def _naming(gate: values.Gate) -> Naming:
    """What a gate makes of a name. One that it refuses stays as it is, so that nothing which leaves is called so."""

    def name(value: str) -> str:
        passed = gate(value)
        return passed if isinstance(passed, str) and passed not in (values.OTHER, values.REDACTED) else value

    return name
