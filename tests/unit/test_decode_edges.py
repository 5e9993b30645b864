"""Decoding at its edges: the longest name, the last time, the largest request, and what is remembered of values."""

from __future__ import annotations

import json
from typing import Any

import pytest
from bench.fixed_key import CATALOGUE
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from cline_otel.catalogue import values
from cline_otel.catalogue.compiled import ATTRIBUTE, FALLBACK, TEXT, FieldHandler
from cline_otel.catalogue.values import OTHER, REDACTED
from cline_otel.decode.fields import build_event, nameable
from cline_otel.signals import Diagnostics
from cline_otel.sources.cline_log import decode as cline_log
from cline_otel.sources.interface import MalformedPayload, Payload
from cline_otel.sources.otlp import decode as otlp
from cline_otel.sources.otlp.partial_schema import any_value
from cline_otel.sources.records import decode as plugin
from payloads import decoded, log_lines, otlp_request, spool_lines

TIME_NS = 1_790_000_000_000_000_000


def request(*bodies: str, **fields: str) -> ExportLogsServiceRequest:
    message = ExportLogsServiceRequest()
    records = message.resource_logs.add().scope_logs.add().log_records
    for body in bodies:
        record = records.add(time_unix_nano=TIME_NS)
        record.body.string_value = body
        for key, value in fields.items():
            record.attributes.add(key=key).value.string_value = value
    return message


def test_a_record_s_event_name_goes_before_its_body_in_protobuf_too() -> None:
    message = request("told by its body")
    message.resource_logs[0].scope_logs[0].log_records[0].event_name = "session.stopped"
    (event,) = decoded(otlp_request(message.SerializeToString(), "protobuf"))
    assert event.name == "session.stopped"


# --- names and times ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("said", "kept"), [("network", "network"), (None, "rate_limit"), ("_OTHER", "rate_limit")])
@pytest.mark.parametrize("field_comes_first", [True, False])
def test_a_fallback_counts_only_where_no_field_says_more(said: str | None, kept: str, field_comes_first: bool) -> None:
    entry = next(iter(CATALOGUE.sources["otlp"].vocabulary.events.values()))
    answers = [
        (FieldHandler(ATTRIBUTE, "error.type", values.amount), said),
        (FieldHandler(FALLBACK, "error.type", values.amount), "rate_limit"),
    ]
    event = build_event(entry, "otlp", 1, answers if field_comes_first else answers[::-1], {})
    assert event.attributes == {"error.type": kept}


@pytest.mark.parametrize("refused", [OTHER, REDACTED])
@pytest.mark.parametrize("refused_comes_first", [True, False])
def test_of_two_fields_that_say_the_same_one_that_is_refused_never_hides_the_other(
    refused: str, refused_comes_first: bool
) -> None:
    entry = next(iter(CATALOGUE.sources["otlp"].vocabulary.events.values()))
    answers = [(FieldHandler(ATTRIBUTE, "gen_ai.tool.name", values.amount), said) for said in (refused, "editor")]
    diagnostics: Diagnostics = {}
    event = build_event(entry, "otlp", 1, answers if refused_comes_first else answers[::-1], diagnostics)
    assert event.attributes == {"gen_ai.tool.name": "editor"}
    assert sum(diagnostics.values()) == 1


@pytest.mark.parametrize(("text", "masked"), [("it failed", 0), ("it failed with [masked]", 1)])
def test_free_text_is_counted_as_redacted_only_where_something_is_masked(text: str, masked: int) -> None:
    entry = next(iter(CATALOGUE.sources["otlp"].vocabulary.events.values()))
    diagnostics: Diagnostics = {}
    event = build_event(entry, "otlp", 1, [(FieldHandler(TEXT, "exception.message", values.text), text)], diagnostics)
    assert event.attributes == {"exception.message": text}
    assert diagnostics == ({("redacted_value", "otlp", "exception.message"): 1} if masked else {})


@pytest.mark.parametrize("length", [1, 63, 64, 65, 200])
def test_a_name_is_counted_by_itself_up_to_sixty_four_characters(length: int) -> None:
    assert nameable("a" * length) == ("a" * length if length <= 64 else OTHER)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (5, 7, 5),
        (1, 7, 1),
        ("5", "7", 5),
        (0, 7, 7),
        (-1, 7, 7),
        ("", "7", 7),
        ("x", "7", 7),
        (2**63 - 1, 7, 2**63 - 1),
        (2**63, 7, 7),
        (0, 0, None),
        (2**63, "x", None),
    ],
)
def test_the_first_of_two_that_is_a_time_within_sixty_three_bits_counts(
    first: int | str, second: int | str, expected: int | None
) -> None:
    assert otlp.time_ns(first, second) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b'{"time":"2026-09-21T14:13:20.000Z"}', TIME_NS),
        (b'{"time":1790000000000}', TIME_NS),
        (b'{"time":"2026-09-21T14:13:20.000"}', None),
        (b'{"time":"yesterday"}', None),
        (b"{}", None),
        (b"{", None),
        (b"\xff", None),
    ],
)
def test_a_log_line_tells_its_time_or_none(line: bytes, expected: int | None) -> None:
    assert cline_log.reported_at_ns(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [(b'{"time_unix_ms":1790000000000}', TIME_NS), (b'{"time_unix_ms":"x"}', None), (b"[]", None), (b"{", None)],
)
def test_a_spool_line_tells_its_time_or_none(line: bytes, expected: int | None) -> None:
    assert plugin.reported_at_ns(line) == expected


