"""Points of OTLP metrics, one by one, and what they add up to."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, Final, Literal

import msgspec
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

Labels = tuple[tuple[str, str], ...]
"""Attributes by name, sorted; values that are no text as JSON has them."""

Series = tuple[str, Labels]
"""A metric and the attributes of its point; those of the resource are left out."""

Kind = Literal["gauge", "sum", "histogram", "exponential_histogram", "summary"]


class Exponential(msgspec.Struct, frozen=True):
    """Buckets of an exponential histogram: counts by index at a scale."""

    scale: int
    zero_count: int
    positive: Mapping[int, int]
    negative: Mapping[int, int]

    @property
    def count(self) -> int:
        """How many measurements the buckets hold."""
        return self.zero_count + sum(self.positive.values()) + sum(self.negative.values())

    def below(self, edge: float) -> tuple[int, int]:
        """How many measurements are at most ``edge``, which is greater than 0: surely, and possibly.

        Bucket ``i`` holds what is greater than 2^(i/2^scale) and at most 2^((i+1)/2^scale) (metrics data model).
        """
        exponent = math.log2(edge)
        at_most_0 = self.zero_count + sum(self.negative.values())
        surely = sum(count for index, count in self.positive.items() if math.ldexp(index + 1, -self.scale) <= exponent)
        possibly = sum(count for index, count in self.positive.items() if math.ldexp(index, -self.scale) < exponent)
        return at_most_0 + surely, at_most_0 + possibly

    def at_scale(self, scale: int) -> Exponential:
        """The same with coarser buckets (metrics data model: two neighbours become one for each step)."""
        steps = self.scale - scale

        def coarser(buckets: Mapping[int, int]) -> Mapping[int, int]:
            merged: Counter[int] = Counter()
            for index, count in buckets.items():
                merged[index >> steps] += count
            return dict(merged)

        return Exponential(scale, self.zero_count, coarser(self.positive), coarser(self.negative))

    def __add__(self, other: Exponential) -> Exponential:
        scale = min(self.scale, other.scale)
        one, two = self.at_scale(scale), other.at_scale(scale)
        return Exponential(
            scale,
            one.zero_count + two.zero_count,
            dict(Counter(one.positive) + Counter(two.positive)),
            dict(Counter(one.negative) + Counter(two.negative)),
        )


class Amount(msgspec.Struct, frozen=True):
    """What a point says, or several together. Sums are exact, so that nothing depends on an order.

    Attributes:
        sum: a counter's value or the sum of a histogram's measurements.
        count: how many measurements a histogram has.
        buckets: counts that are not 0, by upper edge; of explicit buckets.
        exponential: of an exponential histogram.
    """

    sum: Fraction
    count: int = 0
    buckets: Mapping[float, int] = {}
    exponential: Exponential | None = None

    def __add__(self, other: Amount) -> Amount:
        exponentials = [each for each in (self.exponential, other.exponential) if each is not None]
        return Amount(
            self.sum + other.sum,
            self.count + other.count,
            dict(Counter(self.buckets) + Counter(other.buckets)),
            exponentials[0] + exponentials[1] if len(exponentials) == 2 else next(iter(exponentials), None),
        )

    @property
    def is_nothing(self) -> bool:
        """Whether nothing was measured."""
        return self.sum == 0 and self.count == 0


NOTHING: Final = Amount(Fraction(0))


class Point(msgspec.Struct, frozen=True):
    """One point of one series.

    Attributes:
        resource: the attributes of what it is of, with name and version of the scope.
        starts_at_ns, ends_at_ns: the point's own times, nanoseconds since the Unix epoch.
    """

    metric: str
    labels: Labels
    resource: Labels
    kind: Kind
    is_delta: bool
    is_monotonic: bool
    starts_at_ns: int
    ends_at_ns: int
    amount: Amount

    @property
    def series(self) -> Series:
        """The metric and its labels."""
        return self.metric, self.labels

    @property
    def stream(self) -> tuple[str, Labels, Labels]:
        """The series and whose it is."""
        return self.metric, self.labels, self.resource


def points_of(request: ExportMetricsServiceRequest) -> Iterator[Point]:
    """The points of a request, in their order."""
    for resource_metrics in request.resource_metrics:
        for scope_metrics in resource_metrics.scope_metrics:
            scope = scope_metrics.scope
            resource = (
                *_labels(resource_metrics.resource.attributes),
                ("otel.scope.name", scope.name),
                ("otel.scope.version", scope.version),
            )
            for metric in scope_metrics.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    continue
                data = getattr(metric, kind)
                is_delta = (
                    getattr(data, "aggregation_temporality", 0) == AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA
                )
                is_monotonic = kind != "gauge" and getattr(data, "is_monotonic", True)
                for point in data.data_points:
                    yield Point(
                        metric.name,
                        _labels(point.attributes),
                        resource,
                        kind,
                        is_delta,
                        is_monotonic,
                        point.start_time_unix_nano,
                        point.time_unix_nano,
                        _amount(kind, point),
                    )


def sums_of(points: Iterable[Point]) -> dict[Series, Amount]:
    """What points add up to, by series, whosever they are."""
    sums: dict[Series, Amount] = {}
    for point in points:
        sums[point.series] = sums.get(point.series, NOTHING) + point.amount
    return sums


def _labels(attributes: Iterable[KeyValue]) -> Labels:
    return tuple(sorted((pair.key, _text(pair.value)) for pair in attributes))


def _text(value: Any) -> str:
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return str(value.string_value)
    if kind == "bool_value":
        return "true" if value.bool_value else "false"
    if kind == "array_value":
        return str([_text(each) for each in value.array_value.values])
    return str(getattr(value, kind)) if kind else ""


def _amount(kind: Kind, point: Any) -> Amount:
    if kind in ("gauge", "sum"):
        return Amount(Fraction(point.as_int if point.WhichOneof("value") == "as_int" else point.as_double))
    if kind == "histogram":
        edges = (*point.explicit_bounds, math.inf)
        buckets = {edge: count for edge, count in zip(edges, point.bucket_counts, strict=False) if count}
        return Amount(Fraction(point.sum), point.count, buckets)
    if kind == "exponential_histogram":
        positive, negative = (
            {side.offset + place: count for place, count in enumerate(side.bucket_counts) if count}
            for side in (point.positive, point.negative)
        )
        exponential = Exponential(point.scale, point.zero_count, positive, negative)
        return Amount(Fraction(point.sum), point.count, {}, exponential)
    return Amount(Fraction(point.sum), point.count)
