"""A recording's way through the translator, one upstream event after the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.decode.fields import nameable
from cline_otel.encode.logs import encode_logs
from cline_otel.encode.profile import shown_logs, shown_spans
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.encode.traces import encode_traces
from cline_otel.events import tick
from cline_otel.preview.fields import ExportedField, Reason, WithheldField, judged
from cline_otel.preview.leaving import Item, Measurement, items_of, measurements_of
from cline_otel.preview.records import DecodedRecord, Decoder, records_in_time
from cline_otel.privacy.policy import Policy
from cline_otel.replay import ITEMS_PER_REQUEST, claims, decode_recording, metric_requests, resource_of
from cline_otel.signals import (
    Attributes,
    DiagnosticKind,
    Diagnostics,
    LogRecord,
    MetricDelta,
    SignalName,
    SpanRecord,
    StepOutput,
    add,
    count,
    with_attributes,
)
from cline_otel.sources.recording import Recording
from cline_otel.sources.registry import SOURCES, Registry
from cline_otel.translate.repeats import Repeats
from cline_otel.translate.seen_events import SeenEvents
from cline_otel.translate.silence import SILENCE_NS
from cline_otel.translate.step import Translator
from cline_otel.version import SCOPE_NAME, __version__

Outcome = Literal[
    "read", "ignored", "unknown", "condition_not_met", "malformed", "superseded", "late", "duplicate", "defect", "clock"
]
"""What became of an upstream event.

