"""What is not on the allowlist does not leave: planted secrets never come out, wherever they were.

A few fields are open to whatever looks like an identifier (a provider's ids, the names of models). A secret
that looks like one is planted everywhere but there; a secret that does not, everywhere.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest
from bench.fixed_key import CATALOGUE, replay_of
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

import payloads
from cline_otel.catalogue.compiled import ATTRIBUTE, FieldHandler, SourceEvent, SourceVocabulary
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.pipeline import Pipeline
from cline_otel.replay import write
from cline_otel.sources.interface import MalformedPayload
from cline_otel.translate.silence import SILENCE_NS
from corpus import capture_paths
from metric_points import points_of
from payloads import log_lines, spool_lines

ORIGIN = ResourceAndScope((("service.name", "cline"),), "cline-otel", "0", "https://opentelemetry.io/schemas/1.41.0")
TIME_MS = 1_790_000_000_000
TIME_TEXT = "2026-09-21T14:13:20.000Z"
ALPHABET = "abcdefghjkmnpqrstuvwxyz"

LIKE_AN_IDENTIFIER = ("sk-{}", "ghp_{}", "{}", "{}.internal.{}.example", "{}-laptop", "AKIA{}")
LIKE_NONE = (
    "/home/{}/code/{}",
    "{} {}",
    "{}@{}.example {}",
    "https://{}:{}@git.{}.example/",
    "{}\n{}",
    'Bearer "{}"',
    "C:\\{}\\{}",
)


class Secrets:
    """Makes secrets that occur nowhere else, and remembers them."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.cores: list[bytes] = []

    def make(self, shapes: tuple[str, ...]) -> str:
        core = "".join(self._random.choices(ALPHABET, k=14))
        self.cores.append(core.encode())
        return self._random.choice(shapes).replace("{}", core)

    def found_in(self, *texts: bytes) -> list[bytes]:
        return [core for core in self.cores for text in texts if core in text]


def is_open(handler: FieldHandler) -> bool:
    """Whether any identifier may pass: the ids that providers give, the names of models, versions. Cline's own ids are
    pseudonyms unless a machine made them."""
    slot, name, _ = handler
    attribute = CATALOGUE.attributes.get(name)
    if attribute is None:
        return name in ("call_id", "agent_kind", "exit_reason")
    return slot == ATTRIBUTE and attribute.privacy == "safe" and attribute.pattern is not None


def planted(entry: SourceEvent, secrets: Secrets) -> dict[str, Any]:
    """All of an event's fields, and one that it has not, each with a secret; now and then deep inside."""
    fields: dict[str, Any] = {}
    for number, (key, read) in enumerate(sorted(entry.handlers.items())):
        shapes = LIKE_NONE if any(map(is_open, read)) else LIKE_NONE + LIKE_AN_IDENTIFIER
        secret = secrets.make(shapes)
        fields[key] = secret if read else [secret, [secret], {"inner": secret}, secret][number % 4]
    fields["somethingNew"] = secrets.make(LIKE_AN_IDENTIFIER)
    for condition, accepted in entry.when:
        fields[condition] = sorted(accepted)[0]
    return fields


def with_sound_keys(entry: SourceEvent, fields: dict[str, Any]) -> dict[str, Any]:
    sound = {
        "agentId": "a",
        "runId": "r",
        "agent_id": "a",
        "run_id": "r",
        "ulid": "s",
        "session_id": "s",
        "iteration": 1,
    }
    return {**fields, **{key: value for key, value in sound.items() if key in entry.handlers}}


def everything_that_comes_out(pipeline: Pipeline) -> list[bytes]:
    for days in (1, 3, 5):
        pipeline.advance_clock(TIME_MS * 1_000_000 + days * SILENCE_NS)
    flushed = pipeline.flush()
    state = [key.encode() + b" " + (value or b"") for key, value in flushed.state.items()]
    metrics = pipeline.metrics_request(points_of(pipeline.totals), "cumulative")
    diagnostics = repr(flushed.diagnostics).encode()
    return [
        flushed.traces_request().payload,
        flushed.logs_request().payload,
        metrics,
        diagnostics,
        repr((flushed.spans, flushed.logs)).encode(),
        *state,
    ]


def new_pipeline() -> Pipeline:
    return Pipeline(CATALOGUE, ORIGIN, ORIGIN, claim_wait_ns=0)


CLINE_NAMES = sorted(
    [*CATALOGUE.vocabularies["cline"].events, *(prefix for prefix, _ in CATALOGUE.vocabularies["cline"].prefixes)]
)
seeds = st.integers(0, 2**32)


def entry_of(vocabulary: SourceVocabulary, name: str) -> SourceEvent:
    entry = vocabulary.find(name)
    assert entry is not None
    return entry


