"""Cumulative totals: what the measurements add up to, per series.

Keys of the stored form are ``total/`` and a hash of the metric, its attributes and its service. A metric that would
exceed its budget of series collects the rest in one series of each service with ``otel.metric.overflow`` (metrics SDK
specification, cardinality limits). Names that people choose are known to a metric up to half of its budget; what
has a new one then counts without it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from cline_otel import ids
from cline_otel.aggregation import exponential
from cline_otel.signals import (
    Attributes,
    Exemplar,
    ExponentialBuckets,
    HistogramAggregation,
    MetricDefinition,
    MetricDelta,
    MetricTotal,
)
from cline_otel.state_format import Format, UnreadableRow, unchanged

TOTAL_PREFIX: Final = "total/"

MAX_SERIES: Final = 2_000
"""Series per metric, the SDK specification's default."""

OVERFLOW: Final[Attributes] = (("otel.metric.overflow", True),)

TOTAL: Final = Format("total", MetricTotal, unchanged)

BEFORE_THE_FIRST_NS: Final = 1_000_000
"""How long before its first measurement a series starts: backends keep times in milliseconds."""

EARLIEST_START_NS: Final = 300_000_000_000
"""How long before now a series starts at the earliest: backends refuse points that are older than some minutes."""


class Totals:
    """The totals of all metrics, and which of them changed.

    Attributes:
        by_key: every series that may grow, by its stored key.
        ended: those that grow no more while all measurements have other attributes besides their own; they have a
            budget of their own.
        retired: those whose histograms are kept in a way that is no longer asked for; they grow no more.
        measurements: how many could have become exemplars so far.
    """

    def __init__(
        self,
        definitions: Mapping[str, MetricDefinition],
        max_series: int = MAX_SERIES,
        aggregation: HistogramAggregation = "explicit_bucket_histogram",
    ) -> None:
        self.by_key: dict[str, MetricTotal] = {}
        self.ended: dict[str, MetricTotal] = {}
        self.retired: dict[str, MetricTotal] = {}
        self._definitions = definitions
        self._max_series = max_series
        self._is_exponential = aggregation == "base2_exponential_bucket_histogram"
        self._keys: dict[tuple[str, Attributes, str], str] = {}
        self._series_count: dict[str, int] = {}
        self._changed: set[str] = set()
        self._deleted: set[str] = set()
        self._exemplars: dict[str, dict[int, tuple[int, Exemplar]]] = {}
        self.measurements = 0

    def add(self, delta: MetricDelta, now_ns: int | None = None) -> None:
        """One measurement; ``now_ns`` is the time at which it is taken in, None where that is when it was made."""
        key = self._keys.get((delta.metric, delta.attributes, delta.service))
        if key is None:
            key = self._new_series(delta, now_ns)
        total = self.by_key[key]
        total.sum += delta.value
        definition = self._definitions[delta.metric]
        if definition.boundaries:
            total.count += 1
            bucket = bisect_left(definition.boundaries, delta.value)
            if total.exponential is not None:
                exponential.record(total.exponential, delta.value)
            else:
                total.bucket_counts[bucket] += 1
            if delta.span_id:
                self.measurements += 1
                exemplar = Exemplar(delta.occurred_at_ns, delta.value, delta.trace_id, delta.span_id)
                self._exemplars.setdefault(key, {})[bucket] = (self.measurements, exemplar)
        self._changed.add(key)

    def _new_series(self, delta: MetricDelta, now_ns: int | None) -> str:
        metric, attributes, service = delta.metric, delta.attributes, delta.service
        known = self._series_count.get(metric, 0)
        names = self._definitions[metric].names
        if names and known >= self._max_series // 2:
            attributes = tuple(pair for pair in attributes if pair[0] not in names)
            if (key := self._keys.get((metric, attributes, service))) is not None:
                return key
        if known >= self._max_series - 1:
            attributes = OVERFLOW
            if (key := self._keys.get((metric, OVERFLOW, service))) is not None:
                return key
        self._series_count[metric] = known + 1
        definition = self._definitions[metric]
        key = stored_key(metric, attributes, service)
        total = MetricTotal(metric, attributes, 0 if definition.value_type == "int" else 0.0, service=service)
        total.started_at_ns = _start_ns(delta.occurred_at_ns, now_ns)
        if definition.boundaries and self._is_exponential:
            total.exponential = ExponentialBuckets(exponential.MAX_SCALE)
        elif definition.boundaries:
            total.bucket_counts = [0] * (len(definition.boundaries) + 1)
        self._keys[metric, attributes, service] = key
        self.by_key[key] = total
        return key

    @property
    def told(self) -> dict[str, MetricTotal]:
        """What destinations are told of, by stored key: what may grow, and what has ended."""
        return self.by_key | self.ended

    def oldest_ended(self) -> dict[str, MetricTotal]:
        """Where a metric has more series that have ended than its budget, the oldest of them, by stored key."""
        oldest_first: dict[str, list[str]] = {}
        for key, total in sorted(self.ended.items(), key=lambda item: item[1].started_at_ns):
            oldest_first.setdefault(total.metric, []).append(key)
        return {key: self.ended[key] for keys in oldest_first.values() for key in keys[: -self._max_series]}

    def all(self) -> list[MetricTotal]:
        """Every series that destinations are told of, in a fixed order."""
        return sorted(self.told.values(), key=lambda total: (total.metric, repr(total.attributes), total.service))

    def exemplars(self, key: str, after: int = 0) -> tuple[Exemplar, ...]:
        """A histogram's newest measurement in each bucket, of those after so many measurements; oldest first."""
        return tuple(each for number, each in sorted(self._exemplars.get(key, {}).values()) if number > after)

    def changes(self) -> dict[str, bytes | None]:
        """What changed since the last call, by stored key."""
        saved: dict[str, bytes | None] = dict.fromkeys(self._deleted)
        saved |= {key: TOTAL.encode(self.by_key[key]) for key in self._changed}
        self._changed.clear()
        self._deleted.clear()
        return saved

    def take_back(
        self, rows: Mapping[str, bytes | None], started_at_ns: int, may_grow: Callable[[MetricTotal], bool]
    ) -> int:
        """Makes these rows what is stored again, None for what is not; the rest is as for ``restore``."""
        for key in rows:
            total = self.by_key.pop(key, None)
            if total is not None:
                del self._keys[total.metric, total.attributes, total.service]
                self._series_count[total.metric] -= 1
                self._exemplars.pop(key, None)
        stored = [(key, value) for key, value in rows.items() if value is not None]
        return self.restore(stored, started_at_ns, may_grow)

    def restore(
        self,
        rows: Iterable[tuple[str, bytes]],
        started_at_ns: int = 0,
        may_grow: Callable[[MetricTotal], bool] = lambda total: True,
    ) -> int:
        """Takes over stored totals; returns how many could not be read, which the next save deletes.

        Rows of other kinds, and of metrics that no longer exist, are left alone. Edges are only ever appended to a
        metric's buckets: what a total had beyond its last edge stays beyond the last of today.

        Args:
            rows: stored keys and values.
            started_at_ns: since when those count that do not say so themselves.
            may_grow: whether measurements may still be of such a series.
        """
        unreadable = 0
        for key, value in rows:
            if not key.startswith(TOTAL_PREFIX):
                continue
            try:
                total = TOTAL.decode(value)
            except UnreadableRow:
                self._deleted.add(key)
                unreadable += 1
                continue
            definition = self._definitions.get(total.metric)
            if definition is None:
                continue
            total.attributes = tuple((name, tuple(v) if isinstance(v, list) else v) for name, v in total.attributes)
            total.started_at_ns = total.started_at_ns or started_at_ns
            if definition.boundaries and (total.exponential is not None) != self._is_exponential:
                self.retired[key] = total
                continue
            if definition.boundaries and total.exponential is None and not _refit(total, definition):
                continue
            if total.attributes != OVERFLOW and not may_grow(total):
                self.ended[key] = total
                continue
            self.by_key[key] = total
            self._keys[total.metric, total.attributes, total.service] = key
            self._series_count[total.metric] = self._series_count.get(total.metric, 0) + 1
        return unreadable


def stored_key(metric: str, attributes: Attributes, service: str = "") -> str:
    """Under which a series is stored."""
    return TOTAL_PREFIX + ids.log_record_uid(metric, repr(attributes), *([service] if service else []))


def _start_ns(occurred_at_ns: int, now_ns: int | None) -> int:
    """Just before the first measurement, but neither in the future nor so long ago that no backend takes it."""
    if now_ns is not None:
        occurred_at_ns = max(min(occurred_at_ns, now_ns), now_ns - EARLIEST_START_NS)
    return max(occurred_at_ns - BEFORE_THE_FIRST_NS, 0)


def _refit(total: MetricTotal, definition: MetricDefinition) -> bool:
    """Whether a total fits its definition's buckets, or does now."""
    missing = len(definition.boundaries) + 1 - len(total.bucket_counts)
    if missing < 0 or not total.bucket_counts:
        return False
    total.bucket_counts[-1:-1] = [0] * missing
    return True