read: it was taken in. ignored: the catalogue says that nothing becomes of it. unknown: the catalogue does not know it.
condition_not_met: it counts only under a condition. malformed: it could not be decoded.
superseded, late, duplicate: it was read and nothing became of it (``DiagnosticKind``).
defect: a decoder or the translator failed on it.
clock: no event, but time that passed.
"""

_NOT_PASSED_ON: Final[tuple[Literal["superseded", "late", "duplicate", "defect"], ...]] = (
    "defect",
    "superseded",
    "late",
    "duplicate",
)


class Step(msgspec.Struct):
    """What became of one upstream event, and what came out right after it.

    A span comes out when it ends, so at the event that ends it.

    Attributes:
        at_ns: when it happened, nanoseconds since the Unix epoch; None if it does not say.
        source: which reported it; "clock" for time that passed.
        event: its name, ``_OTHER`` for what looks like no name; empty if it has none.
        meaning: what the catalogue says of it; empty if nothing.
        around: names of what surrounds its fields and is never read.
    """

    at_ns: int | None
    source: str
    event: str
    outcome: Outcome
    meaning: str = ""
    taken: list[ExportedField] = msgspec.field(default_factory=list)
    withheld: list[WithheldField] = msgspec.field(default_factory=list)
    around: tuple[str, ...] = ()
    spans: list[Item] = msgspec.field(default_factory=list)
    logs: list[Item] = msgspec.field(default_factory=list)
    measurements: list[Measurement] = msgspec.field(default_factory=list)


class Summary(msgspec.Struct):
    """What the steps so far add up to.

    Attributes:
        events: by outcome.
        besides: what the recording holds besides events, in words.
        lines_without_event: lines of a log that are no telemetry, which are never read; complete after the last step.
        items: spans, measurements and log records, by signal.
        item_bytes: of spans and log records, by signal, without the requests around them.
        requests: how many there are, by signal, as a replay would send them; complete after the last step.
        request_bytes: of those.
        taken: fields that are read.
        withheld: fields that do not leave, by reason.
        diagnostics: every reason for which something did not become telemetry, as a replay counts them.
        services: what the resource says instead where it is another service's, sorted.
    """

    events: dict[Outcome, int] = {}
    besides: dict[str, int] = {}
    lines_without_event: int = 0
    items: dict[SignalName, int] = {}
    item_bytes: dict[SignalName, int] = {}
    requests: dict[SignalName, int] = {}
    request_bytes: dict[SignalName, int] = {}
    taken: int = 0
    withheld: dict[Reason, int] = {}
    diagnostics: Diagnostics = {}
    services: list[str] = []


class Preview:
    """A recording, previewed step by step.

    Attributes:
        resource_and_scope: of whom every request says that it is.
        summary: of the steps that were taken.
    """

    def __init__(
        self,
        recording: Recording,
        catalogue: Catalogue,
        policy: Policy,
        resource: Attributes | None = None,
        sources: Registry = SOURCES,
        metric_attributes: Attributes = (),
    ) -> None:
        """``catalogue`` is the one that ``policy`` makes of these ``sources``; the rest is as in ``replay``."""
        resource = resource or resource_of(recording)
        self.resource_and_scope = ResourceAndScope(resource, SCOPE_NAME, __version__, catalogue.profile.schema_url)
        self.summary = Summary(besides=dict(_besides(recording.diagnostics, catalogue)))
        self._recording = recording
        self._catalogue = catalogue
        self._sources = sources
        self._policy = policy
        self._metric_attributes = metric_attributes
        self._translator = Translator(catalogue)
        self._repeats = Repeats(SeenEvents(most_events=None), catalogue)
        self._measurements: list[MetricDelta] = []
        self._spans: list[SpanRecord] = []
        self._logs: list[LogRecord] = []

    def steps(self) -> Iterator[Step]:
        """A step for every upstream event, in time order, and one for what the end of the recording closes."""
        add(self.summary.diagnostics, self._recording.diagnostics)
        # The owner of each run is decided from all that is there, so all is decoded once before.
        streams = decode_recording(self._recording, self._catalogue, {}, self._sources)
        first_ns = min((stream[0].occurred_at_ns for stream in streams if stream), default=0)
        last_ns = max((event.occurred_at_ns for stream in streams for event in stream), default=0)
        for event in (*claims(streams, self._catalogue), tick(first_ns)):
            self._translator.step(event)
        del streams
        yield from self._clock_step(first_ns)
        decoder = Decoder(self._catalogue, self._sources)
        for record in records_in_time(self._recording, decoder):
            yield self._step(record)
        add(self.summary.diagnostics, decoder.diagnostics)
        self.summary.besides |= _besides(decoder.diagnostics, self._catalogue)
        self.summary.lines_without_event = decoder.without_event
        self._translator.step(tick(last_ns + SILENCE_NS + 1))
        # What had to wait for an owner began only then.
        self._translator.step(tick(last_ns + 2 * (SILENCE_NS + 1)))
        yield from self._clock_step(last_ns)
        self._count_requests()
        for request in metric_requests(self._measurements, self._catalogue, self.resource_and_scope, last_ns):
            self._count_request("metrics", request.payload)

    def _clock_step(self, at_ns: int) -> Iterator[Step]:
        outputs = self._translator.take()
        if outputs.spans or outputs.logs or outputs.metrics or outputs.diagnostics:
            step = Step(at_ns, "clock", "", "clock")
            self._let_out(outputs, step)
            yield step

    def _step(self, record: DecodedRecord) -> Step:
        summary = self.summary
        add(summary.diagnostics, record.diagnostics)
        entry, upstream = record.entry, record.upstream
        event = record.events[0] if record.events else None
        name = nameable(upstream.name) if upstream.name else ""
        step = Step(upstream.reported_at_ns, record.source, name, "read", entry.meaning if entry is not None else "")
        if event is None or entry is None:
            step.outcome = _outcome_without_event(record)
            summary.events[step.outcome] = summary.events.get(step.outcome, 0) + 1
            return step
        step.at_ns = event.occurred_at_ns
        step.around = tuple(map(_nameable_part, upstream.around))
        outputs = self._translated(record)
        self._let_out(outputs, step)
        if not (step.spans or step.logs or step.measurements):
            counted = ((kind, event.source, event.name) for kind in _NOT_PASSED_ON)
            step.outcome = next((key[0] for key in counted if key in outputs.diagnostics), "read")
        step.taken, step.withheld = judged(
            record, event, entry, self._catalogue, self._policy, passed_on=step.outcome == "read"
        )
        summary.events[step.outcome] = summary.events.get(step.outcome, 0) + 1
        summary.taken += len(step.taken)
        for withheld in step.withheld:
            summary.withheld[withheld.reason] = summary.withheld.get(withheld.reason, 0) + 1
        return step

    def _translated(self, record: DecodedRecord) -> StepOutput:
        besides: Diagnostics = {}
        for event in self._repeats.without(record.events, record.place, besides):
            try:
                self._translator.step(event)
            except Exception:
                # As live: a defect of the translator stops nothing and is counted.
                count(besides, "defect", event.source, event.name)
        outputs = self._translator.take()
        add(outputs.diagnostics, besides)
        return outputs

    def _let_out(self, outputs: StepOutput, step: Step) -> None:
        """Puts what came out into the step as it is on the wire, and counts it."""
        summary = self.summary
        add(summary.diagnostics, outputs.diagnostics)
        for delta in with_attributes(outputs.metrics, self._metric_attributes):
            self._measurements.append(delta)
            step.measurements += measurements_of(delta, self._catalogue, self.resource_and_scope)
        profile = self._catalogue.profile
        for span in shown_spans(outputs.spans, profile):
            step.spans += items_of("traces", encode_traces([span], self.resource_and_scope))
            self._spans.append(span)
            self._count_requests(ITEMS_PER_REQUEST)
        for log in shown_logs(outputs.logs, outputs.spans, profile):
            step.logs += items_of("logs", encode_logs([log], self.resource_and_scope))
            self._logs.append(log)
            self._count_requests(ITEMS_PER_REQUEST)
        for item in (*step.spans, *step.logs):
            summary.items[item.signal] = summary.items.get(item.signal, 0) + 1
            summary.item_bytes[item.signal] = summary.item_bytes.get(item.signal, 0) + item.size_bytes
        made = {each.service for each in outputs.spans}
        made.update(each.service for each in outputs.logs)
        made.update(each.service for each in outputs.metrics)
        summary.services = sorted((made - {""}).union(summary.services))
        summary.items["metrics"] = summary.items.get("metrics", 0) + len(step.measurements)

    def _count_requests(self, items: int = 1) -> None:
        """Counts the requests that are made of what came out, once they have so many items, and lets go of it."""
        if len(self._spans) >= items:
            self._count_request("traces", encode_traces(self._spans, self.resource_and_scope))
            self._spans.clear()
        if len(self._logs) >= items:
            self._count_request("logs", encode_logs(self._logs, self.resource_and_scope))
            self._logs.clear()

    def _count_request(self, signal: SignalName, request: bytes) -> None:
        summary = self.summary
        summary.requests[signal] = summary.requests.get(signal, 0) + 1
        summary.request_bytes[signal] = summary.request_bytes.get(signal, 0) + len(request)


def _besides(diagnostics: Diagnostics, catalogue: Catalogue) -> Iterator[tuple[str, int]]:
    for (kind, source, name), times in diagnostics.items():
        if kind == "defect":
            yield f"{name}s that the source {source} failed on, please report", times
        elif kind == "unsupported_signal":
            yield f"{name.removesuffix('s')} requests of Cline's own, never read", times
        else:
            yield f"{name}s of {catalogue.sources[source].title} that could not be decoded", times


def _outcome_without_event(record: DecodedRecord) -> Outcome:
    kinds: set[DiagnosticKind] = {kind for kind, _, _ in record.diagnostics}
    if "defect" in kinds:
        return "defect"
    if "malformed" in kinds:
        return "malformed"
    if "unmapped_event" in kinds or record.entry is None:
        return "unknown"
    return "ignored" if record.entry.kind == "ignored" else "condition_not_met"


def _nameable_part(name: str) -> str:
    """A name, or one behind what it is a part of."""
    part, _, rest = name.partition(" ")
    return f"{part} {nameable(rest)}" if part == "resource" and rest else nameable(name)
