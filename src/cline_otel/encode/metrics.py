"""Cumulative totals to the bytes of an OTLP ``ExportMetricsServiceRequest``."""

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
)
from cline_otel.signals import MetricDefinition, MetricTotal

# Field numbers of opentelemetry.proto.metrics.v1 Metric, Sum, Histogram and their data points.
_SUM = 7
_HISTOGRAM = 9
_DATA_POINT = 1
_CUMULATIVE: Final = tag(2, VARINT) + varint(2)
_MONOTONIC: Final = tag(3, VARINT) + varint(1)

_START_TIME = tag(2, FIXED64)
_TIME = tag(3, FIXED64)

_NUMBER_ATTRIBUTES = tag(7, LENGTH_DELIMITED)
_NUMBER_AS_DOUBLE = tag(4, FIXED64)
_NUMBER_AS_INT = tag(6, FIXED64)

_HISTOGRAM_ATTRIBUTES = tag(9, LENGTH_DELIMITED)
_HISTOGRAM_COUNT = tag(4, FIXED64)
_HISTOGRAM_SUM = tag(5, FIXED64)


def encode_metrics(
    totals: Iterable[MetricTotal],
    definitions: Mapping[str, MetricDefinition],
    resource_and_scope: ResourceAndScope,
    started_at_ns: int,
    now_ns: int,
) -> bytes:
    """An ``ExportMetricsServiceRequest``: counters as monotonic sums, histograms with explicit buckets, cumulative.

    Equal totals give equal bytes in whatever order they come: metrics stand in the order of
    ``definitions``, the series of a metric in that of their encoded attributes. A total whose metric
    is not defined (a journal may be older than the catalogue) is left out; one whose buckets do not
    fit its definition keeps its count and sum, which OTLP allows, and loses its buckets. No totals
    give no bytes. Numbers beyond 64 bits are clamped.

    Args:
        totals: one for each series.
        definitions: what each metric is, by name.
        resource_and_scope: of whom the request is.
        started_at_ns: since when the totals have been counted.
        now_ns: the time that the totals are as of.
    """
    times = b"%b%b%b%b" % (_START_TIME, pack_uint64(started_at_ns), _TIME, pack_uint64(now_ns))
    series: dict[str, list[MetricTotal]] = {}
    for total in totals:
        series.setdefault(total.metric, []).append(total)
    items: list[bytes] = []
    for name, definition in definitions.items():
        totals_of_metric = series.get(name)
        if totals_of_metric:
            message = _encode_metric(definition, totals_of_metric, times)
            items += (ITEM_TAG, varint(len(message)), message)
    return resource_and_scope.request(items)


def _encode_metric(definition: MetricDefinition, totals: list[MetricTotal], times: bytes) -> bytes:
    if definition.instrument == "histogram":
        points = _histogram_points(definition, totals, times)
        data = length_delimited(_HISTOGRAM, b"".join(points) + _CUMULATIVE)
    else:
        points = _number_points(definition, totals, times)
        data = length_delimited(_SUM, b"".join(points) + _CUMULATIVE + _MONOTONIC)
    return b"".join((text(1, definition.name), text(2, definition.description), text(3, definition.unit), data))


def _number_points(definition: MetricDefinition, totals: list[MetricTotal], times: bytes) -> list[bytes]:
    is_int = definition.value_type == "int"
    points = []
    for total in totals:
        value = pack_int64(_integer(total.sum)) if is_int else pack_double(_double(total.sum))
        value_tag = _NUMBER_AS_INT if is_int else _NUMBER_AS_DOUBLE
        series = attributes.field(_NUMBER_ATTRIBUTES, total.attributes)
        points.append((series, b"%b%b%b%b" % (times, value_tag, value, series)))
    return _in_order(points)


def _histogram_points(definition: MetricDefinition, totals: list[MetricTotal], times: bytes) -> list[bytes]:
    bounds = length_delimited(7, pack_doubles(definition.boundaries)) if definition.boundaries else b""
    bucket_count = len(definition.boundaries) + 1
    counts_head = tag(6, LENGTH_DELIMITED) + varint(8 * bucket_count)
    points = []
    for total in totals:
        has_buckets = len(total.bucket_counts) == bucket_count
        series = attributes.field(_HISTOGRAM_ATTRIBUTES, total.attributes)
        point = (
            times,
            _HISTOGRAM_COUNT,
            pack_uint64(total.count),
            _HISTOGRAM_SUM,
            pack_double(_double(total.sum)),
            b"%b%b%b" % (counts_head, pack_uint64s(total.bucket_counts), bounds) if has_buckets else b"",
            series,
        )
        points.append((series, b"".join(point)))
    return _in_order(points)


def _in_order(points: list[tuple[bytes, bytes]]) -> list[bytes]:
    """The points as fields of their metric, in the order of their encoded attributes."""
    return [length_delimited(_DATA_POINT, point) for _, point in sorted(points)]


def _integer(value: int | float) -> int:
    if isinstance(value, int):
        return value
    if math.isfinite(value):
        return int(value)
    return 0 if math.isnan(value) else INT64_MAX if value > 0 else INT64_MIN


def _double(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
