"""What leaves, as it is on the wire: spans and log records of OTLP requests, and measurements."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cline_otel.aggregation.totals import Totals
from cline_otel.catalogue.compiled import Catalogue
from cline_otel.encode.metrics import encode_metrics
from cline_otel.encode.otlp_json import to_json_line
from cline_otel.encode.profile import shown_points
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.events import AttributeValue
from cline_otel.signals import MetricDelta, MetricPoint, SignalName

_PARTS: Final[dict[str, tuple[type[Any], tuple[str, str, str], tuple[str, str, str]]]] = {
    "traces": (
        ExportTraceServiceRequest,
        ("resource_spans", "scope_spans", "spans"),
        ("resourceSpans", "scopeSpans", "spans"),
    ),
    "logs": (
        ExportLogsServiceRequest,
        ("resource_logs", "scope_logs", "log_records"),
        ("resourceLogs", "scopeLogs", "logRecords"),
    ),
}
"""The levels of a request, as protobuf and JSON name them."""


class Sender(msgspec.Struct, frozen=True):
    """Of whom a request says that it is: resource, scope and the conventions that name their attributes."""

    resource: dict[str, Any] = {}
    scope: dict[str, Any] = {}
    schema_url: str = ""


class Item(msgspec.Struct, frozen=True):
    """A span or log record: its own bytes in its request, all of it as OTLP JSON has it, and whose it is."""

    signal: SignalName
    size_bytes: int
    content: dict[str, Any]
    sender: Sender = Sender()


class Measurement(msgspec.Struct, frozen=True):
    """A measurement, in the metric's unit, and the bytes of the data point that it would be alone.

    It leaves within the total of its series, in the next request.
    """

    metric: str
    value: int | float
    unit: str
    attributes: dict[str, AttributeValue]
    size_bytes: int


def items_of(signal: SignalName, request: bytes) -> list[Item]:
    """The spans or log records of an export request, in their order, each with its resource and scope.

    Raises:
        ValueError: the bytes are no such request, or one without a resource; all that the journal keeps have one.
    """
    message_type, of_message, of_json = _PARTS[signal]
    message = message_type()
    try:
        message.ParseFromString(request)
    except DecodeError:
        raise ValueError(f"{signal} request of {len(request)} bytes: not an OTLP protobuf message") from None
    sizes = [
        item.ByteSize()
        for resource in getattr(message, of_message[0])
        for scope in getattr(resource, of_message[1])
        for item in getattr(scope, of_message[2])
    ]
    resources = msgspec.json.decode(to_json_line(signal, request)).get(of_json[0], ())
    if not resources:
        raise ValueError(f"{signal} request of {len(request)} bytes: it names no resource and scope")
    contents = [
        (item, Sender(resource.get("resource", {}), scope.get("scope", {}), resource.get("schemaUrl", "")))
        for resource in resources
        for scope in resource.get(of_json[1], ())
        for item in scope.get(of_json[2], ())
    ]
    return [Item(signal, size_bytes, *content) for size_bytes, content in zip(sizes, contents, strict=True)]


def measurements_of(
    delta: MetricDelta, catalogue: Catalogue, resource_and_scope: ResourceAndScope
) -> list[Measurement]:
    """A measurement as people read it, in each metric that it leaves in."""
    totals = Totals(catalogue.metrics)
    totals.add(delta)
    points = [MetricPoint(total, 1, 1, totals.exemplars(key)) for key, total in totals.by_key.items()]
    return [
        _measurement(point, delta.value, catalogue, resource_and_scope)
        for point in shown_points(points, catalogue.profile)
    ]


def _measurement(
    point: MetricPoint, value: int | float, catalogue: Catalogue, resource_and_scope: ResourceAndScope
) -> Measurement:
    definitions, name = catalogue.shown_metrics, point.total.metric
    request = ExportMetricsServiceRequest.FromString(
        encode_metrics([point], definitions, resource_and_scope, "cumulative")
    )
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    data_point = metric.sum.data_points[0] if metric.HasField("sum") else metric.histogram.data_points[0]
    return Measurement(name, value, definitions[name].unit, dict(point.total.attributes), data_point.ByteSize())
