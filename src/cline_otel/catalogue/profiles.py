"""Profiles: other names under which telemetry is exported, checked against the catalogue and compiled.

A profile cannot let out more than the catalogue: all that it shows is a value of an attribute that is exported, or a
fixed word of its own. It cannot merge series either: backends would add up or overwrite what falls together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Final, NamedTuple

from cline_otel.catalogue import model
from cline_otel.catalogue.checks import OVERFLOW
from cline_otel.catalogue.compiled import Profile, ShownLogRecord, ShownMetric
from cline_otel.signals import MetricDefinition

DEFAULT_PROFILE: Final = "semconv-1.41"

_UNCHANGED: Final = frozenset({"event.name", "log.record.uid"})
"""Attributes of every log record, which a profile sets itself."""


class Names(NamedTuple):
    """What a profile can give other names to."""

    attributes: model.AttributesFile
    metrics: model.MetricsFile
    spans: model.SpansFile
    log_events: model.LogEventsFile


def profile_names() -> list[str]:
    """The profiles that there are, sorted."""
    folder = files("cline_otel.catalogue").joinpath("profiles")
    return sorted(file.name.removesuffix(".toml") for file in folder.iterdir() if file.name.endswith(".toml"))


def metric_attribute_names(profile: model.ProfileFile) -> set[str]:
    """What attributes of metrics are called under a profile, where that is none of our names."""
    return {name for metric in profile.metrics for name in (*metric.renames.values(), *metric.sets)}


def findings_of(name: str, profile: model.ProfileFile, names: Names) -> list[str]:
    """Every way in which a profile fits nothing or contradicts itself, in lines as those of ``checks.findings``."""
    where = f"profiles/{name}.toml"
    return [
        *_check_spans(where, profile, names),
        *_check_metrics(where, profile, names),
        *_check_log_records(where, profile, names),
    ]


def compiled(
    profile: model.ProfileFile, definitions: Mapping[str, MetricDefinition], attributes: model.AttributesFile
) -> Profile:
    """A profile that was checked; ``definitions`` of our metrics, by name."""
    metrics: dict[str, tuple[ShownMetric, ...]] = {}
    for entry in _wholes(profile, attributes):
        overflow = ShownMetric(_definition(entry, definitions[entry.of]), frozenset({(OVERFLOW, True)}), {}, ())
        metrics[entry.of] = (*metrics.get(entry.of, ()), overflow)
    for entry in profile.metrics:
        shown = ShownMetric(
            _definition(entry, definitions[entry.of]),
            frozenset(entry.when.items()),
            _shown(entry.renames, drops=entry.when),
            tuple(entry.sets.items()),
        )
        metrics[entry.of] = (*metrics.get(entry.of, ()), shown)
    of_logs: dict[str, ShownLogRecord] = {}
    of_spans: dict[str, tuple[ShownLogRecord, ...]] = {}
    for name, record in profile.log_records.items():
        if record.of_log is not None:
            of_logs[record.of_log] = _log_record(name, record)
        elif record.of_span is not None:
            of_spans[record.of_span] = (*of_spans.get(record.of_span, ()), _log_record(name, record))
    return Profile(
        schema_url=profile.schema_url,
        spans={operation: _shown(span.renames, span.copies, span.drops) for operation, span in profile.spans.items()},
        metrics=metrics,
        log_records_of_logs=of_logs,
        log_records_of_spans=of_spans,
    )


def _wholes(profile: model.ProfileFile, attributes: model.AttributesFile) -> Iterator[model.ProfileMetric]:
    """Of each metric that has all of one of ours in parts, the first part.

    What exceeds a metric's budget of series does not say which part it is of, so only such a metric can have it.
    """
    parts: dict[tuple[str, str], list[model.ProfileMetric]] = {}
    for entry in profile.metrics:
        parts.setdefault((entry.name, entry.of), []).append(entry)
    for entries in parts.values():
        names = {name for entry in entries for name in entry.when}
        if len(names) == 1 and all(entry.when for entry in entries):
            (name,) = names
            if {entry.when[name] for entry in entries} == {*_values_of(name, attributes)}:
                yield entries[0]


def _shown(
    renames: Mapping[str, str], copies: Mapping[str, str] | None = None, drops: Iterable[str] = ()
) -> dict[str, tuple[str, ...]]:
    """Under which names an attribute of ours is shown, where that is not its own alone."""
    shown: dict[str, tuple[str, ...]] = dict.fromkeys(drops, ())
    shown |= {own: (other,) for own, other in renames.items()}
    for other, own in (copies or {}).items():
        shown[own] = (*shown.get(own, (own,)), other)
    return shown


def _definition(entry: model.ProfileMetric, own: MetricDefinition) -> MetricDefinition:
    instrument = entry.instrument or own.instrument
    return MetricDefinition(
        name=entry.name,
        instrument=instrument,
        unit=entry.unit,
        description=entry.description,
        value_type=own.value_type,
        boundaries=own.boundaries if instrument == "histogram" else (),
    )


def _log_record(name: str, record: model.ProfileLogRecord) -> ShownLogRecord:
    return ShownLogRecord(
        name=name,
        event_name=record.event_name,
        when=tuple(record.when.items()),
        unless=tuple(sorted(record.unless)),
        attributes=tuple(record.attributes.items()),
        renames={own: shown for shown, own in record.attributes.items()},
        less={shown: tuple(less) for shown, less in record.less.items()},
        values=record.values,
        duration_ms=record.duration_ms or "",
    )


def _check_spans(where: str, profile: model.ProfileFile, names: Names) -> Iterator[str]:
    for operation, entry in profile.spans.items():
        span = names.spans.spans.get(operation)
        if span is None:
            yield f"{where}: no span {operation!r}: write one of spans.toml, or take it out"
            continue
        for attribute in sorted({*entry.drops, *entry.renames, *entry.copies.values()} - {*span.attributes}):
            yield f"{where}: {operation} does not carry {attribute}: write one that it carries, or take it out"
        kept = {*span.attributes} - {*entry.drops, *entry.renames}
        yield from _check_apart(f"{where}: {operation}", [*kept, *entry.renames.values(), *entry.copies])


def _check_metrics(where: str, profile: model.ProfileFile, names: Names) -> Iterator[str]:
    own = names.metrics.metrics
    # Parts of one metric may be one again, each with a fixed value of its own.
    parts = {(entry.name, entry.of, tuple(entry.sets.items())): entry.name for entry in profile.metrics if entry.sets}
    whole = {(name, of): name for name, of, _ in parts}
    yield from _check_apart(where, [*own, *whole.values(), *(e.name for e in profile.metrics if not e.sets)])
    yield from _check_apart(where, [f"{e.name} with {e.sets}" for e in profile.metrics if e.sets])
    for entry in profile.metrics:
        here, metric = f"{where}: {entry.name}", own.get(entry.of)
        if metric is None:
            yield f"{here}: no metric {entry.of}: write one of metrics.toml, or take it out"
            continue
        if entry.instrument == "histogram" and metric.instrument == "counter":
            yield f"{here}: a counter is no histogram: take the instrument out"
        on_points = {*metric.attributes, *metric.names}
        for attribute in sorted({*entry.when, *entry.renames} - on_points):
            yield f"{here}: {entry.of} has no attribute {attribute}: write one that it has, or take it out"
        for attribute, value in entry.when.items():
            if value not in _values_of(attribute, names.attributes):
                yield f"{here}: {attribute} is never {value!r}: write one of its values, or take it out"
        kept = on_points - {*entry.when, *entry.renames}
        yield from _check_apart(here, [*kept, OVERFLOW, *entry.renames.values(), *entry.sets])


def _check_log_records(where: str, profile: model.ProfileFile, names: Names) -> Iterator[str]:
    yield from _check_apart(where, [*names.log_events.log_events, *profile.log_records])
    replaced = [record.of_log for record in profile.log_records.values() if record.of_log is not None]
    yield from _check_apart(f"{where}: of_log", replaced)
    for name, record in profile.log_records.items():
        here = f"{where}: {name}"
        carried = _carried(record, names)
        if carried is None:
            yield f"{here}: made of no log record or span: write of_log or of_span, and one of them alone"
            continue
        taken_away = {other for less in record.less.values() for other in less}
        read = {*record.attributes.values(), *record.when, *record.unless, *taken_away}
        for attribute in sorted(read - carried):
            yield f"{here}: {attribute} is not on what it is made of: write one that is, or take it out"
        for attribute in sorted({*record.less, *record.values} - {*record.attributes}):
            yield f"{here}: {attribute} is none of its attributes: write one that is, or take it out"
        kept = carried - {*record.attributes.values()} if record.of_log is not None else _UNCHANGED
        shown = [*kept, *record.attributes, *([record.duration_ms] if record.duration_ms else [])]
        yield from _check_apart(here, shown)


def _carried(record: model.ProfileLogRecord, names: Names) -> set[str] | None:
    """What the log record or span has that a record is made of."""
    log_event = names.log_events.log_events.get(record.of_log or "")
    span = names.spans.spans.get(record.of_span or "")
    if log_event is not None and record.of_span is None:
        return {*names.log_events.common.carries, *log_event.carries}
    return {*span.attributes} if span is not None and record.of_log is None else None


def _check_apart(where: str, shown: Iterable[str]) -> Iterator[str]:
    for name in sorted(name for name, times in Counter(shown).items() if times > 1):
        yield f"{where}: {name} stands for two things: rename one of them, or take it out"


def _values_of(name: str, table: model.AttributesFile) -> Collection[str]:
    attribute = table.attributes.get(name)
    if attribute is None:
        return ()
    return table.values.get(attribute.values_from or "", []) if attribute.values is None else attribute.values
