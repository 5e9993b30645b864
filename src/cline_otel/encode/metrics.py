"""Metric points to the bytes of an OTLP ``ExportMetricsServiceRequest``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from cline_otel.encode import attributes
from cline_otel.encode.resource_and_scope import ITEM_TAG, ResourceAndScope
from cline_otel.encode.wire import (
    FIXED64,
    INT64_MAX,
    INT64_MIN,
    LENGTH_DELIMITED,
    VARINT,
    length_delimited,
    pack_double,
    pack_doubles,
    pack_int64,
    pack_uint64,
    pack_uint64s,
    tag,
    text,
    varint,
    zigzag,
)
from cline_otel.signals import Exemplar, ExponentialBuckets, MetricDefinition, MetricPoint, MetricTotal, Temporality

# Field numbers of opentelemetry.proto.metrics.v1 Metric, of what it can be (Gauge, Sum, Histogram,
# ExponentialHistogram) and of their data points.
_GAUGE = 5
_SUM = 7
_HISTOGRAM = 9
_EXPONENTIAL_HISTOGRAM = 10
_DATA_POINT = 1
_TEMPORALITY: Final[Mapping[Temporality, bytes]] = {
    "delta": tag(2, VARINT) + varint(1),
    "cumulative": tag(2, VARINT) + varint(2),
}
_MONOTONIC: Final = tag(3, VARINT) + varint(1)

_START_TIME = tag(2, FIXED64)
_TIME = tag(3, FIXED64)

_NUMBER_ATTRIBUTES = tag(7, LENGTH_DELIMITED)
_NUMBER_AS_DOUBLE = tag(4, FIXED64)
_NUMBER_AS_INT = tag(6, FIXED64)

_HISTOGRAM_ATTRIBUTES = tag(9, LENGTH_DELIMITED)
_HISTOGRAM_COUNT = tag(4, FIXED64)
_HISTOGRAM_SUM = tag(5, FIXED64)
_HISTOGRAM_EXEMPLARS = 8

_EXPONENTIAL_ATTRIBUTES = tag(1, LENGTH_DELIMITED)
_EXPONENTIAL_SCALE = tag(6, VARINT)
_EXPONENTIAL_ZERO_COUNT = tag(7, FIXED64)
_EXPONENTIAL_POSITIVE = 8
_EXPONENTIAL_EXEMPLARS = 11

_EXEMPLAR_TIME = tag(2, FIXED64)
_EXEMPLAR_AS_DOUBLE = tag(3, FIXED64)
_EXEMPLAR_AS_INT = tag(6, FIXED64)
_EXEMPLAR_SPAN_ID = 4
_EXEMPLAR_TRACE_ID = 5


def encode_metrics(
    points: Iterable[MetricPoint],
    definitions: Mapping[str, MetricDefinition],
    resource_and_scope: ResourceAndScope,
    temporality: Temporality,
) -> bytes:
    """An ``ExportMetricsServiceRequest``: counters are monotonic sums, histograms have explicit or exponential buckets.

    Each service has a resource of its own.
    Equal points give equal bytes in whatever order they come: metrics stand in the order of
    ``definitions``, the series of a metric in that of their encoded attributes, the points of a series in that of their
    times. A point whose metric is not defined (a journal may be older than the catalogue) is left out; one whose
    buckets do not fit its definition keeps its count and sum, which OTLP allows, and loses its buckets. No points
    give no bytes. Numbers beyond 64 bits are clamped.

    Args:
        points: of any series, at any times.
        definitions: what each metric is, by name.
        resource_and_scope: of whom the request is.
        temporality: whether the points are totals or growth; gauges have none.
    """
    by_service: dict[str, dict[str, list[MetricPoint]]] = {}
    for point in points:
        by_service.setdefault(point.total.service, {}).setdefault(point.total.metric, []).append(point)
    return b"".join(
        [
            resource_and_scope.of(service).request(_items(by_service[service], definitions, temporality))
            for service in sorted(by_service)
        ]
    )


def _items(
    by_metric: Mapping[str, list[MetricPoint]], definitions: Mapping[str, MetricDefinition], temporality: Temporality
) -> list[bytes]:
    items: list[bytes] = []
    for name, definition in definitions.items():
        points_of_metric = by_metric.get(name)
        if points_of_metric:
            message = _encode_metric(definition, points_of_metric, _TEMPORALITY[temporality])
            items += (ITEM_TAG, varint(len(message)), message)
    return items


def _encode_metric(definition: MetricDefinition, points: list[MetricPoint], temporality: bytes) -> bytes:
    if definition.instrument == "gauge":
        data = length_delimited(_GAUGE, _number_points(definition, points))
    elif definition.instrument != "histogram":
        data = length_delimited(_SUM, _number_points(definition, points) + temporality + _MONOTONIC)
    elif any(point.total.exponential is not None for point in points):
        data = length_delimited(_EXPONENTIAL_HISTOGRAM, _exponential_points(definition, points) + temporality)
    else:
        data = length_delimited(_HISTOGRAM, _histogram_points(definition, points) + temporality)
    return b"".join((text(1, definition.name), text(2, definition.description), text(3, definition.unit), data))


def _number_points(definition: MetricDefinition, points: list[MetricPoint]) -> bytes:
    encoded = []
    for point in points:
        series = attributes.field(_NUMBER_ATTRIBUTES, point.total.attributes)
        value = _number(definition, point.total.sum, _NUMBER_AS_INT, _NUMBER_AS_DOUBLE)
        encoded.append((series, point.at_ns, b"%b%b%b" % (_times(point), value, series)))
    return _in_order(encoded)


def _histogram_points(definition: MetricDefinition, points: list[MetricPoint]) -> bytes:
    bounds = length_delimited(7, pack_doubles(definition.boundaries)) if definition.boundaries else b""
    bucket_count = len(definition.boundaries) + 1
    counts_head = tag(6, LENGTH_DELIMITED) + varint(8 * bucket_count)
    encoded = []
    for point in points:
        counts = point.total.bucket_counts
        series = attributes.field(_HISTOGRAM_ATTRIBUTES, point.total.attributes)
        message = (
            _times(point),
            _count_and_sum(point.total),
            b"%b%b%b" % (counts_head, pack_uint64s(counts), bounds) if len(counts) == bucket_count else b"",
            _exemplars(_HISTOGRAM_EXEMPLARS, definition, point.exemplars),
            series,
        )
        encoded.append((series, point.at_ns, b"".join(message)))
    return _in_order(encoded)


def _exponential_points(definition: MetricDefinition, points: list[MetricPoint]) -> bytes:
    encoded = []
    for point in points:
        series = attributes.field(_EXPONENTIAL_ATTRIBUTES, point.total.attributes)
        message = (
            series,
            _times(point),
            _count_and_sum(point.total),
            _exponential_buckets(point.total.exponential),
            _exemplars(_EXPONENTIAL_EXEMPLARS, definition, point.exemplars),
        )
        encoded.append((series, point.at_ns, b"".join(message)))
    return _in_order(encoded)


def _exponential_buckets(buckets: ExponentialBuckets | None) -> bytes:
    if buckets is None:
        return b""
    positive = b""
    if buckets.counts:
        counts = b"".join(varint(count) for count in buckets.counts)
        positive = length_delimited(
            _EXPONENTIAL_POSITIVE, tag(1, VARINT) + varint(zigzag(buckets.offset)) + length_delimited(2, counts)
        )
    return b"%b%b%b%b%b" % (
        _EXPONENTIAL_SCALE,
        varint(zigzag(buckets.scale)),
        _EXPONENTIAL_ZERO_COUNT,
        pack_uint64(buckets.zero_count),
        positive,
    )


def _exemplars(field: int, definition: MetricDefinition, exemplars: Iterable[Exemplar]) -> bytes:
    return b"".join(
        length_delimited(
            field,
            b"%b%b%b%b%b"
            % (
                _EXEMPLAR_TIME,
                pack_uint64(exemplar.occurred_at_ns),
                _number(definition, exemplar.value, _EXEMPLAR_AS_INT, _EXEMPLAR_AS_DOUBLE),
                length_delimited(_EXEMPLAR_SPAN_ID, exemplar.span_id),
                length_delimited(_EXEMPLAR_TRACE_ID, exemplar.trace_id),
            ),
        )
        for exemplar in exemplars
    )


def _times(point: MetricPoint) -> bytes:
    if not point.started_at_ns:
        return b"%b%b" % (_TIME, pack_uint64(point.at_ns))
    return b"%b%b%b%b" % (_START_TIME, pack_uint64(point.started_at_ns), _TIME, pack_uint64(point.at_ns))


def _count_and_sum(total: MetricTotal) -> bytes:
    return b"%b%b%b%b" % (_HISTOGRAM_COUNT, pack_uint64(total.count), _HISTOGRAM_SUM, pack_double(_double(total.sum)))


def _number(definition: MetricDefinition, value: int | float, int_tag: bytes, double_tag: bytes) -> bytes:
    if definition.value_type == "int":
        return int_tag + pack_int64(_integer(value))
    return double_tag + pack_double(_double(value))


def _in_order(points: list[tuple[bytes, int, bytes]]) -> bytes:
    """The points as fields of their metric, in the order of their encoded attributes and their times."""
    return b"".join(length_delimited(_DATA_POINT, point) for _, _, point in sorted(points))


def _integer(value: int | float) -> int:
    if isinstance(value, int):
        return value
    if math.isfinite(value):
        return int(value)
    return 0 if math.isnan(value) else INT64_MAX if value == math.inf else INT64_MIN


def _double(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