def test_what_surrounds_a_record_s_fields_and_is_not_read_is_named() -> None:
    line = b'{"level":30,"time":1790000000000,"pid":7,"event":"task.mode","properties":{"mode":"act"},"msg":"x"}'
    (logged,) = cline_log.explode(log_lines([line]))
    assert (logged.around, list(logged.fields)) == (("level", "pid", "msg"), ["mode"])
    (spooled,) = plugin.explode(spool_lines([b'{"v":1,"event":"run.started","time_unix_ms":1,"agent_id":"a"}']))
    assert (spooled.around, list(spooled.fields)) == ((), ["v", "agent_id"])


def test_attributes_of_no_shape_are_counted_and_the_next_record_is_taken() -> None:
    shapes: tuple[Any, ...] = ([], 5, None)
    record = {"timeUnixNano": TIME_NS, "body": {"stringValue": "session.stopped"}}
    records = [{**record, "attributes": attributes} for attributes in shapes]
    diagnostics: Diagnostics = {}
    body = json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()
    assert len(decoded(otlp_request(body), diagnostics)) == 2
    assert diagnostics == {("malformed", "otlp", "attributes"): 1}


@pytest.mark.parametrize(
    ("payload", "what"),
    [
        (log_lines([b"{"]), "line"),
        (log_lines([b'{"event":"task.mode","properties":{}}']), "time"),
        (log_lines([b'{"event":"task.mode","time":1,"properties":[]}']), "properties"),
        (spool_lines([b"{"]), "line"),
        (spool_lines([b'{"event":"run.started"}']), "record"),
    ],
)
def test_what_is_broken_is_counted_once_and_what_is_before_and_after_it_is_told_once(
    payload: Payload, what: str
) -> None:
    sound = {
        "cline-log": b'{"event":"task.mode","time":1790000000000,"properties":{"mode":"act"}}',
        "plugin": b'{"event":"session.claimed","time_unix_ms":1790000000000,"session_id":"1790000000000_abcde"}',
    }[payload.source]
    diagnostics: Diagnostics = {}
    events = decoded(payload._replace(parts=[sound, *payload.parts, sound]), diagnostics)
    assert [event.occurred_at_ns for event in events] == [TIME_NS, TIME_NS]
    assert diagnostics == {("malformed", payload.source, what): 1}


# --- values ---------------------------------------------------------------------------------------------

scalars = (
    st.text(max_size=300).map(lambda text: AnyValue(string_value=text))
    | st.booleans().map(lambda value: AnyValue(bool_value=value))
    | st.integers(-(2**63), 2**63 - 1).map(lambda value: AnyValue(int_value=value))
    | st.floats(allow_nan=False).map(lambda value: AnyValue(double_value=value))
)


@given(scalars)
def test_a_scalar_means_what_protobuf_says(value: AnyValue) -> None:
    assert any_value(value.SerializeToString()) == getattr(value, value.WhichOneof("value") or "")


@pytest.mark.parametrize("length", [0, 1, 2, 126, 127, 128, 129, 16_384])
def test_a_text_of_any_length_means_itself(length: int) -> None:
    assert any_value(AnyValue(string_value="x" * length).SerializeToString()) == "x" * length


@pytest.mark.parametrize(
    "raw",
    [
        b"\x0a\x80\x01" + b"x" * 127,
        b"",
        b"\x0a",
        b"\x0a\x05x",
        b"\x0a\x01xx",
        b"\x0b\x01x",
        b"\x2a\x00",
        b"\x32\x00",
        b"\x3a\x01x",
        b"\xff",
    ],
)
def test_what_is_empty_nested_or_broken_means_nothing(raw: bytes) -> None:
    assert any_value(raw) is None


