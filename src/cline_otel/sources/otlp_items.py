"""How many spans or metrics a request holds, without decoding them: for counting what is dropped."""

from __future__ import annotations

import msgspec

from cline_otel.sources.intake import ContentType, UnsupportedSignal

_PROTOBUF_PATH = (1, 2, 2)
"""Field numbers in both requests: resource, scope, then span or metric (opentelemetry-proto 1.x)."""


class _ScopeMetrics(msgspec.Struct):
    metrics: list[msgspec.Raw] = []


class _ResourceMetrics(msgspec.Struct, rename="camel"):
    scope_metrics: list[_ScopeMetrics] = []


class _MetricsRequest(msgspec.Struct, rename="camel"):
    resource_metrics: list[_ResourceMetrics] = []


class _ScopeSpans(msgspec.Struct):
    spans: list[msgspec.Raw] = []


class _ResourceSpans(msgspec.Struct, rename="camel"):
    scope_spans: list[_ScopeSpans] = []


class _TracesRequest(msgspec.Struct, rename="camel"):
    resource_spans: list[_ResourceSpans] = []


_metrics_decoder = msgspec.json.Decoder(_MetricsRequest)
_traces_decoder = msgspec.json.Decoder(_TracesRequest)


def count_items(signal: UnsupportedSignal, body: bytes, content_type: ContentType) -> int | None:
    """The number of spans or metrics; None if the body is not a request of that signal."""
    try:
        if content_type == "protobuf":
            return _count_protobuf(memoryview(body), _PROTOBUF_PATH)
        if signal == "metrics":
            metrics = _metrics_decoder.decode(body)
            return sum(len(scope.metrics) for resource in metrics.resource_metrics for scope in resource.scope_metrics)
        traces = _traces_decoder.decode(body)
        return sum(len(scope.spans) for resource in traces.resource_spans for scope in resource.scope_spans)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _count_protobuf(message: memoryview, path: tuple[int, ...]) -> int:
    """How many fields lie at the end of ``path``; ValueError if it is not protobuf."""
    count = 0
    offset = 0
    while offset < len(message):
        tag, offset = _varint(message, offset)
        number, wire_type = tag >> 3, tag & 7
        size = 0
        if wire_type == 0:
            _, offset = _varint(message, offset)
        elif wire_type == 1:
            size = 8
        elif wire_type == 2:
            size, offset = _varint(message, offset)
        elif wire_type == 5:
            size = 4
        else:
            raise ValueError("an unknown wire type")
        end = offset + size
        if end > len(message) or number == 0:
            raise ValueError("a field that does not fit")
        if wire_type == 2 and number == path[0]:
            count += 1 if len(path) == 1 else _count_protobuf(message[offset:end], path[1:])
        offset = end
    return count


def _varint(message: memoryview, offset: int) -> tuple[int, int]:
    value = 0
    for position, byte in enumerate(message[offset : offset + 10]):
        value |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            return value, offset + position + 1
    raise ValueError("a number that does not end")
