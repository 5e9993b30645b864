"""Records under the names of a profile (``catalogue/profiles``), right before they are encoded.

What a profile does not rename is passed on as the object that it is, all of it where the profile renames nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from cline_otel import ids
from cline_otel.catalogue.compiled import Profile, ShownLogRecord, ShownMetric
from cline_otel.events import AttributeValue
from cline_otel.signals import Attributes, LogRecord, MetricPoint, MetricTotal, Severity, SpanRecord


def shown_spans(spans: Sequence[SpanRecord], profile: Profile) -> Sequence[SpanRecord]:
    """The spans as the profile has them, in their order."""
    if not profile.spans:
        return spans
    return [
        span
        if (names := profile.spans.get(_operation_of(span))) is None
        else msgspec.structs.replace(span, attributes=_renamed(span.attributes, names))
        for span in spans
    ]


def shown_logs(logs: Sequence[LogRecord], spans: Sequence[SpanRecord], profile: Profile) -> Sequence[LogRecord]:
    """The log records as the profile has them, in their order, and behind them those that it makes of these spans."""
    if not (profile.log_records_of_logs or profile.log_records_of_spans):
        return logs
    return [*(_shown_log(log, profile) for log in logs), *_logs_of(spans, profile)]


def shown_points(points: Sequence[MetricPoint], profile: Profile) -> Sequence[MetricPoint]:
    """The points as the profile has them, in their order; one may become several metrics' points."""
    if not profile.metrics:
        return points
    return [shown for point in points for shown in _shown_point(point, profile)]


def shown_name(total: MetricTotal, profile: Profile) -> str:
    """Under which name of a metric a series is exported; of several, all of them."""
    return ",".join(metric.definition.name for metric in _fitting(total, profile)) or total.metric


def _operation_of(span: SpanRecord) -> str:
    return span.name.partition(" ")[0]


def _renamed(attributes: Attributes, names: Mapping[str, tuple[str, ...]]) -> Attributes:
    return tuple([(shown, value) for name, value in attributes for shown in names.get(name, (name,))])


def _shown_point(point: MetricPoint, profile: Profile) -> Iterator[MetricPoint]:
    total = point.total
    fitting = _fitting(total, profile)
    if not fitting:
        yield point
    for metric in fitting:
        yield msgspec.structs.replace(
            point,
            total=msgspec.structs.replace(
                total, metric=metric.definition.name, attributes=_attributes_of(total.attributes, metric)
            ),
        )


def _fitting(total: MetricTotal, profile: Profile) -> list[ShownMetric]:
    return [metric for metric in profile.metrics.get(total.metric, ()) if metric.when.issubset(total.attributes)]


def _attributes_of(attributes: Attributes, metric: ShownMetric) -> Attributes:
    return (*_renamed(attributes, metric.shown), *metric.sets)


def _fits(values: Mapping[str, AttributeValue], record: ShownLogRecord) -> bool:
    return all(values.get(name) in accepted for name, accepted in record.when) and not any(
        name in values for name in record.unless
    )


def _shown_log(log: LogRecord, profile: Profile) -> LogRecord:
    record = profile.log_records_of_logs.get(log.event_name)
    if record is None:
        return log
    own = dict(log.attributes)
    if not _fits(own, record):
        return log
    values = _values_of(own, record)
    shown = [
        (record.renames.get(name, name), values.get(record.renames.get(name, name), value))
        for name, value in log.attributes
        if name not in record.renames or record.renames[name] in values
    ]
    return _named(log, record, shown)


def _named(log: LogRecord, record: ShownLogRecord, attributes: Iterable[tuple[str, AttributeValue]]) -> LogRecord:
    """The log record under its other name, with which its body says all that it says."""
    named = tuple([(name, record.event_name if name == "event.name" else value) for name, value in attributes])
    return msgspec.structs.replace(log, event_name=record.name, body=record.name, attributes=named)


def _logs_of(spans: Sequence[SpanRecord], profile: Profile) -> Iterator[LogRecord]:
    for span in spans:
        for record in profile.log_records_of_spans.get(_operation_of(span), ()):
            own = dict(span.attributes)
            if not _fits(own, record):
                continue
            attributes: list[tuple[str, AttributeValue]] = [
                ("event.name", record.event_name),
                ("log.record.uid", ids.log_record_uid(record.name, span.span_id.hex())),
                *_values_of(own, record).items(),
            ]
            if record.duration_ms:
                attributes.append((record.duration_ms, (span.ended_at_ns - span.started_at_ns) / 1e6))
            yield LogRecord(
                span.ended_at_ns,
                record.name,
                Severity.INFO,
                record.name,
                tuple(attributes),
                span.trace_id,
                span.span_id,
                span.service,
            )


def _values_of(own: Mapping[str, AttributeValue], record: ShownLogRecord) -> dict[str, AttributeValue]:
    """The attributes that the record's entry names, as far as they are there."""
    values: dict[str, AttributeValue] = {}
    for shown, name in record.attributes:
        value: AttributeValue | None = own.get(name)
        if shown in record.values:
            value = record.values[shown].get(str(value))
        elif type(value) is int:
            value = max(value - sum(_number(own.get(other)) for other in record.less.get(shown, ())), 0)
        if value is not None:
            values[shown] = value
    return values


def _number(value: AttributeValue | None) -> int:
    return value if type(value) is int else 0