@pytest.mark.parametrize("rounds", [1, 2])
def test_what_is_remembered_of_values_is_bounded_and_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    """Names and values, short and long ones, each for the first time and again."""
    monkeypatch.setattr(otlp, "_MEMORY", 2)
    monkeypatch.setattr(otlp, "_LONGEST_REMEMBERED", 40)
    reader = otlp._ProtobufReader()
    monkeypatch.setattr(otlp, "_protobuf", reader)
    for _ in range(rounds):
        for number in range(5):
            for body in (f"unknown.name{number}", "a" * 60, "task.mode"):
                diagnostics: Diagnostics = {}
                events = decoded(otlp_request(request(body, mode="plan").SerializeToString(), "protobuf"), diagnostics)
                assert [event.attributes for event in events] == ([{"cline.mode": "plan"}] if "." in body[:5] else [])
                assert len(diagnostics) == (body != "task.mode")
                assert 1 <= len(reader._names) <= 2
    assert not [body for body in reader._names if len(body) > 40]
    assert all(len(memory) <= 2 for memory in (reader._pairs, *reader._answers.values()))


@pytest.mark.parametrize("modes", [("plan", "act"), ("act", "plan"), ("plan", "plan")])
def test_of_several_attributes_with_one_name_the_last_counts_in_either_encoding(modes: tuple[str, str]) -> None:
    repeated = request("task.mode", mode=modes[0])
    attributes = repeated.resource_logs[0].scope_logs[0].log_records[0].attributes
    attributes.add(key="mode").value.string_value = modes[1]
    in_json = json.dumps(MessageToDict(repeated)).encode()
    for payload in (otlp_request(repeated.SerializeToString(), "protobuf"), otlp_request(in_json)):
        assert [event.attributes for event in decoded(payload)] == [{"cline.mode": modes[1]}]


@pytest.mark.parametrize("attribute", [b"\x0a\x05x", b"\x0a\x01\xff", b"\xff"])
def test_an_attribute_that_is_none_costs_nothing_but_itself(attribute: bytes) -> None:
    def nested(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2, len(content)]) + content

    mode = nested(1, b"mode") + nested(2, nested(1, b"plan"))
    name = nested(5, nested(1, b"task.mode")) + b"\x09" + (1_790_000_000 * 10**9).to_bytes(8, "little")
    record = name + nested(6, attribute) + nested(6, mode)
    events = decoded(otlp_request(nested(1, nested(2, nested(2, record))), "protobuf"))
    assert [event.attributes for event in events] == [{"cline.mode": "plan"}]


def test_answers_that_are_remembered_are_bounded_and_of_short_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "_MEMORY", 2)
    monkeypatch.setattr(otlp, "_LONGEST_REMEMBERED", 40)
    reader = otlp._ProtobufReader()
    handler = FieldHandler(ATTRIBUTE, "name", values.text)
    read = (("field", handler), ("field", handler))
    for said in ("one", "two", "three", "x" * 60, "one", "two"):
        raw = AnyValue(string_value=said).SerializeToString()
        assert reader.answers(read, {"field": raw}) == [(handler, values.text(said))] * 2
        assert len(reader._answers[values.text]) <= 2
    assert {len(raw) <= 40 for raw in reader._answers[values.text]} == {True}


def test_what_is_remembered_is_not_unpacked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked: list[bytes] = []

    def unpack(raw: bytes) -> object:
        unpacked.append(raw)
        return any_value(raw)

    monkeypatch.setattr(otlp, "_protobuf", otlp._ProtobufReader())
    monkeypatch.setattr(otlp, "any_value", unpack)
    bodies = [request("task.mode", "no.event", mode=mode).SerializeToString() for mode in ("plan", "act")]
    for body in bodies * 3:
        assert len(decoded(otlp_request(body, "protobuf"))) == 1
    assert len(unpacked) == len(set(unpacked)) == 4, "two names and two modes, once each"


# --- requests -------------------------------------------------------------------------------------------


def as_json(*bodies: str) -> bytes:
    records = [{"timeUnixNano": str(TIME_NS), "body": {"stringValue": body}} for body in bodies]
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}).encode()


@pytest.mark.parametrize("encoding", ["json", "protobuf"])
def test_a_request_of_as_many_records_as_may_be_is_taken_and_one_of_more_is_not(
    monkeypatch: pytest.MonkeyPatch, encoding: Any
) -> None:
    monkeypatch.setattr(otlp, "MOST_RECORDS", 2)
    for count in (1, 2, 3):
        names = ["no.event"] * count
        body = as_json(*names) if encoding == "json" else request(*names).SerializeToString()
        diagnostics: Diagnostics = {}
        if count > 2:
            with pytest.raises(MalformedPayload):
                decoded(otlp_request(body, encoding), diagnostics)
        else:
            assert decoded(otlp_request(body, encoding), diagnostics) == []
            assert diagnostics == {("unmapped_event", "otlp", "no.event"): count}


def test_fifty_thousand_records_are_a_request_and_one_more_is_none() -> None:
    def body(records: int) -> bytes:
        return b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[%s]}]}]}' % b",".join([b"{}"] * records)

    assert decoded(otlp_request(body(50_000))) == []
    with pytest.raises(MalformedPayload):
        decoded(otlp_request(body(50_001)))
