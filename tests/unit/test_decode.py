"""What each payload says, in the one vocabulary."""

from __future__ import annotations

import json
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from cline_otel.events import Event
from cline_otel.signals import Diagnostics
from cline_otel.sources.cline_log.decode import parse_time_ns
from cline_otel.sources.interface import MalformedPayload
from payloads import decoded, log_lines, otlp_request, spool_lines

TIME_NS = 1_790_000_000_123_000_000
AGENT_ID, RUN_ID = "agent_1795358814189_2kb1cn", "run_-OZ2HV2E"


def from_log(**record: Any) -> tuple[list[Event], Diagnostics]:
    diagnostics: Diagnostics = {}
    whole = {"time": "2026-09-21T14:13:20.123Z", "properties": {}, **record}
    return decoded(log_lines([json.dumps(whole).encode()]), diagnostics), diagnostics


def from_otlp(*records: dict[str, Any]) -> tuple[list[Event], Diagnostics]:
    diagnostics: Diagnostics = {}
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}
    return decoded(otlp_request(json.dumps(body).encode()), diagnostics), diagnostics


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-09-21T14:13:20.123Z", TIME_NS),
        ("2026-09-21T16:13:20.123+02:00", TIME_NS),
        (1_790_000_000_123, TIME_NS),
        ("2026-09-21T14:13:20.123", None),
        ("yesterday", None),
        (None, None),
        (-1, None),
        ("9999-12-31T23:59:59Z", None),
    ],
)
def test_pino_s_time_is_iso_8601_with_a_zone_or_milliseconds(time: Any, expected: int | None) -> None:
    assert parse_time_ns(time) == expected


def test_a_log_line_with_an_event_is_an_event() -> None:
    (event,), diagnostics = from_log(event="agent.run-started", properties={"agentId": AGENT_ID, "runId": RUN_ID})
    assert (event.kind, event.source, event.name) == ("run.started", "cline-log", "agent.run-started")
    assert (event.agent_id, event.run_id, event.iteration, event.occurred_at_ns) == (AGENT_ID, RUN_ID, 0, TIME_NS)
    assert diagnostics == {}


@pytest.mark.parametrize("record", [{"msg": "CLI run started", "cwd": "x"}, {"event": "", "msg": "x"}])
def test_a_log_line_without_an_event_says_nothing(record: dict[str, Any]) -> None:
    assert from_log(**record) == ([], {})


def test_bookkeeping_says_nothing_and_counts_nothing() -> None:
    assert from_log(event="agent.message-added", properties={"whatever": "x"}) == ([], {})


def test_properties_that_are_no_object_are_counted() -> None:
    events, diagnostics = from_log(event="task.mode", properties=["x"])
    assert (events, diagnostics) == ([], {("malformed", "cline-log", "properties"): 1})


def test_an_unlisted_field_is_dropped_and_counted_by_name() -> None:
    (event,), diagnostics = from_log(
        event="task.mode", properties={"ulid": "s", "mode": "act", "brandNew": 1, "a b": 2}
    )
    assert event.attributes == {"cline.mode": "act"}
    assert diagnostics == {
        ("dropped_field", "cline-log", "task.mode:brandNew"): 1,
        ("dropped_field", "cline-log", "task.mode:_OTHER"): 1,
    }


def test_a_value_outside_the_known_set_is_replaced_and_counted() -> None:
    (event,), diagnostics = from_log(event="task.mode", properties={"ulid": "s", "mode": "something"})
    assert event.attributes == {"cline.mode": "_OTHER"}
    assert diagnostics == {("replaced_value", "cline-log", "cline.mode"): 1}


def test_an_identifier_that_is_none_is_left_out() -> None:
    (event,), diagnostics = from_log(event="task.mode", properties={"ulid": "x" * 1_025, "mode": "act"})
    assert event.session_id == ""
    assert diagnostics == {("replaced_value", "cline-log", "session_id"): 1}


@pytest.mark.parametrize(("chunk", "number"), [("text-delta", 1), ("reasoning-delta", 1), ("finish", 0), (None, 0)])
def test_only_text_and_reasoning_are_a_first_chunk(chunk: str | None, number: int) -> None:
    properties = {"agentId": "a", "runId": "r", "iteration": 1, "eventType": chunk}
    events, _ = from_log(event="task.first_chunk_received", properties=properties)
    assert len(events) == number


def test_an_otlp_record_s_name_is_its_event_name_or_its_body() -> None:
    record = {"timeUnixNano": str(TIME_NS), "attributes": []}
    named, _ = from_otlp(
        {**record, "eventName": "session.stopped"}, {**record, "body": {"stringValue": "session.stopped"}}
    )
    assert [event.name for event in named] == ["session.stopped", "session.stopped"]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"timeUnixNano": str(TIME_NS)}, TIME_NS),
        ({"timeUnixNano": TIME_NS}, TIME_NS),
        ({"timeUnixNano": "0", "observedTimeUnixNano": str(TIME_NS)}, TIME_NS),
    ],
)
def test_an_otlp_record_s_time_is_its_own_or_when_it_was_observed(times: dict[str, Any], expected: int) -> None:
    (event,), _ = from_otlp({**times, "body": {"stringValue": "session.stopped"}})
    assert event.occurred_at_ns == expected


