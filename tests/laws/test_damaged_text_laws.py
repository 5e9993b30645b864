"""Damage in what Cline wrote costs at most the value that is damaged, wherever it is read."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench.fixed_key import recording_of
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from cline_otel.decode.json_text import json_value
from cline_otel.events import Event
from cline_otel.replay import decode_recording
from cline_otel.signals import Diagnostics
from cline_otel.sources.conversations import messages as reading
from cline_otel.sources.conversations.messages import messages_in, table_in
from cline_otel.sources.files.lines import first_object
from cline_otel.sources.json_stream.lines import read_line
from cline_otel.sources.session_files.session import read_manifest
from corpus import CATALOGUE, DATA
from payloads import decoded, log_lines, otlp_request, spool_lines

PLACE = "PLACE"
AGENT = "agent_1795357785194_86evro"
DAMAGED = {
    "half a surrogate pair": rb'"fix \ud83d"',
    "the other half": rb'"fix \udc00 it"',
    "a pair the wrong way round": rb'"\udc00\ud83d"',
    "broken UTF-8": b'"fix \xff\xfe"',
    "UTF-8 that is cut off": b'"fix \xe2\x82"',
    "a surrogate as UTF-8": b'"fix \xed\xa0\xbd"',
    "a NUL byte": b'"fix \0 it"',
    "a control character": b'"fix \x1b[0m"',
    "an escape that is cut off": rb'"fix \u12"',
    "an escape of nothing": rb'"fix \u"',
    "an escape that JSON has not": rb'"fix \x41"',
    "a number that is none": b"NaN",
    "an endless number": b"-Infinity",
    "a number beyond all": b"1e999",
    "deep nesting": b"[" * 4000 + b"]" * 4000,
}


def log_line(noted: str, name: str = "task.tokens") -> str:
    fields = {"note": noted, "agentId": AGENT, "runId": "run_1", "iteration": 1, "tokensIn": 7}
    return json.dumps({"time": "2026-09-21T14:13:20.000Z", "pid": 1, "event": name, "properties": fields})


def spool_line(noted: str) -> str:
    return json.dumps(
        {
            "event": "model_call.started",
            "time_unix_ms": 1_790_000_000_000,
            "note": noted,
            "agent_id": AGENT,
            "run_id": "run_1",
            "iteration": 1,
        }
    )


def request(noted: str) -> str:
    def record(noted: str, iteration: int) -> dict[str, Any]:
        attributes: dict[str, Any] = {"agentId": AGENT, "runId": "run_1", "note": noted}
        return {
            "timeUnixNano": "1790000000000000000",
            "body": {"stringValue": "task.tokens"},
            "attributes": [
                {"key": "iteration", "value": {"intValue": iteration}},
                *({"key": key, "value": {"stringValue": value}} for key, value in attributes.items()),
            ],
        }

    records = [record("", 1), record(noted, 2), record("", 3)]
    return json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]})


READERS: dict[str, tuple[Callable[[str], str], Callable[[bytes, Diagnostics], list[Event]]]] = {
    "cline.log": (log_line, lambda raw, counted: decoded(log_lines([raw]), counted)),
    "the spool": (spool_line, lambda raw, counted: decoded(spool_lines([raw]), counted)),
    "OTLP in JSON": (request, lambda raw, counted: decoded(otlp_request(raw), counted)),
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize(("written", "read"), READERS.values(), ids=READERS)
def test_damage_in_a_field_that_is_not_read_costs_no_event(
    written: Callable[[str], str], read: Callable[[bytes, Diagnostics], list[Event]], damage: bytes
) -> None:
    counted: Diagnostics = {}
    events = read(written(PLACE).encode().replace(f'"{PLACE}"'.encode(), damage), counted)
    whole = read(written("x").encode(), {})
    assert whole
    assert events == whole
    assert {kind for kind, _, name in counted if name != "task.tokens:note"} <= {"malformed", "dropped_field"}
    assert not {name for kind, _, name in counted if kind == "malformed"} - {"value"}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
@pytest.mark.parametrize("whole_bytes", [1 << 20, 0], ids=["read at once", "read in pieces"])
def test_damage_in_a_message_costs_no_message(damage: bytes, whole_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WHOLE_BYTES", whole_bytes)
    content = b'{"messages": [{"id": "1"}, {"id": "2", "text": ' + damage + b'}, {"id": "3"}]}'
    assert [message["id"] for message in messages_in(io.BytesIO(content))] == ["1", "2", "3"]


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_damage_costs_neither_a_manifest_nor_a_line_of_the_stream_nor_what_a_file_is_known_by(damage: bytes) -> None:
    manifest = read_manifest(table_in(b'{"status": "failed", "title": ' + damage + b', "pid": 7}'), "s")
    assert (manifest.status, manifest.pid) == ("failed", 7)
    line = read_line(b'{"ts": "", "type": "agent_event", "x": ' + damage + b', "event": {"type": "done", "text": 5}}')
    assert line is not None
    assert line.event is not None
    assert line.event.type == "done"
    assert first_object(b'{"a": ' + damage + b', "b": 1}').keys() == {"a", "b"}


def test_a_value_of_another_type_costs_that_value_and_no_record_beside_it() -> None:
    body = json.loads(request("x"))
    first, second, third = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
    first["observedTimeUnixNano"] = None
    first["attributes"][1]["key"] = 5
    second["attributes"][3]["value"] = {"stringValue": 5}
    third["body"] = "a text"
    body["resourceLogs"][0]["scopeLogs"][0]["logRecords"] += [7, None]
    events = decoded(otlp_request(json.dumps(body).encode()))
    assert [(event.agent_id, event.iteration) for event in events] == [("", 1), (AGENT, 2)]
    line = read_line(b'{"type": "agent_event", "event": {"type": "usage", "iteration": null, "inputTokens": 7}}')
    assert line is not None
    assert line.event is not None
    assert (line.event.type, line.event.iteration, line.event.input_tokens) == ("usage", 0, 7)


def test_broken_utf8_in_protobuf_costs_no_record_beside_it() -> None:
    whole = ExportLogsServiceRequest()
    records = whole.resource_logs.add().scope_logs.add().log_records
    for iteration in (1, 2):
        record = records.add(time_unix_nano=1_790_000_000_000_000_000)
        record.body.string_value = "task.tokens"
        record.attributes.add(key="agentId").value.string_value = AGENT
        record.attributes.add(key="iteration").value.int_value = iteration
        record.attributes.add(key="BADKEY").value.string_value = "BADVALUE"
    body = whole.SerializeToString().replace(b"BADKEY", b"\xff\xfe\xff\xfe\xff\xfe", 1)
    body = body.replace(b"BADVALUE", b"\xff" * 8)
    events = decoded(otlp_request(body, "protobuf"))
    assert [(event.agent_id, event.iteration) for event in events] == [(AGENT, 1), (AGENT, 2)]


def test_of_a_damaged_text_stays_what_can_be_read() -> None:
    assert json_value.decode(rb'"a\ud83d b\u12 \ud83d\ude00 \\u12 \"\n"') == 'a\ufffd b\ufffd \U0001f600 \\u12 "\n'
    assert json_value.decode(b'"a\xffb\0c\td"') == "a\ufffdb\ufffdc\td"


def lines_with(name: str, damage: bytes) -> list[bytes]:
    lines = (DATA / "captures" / "plugin_basic" / "cline.log").read_bytes().splitlines()
    mark = b'"event":"' + name.encode() + b'"'
    spaced = mark.replace(b":", b": ", 1)
    assert any(mark in line or spaced in line for line in lines)
    return [
        line.replace(b'"pid"', b'"note":' + damage + b',"pid"', 1) if mark in line or spaced in line else line
        for line in lines
    ]


def test_a_recording_of_cline_with_half_a_character_in_each_request_tells_the_same(tmp_path: Path) -> None:
    def told(lines: list[bytes]) -> list[list[Event]]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "cline.log").write_bytes(b"\n".join(lines) + b"\n")
        return list(decode_recording(recording_of([folder]), CATALOGUE, {}))

    whole = told(lines_with("task.provider_request_started", b'""'))
    assert whole[0]
    assert told(lines_with("task.provider_request_started", rb'"fix \ud83d"')) == whole
