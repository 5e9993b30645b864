"""Points: what a destination is told of each series, cumulative or as growth.

Whatever a backend adds up shall be what was measured (metrics data model, Resets and Gaps, Temporality). Prometheus
reckons with the difference of samples, so a cumulative series comes with a point 0 at its start, before the first
value. Times of one destination only ever go up, unless the clock was wrong by minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Final

from cline_otel.aggregation import exponential
from cline_otel.signals import Exemplar, ExponentialBuckets, MetricPoint, MetricTotal

STEP_NS: Final = 1_000_000
"""How far the times of two totals of a series are apart at least: backends keep milliseconds."""

DELTA_STEP_NS: Final = 1_000_000_000
"""How far those of its growth are: Datadog keeps the last of several points of a series within a second."""

CLOCK_TOLERANCE_NS: Final = 300_000_000_000
"""How far a clock may be set back before it counts as having been wrong."""

Exemplars = Callable[[str], tuple[Exemplar, ...]]
"""The exemplars of a series, by its stored key."""


def next_time_ns(now_ns: int, last_ns: int, step_ns: int = STEP_NS) -> int:
    """When a destination's next points are as of, at least a step after those of ``last_ns``."""
    return now_ns if last_ns - now_ns > CLOCK_TOLERANCE_NS else max(now_ns, last_ns + step_ns)


def cumulative_points(
    totals: Mapping[str, MetricTotal], told: Container[str], at_ns: int, exemplars: Exemplars
) -> list[MetricPoint]:
    """The total of each series; of one that the destination was not told of yet, a point 0 at its start before it."""
    points: list[MetricPoint] = []
    for key, total in totals.items():
        started_at_ns = min(total.started_at_ns, at_ns - STEP_NS)
        if key not in told:
            points.append(MetricPoint(nothing_of(total), started_at_ns, started_at_ns))
        points.append(MetricPoint(total, started_at_ns, at_ns, exemplars(key)))
    return points


def delta_points(
    totals: Mapping[str, MetricTotal],
    marks: Mapping[str, MetricTotal],
    last_ns: int,
    at_ns: int,
    exemplars: Exemplars,
) -> dict[str, MetricPoint]:
    """What each series has grown by since its mark; series that have not are left out.

    Args:
        totals: by stored key.
        marks: what the destination was told of each.
        last_ns: when that was.
        at_ns: when the points are as of.
        exemplars: of each series since then.
    """
    points: dict[str, MetricPoint] = {}
    for key, total in totals.items():
        mark = marks.get(key)
        growth = growth_of(total, mark)
        if growth.sum or growth.count:
            started_at_ns = min(total.started_at_ns if mark is None else last_ns, at_ns - STEP_NS)
            points[key] = MetricPoint(growth, started_at_ns, at_ns, exemplars(key))
    return points


def growth_of(total: MetricTotal, mark: MetricTotal | None) -> MetricTotal:
    """What came between an earlier state of a series, None for its start, and a later one."""
    if mark is None:
        return total
    buckets: ExponentialBuckets | None = None
    if total.exponential is not None and mark.exponential is not None:
        buckets = exponential.grown(total.exponential, mark.exponential)
    return MetricTotal(
        total.metric,
        total.attributes,
        total.sum - mark.sum,
        total.count - mark.count,
        [now - then for now, then in zip(total.bucket_counts, _padded(mark, total), strict=True)],
        total.started_at_ns,
        buckets,
        total.service,
    )


def is_told(total: MetricTotal, mark: MetricTotal | None) -> bool:
    """Whether a series has not grown since its mark; one without a mark was not told of."""
    if mark is None:
        return False
    growth = growth_of(total, mark)
    return not growth.sum and not growth.count


def _padded(mark: MetricTotal, total: MetricTotal) -> list[int]:
    """The mark's buckets as the total has them: edges may have been appended since."""
    missing = len(total.bucket_counts) - len(mark.bucket_counts)
    return mark.bucket_counts[:-1] + [0] * missing + mark.bucket_counts[-1:]


def nothing_of(total: MetricTotal) -> MetricTotal:
    """A series as it was at its start."""
    buckets = total.exponential
    return MetricTotal(
        total.metric,
        total.attributes,
        type(total.sum)(0),
        0,
        [0] * len(total.bucket_counts),
        total.started_at_ns,
        ExponentialBuckets(buckets.scale) if buckets is not None else None,
        total.service,
    )


def copy_of(total: MetricTotal) -> MetricTotal:
    """A total that does not grow with the one it is of."""
    buckets = total.exponential
    return MetricTotal(
        total.metric,
        total.attributes,
        total.sum,
        total.count,
        list(total.bucket_counts),
        total.started_at_ns,
        ExponentialBuckets(buckets.scale, buckets.zero_count, buckets.offset, list(buckets.counts))
        if buckets is not None
        else None,
        total.service,
    )