@pytest.mark.parametrize(
    "times", [{}, {"timeUnixNano": "0"}, {"timeUnixNano": "-5"}, {"timeUnixNano": "x"}, {"timeUnixNano": str(2**63)}]
)
def test_an_otlp_record_without_a_time_is_counted_and_the_next_is_taken(times: dict[str, Any]) -> None:
    sound = {"timeUnixNano": str(TIME_NS), "body": {"stringValue": "session.stopped"}}
    events, diagnostics = from_otlp({**times, "body": {"stringValue": "session.stopped"}}, sound)
    assert len(events) == 1
    assert diagnostics == {("malformed", "otlp", "time"): 1}


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"x"', b'{"resourceLogs":1}', b"{", b"\xff"])
def test_what_is_no_request_in_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedPayload, match="not an OTLP log request in JSON"):
        decoded(otlp_request(body))


def test_what_is_no_request_in_protobuf_is_malformed() -> None:
    with pytest.raises(MalformedPayload, match="not an OTLP log request in protobuf"):
        decoded(otlp_request(b"\x0a\xff\xff", "protobuf"))


def test_an_empty_request_is_one_with_no_records() -> None:
    assert decoded(otlp_request(b"{}")) == []
    assert decoded(otlp_request(b"", "protobuf")) == []


def test_numbers_may_be_texts_in_otlp_json() -> None:
    attributes = [
        {"key": "sessionId", "value": {"stringValue": "1795357785104_qmexd"}},
        {"key": "durationMs", "value": {"doubleValue": 5}},
    ]
    attributes += [{"key": "bytes", "value": {"intValue": "15450"}}]
    record = {"timeUnixNano": str(TIME_NS), "body": {"stringValue": "enterprise.prompt_upload_succeeded"}}
    (event,), _ = from_otlp({**record, "attributes": attributes})
    assert event.attributes == {"cline.size_bytes": 15450, "cline.duration_ms": 5.0}


def test_protobuf_and_json_say_the_same() -> None:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=TIME_NS)
    record.body.string_value = "checkpoint.snapshot"
    record.attributes.add(key="sessionId").value.string_value = "1795357785104_qmexd"
    record.attributes.add(key="durationMs").value.int_value = 64
    record.attributes.add(key="outcome").value.string_value = "stash"
    record.attributes.add(key="newField").value.array_value.values.add().string_value = "x"
    diagnostics: Diagnostics = {}
    (event,) = decoded(otlp_request(request.SerializeToString(), "protobuf"), diagnostics)
    assert event.attributes == {"cline.duration_ms": 64.0, "cline.checkpoint.outcome": "stash"}
    assert (event.session_id, event.occurred_at_ns) == ("1795357785104_qmexd", TIME_NS)
    assert diagnostics == {("dropped_field", "otlp", "checkpoint.snapshot:newField"): 1}


@pytest.mark.parametrize(
    ("record", "counted"),
    [
        ({"event": "run.started"}, ("malformed", "plugin", "record")),
        ({"time_unix_ms": 1}, ("malformed", "plugin", "record")),
        ({"event": "run.new", "time_unix_ms": 1}, ("unmapped_event", "plugin", "run.new")),
    ],
)
def test_a_spool_line_needs_a_known_event_and_a_time(record: dict[str, Any], counted: tuple[str, str, str]) -> None:
    diagnostics: Diagnostics = {}
    assert decoded(spool_lines([json.dumps(record).encode()]), diagnostics) == []
    assert diagnostics == {counted: 1}


def test_a_spool_line_tells_its_process() -> None:
    line = {"v": 1, "event": "run.started", "time_unix_ms": 1_790_000_000_123, "agent_id": "a", "run_id": "r"}
    (event,) = decoded(spool_lines([json.dumps(line).encode()], "100-5"))
    assert (event.process, event.occurred_at_ns, event.kind) == ("100-5", TIME_NS, "run.started")


def test_empty_lines_are_nothing() -> None:
    diagnostics: Diagnostics = {}
    assert decoded(log_lines([b"", b"  ", b"\t"]), diagnostics) == []
    assert decoded(spool_lines([b"", b"  "]), diagnostics) == []
    assert diagnostics == {}


def test_a_process_that_is_gone_ends_after_all_that_it_wrote() -> None:
    line = json.dumps({"event": "session.claimed", "time_unix_ms": 1, "session_id": "1790000000000_abcde"}).encode()
    payload = spool_lines([line], "100-5")._replace(ended_at_ns=7)
    assert [(event.kind, event.occurred_at_ns, event.process) for event in decoded(payload)] == [
        ("session.claimed", 1_000_000, "100-5"),
        ("process.exited", 7, "100-5"),
    ]
