"""What comes out of the translator: spans, log records, metric deltas and diagnostics.

All are frozen and hold only allowlisted values. Times are nanoseconds since the Unix epoch.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final, Literal

import msgspec

from cline_otel.events import AttributeValue

Attributes = tuple[tuple[str, AttributeValue], ...]
"""Name and value pairs in a fixed order, so that equal data encodes to equal bytes."""

SERVICE_NAME: Final = "service.name"
"""The attribute of a resource that says which service it is (OpenTelemetry semantic conventions, Service)."""

SignalName = Literal["traces", "metrics", "logs"]

GRPC_METHODS: Final[dict[SignalName, str]] = {
    "traces": "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    "metrics": "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    "logs": "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
"""What takes a signal over OTLP/gRPC (opentelemetry-proto, ``collector/*/v1/*_service.proto``)."""


class SpanKind(IntEnum):
    """OTLP ``Span.SpanKind``."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


class StatusCode(IntEnum):
    """OTLP ``Status.StatusCode``."""

    UNSET = 0
    OK = 1
    ERROR = 2


class Severity(IntEnum):
    """OTLP ``SeverityNumber``, the four that are used; the name is the severity text."""

    DEBUG = 5
    INFO = 9
    WARN = 13
    ERROR = 17


class SpanEvent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Something that happened within a span."""

    name: str
    occurred_at_ns: int
    attributes: Attributes = ()


class SpanLink(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A reference to a span of another trace. Ids are 16 and 8 bytes."""

    trace_id: bytes
    span_id: bytes
    attributes: Attributes = ()


class SpanRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A finished span. ``trace_id`` is 16 bytes, ``span_id`` and ``parent_span_id`` are 8 (parent may be empty).

    ``status_message`` is for an error, and empty else. ``service`` is the ``service.name`` of a source that has one of
    its own, and empty for everything else.
    """

    trace_id: bytes
    span_id: bytes
    parent_span_id: bytes
    name: str
    kind: SpanKind
    started_at_ns: int
    ended_at_ns: int
    attributes: Attributes = ()
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    status: StatusCode = StatusCode.UNSET
    status_message: str = ""
    service: str = ""


class LogRecord(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A log record. ``trace_id`` and ``span_id`` are empty where it belongs to no span; ``service`` is as of a span."""

    occurred_at_ns: int
    event_name: str
    severity: Severity
    body: str
    attributes: Attributes = ()
    trace_id: bytes = b""
    span_id: bytes = b""
    service: str = ""


class MetricDelta(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One measurement: what a counter grows by, or one recorded value of a histogram, in the metric's unit.

    ``occurred_at_ns`` is when that was; ``trace_id`` and ``span_id`` are of the span that it is of, or empty.
    ``service`` is as of a span.
    """

    metric: str
    value: int | float
    attributes: Attributes = ()
    occurred_at_ns: int = 0
    trace_id: bytes = b""
    span_id: bytes = b""
    service: str = ""


def with_attributes(measurements: list[MetricDelta], attributes: Attributes) -> list[MetricDelta]:
    """The measurements with further attributes, which are the resource's, behind their own."""
    if not attributes:
        return measurements
    return [
        msgspec.structs.replace(each, attributes=each.attributes + attributes_of(each.service, attributes))
        for each in measurements
    ]


def attributes_of(service: str, attributes: Attributes) -> Attributes:
    """Attributes of the resource, as they are for a service of its own; unchanged where it is none."""
    if not service:
        return attributes
    return tuple([(name, service if name == SERVICE_NAME else value) for name, value in attributes])


class MetricDefinition(msgspec.Struct, frozen=True, gc=False):
    """What a metric is: its instrument, unit and, for a histogram, the upper bounds of its buckets.

    ``names`` are attributes that a series can do without, since no budget holds all names that people choose.

    ``boundaries`` holds n ascending bounds, which make n + 1 buckets; a value equal to a bound falls
    into the bucket below it (OTLP ``HistogramDataPoint.explicit_bounds``).
    """

    name: str
    instrument: Literal["counter", "histogram", "gauge"]
    unit: str
    description: str
    value_type: Literal["int", "double"] = "double"
    boundaries: tuple[float, ...] = ()
    names: tuple[str, ...] = ()


HistogramAggregation = Literal["explicit_bucket_histogram", "base2_exponential_bucket_histogram"]
"""How histograms keep their values, in the words of OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION."""

Temporality = Literal["cumulative", "delta"]
"""Whether a point says all since its series began, or what came since the last one (OTLP AggregationTemporality)."""


class ExponentialBuckets(msgspec.Struct, array_like=True):
    """Buckets of an exponential histogram: ``counts[n]`` is of bucket ``offset + n`` at ``scale``."""

    scale: int
    zero_count: int = 0
    offset: int = 0
    counts: list[int] = msgspec.field(default_factory=list)


class MetricTotal(msgspec.Struct, array_like=True):
    """The cumulative total of one series since ``started_at_ns``, which is before its first measurement.

    A counter uses ``sum`` alone. A histogram has a ``count``, and either ``bucket_counts`` or ``exponential``.
    ``service`` is as of a span: services have series of their own.
    """

    metric: str
    attributes: Attributes
    sum: int | float = 0
    count: int = 0
    bucket_counts: list[int] = msgspec.field(default_factory=list)
    started_at_ns: int = 0
    exponential: ExponentialBuckets | None = None
    service: str = ""


class Exemplar(msgspec.Struct, frozen=True, gc=False):
    """One of the measurements of a histogram's point, and the span that it is of; ids of 16 and 8 bytes."""

    occurred_at_ns: int
    value: int | float
    trace_id: bytes
    span_id: bytes


class MetricPoint(msgspec.Struct, frozen=True):
    """What a destination is told of a series: its total, or its growth, from ``started_at_ns`` to ``at_ns``.

    A gauge has no start, which is 0, and its value stands where a counter's sum does.
    """

    total: MetricTotal
    started_at_ns: int
    at_ns: int
    exemplars: tuple[Exemplar, ...] = ()


DiagnosticKind = Literal[
    "malformed",
    "unmapped_event",
    "dropped_field",
    "replaced_value",
    "redacted_value",
    "superseded",
    "duplicate",
    "late",
    "unsupported_signal",
    "missing",
    "rewritten",
    "unreadable",
    "defect",
]
"""Why something did not become telemetry.

malformed: could not be decoded. unmapped_event: the catalogue does not know the name.
dropped_field: the catalogue does not list the field for that event. replaced_value: a bounded value
outside its known set. redacted_value: one that looks like a key, an address, a path or a random run.
superseded: a duplicate of the run's primary source. duplicate: seen before.
late: it came after its run was closed. unsupported_signal: metrics and traces that Cline itself sends.
defect: a source's decoder or the translator failed on it, which should be reported.
missing: whoever wrote for us had no room left (the plugin's spool) and so many records were never written.
rewritten: what was reported was changed or removed afterwards where it was read; what was sent stays as it is.
unreadable: a stored row that is damaged, or that this release cannot read; it is deleted, and what it held is lost.
"""


Diagnostics = dict[tuple[DiagnosticKind, str, str], int]
"""How often each reason occurred, by kind, source and name: an event, field or signal, never a value."""


def count(diagnostics: Diagnostics, kind: DiagnosticKind, source: str, name: str, times: int = 1) -> None:
    """Adds ``times`` to the diagnostics of ``kind`` for what ``source`` reported of ``name``."""
    diagnostics[kind, source, name] = diagnostics.get((kind, source, name), 0) + times


def add(diagnostics: Diagnostics, more: Diagnostics) -> None:
    """Adds what ``more`` counted to ``diagnostics``."""
    for (kind, source, name), times in more.items():
        count(diagnostics, kind, source, name, times)


class StepOutput(msgspec.Struct):
    """What a step produced, in order."""

    spans: list[SpanRecord] = msgspec.field(default_factory=list)
    logs: list[LogRecord] = msgspec.field(default_factory=list)
    metrics: list[MetricDelta] = msgspec.field(default_factory=list)
    diagnostics: Diagnostics = msgspec.field(default_factory=dict)

    def add(self, more: StepOutput, service: str) -> None:
        """Adds what another produced, as of a service."""
        replace = msgspec.structs.replace
        self.spans += [replace(each, service=service) for each in more.spans]
        self.logs += [replace(each, service=service) for each in more.logs]
        self.metrics += [replace(each, service=service) for each in more.metrics]
        add(self.diagnostics, more.diagnostics)
