"""What each destination of metrics is to be told: the totals as they stand, or what they have grown by.

The journal knows what each was told before, so that neither a restart nor an outage, a new release nor another
temporality loses a measurement or counts one twice (metrics SDK specification, MetricProducer).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import msgspec

from cline_otel.aggregation.points import (
    DELTA_STEP_NS,
    copy_of,
    cumulative_points,
    delta_points,
    is_told,
    next_time_ns,
    nothing_of,
)
from cline_otel.encode.profile import shown_name, shown_points
from cline_otel.export.interface import EncodedRequest, MetricSnapshot
from cline_otel.journal.metric_marks import MetricMarks
from cline_otel.journal.records import JournalFullError
from cline_otel.pipeline import Pipeline
from cline_otel.signals import MetricPoint, MetricTotal, Temporality

_logger = logging.getLogger(__name__)

POINTS_PER_REQUEST: Final = 400
"""A point has up to 1 kB; the smallest limit of a destination is half a megabyte, compressed."""


class MetricProducer:
    """Reads the totals of a pipeline, and the marks in the journal.

    Args:
        marks: what each destination was told.
        pipeline: the one whose totals count now.
        clock_ns: nanoseconds since the Unix epoch.
    """

    def __init__(
        self, marks: MetricMarks, pipeline: Callable[[], Pipeline], clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._marks = marks
        self._pipeline = pipeline
        self._clock_ns = clock_ns
        self._exemplars_told: dict[str, int] = {}
        self._quiet_ns: dict[str, int] = {}

    def begin(self, destinations: Mapping[str, Temporality]) -> None:
        """These are told from now on.

        One that is new takes the place of one that is there no more, and is told what that one was not; else it is
        told of nothing that was before. What was counted with another histogram aggregation ends here: who gets
        growth is told the rest of it. The oldest of what has ended otherwise goes once all know it.
        """
        totals = self._pipeline().metric_totals
        known = self._marks.destinations()
        gone = sorted(known.keys() - destinations.keys(), key=known.__getitem__)
        for destination, temporality in destinations.items():
            if destination not in known and gone:
                self._marks.move(gone.pop(), destination)
            elif destination not in known:
                self._marks.tell(destination, self._clock_ns(), self._as_told(totals.told | totals.retired))
            if temporality == "delta" and totals.retired:
                self._form(destination, totals.retired)
        for destination in gone:
            while (row := self._marks.waiting(destination)) is not None:
                self._marks.refused(row.id, "nothing is sent to its destination any more")
        over = [*totals.retired, *self._told_to_all(totals.oldest_ended(), destinations or known)]
        if over:
            self._marks.retire(over)
            totals.retired.clear()
            totals.ended = {key: total for key, total in totals.ended.items() if key not in over}

    def _told_to_all(self, series: Mapping[str, MetricTotal], destinations: Iterable[str]) -> set[str]:
        """Those of the series of which each destination was told all."""
        if not series:
            return set()
        told = [each.totals for destination in destinations if (each := self._marks.told(destination)) is not None]
        return {key for key, total in series.items() if all(is_told(total, marks.get(key)) for marks in told)}

    def snapshot(self, destination: str) -> MetricSnapshot | None:
        """The totals as they stand; None if there are none."""
        totals = self._pipeline().metric_totals
        series = totals.told
        told = self._marks.told(destination)
        if not series or told is None:
            return None
        at_ns = next_time_ns(self._clock_ns(), told.at_ns)
        exemplars = partial(totals.exemplars, after=self._exemplars_told.get(destination, 0))
        self._exemplars_told[destination] = totals.measurements
        named = self._as_told(series)
        changed = {key: copy_of(total) for key, total in named.items() if total != told.totals.get(key)}
        # Under another name a series is another one, which the destination was not told of.
        known = {key for key, mark in told.totals.items() if key in named and mark.metric == named[key].metric}
        begun = {key: nothing_of(total) for key, total in changed.items() if key not in known}
        points = cumulative_points(series, known, at_ns, exemplars)
        points += self._pipeline().gauges(at_ns)
        return MetricSnapshot(self._requests(points, "cumulative"), at_ns, changed, begun)

    def confirm(self, destination: str, at_ns: int, totals: Mapping[str, MetricTotal]) -> None:
        """A destination knows of these totals, by the stored keys of their series, as of then."""
        self._marks.tell(destination, at_ns, totals)

    def form(self, destination: str) -> None:
        """Queues what has grown since a destination was last told, unless something waits for it already."""
        if self._marks.waiting(destination) is not None:
            return
        try:
            self._form(destination, self._pipeline().metric_totals.told)
        except JournalFullError:
            _logger.warning("metrics: the journal is full, so nothing more is formed; it stays in the totals")

    def _form(self, destination: str, series: Mapping[str, MetricTotal]) -> None:
        told = self._marks.told(destination)
        if told is None:
            return
        totals = self._pipeline().metric_totals
        at_ns = next_time_ns(self._clock_ns(), told.at_ns, DELTA_STEP_NS)
        exemplars = partial(totals.exemplars, after=self._exemplars_told.get(destination, 0))
        # Some destinations take the age of a point from its start, so it begins where nothing had grown yet.
        since_ns = min(max(told.at_ns, self._quiet_ns.get(destination, 0)), at_ns)
        points = delta_points(series, told.totals, since_ns, at_ns, exemplars)
        if not points and not self._pipeline().open_runs:
            # The end of the last run has grown something, so what gauges say of it is told.
            self._quiet_ns[destination] = at_ns
        else:
            requests = self._requests([*points.values(), *self._pipeline().gauges(at_ns)], "delta")
            formed = [(request.payload, request.item_count) for request in requests]
            self._marks.tell(destination, at_ns, self._as_told({key: series[key] for key in points}), formed)
            self._exemplars_told[destination] = totals.measurements

    def _as_told(self, series: Mapping[str, MetricTotal]) -> Mapping[str, MetricTotal]:
        """The same totals, each of the metric under whose name it is exported."""
        profile = self._pipeline().catalogue.profile
        if not profile.metrics:
            return series
        return {key: msgspec.structs.replace(total, metric=shown_name(total, profile)) for key, total in series.items()}

    def _requests(self, points: Sequence[MetricPoint], temporality: Temporality) -> list[EncodedRequest]:
        encode = self._pipeline().metrics_request
        points = shown_points(points, self._pipeline().catalogue.profile)
        parts = [points[start : start + POINTS_PER_REQUEST] for start in range(0, len(points), POINTS_PER_REQUEST)]
        return [EncodedRequest(encode(part, temporality), len(part)) for part in parts]
