"""Malformed input is a diagnostic, never an exception, and never stops what follows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from bench.fixed_key import CATALOGUE
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from cline_otel.catalogue.compiled import SourceEvent, SourceVocabulary
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.events import Event
from cline_otel.pipeline import Pipeline
from cline_otel.signals import Diagnostics
from cline_otel.sources.interface import MalformedPayload
from cline_otel.translate.silence import SILENCE_NS
from corpus import CAPTURES, HOUR_NS, SECOND_NS
from metric_points import points_of
from payloads import decoded, log_lines, otlp_request, spool_lines

ORIGIN = ResourceAndScope((("service.name", "cline"),), "cline-otel", "0", "https://opentelemetry.io/schemas/1.41.0")
TIME_MS = 1_790_000_000_000
LATER_NS = TIME_MS * 1_000_000 + 2 * SILENCE_NS

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from(
        [0, -1, 2**53, 2**63 - 1, 2**63, -(2**63), 1e308, -1e308, 5e-324, 0.5, "1e5", "9" * 30, "_OTHER", ""]
    )
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)

"""Anything that JSON can say."""


def as_log_line(name: str, fields: dict[str, Any], time: Any = "2026-09-21T14:13:20.000Z") -> bytes:
    record = {"level": 30, "time": time, "event": name, "properties": fields, "msg": "telemetry.event"}
    return json.dumps(record).encode()


def as_spool_line(name: str, fields: dict[str, Any], time: Any = TIME_MS) -> bytes:
    return json.dumps({"v": 1, "event": name, "time_unix_ms": time, **fields}).encode()


def as_otlp(name: str, fields: dict[str, Any], time: Any = str(TIME_MS * 1_000_000)) -> bytes:
    def wrapped(value: Any) -> dict[str, Any]:
        if isinstance(value, bool):
            return {"boolValue": value}
        if isinstance(value, int):
            return {"intValue": value}
        if isinstance(value, float):
            return {"doubleValue": value}
        if isinstance(value, list):
            return {"arrayValue": {"values": [wrapped(item) for item in value]}}
        return {"stringValue": value} if isinstance(value, str) else {"kvlistValue": {}}

    attributes = [{"key": key, "value": wrapped(value)} for key, value in fields.items()]
    record = {"timeUnixNano": time, "body": {"stringValue": name}, "attributes": attributes}
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}).encode()


def as_protobuf(name: str, fields: dict[str, Any]) -> bytes:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=TIME_MS * 1_000_000)
    record.body.string_value = name
    for key, value in fields.items():
        attribute = record.attributes.add(key=key)
        if isinstance(value, bool):
            attribute.value.bool_value = value
        elif isinstance(value, int) and -(2**63) <= value < 2**63:
            attribute.value.int_value = value
        elif isinstance(value, float):
            attribute.value.double_value = value
        elif isinstance(value, str) and value.isprintable():
            attribute.value.string_value = value
        elif isinstance(value, list):
            attribute.value.array_value.SetInParent()
        elif value is not None:
            attribute.value.kvlist_value.SetInParent()
    return request.SerializeToString()


def new_pipeline() -> Pipeline:
    return Pipeline(CATALOGUE, ORIGIN, ORIGIN, claim_wait_ns=0)


def settle(pipeline: Pipeline) -> None:
    """Lets everything come out, and be stored, and be read back."""
    for now_ns in (LATER_NS, LATER_NS + HOUR_NS, LATER_NS + 2 * SILENCE_NS):
        pipeline.advance_clock(now_ns)
    flushed = pipeline.flush()
    pipeline.metrics_request(points_of(pipeline.totals, 1, LATER_NS), "cumulative")
    Pipeline(CATALOGUE, ORIGIN, ORIGIN, [(k, v) for k, v in flushed.state.items() if v is not None])


def known_fields(entry: SourceEvent) -> list[str]:
    return sorted(entry.handlers) or ["anything"]


@st.composite
def mutated(draw: st.DrawFn, vocabulary: SourceVocabulary) -> tuple[str, dict[str, Any]]:
    """An event of the catalogue whose fields may be anything."""
    name = draw(st.sampled_from(sorted(vocabulary.events)))
    entry = vocabulary.events[name]
    keys = draw(st.lists(st.sampled_from(known_fields(entry)), max_size=8, unique=True))
    fields = {key: draw(json_values) for key in keys}
    sound = {
        "agentId": "a",
        "runId": "r",
        "agent_id": "a",
        "run_id": "r",
        "ulid": "s",
        "session_id": "s",
        "iteration": 1,
    }
    if draw(st.booleans()):
        fields = {**{k: v for k, v in sound.items() if k in entry.handlers}, **fields}
    for condition, accepted in entry.when:
        if draw(st.booleans()):
            fields[condition] = sorted(accepted)[0]
    return name, fields


cline_events = st.lists(mutated(CATALOGUE.vocabularies["cline"]), min_size=1, max_size=6)
plugin_events = st.lists(mutated(CATALOGUE.vocabularies["plugin"]), min_size=1, max_size=8)


@given(st.lists(st.binary(max_size=200), max_size=5))
@example([b"{", b"\xff\xfe", b"[" * 100_000, b'{"event":"task.mode","properties":' + b"[" * 5_000])
@example([b'{"event":"\xff"}', b'{"event":"task.mode","time":"2026-01-01T00:00:00Z","properties":{"mode":"\xff"}}'])
def test_arbitrary_lines_never_raise(lines: list[bytes]) -> None:
    diagnostics: Diagnostics = {}
    decoded(log_lines(lines), diagnostics)
    decoded(spool_lines(lines), diagnostics)
    assert {kind for kind, _, _ in diagnostics} <= {"malformed", "unmapped_event", "dropped_field", "replaced_value"}


@given(st.binary(max_size=400), st.sampled_from(["json", "protobuf"]))
@example(b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"attributes":' + b"[" * 5_000, "json")
@example(b'{"resourceLogs":null}', "json")
@example(b"", "protobuf")
def test_arbitrary_requests_raise_nothing_but_malformed_payload(body: bytes, encoding: str) -> None:
    diagnostics: Diagnostics = {}
    error: MalformedPayload | None = None
    try:
        decoded(otlp_request(body, encoding), diagnostics)
    except MalformedPayload as raised:
        error = raised
    if error is not None:
        assert diagnostics == {}
        assert error.__cause__ is None


@given(cline_events)
@example([("task.first_chunk_received", {"eventType": []})])
@example([("hooks.execution", {"status": {}})])
@example([("task.tokens", {"ulid": "s", "tokensIn": 2**63 - 1, "cacheReadTokens": 2**63 - 1, "model": "m"})])
@example([("task.tokens", {"ulid": "s", "tokensIn": -5, "tokensOut": 2, "model": "m"})])
def test_any_values_in_cline_s_events_never_raise(events: list[tuple[str, dict[str, Any]]]) -> None:
    pipeline = new_pipeline()
    pipeline.take(log_lines(as_log_line(name, fields) for name, fields in events))
    settle(pipeline)


@given(cline_events)
@example([("task.first_chunk_received", {"eventType": []})])
def test_any_values_in_otlp_records_never_raise(events: list[tuple[str, dict[str, Any]]]) -> None:
    pipeline = new_pipeline()
    for name, fields in events:
        try:
            pipeline.take(otlp_request(as_otlp(name, fields)))
        except MalformedPayload:
            continue
        pipeline.take(otlp_request(as_protobuf(name, fields), "protobuf"))
    settle(pipeline)


@given(plugin_events)
def test_any_values_in_the_spool_never_raise(events: list[tuple[str, dict[str, Any]]]) -> None:
    pipeline = new_pipeline()
    pipeline.take(spool_lines(as_spool_line(name, fields) for name, fields in events))
    settle(pipeline)


@given(
    json_values
    | st.datetimes().map(lambda moment: moment.isoformat())
    | st.datetimes().map(lambda m: f"{m.isoformat()}Z")
)
@example("9999-12-31T23:59:59Z")
@example("1969-12-31T23:59:59Z")
@example("0001-01-01T00:00:00+14:00")
@example(8_999_999_999_999_999)
@example(-1)
def test_any_time_is_taken_or_counted_and_never_raises(time: Any) -> None:
    pipeline = new_pipeline()
    pipeline.take(log_lines([as_log_line("agent.run-started", {"agentId": "a", "runId": "r"}, time)]))
    pipeline.take(spool_lines([as_spool_line("run.started", {"agent_id": "b", "run_id": "r"}, time)]))
    with suppress(MalformedPayload):
        pipeline.take(otlp_request(as_otlp("agent.run-started", {"agentId": "c", "runId": "r"}, time)))
    settle(pipeline)


def lines_of(name: str) -> list[bytes]:
    return [line for line in (CAPTURES / name / "cline.log").read_bytes().split(b"\n") if line]


@given(st.integers(0, 10_000), st.binary(max_size=50))
def test_a_broken_line_does_not_change_what_the_others_say(place: int, garbage: bytes) -> None:
    lines = lines_of("plugin_basic")
    broken = garbage.replace(b"\n", b"") + b"{"
    at = place % (len(lines) + 1)
    diagnostics: Diagnostics = {}
    events = decoded(log_lines([*lines[:at], broken, *lines[at:]]), diagnostics)
    assert events == decoded(log_lines(lines))
    assert diagnostics["malformed", "cline-log", "line"] == 1


@pytest.mark.parametrize("make", [as_otlp, as_log_line], ids=["otlp", "cline-log"])
def test_an_unknown_name_is_counted_by_name_only_if_it_looks_like_one(make: Callable[..., bytes]) -> None:
    for name, counted in (("task.new_thing", "task.new_thing"), ("a secret sentence", "_OTHER"), ("x" * 200, "_OTHER")):
        diagnostics: Diagnostics = {}
        if make is as_otlp:
            decoded(otlp_request(as_otlp(name, {})), diagnostics)
        else:
            decoded(log_lines([as_log_line(name, {})]), diagnostics)
        assert [key[2] for key in diagnostics] == [counted]


@given(cline_events)
def test_cline_log_and_both_encodings_of_otlp_say_the_same(events: list[tuple[str, dict[str, Any]]]) -> None:
    def same(first: Event, second: Event) -> bool:
        return (first.kind, first.name, first.agent_id, first.run_id, first.attributes) == (
            second.kind, second.name, second.agent_id, second.run_id, second.attributes,
        )  # fmt: skip

    for name, fields in events:
        plain = {
            k: v for k, v in fields.items() if isinstance(v, bool | float) or (isinstance(v, str) and v.isprintable())
        }
        log = decoded(log_lines([as_log_line(name, plain)]))
        in_json = decoded(otlp_request(as_otlp(name, plain)))
        in_protobuf = decoded(otlp_request(as_protobuf(name, plain), "protobuf"))
        assert len(log) == len(in_json) == len(in_protobuf)
        assert all(same(a, b) and same(a, c) for a, b, c in zip(log, in_json, in_protobuf, strict=True))


def test_a_line_at_a_time_or_all_at_once_is_the_same() -> None:
    lines = lines_of("subagents_plugin")
    one_by_one = [event for line in lines for event in decoded(log_lines([line]))]
    assert one_by_one == decoded(log_lines(lines))
    assert one_by_one[0].occurred_at_ns % SECOND_NS % 1_000_000 == 0
