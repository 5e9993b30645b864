"""Taken apart into records, a payload says what it says as a whole: there is one reading of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.fixed_key import recording_of

from cline_otel.signals import Diagnostics, add
from cline_otel.sources.interface import MalformedPayload, Payload
from cline_otel.sources.registry import SOURCES
from corpus import capture_paths
from payloads import decoded, log_lines, otlp_request, spool_lines


def payloads_of(path: Path) -> list[Payload]:
    """What a recording holds, requests in protobuf among it."""
    in_json = [payload for stream in recording_of([path]).streams for payload in stream]
    return in_json + [otlp_request(body.read_bytes(), "protobuf") for body in sorted(path.glob("*.pb"))]


@pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)
def test_the_records_of_a_payload_are_decoded_to_what_the_payload_is(path: Path) -> None:
    for payload in payloads_of(path):
        whole: Diagnostics = {}
        together: Diagnostics = {}
        events = decoded(payload, whole)
        one_by_one = []
        for record in SOURCES[payload.source].explode(payload):
            diagnostics: Diagnostics = {}
            of_record = decoded(record.payload, diagnostics)
            add(together, diagnostics)
            one_by_one += of_record
            if of_record:
                assert (record.name, record.reported_at_ns) == (of_record[0].name, of_record[0].occurred_at_ns)
            assert decoded(record.with_only(record.fields.keys())) == of_record
        assert one_by_one == events
        assert together == whole


@pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)
def test_a_field_that_is_left_out_is_as_if_it_had_never_been_told(path: Path) -> None:
    for payload in payloads_of(path):
        for record in SOURCES[payload.source].explode(payload):
            for event in decoded(record.with_only([])):
                assert (event.session_id, event.agent_id, event.run_id, event.attributes) == ("", "", "", {})


@pytest.mark.parametrize(
    "payload",
    [
        spool_lines([b"{", b"[1]", b'{"event": 1}', b'{"event": "run.started", "time_unix_ms": "x"}']),
        log_lines([b"{", b"[1]", b'{"event": "task.mode"}', b'{"event": "task.mode", "time": 1, "properties": []}']),
        otlp_request(b"{"),
        otlp_request(b"\xff", "protobuf"),
    ],
    ids=lambda payload: f"{payload.source} {payload.encoding}",
)
def test_what_cannot_be_decoded_is_a_record_all_the_same(payload: Payload) -> None:
    records = list(SOURCES[payload.source].explode(payload))
    assert len(records) == len(payload.parts)
    for record in records:
        diagnostics: Diagnostics = {}
        try:
            assert decoded(record.payload, diagnostics) == []
        except MalformedPayload:
            continue
        assert [kind for kind, _, _ in diagnostics] == ["malformed"]
