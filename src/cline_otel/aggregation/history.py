"""History: the points of a recording's metrics over the recording's own time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import groupby
from typing import Final

from cline_otel.aggregation.points import DELTA_STEP_NS, STEP_NS, copy_of, cumulative_points, delta_points
from cline_otel.aggregation.totals import Totals
from cline_otel.signals import (
    HistogramAggregation,
    MetricDefinition,
    MetricDelta,
    MetricPoint,
    MetricTotal,
    Temporality,
)

INTERVAL_NS: Final = 60_000_000_000
"""How far points of a series are apart at least, as in live use by default."""


def history(
    measurements: Iterable[MetricDelta],
    definitions: Mapping[str, MetricDefinition],
    ended_at_ns: int,
    temporality: Temporality,
    aggregation: HistogramAggregation = "explicit_bucket_histogram",
) -> Iterator[MetricPoint]:
    """What a bridge that had run then would have sent, in the order of time, as the measurements are.

    A series has a point wherever an interval changed it; a cumulative one has a point 0 at its start besides, and one
    at the end of the recording. Times are a step apart at least, if need be beyond the recording's end.
    """
    step_ns = DELTA_STEP_NS if temporality == "delta" else STEP_NS
    totals = Totals(definitions, aggregation=aggregation)
    told: dict[str, MetricTotal] = {}
    changed: dict[str, MetricTotal] = {}
    last_ns, exemplars_told = 0, 0
    for interval, group in groupby(measurements, key=lambda each: each.occurred_at_ns // INTERVAL_NS):
        newest_ns = 0
        for measurement in group:
            totals.add(measurement)
            newest_ns = measurement.occurred_at_ns
        at_ns = max(min((interval + 1) * INTERVAL_NS, ended_at_ns), newest_ns, last_ns + step_ns)
        changed = {key: copy_of(total) for key, total in totals.by_key.items() if total != told.get(key)}
        exemplars = partial(totals.exemplars, after=exemplars_told)
        if temporality == "delta":
            yield from delta_points(changed, told, last_ns, at_ns, exemplars).values()
        else:
            yield from cumulative_points(changed, told, at_ns, exemplars)
        told |= changed
        last_ns, exemplars_told = at_ns, totals.measurements
    if temporality == "cumulative":
        at_ns = last_ns if last_ns >= ended_at_ns else max(ended_at_ns, last_ns + step_ns)
        rest = {key: total for key, total in totals.by_key.items() if at_ns > last_ns or key not in changed}
        yield from cumulative_points(rest, told, at_ns, lambda key: ())
