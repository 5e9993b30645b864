"""A preview tells the truth: what it shows to leave is what a replay lets leave, and what it withholds stays unsaid."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from bench.fixed_key import CATALOGUE, KEY, recording_of, replay_of
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.console import Console

from cline_otel.catalogue.compiled import ATTRIBUTE, FieldHandler, Profile, SourceEvent
from cline_otel.catalogue.load import load
from cline_otel.catalogue.profiles import DEFAULT_PROFILE, profile_names
from cline_otel.cli.preview import _step_document, _summary_document
from cline_otel.encode.profile import shown_points
from cline_otel.preview import Item, Preview, Step, Summary, items_of
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import Pseudonyms
from cline_otel.replay import ReplayResult, replay
from cline_otel.signals import MetricPoint
from cline_otel.sources.interface import Payload
from cline_otel.sources.recording import Recording
from cline_otel.terminal.preview import PreviewView
from corpus import CAPTURES, capture_paths
from payloads import log_lines, otlp_request, recorded, spool_lines

POLICY = Policy(pseudonyms=Pseudonyms(KEY))
TIME_MS = 1_790_000_000_000
TIME_TEXT = "2026-09-21T14:13:20.000Z"
ALPHABET = "abcdefghjkmnpqrstuvwxyz"


def previewed(recording: Recording, policy: Policy = POLICY) -> tuple[list[Step], Summary]:
    preview = Preview(recording, load(policy), policy)
    return list(preview.steps()), preview.summary


def shown(recording: Recording, policy: Policy = POLICY, width: int = 80) -> str:
    """All that is printed of a recording, for people and for machines."""
    preview = Preview(recording, load(policy), policy)
    printed = io.StringIO()
    view = PreviewView(Console(file=printed, width=width, highlight=False, markup=False, emoji=False))
    documents: list[Any] = []
    for step in preview.steps():
        view.print_step(step)
        documents.append(_step_document(step))
    view.print_summary(preview.summary, preview.resource_and_scope)
    documents.append(_summary_document(preview.summary))
    return printed.getvalue() + "".join(msgspec.json.encode(document).decode() for document in documents)


def log_line(event: str, properties: dict[str, Any], **around: Any) -> bytes:
    line = {"level": 30, "time": TIME_TEXT, "event": event, "properties": properties, "msg": "telemetry.event"}
    return json.dumps({**line, **around}).encode()


def spool_line(event: str, fields: dict[str, Any]) -> bytes:
    return json.dumps({"v": 1, "event": event, "time_unix_ms": TIME_MS, **fields}).encode()


def of_log(event: str, properties: dict[str, Any]) -> Recording:
    return recorded(log_lines([log_line(event, properties)]))


def the_step(recording: Recording, policy: Policy = POLICY) -> Step:
    steps, _ = previewed(recording, policy)
    return steps[0]


def reasons(step: Step) -> dict[str, str]:
    return {withheld.field: withheld.reason for withheld in step.withheld}


# --- what leaves ------------------------------------------------------------------------------------------


def assert_the_same(
    steps: list[Step],
    summary: Summary,
    replayed: ReplayResult,
    order: Callable[[Item], str] = lambda _: "",
    profile: Profile = CATALOGUE.profile,
) -> None:
    traces = [ExportTraceServiceRequest.FromString(request.payload) for request in replayed.requests["traces"]]
    logs = [ExportLogsServiceRequest.FromString(request.payload) for request in replayed.requests["logs"]]
    of_replay = {
        "spans": [item for request in replayed.requests["traces"] for item in items_of("traces", request.payload)],
        "logs": [item for request in replayed.requests["logs"] for item in items_of("logs", request.payload)],
    }
    assert [item for step in steps for item in step.spans] == of_replay["spans"]
    logs_of_steps = [item for step in steps for item in step.logs]
    assert sorted(logs_of_steps, key=order) == sorted(of_replay["logs"], key=order)
    assert sum(item.size_bytes for item in of_replay["spans"]) == sum(
        span.ByteSize()
        for request in traces
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )
    assert len(of_replay["logs"]) == sum(
        len(scope.log_records) for request in logs for each in request.resource_logs for scope in each.scope_logs
    )
    totals: dict[tuple[str, str], list[float]] = {}
    for each in (measurement for step in steps for measurement in step.measurements):
        total = totals.setdefault((each.metric, repr(tuple(each.attributes.items()))), [0, 0])
        total[0] += each.value
        total[1] += 1
    points = shown_points([MetricPoint(total, 1, 1) for total in replayed.totals], profile)
    assert {key: total[0] for key, total in totals.items()} == {
        (point.total.metric, repr(point.total.attributes)): point.total.sum for point in points
    }
    for total in (point.total for point in points):
        if total.count:
            assert totals[total.metric, repr(total.attributes)][1] == total.count
    assert summary.diagnostics == replayed.diagnostics
    assert summary.requests == {signal: len(requests) for signal, requests in replayed.requests.items() if requests}
    assert summary.request_bytes == {
        signal: sum(len(request.payload) for request in requests)
        for signal, requests in replayed.requests.items()
        if requests
    }


@pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)
def test_what_is_previewed_of_a_recording_is_exactly_what_a_replay_makes_of_it(path: Path) -> None:
    assert_the_same(*previewed(recording_of([path])), replay_of([path]))


@pytest.mark.parametrize("profile", [name for name in profile_names() if name != DEFAULT_PROFILE])
def test_what_is_previewed_has_the_names_that_a_replay_gives(profile: str) -> None:
    recording, catalogue = recording_of([CAPTURES / "plugin_mcp_tools"]), load(POLICY, profile=profile)
    preview = Preview(recording, catalogue, POLICY)
    # Log records that are made of spans stand behind the others in a request, and right at their step in a preview.
    assert_the_same(list(preview.steps()), preview.summary, replay(recording, catalogue), repr, catalogue.profile)


@pytest.mark.parametrize(
    "policy",
    [
        Policy(),
        Policy(pseudonyms=POLICY.pseudonyms, included=frozenset({"names", "user", "device", "organization"})),
        Policy(pseudonyms=POLICY.pseudonyms, plain=frozenset({"names"}), content=frozenset({"exception.message"})),
        Policy(pseudonyms=POLICY.pseudonyms, excluded=frozenset({"gen_ai.request.model", "user.hash"})),
    ],
    ids=["nothing decided", "everybody included", "plain names and error texts", "something excluded"],
)
@pytest.mark.parametrize("name", ["plugin_mistakes", "classic_full", "plugin_skill"])
def test_whatever_the_user_decides_the_preview_is_what_a_replay_makes(policy: Policy, name: str) -> None:
    recording = recording_of([CAPTURES / name])
    assert_the_same(*previewed(recording, policy), replay(recording, load(policy)))


def cut(recording: Recording, seed: int) -> Recording:
    """A recording with lines missing, torn and out of order."""
    random = Random(seed)

    def lines(of: list[bytes]) -> list[bytes]:
        kept = [line if random.random() > 0.05 else line[: random.randrange(len(line) + 1)] for line in of]
        kept = [line for line in kept if random.random() > 0.05]
        for _ in range(random.randrange(4) if len(kept) > 1 else 0):
            first, second = random.sample(range(len(kept)), 2)
            kept[first], kept[second] = kept[second], kept[first]
        return kept

    def stream(of: list[Payload]) -> list[Payload]:
        if len(of) == 1:
            return [of[0]._replace(parts=lines(list(of[0].parts)))]
        return [of[0]._replace(parts=[body]) for body in lines([payload.parts[0] for payload in of])]

    return Recording(
        [stream(of) for of in recording.streams],
        {
            ("unsupported_signal", "otlp", "metrics"): 1 + random.randrange(2),
            ("unsupported_signal", "otlp", "traces"): 1,
            ("malformed", "otlp", "line"): 1,
        },
    )


@settings(max_examples=40)
@given(st.sampled_from(["plugin_basic", "subagents_plugin", "sdk_interactive_modes_abort"]), st.integers(0, 2**32))
def test_what_is_previewed_of_a_broken_recording_is_what_a_replay_makes_of_it(name: str, seed: int) -> None:
    recording = cut(recording_of([CAPTURES / name]), seed)
    assert_the_same(*previewed(recording), replay(recording, CATALOGUE))


def test_many_spans_and_log_records_make_the_requests_of_a_replay() -> None:
    lines = [
        json.dumps(
            {
                "level": 30,
                "time": TIME_MS + number,
                "event": "session.stopped",
                "properties": {"sessionId": f"{TIME_MS}_{number:05}"},
            }
        ).encode()
        for number in range(1_100)
    ]
    recording = recorded(log_lines(lines))
    steps, summary = previewed(recording)
    assert_the_same(steps, summary, replay(recording, CATALOGUE))
    assert summary.requests["logs"] == 3


def test_a_request_says_of_whom_it_is_and_what_is_none_is_refused() -> None:
    request = replay_of([CAPTURES / "plugin_basic"]).requests["traces"][0].payload
    sender = items_of("traces", request)[0].sender
    assert [pair["key"] for pair in sender.resource["attributes"]] == ["service.name", "service.instance.id"]
    assert sender.scope["name"] == "cline-otel"
    for broken in (b"\xff\xff", b"\x0a\x05"):
        with pytest.raises(ValueError, match="not an OTLP"):
            items_of("traces", broken)
    with pytest.raises(ValueError, match="no resource"):
        items_of("logs", b"")


# --- each event, each field ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)
def test_every_event_comes_once_in_time_order_with_every_field_accounted_for(path: Path) -> None:
    recording = recording_of([path])
    steps, summary = previewed(recording)
    told = [step for step in steps if step.source != "clock"]
    events_of_steps = [step for step in told if step.outcome in ("read", "superseded", "duplicate", "late")]
    for before, after in pairwise(events_of_steps):
        # A source's own order counts where it tells of something late.
        assert (after.at_ns or 0) >= (before.at_ns or 0) or after.source == before.source
    assert sum(summary.events.values()) == len(told)
    fields = sum(len(step.taken) + len(step.withheld) for step in told)
    assert fields == summary.taken + sum(summary.withheld.values())
    parts = [(payload.source, part) for stream in recording.streams for payload in stream for part in payload.parts]
    lines = [json.loads(line) for source, line in parts if source != "otlp" and line.strip()]
    events = [line for line in lines if "event" in line]
    records = [
        record
        for source, body in parts
        if source == "otlp"
        for resource in json.loads(body)["resourceLogs"]
        for scope in resource["scopeLogs"]
        for record in scope["logRecords"]
    ]
    assert len(told) == len(events) + len(records)
    assert summary.lines_without_event == len(lines) - len(events)
    of_plugin = [step for step in told if step.source == "plugin" and step.outcome == "read"]
    written = [set(line) - {"event", "time_unix_ms"} for line in lines if "time_unix_ms" in line]
    for step in of_plugin:
        assert {taken.field for taken in step.taken} | {withheld.field for withheld in step.withheld} in written


def test_a_taken_field_names_its_attribute_and_the_value_that_leaves() -> None:
    fields = {"ulid": "1795357895961_yuqpi", "mentionType": "file", "contentLength": 4_711, "cline_type": 4_711}
    step = the_step(of_log("task.mention_used", fields))
    assert [(field.field, field.attribute, field.value, field.is_key) for field in step.taken] == [
        ("ulid", "gen_ai.conversation.id", "1795357895961_yuqpi", True),
        ("mentionType", "cline.mention.type", "file", False),
        ("contentLength", "cline.mention.length", 4_711, False),
    ]
    (withheld,) = step.withheld
    assert (withheld.field, withheld.reason, withheld.privacy, withheld.size, withheld.unit) == (
        "cline_type",
        "never_read",
        "",
        4,
        "bytes",
    )
    (log,) = step.logs
    assert log.content["eventName"] == "cline.mention.used"
    assert (step.outcome, step.meaning) == ("read", "A mention was resolved.")


def test_every_reason_is_told_for_what_it_is_the_reason_of() -> None:
    properties = {
        "ulid": "1795357895961_yuqpi",
        "skillName": "a name of mine",
        "skillSource": "somewhere else",
        "skillsAvailableGlobal": 12,
        "extension_version": 7,
        "cline_type": "cli",
        "prompt": "do something",
        "user_id": "usr-1",
        "account_id": "acct-1",
        "organization_name": "Example",
    }
    step = the_step(of_log("task.skill_used", properties))
    assert reasons(step) == {
        "skillSource": "replaced",
        "skillsAvailableGlobal": "never_read",
        "extension_version": "replaced",
        "cline_type": "never_read",
        "prompt": "unlisted",
        "user_id": "not_included",
        "account_id": "never_read",
        "organization_name": "not_included",
    }
    assert next(field for field in step.withheld if field.field == "skillSource").replacement == "_OTHER"
    assert {field.field: field.attribute for field in step.taken} == {
        "ulid": "gen_ai.conversation.id",
        "skillName": "cline.skill.hash",
    }


def test_what_the_user_decides_is_told_as_the_reason() -> None:
    recording = of_log("task.skill_used", {"skillName": "a name", "organization_name": "Example", "user_id": "usr-1"})
    included = frozenset({"names", "user", "organization"})
    assert reasons(the_step(recording, Policy(included=included))) == {
        "skillName": "no_key",
        "user_id": "no_key",
        "organization_name": "not_plain",
    }
    step = the_step(recording, Policy(pseudonyms=POLICY.pseudonyms, included=included))
    assert reasons(step) == {"organization_name": "not_plain"}
    excluding = Policy(pseudonyms=POLICY.pseudonyms, included=included, excluded=frozenset({"user.hash"}))
    assert reasons(the_step(recording, excluding))["user_id"] == "excluded"


def test_an_error_text_is_told_by_its_class_and_shown_only_if_opted_in() -> None:
    text = "request to https://user:word@host.example/path timed out"
    recording = of_log("task.provider_api_error", {"errorMessage": text})
    step = the_step(recording)
    assert [(field.field, field.attribute, field.value) for field in step.taken] == [
        ("errorMessage", "error.type", "timeout")
    ]
    assert reasons(step) == {"errorMessage": "not_opted_in"}
    opted_in = Policy(pseudonyms=POLICY.pseudonyms, content=frozenset({"exception.message"}))
    taken = next(field for field in the_step(recording, opted_in).taken if field.attribute == "exception.message")
    assert taken.is_masked
    assert "word" not in shown(recording, opted_in)


def test_a_value_with_the_shape_of_a_secret_is_redacted_and_says_so() -> None:
    secret = "call_sk-" + "test-" + "a1B2" * 8
    recording = of_log("sdk.tool_timeout", {"ulid": "1795357895961_yuqpi", "tool_call_id": secret})
    (withheld,) = the_step(recording).withheld
    assert (withheld.reason, withheld.attribute, withheld.size) == ("redacted", "gen_ai.tool.call.id", len(secret))
    assert secret not in shown(recording)


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        (log_line("agent.turn-started", {"ulid": "x"}), "ignored"),
        (log_line("plugin.of-somebody", {"x": 1}), "ignored"),
        (log_line("task.of-tomorrow", {"x": 1}), "unknown"),
        (log_line("task.first_chunk_received", {"eventType": "usage"}), "condition_not_met"),
        (log_line("task.mode", {}, time="yesterday"), "malformed"),
        (b'{"event":', "malformed"),
    ],
)
def test_what_is_not_read_is_one_line(line: bytes, outcome: str) -> None:
    recording = recorded(log_lines([line]))
    (step,), summary = previewed(recording)
    assert step.outcome == outcome
    assert (step.taken, step.withheld, step.around) == ([], [], ())
    assert summary.events == {outcome: 1}
    assert sum("cline-log" in line for line in shown(recording).split("{")[0].splitlines()) == 1


def test_of_what_a_better_source_tells_nothing_is_taken() -> None:
    steps, _ = previewed(recording_of([CAPTURES / "plugin_basic"]))
    shadowed = [step for step in steps if step.outcome == "superseded"]
    assert shadowed
    for step in shadowed:
        assert not step.taken
        assert any(withheld.reason == "not_passed_on" for withheld in step.withheld)


def test_what_the_end_of_a_recording_closes_is_shown() -> None:
    run = {"session_id": "1795357895961_yuqpi", "agent_id": f"agent_{TIME_MS}_abcde", "run_id": "run_abcdefg8"}
    steps, _ = previewed(recorded(spool_lines([spool_line("run.started", {**run, "agent_kind": "root"})], "1-2")))
    assert [step.outcome for step in steps] == ["read", "clock"]
    (span,) = steps[-1].spans
    assert span.content["name"] == "invoke_agent cline"
    assert reasons(steps[0]) == {"v": "never_read", "agent_kind": "used_internally"}


# --- what does not leave is not shown -------------------------------------------------------------------------


def is_open(handler: FieldHandler) -> bool:
    """Whether what is random and looks like an identifier may pass."""
    slot, name, _ = handler
    attribute = CATALOGUE.attributes.get(name)
    return slot == ATTRIBUTE and attribute is not None and attribute.privacy == "safe" and attribute.pattern is not None


def planted(entry: SourceEvent, random: Random) -> tuple[dict[str, Any], list[str]]:
    """Every field of an event, and one that it has not, each with a secret of its own."""
    fields: dict[str, Any] = {}
    secrets: list[str] = []
    for number, key in enumerate((*sorted(entry.handlers), "somethingNew")):
        core = "".join(random.choices(ALPHABET, k=14))
        secrets.append(core)
        spaced = any(map(is_open, entry.handlers.get(key, ())))
        secret = (
            f"the {core} /home/{core}" if spaced else (core, f"/home/{core}/x", f"{core}@{core}.example")[number % 3]
        )
        fields[key] = [secret, [secret], {"inner": secret}][number % 3] if not entry.handlers.get(key) else secret
    fields |= {name: sorted(accepted)[0] for name, accepted in entry.when}
    return fields, secrets


EVENTS = [("cline-log", name) for name in sorted(CATALOGUE.vocabularies["cline"].events)]
EVENTS += [("plugin", name) for name in sorted(CATALOGUE.vocabularies["plugin"].events)]


@pytest.mark.parametrize(("source", "name"), EVENTS, ids=[f"{source}: {name}" for source, name in EVENTS])
@settings(max_examples=3)
@given(st.integers(0, 2**32))
def test_a_value_that_does_not_leave_is_not_shown(source: str, name: str, seed: int) -> None:
    vocabulary = CATALOGUE.vocabularies["plugin"] if source == "plugin" else CATALOGUE.vocabularies["cline"]
    fields, secrets = planted(vocabulary.events[name], Random(seed))
    if source == "plugin":
        envelope = {"v", "event", "time_unix_ms"}
        line = spool_line(name, {key: value for key, value in fields.items() if key not in envelope})
        recording = recorded(spool_lines([line], "1-2"))
    else:
        record = {
            "timeUnixNano": str(TIME_MS * 1_000_000),
            "severityText": secrets[0],
            "body": {"stringValue": name},
            "attributes": [
                {"key": key, "value": {"stringValue": value if isinstance(value, str) else json.dumps(value)}}
                for key, value in fields.items()
            ],
        }
        resource = {"attributes": [{"key": "host.name", "value": {"stringValue": secrets[0]}}]}
        body = {"resourceLogs": [{"resource": resource, "scopeLogs": [{"logRecords": [record]}]}]}
        line = log_line(name, fields, hostname=secrets[0], cwd=f"/home/{secrets[0]}")
        recording = recorded(log_lines([line]), otlp_request(json.dumps(body).encode()))
    said = shown(recording)
    assert [secret for secret in secrets if secret in said] == []


def test_names_that_are_none_are_not_shown() -> None:
    properties = {"the password is": 1, "ok_name": 2}
    line = log_line("task.mode", properties, **{"/home/somebody": 3})
    unknown = log_line("an event with words", {})
    said = shown(recorded(log_lines([line, unknown])))
    assert "password" not in said
    assert "somebody" not in said
    assert "words" not in said
    assert "ok_name" in said


@pytest.mark.parametrize("path", capture_paths(), ids=lambda path: path.name)
def test_no_line_is_wider_than_the_terminal(path: Path) -> None:
    preview = Preview(recording_of([path]), CATALOGUE, POLICY)
    printed = io.StringIO()
    view = PreviewView(Console(file=printed, width=80, highlight=False, markup=False, emoji=False))
    for step in preview.steps():
        view.print_step(step)
    view.print_summary(preview.summary, preview.resource_and_scope)
    assert max(map(len, printed.getvalue().splitlines())) <= 80