def log_line(name: str, fields: dict[str, Any], secrets: Secrets) -> bytes:
    around = {
        key: secrets.make(LIKE_NONE + LIKE_AN_IDENTIFIER) for key in ("hostname", "cwd", "name", "component", "msg")
    }
    return json.dumps({"level": 30, "time": TIME_TEXT, "event": name, "properties": fields, **around}).encode()


def otlp_request(name: str, fields: dict[str, Any], secrets: Secrets) -> bytes:
    def value(content: Any) -> dict[str, Any]:
        if isinstance(content, int):
            return {"intValue": content}
        return {"stringValue": content if isinstance(content, str) else json.dumps(content)}

    def secret() -> str:
        return secrets.make(LIKE_NONE + LIKE_AN_IDENTIFIER)

    record = {
        "timeUnixNano": str(TIME_MS * 1_000_000),
        "severityText": secret(),
        "body": {"stringValue": name},
        "attributes": [{"key": key, "value": value(content)} for key, content in fields.items()],
    }
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": secret()}}]}
    scope = {"name": secret(), "version": secret()}
    return json.dumps(
        {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": scope, "logRecords": [record]}]}]}
    ).encode()


@pytest.mark.parametrize("name", CLINE_NAMES)
@settings(max_examples=4)
@given(seeds, st.booleans())
def test_a_secret_in_cline_s_events_never_comes_out(name: str, seed: int, keyed: bool) -> None:
    entry = entry_of(CATALOGUE.vocabularies["cline"], name)
    secrets = Secrets(seed)
    fields = planted(entry, secrets)
    if keyed:
        fields = with_sound_keys(entry, fields)
    pipeline = new_pipeline()
    pipeline.advance_clock(TIME_MS * 1_000_000)
    pipeline.take(log_lines([log_line(name, fields, secrets)]))
    body = otlp_request(name, fields, secrets)
    pipeline.take(payloads.otlp_request(body))
    pipeline.take(payloads.otlp_request(protobuf(body), "protobuf"))
    assert secrets.found_in(*everything_that_comes_out(pipeline)) == []


def protobuf(body: bytes) -> bytes:
    from google.protobuf.json_format import Parse

    return Parse(body, ExportLogsServiceRequest()).SerializeToString()


@pytest.mark.parametrize("name", sorted(CATALOGUE.vocabularies["plugin"].events))
@settings(max_examples=8)
@given(seeds, st.booleans())
def test_a_secret_in_the_spool_never_comes_out(name: str, seed: int, keyed: bool) -> None:
    entry = entry_of(CATALOGUE.vocabularies["plugin"], name)
    secrets = Secrets(seed)
    fields = planted(entry, secrets)
    if keyed:
        fields = with_sound_keys(entry, fields)
    pipeline = new_pipeline()
    pipeline.advance_clock(TIME_MS * 1_000_000)
    around = {**fields, "v": secrets.make(LIKE_NONE), "event": name, "time_unix_ms": TIME_MS}
    pipeline.take(spool_lines([json.dumps(around).encode()]))
    assert secrets.found_in(*everything_that_comes_out(pipeline)) == []


@given(seeds)
def test_a_secret_in_what_is_malformed_is_in_no_diagnostic(seed: int) -> None:
    secrets = Secrets(seed)
    text = secrets.make(LIKE_NONE + LIKE_AN_IDENTIFIER)
    pipeline = new_pipeline()
    broken = json.dumps({"event": text, "time": text, "properties": text, text + " ": text}).encode()
    mode = json.dumps({"event": "task.mode", "time": text, "properties": {}}).encode()
    pipeline.take(log_lines([broken, broken[:-3], mode]))
    begun = json.dumps({"event": "run.started", "time_unix_ms": text}).encode()
    pipeline.take(spool_lines([broken, broken[:-3], begun]))
    said: list[bytes] = []
    for body, encoding in ((broken, "json"), (broken[:-3], "json"), (broken, "protobuf")):
        try:
            pipeline.take(payloads.otlp_request(body, encoding))
        except MalformedPayload as error:
            said.append(f"{error} {error.__cause__!r}".encode())
    assert secrets.found_in(*said) == []
    outcome = everything_that_comes_out(pipeline)
    # An event's name is told if it looks like one: a new version's events must have a name in `status`.
    if " " in text or "/" in text or "\n" in text or "\\" in text:
        assert secrets.found_in(*outcome) == []


PERSONAL = (b"alice", b"acme", b"jane.roe", b"ghp_", b"sk-")
"""Pieces of what was planted in the recordings of ``CLINE_OTEL_CAPTURES``; the bundled ones have none of it."""


@pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)
def test_nothing_personal_comes_out_of_a_recording(path: Any, tmp_path: Any) -> None:
    result = replay_of([path])
    written = b"".join(file.read_bytes() for file in write(result, tmp_path))
    told = written + repr(result.diagnostics).encode() + msgspec.json.encode([result.spans, result.logs], enc_hook=repr)
    assert [piece for piece in PERSONAL if piece in told.lower()] == []
