"""OTLP JSON lines follow the specification's JSON encoding and lose nothing."""

from __future__ import annotations

import json
import math
from base64 import b64decode
from pathlib import Path

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cline_otel.encode.logs import encode_logs
from cline_otel.encode.metrics import encode_metrics
from cline_otel.encode.otlp_json import to_json_line
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.encode.traces import encode_traces
from cline_otel.signals import (
    Attributes,
    LogRecord,
    MetricDefinition,
    MetricTotal,
    Severity,
    SignalName,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanRecord,
    StatusCode,
)
from metric_points import points_of
from otlp_json_lines import from_json_line

ORIGIN = ResourceAndScope(
    (("service.name", "cline"),), "cline-otel", "1.2.3", "https://opentelemetry.io/schemas/1.41.0"
)
MESSAGES: dict[SignalName, type[Message]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}

unhurried = settings(deadline=None)

values = (
    st.text(max_size=20)
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.just(math.nan)  # one of many: JSON has no place for a NaN's payload
    | st.lists(st.text(max_size=9), max_size=3).map(tuple)
)
attributes = st.lists(st.tuples(st.text(max_size=9), values), max_size=6).map(tuple)
times = st.integers(0, 2**64 - 1)


def traces_of(pairs: Attributes, time: int) -> bytes:
    event = SpanEvent("compaction", time, pairs)
    link = SpanLink(b"\xab" * 16, b"\xcd" * 8, pairs)
    span = SpanRecord(
        b"\x01" * 16,
        b"\x02" * 8,
        b"\x03" * 8,
        "chat",
        SpanKind.CLIENT,
        1,
        time,
        pairs,
        (event,),
        (link,),
        StatusCode.ERROR,
    )
    return encode_traces([span, span], ORIGIN)


def logs_of(pairs: Attributes, time: int) -> bytes:
    return encode_logs([LogRecord(time, "n", Severity.WARN, "body", pairs, b"\x01" * 16, b"\x02" * 8)], ORIGIN)


def metrics_of(pairs: Attributes, time: int) -> bytes:
    definitions = {
        "calls": MetricDefinition("calls", "counter", "{call}", "", "int"),
        "duration": MetricDefinition("duration", "histogram", "s", "", boundaries=(0.5, 1.0)),
    }
    totals = [MetricTotal("calls", pairs, 3), MetricTotal("duration", pairs, 2.5, 3, [1, 0, 2])]
    return encode_metrics(points_of(totals, 1, time), definitions, ORIGIN, "cumulative")


MAKERS = {"traces": traces_of, "logs": logs_of, "metrics": metrics_of}
signals = pytest.mark.parametrize("signal", list(MAKERS))


@signals
@unhurried
@given(attributes, times)
def test_a_line_read_back_is_the_request_it_was_made_of(signal: SignalName, pairs: Attributes, time: int) -> None:
    request = MAKERS[signal](pairs, time)
    message = MESSAGES[signal]()
    message.ParseFromString(request)
    line = to_json_line(signal, request)
    assert from_json_line(signal, line) == message.SerializeToString(deterministic=True)
    assert b"\n" not in line


def hex_ids(value: object) -> object:
    """Protobuf's JSON mapping turned into OTLP's: it has bytes as base64."""
    if isinstance(value, dict):
        ids = {"traceId", "spanId", "parentSpanId"}
        return {name: b64decode(v).hex() if name in ids else hex_ids(v) for name, v in value.items()}
    return [hex_ids(element) for element in value] if isinstance(value, list) else value


@signals
@unhurried
@given(attributes, times)
def test_a_line_is_protobufs_own_json_mapping_with_hex_ids_and_integer_enums(
    signal: SignalName, pairs: Attributes, time: int
) -> None:
    request = MAKERS[signal](pairs, time)
    message = MESSAGES[signal]()
    message.ParseFromString(request)
    reference = json.loads(json_format.MessageToJson(message, use_integers_for_enums=True))
    assert json.loads(to_json_line(signal, request)) == hex_ids(reference)


def test_a_span_line_reads_as_the_specification_shows_it() -> None:
    span = SpanRecord(
        bytes.fromhex("5b8efff798038103d269b633813fc60c"),
        bytes.fromhex("eee19b7ec3c1b174"),
        b"",
        "chat",
        SpanKind.CLIENT,
        1_544_712_660_000_000_000,
        1_544_712_661_000_000_000,
        (("s", "é\n"), ("b", False), ("i", 2**53 + 1), ("d", 2.0), ("n", float("nan")), ("a", ("x",)), ("e", ())),
        status=StatusCode.ERROR,
    )
    line = to_json_line("traces", encode_traces([span], ResourceAndScope((), "", "", "")))
    assert line.decode() == (
        '{"resourceSpans":[{"resource":{},"scopeSpans":[{"scope":{},"spans":[{'
        '"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"chat","kind":3,'
        '"startTimeUnixNano":"1544712660000000000","endTimeUnixNano":"1544712661000000000","attributes":['
        '{"key":"s","value":{"stringValue":"é\\n"}},{"key":"b","value":{"boolValue":false}},'
        '{"key":"i","value":{"intValue":"9007199254740993"}},{"key":"d","value":{"doubleValue":2.0}},'
        '{"key":"n","value":{"doubleValue":"NaN"}},'
        '{"key":"a","value":{"arrayValue":{"values":[{"stringValue":"x"}]}}},{"key":"e","value":{"arrayValue":{}}}],'
        '"status":{"code":2},"flags":256}]}]}]}'
    )


def test_reading_takes_numbers_for_strings_either_case_of_hex_and_what_it_does_not_know() -> None:
    line = b"""{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"ABABABABABABABABABABABABABABABAB","kind":3,
        "startTimeUnixNano":5,"endTimeUnixNano":"6","name":null,"of_the_future":[{"a":1}]}]}]}]}"""
    message = ExportTraceServiceRequest()
    message.ParseFromString(from_json_line("traces", line))
    span = message.resource_spans[0].scope_spans[0].spans[0]
    assert (span.trace_id, span.kind) == (b"\xab" * 16, 3)
    assert (span.start_time_unix_nano, span.end_time_unix_nano) == (5, 6)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"planted",
        b"[]",
        b'"planted"',
        b'{"resourceSpans":{}}',
        b'{"resourceSpans":["planted"]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"planted"}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":"planted"}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":-77}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":["planted"]}]}]}]}',
        b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"\xff planted"}]}]}]}',
        b'{"resourceSpans":' * 5000,
    ],
)
def test_a_line_that_is_no_otlp_json_is_refused_in_one_line_that_quotes_no_value(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"^traces line of [0-9]+ bytes: not OTLP JSON: ") as raised:
        from_json_line("traces", line)
    assert "planted" not in str(raised.value)
    assert "\n" not in str(raised.value)


def test_bytes_that_are_no_request_are_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="logs request of 3 bytes: not an OTLP protobuf message"):
        to_json_line("logs", b"\x0a\xff\x01")


@unhurried
@given(st.binary(max_size=200))
def test_arbitrary_bytes_become_a_line_or_a_refusal(request_bytes: bytes) -> None:
    try:
        line = to_json_line("traces", request_bytes)
    except ValueError:
        return
    json.loads(line)


def test_a_file_of_lines_is_read_back_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    requests = [traces_of((("text", "two\r\nlines\u2028\u0085"),), time) for time in (1, 2)]
    path.write_bytes(b"".join([to_json_line("traces", request) + b"\n" for request in requests]))
    with path.open("rb") as lines:
        assert [from_json_line("traces", line) for line in lines] == requests
