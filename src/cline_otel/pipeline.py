"""Decode, translate, encode: the pure middle that live use and replay share.

A pipeline takes payloads in and, when flushed, gives what one transaction must write: OTLP requests
for spans and logs, and the changed state. It knows neither where payloads come from nor where
requests go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from cline_otel.aggregation.totals import TOTAL_PREFIX, Totals
from cline_otel.catalogue.compiled import Catalogue, Profile
from cline_otel.catalogue.values import OTHER
from cline_otel.decode.times import without_future
from cline_otel.encode.logs import encode_logs
from cline_otel.encode.metrics import encode_metrics
from cline_otel.encode.profile import shown_logs, shown_spans
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.encode.traces import encode_traces
from cline_otel.events import Event, tick
from cline_otel.export.interface import EncodedRequest
from cline_otel.signals import (
    Attributes,
    Diagnostics,
    HistogramAggregation,
    LogRecord,
    MetricDelta,
    MetricPoint,
    MetricTotal,
    SpanRecord,
    Temporality,
    add,
    attributes_of,
    count,
    with_attributes,
)
from cline_otel.sources.interface import Payload
from cline_otel.sources.registry import SOURCES, Registry
from cline_otel.translate.ownership import CLAIM_WAIT_NS
from cline_otel.translate.repeats import Repeats
from cline_otel.translate.state import State
from cline_otel.translate.step import Translator
from cline_otel.translate.waits import Waits

MAX_DIAGNOSTIC_NAMES: Final = 1_000


class FlushResult(msgspec.Struct):
    """What came out since the last flush, under our names; requests have those of the profile."""

    spans: list[SpanRecord]
    logs: list[LogRecord]
    metrics: list[MetricDelta]
    state: dict[str, bytes | None]
    diagnostics: Diagnostics
    resource_and_scope: ResourceAndScope
    profile: Profile

    def traces_request(self) -> EncodedRequest:
        """The spans as an OTLP request; empty if there are none."""
        spans = shown_spans(self.spans, self.profile)
        return EncodedRequest(encode_traces(spans, self.resource_and_scope), len(spans))

    def logs_request(self) -> EncodedRequest:
        """The log records as an OTLP request; empty if there are none. A profile may make some of spans."""
        logs = shown_logs(self.logs, self.spans, self.profile)
        return EncodedRequest(encode_logs(logs, self.resource_and_scope), len(logs))


class Pipeline:
    """One translator with its decoders, encoders and metric totals.

    Args:
        catalogue: what every name means.
        resource_and_scope: of spans and logs.
        metric_resource_and_scope: of metrics; no version on it, it would split the totals.
        rows: stored state, as ``flush`` gave it.
        claim_wait_ns: how long a source waits for one that may claim the session, nanoseconds.
        sources: the sources that payloads are of; the catalogue is theirs.
        started_at_ns: since when stored totals count that do not say so themselves, nanoseconds since the Unix epoch.
        histogram_aggregation: how histograms keep their values.
        metric_attributes: what every measurement has besides its own attributes.
        measures: whether anybody wants measurements; else none are made.

    Attributes:
        metric_totals: the totals of all metrics as of the last flush.
        unreadable: how many rows could not be read and are discarded with the next flush, by kind.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        resource_and_scope: ResourceAndScope,
        metric_resource_and_scope: ResourceAndScope,
        rows: Iterable[tuple[str, bytes]] = (),
        claim_wait_ns: int = CLAIM_WAIT_NS,
        sources: Registry = SOURCES,
        started_at_ns: int = 0,
        histogram_aggregation: HistogramAggregation = "explicit_bucket_histogram",
        metric_attributes: Attributes = (),
        measures: bool = True,
        call_limit_ns: int | None = None,
    ) -> None:
        rows = list(rows)
        self._sources = sources
        self.catalogue = catalogue
        self._resource_and_scope = resource_and_scope
        self._metric_resource_and_scope = metric_resource_and_scope
        self._translator = Translator(
            catalogue, State.restore(rows), claim_wait_ns, measures=measures, call_limit_ns=call_limit_ns
        )
        self._waits = Waits(self._translator.state, catalogue.services)
        self._repeats = Repeats(self._translator.state.seen, catalogue)
        self.metric_totals = Totals(catalogue.metrics, aggregation=histogram_aggregation)
        self._metric_attributes = metric_attributes
        self._started_at_ns = started_at_ns
        self._diagnostics: Diagnostics = {}
        self.unreadable: dict[str, int] = {}
        self._count_unreadable(self.metric_totals.restore(rows, started_at_ns, self._may_grow))
        self._names: set[str] = set()

    def take(self, payload: Payload, now_ns: int | None = None) -> int:
        """One payload of a source; returns how many events it made. Those that were reported before add nothing.

        Args:
            payload: what a source hands over.
            now_ns: nanoseconds since the Unix epoch; None where it is not known, and any time upstream says is one.

        Raises:
            MalformedPayload: nothing of it can be decoded; nothing was taken.
        """
        events: Sequence[Event] = self.decode(payload)
        if now_ns is not None:
            events = without_future(events, now_ns, self._diagnostics)
        self.take_events(self._repeats.without(events, payload.place, self._diagnostics))
        return len(events)

    def decode(self, payload: Payload) -> list[Event]:
        """The events of one payload of a source, none of which is taken yet.

        Raises:
            MalformedPayload: nothing of it can be decoded.
        """
        return list(self._sources.decode(payload, self.catalogue, self._diagnostics))

    def take_events(self, events: Iterable[Event]) -> None:
        """Events that are decoded already, none of which was reported before."""
        step = self._translator.step
        for event in events:
            try:
                step(event)
            except Exception:
                # A defect of the translator must stop neither what follows nor the bridge; a test would see it counted.
                count(self._diagnostics, "defect", event.source, event.name)

    def advance_clock(self, now_ns: int, *, is_behind: bool = False, moved_ns: int = 0) -> None:
        """What time it is, nanoseconds since the Unix epoch; the rest is as a ``Tick`` has it."""
        self._translator.step(tick(now_ns, is_behind=is_behind, moved_ns=moved_ns))

    def close_open_runs(self) -> None:
        """Closes every run that is under way as incomplete."""
        self._translator.close_open_runs()

    def count_reported_failures(self) -> None:
        """Counts the reports of failures that no span has told so far."""
        self._translator.count_reported_failures()

    def forget(self) -> None:
        """Drops what had no sign of life for long."""
        self._translator.forget()

    def flush(self, now_ns: int | None = None) -> FlushResult:
        """Everything since the last flush, which is taken in at ``now_ns``; None for history, taken in as it was."""
        flushed = self.flush_apart()
        for delta in flushed.metrics:
            self.metric_totals.add(delta, now_ns)
        flushed.state |= self.metric_totals.changes()
        return flushed

    def flush_apart(self) -> FlushResult:
        """The same, for who keeps the measurements apart: the totals stay as they are."""
        outputs = self._translator.take()
        counted, self._diagnostics = self._diagnostics, {}
        diagnostics: Diagnostics = {}
        for (kind, source, name), times in counted.items():
            count(diagnostics, kind, source, self._bounded(name), times)
        add(diagnostics, outputs.diagnostics)
        return FlushResult(
            spans=outputs.spans,
            logs=outputs.logs,
            metrics=with_attributes(outputs.metrics, self._metric_attributes),
            state=self._translator.state.changes(),
            diagnostics=diagnostics,
            resource_and_scope=self._resource_and_scope,
            profile=self.catalogue.profile,
        )

    def discard(self) -> set[str]:
        """Drops what was made since the last flush; the keys of the rows in which the memory then differs.

        These, and those of a flush that was not committed, are to be taken back before anything is taken in.
        """
        self._diagnostics = {}
        return self._translator.state.changes().keys() | self.metric_totals.changes().keys()

    def take_back(self, rows: Mapping[str, bytes | None]) -> None:
        """Makes the memory what is stored again, of which these rows were changed and not committed.

        Args:
            rows: as they are stored, by key; None for one that is not.
        """
        totals = {key: value for key, value in rows.items() if key.startswith(TOTAL_PREFIX)}
        self._translator.take_back({key: value for key, value in rows.items() if key not in totals})
        self._count_unreadable(self.metric_totals.take_back(totals, self._started_at_ns, self._may_grow))

    def _count_unreadable(self, totals: int) -> None:
        self.unreadable = self._translator.state.unreadable | ({"total": totals} if totals else {})
        for kind, number in self.unreadable.items():
            count(self._diagnostics, "unreadable", "journal", kind, number)

    def _may_grow(self, total: MetricTotal) -> bool:
        """Whether a series has a service, and attributes besides its metric's own, that measurements have now."""
        if total.service and total.service not in self.catalogue.services.values():
            return False
        own = self.catalogue.metric_attributes[total.metric]
        besides = tuple(pair for pair in total.attributes if pair[0] not in own)
        return besides == attributes_of(total.service, self._metric_attributes)

    def _bounded(self, name: str) -> str:
        """Names come from upstream; past the first thousand they are counted together."""
        if len(self._names) < MAX_DIAGNOSTIC_NAMES:
            self._names.add(name)
        return name if name in self._names else OTHER

    @property
    def totals(self) -> list[MetricTotal]:
        """Every metric series, cumulative."""
        return self.metric_totals.all()

    @property
    def state(self) -> State:
        """What the translator remembers, to look at."""
        return self._translator.state

    @property
    def open_runs(self) -> int:
        """How many runs are under way."""
        return len(self._translator.state.open_runs)

    def is_settled(self, at_ns: int) -> bool:
        """Whether the clock is past a time, no run is under way, and none waits to be decided whose it is.

        Args:
            at_ns: nanoseconds since the Unix epoch.
        """
        state = self._translator.state
        return state.now_ns >= at_ns and not state.open_runs and not state.awaiting_owner

    def gauges(self, at_ns: int) -> list[MetricPoint]:
        """What is so now, nanoseconds since the Unix epoch: prompts that are worked on, by what they wait for."""
        points: list[MetricPoint] = []
        for service, by_wait in self._waits.by_service(at_ns).items():
            besides = attributes_of(service, self._metric_attributes)
            for waits_for, waiting in by_wait.items():
                attributes = (("cline.run.waits_for", waits_for), *besides)
                for metric, value in (
                    ("cline.run.open", waiting.runs),
                    ("cline.run.longest_wait", waiting.longest_ns / 1e9),
                ):
                    points.append(MetricPoint(MetricTotal(metric, attributes, value, service=service), 0, at_ns))
        return points

    def metrics_request(self, points: Iterable[MetricPoint], temporality: Temporality) -> bytes:
        """An OTLP request with these points, which ``shown_points`` has named; empty if there are none."""
        return encode_metrics(points, self.catalogue.shown_metrics, self._metric_resource_and_scope, temporality)
