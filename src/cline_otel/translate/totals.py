"""Cumulative totals: what the metric deltas add up to, per series.

Keys of the stored form are ``total/`` and a hash of the metric and its attributes. A metric that would
exceed its budget of series collects the rest in one series with ``otel.metric.overflow`` (metrics SDK
specification, cardinality limits).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from typing import Final

from cline_otel import ids
from cline_otel.signals import Attributes, MetricDefinition, MetricDelta, MetricTotal
from cline_otel.state_format import Format, UnreadableRow, unchanged

TOTAL_PREFIX: Final = "total/"

MAX_SERIES: Final = 2_000
"""Series per metric, the SDK specification's default."""

OVERFLOW: Final[Attributes] = (("otel.metric.overflow", True),)

TOTAL: Final = Format("total", MetricTotal, unchanged)


class Totals:
    """The totals of all metrics, and which of them changed."""

    def __init__(self, definitions: Mapping[str, MetricDefinition], max_series: int = MAX_SERIES) -> None:
        self._definitions = definitions
        self._max_series = max_series
        self._series: dict[tuple[str, Attributes], MetricTotal] = {}
        self._series_count: dict[str, int] = {}
        self._changed: set[tuple[str, Attributes]] = set()
        self._unreadable_keys: set[str] = set()

    def add(self, delta: MetricDelta) -> None:
        """One measurement."""
        key = (delta.metric, delta.attributes)
        total = self._series.get(key)
        if total is None:
            key, total = self._new_series(key)
        total.sum += delta.value
        boundaries = self._definitions[delta.metric].boundaries
        if boundaries:
            total.count += 1
            total.bucket_counts[bisect_left(boundaries, delta.value)] += 1
        self._changed.add(key)

    def _new_series(self, key: tuple[str, Attributes]) -> tuple[tuple[str, Attributes], MetricTotal]:
        metric = key[0]
        known = self._series_count.get(metric, 0)
        if known >= self._max_series - 1:
            key = (metric, OVERFLOW)
            if key in self._series:
                return key, self._series[key]
        definition = self._definitions[metric]
        buckets = [0] * (len(definition.boundaries) + 1) if definition.boundaries else []
        start = 0 if definition.value_type == "int" else 0.0
        total = self._series[key] = MetricTotal(metric, key[1], start, 0, buckets)
        self._series_count[metric] = known + 1
        return key, total

    def all(self) -> list[MetricTotal]:
        """Every series, in a fixed order."""
        return [total for _, total in sorted(self._series.items(), key=lambda item: repr(item[0]))]

    def changes(self) -> dict[str, bytes | None]:
        """What changed since the last call, by stored key."""
        saved: dict[str, bytes | None] = dict.fromkeys(self._unreadable_keys) | {
            TOTAL_PREFIX + ids.log_record_uid(metric, repr(attributes)): TOTAL.encode(self._series[metric, attributes])
            for metric, attributes in self._changed
        }
        self._changed.clear()
        self._unreadable_keys.clear()
        return saved

    def restore(self, rows: Iterable[tuple[str, bytes]]) -> int:
        """Takes over stored totals; returns how many could not be read, which the next save deletes.

        Rows of other kinds, and of metrics that no longer exist, are left alone.
        """
        for key, value in rows:
            if not key.startswith(TOTAL_PREFIX):
                continue
            try:
                total = TOTAL.decode(value)
            except UnreadableRow:
                self._unreadable_keys.add(key)
                continue
            definition = self._definitions.get(total.metric)
            if definition is None or (
                definition.boundaries and len(total.bucket_counts) != len(definition.boundaries) + 1
            ):
                continue
            attributes = tuple((name, tuple(v) if isinstance(v, list) else v) for name, v in total.attributes)
            total.attributes = attributes
            self._series[total.metric, attributes] = total
            self._series_count[total.metric] = self._series_count.get(total.metric, 0) + 1
        return len(self._unreadable_keys)
