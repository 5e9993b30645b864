"""What comes out is what the catalogue allows, of every recording and of every event."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from bench.fixed_key import CATALOGUE, replay_of

from cline_otel.events import AttributeValue, tick
from cline_otel.signals import Severity, SpanKind, StatusCode, StepOutput
from cline_otel.translate.state import State
from cline_otel.translate.step import Translator
from corpus import capture_paths, decoded, streams_of, translate

ALL = capture_paths()
TYPES = {"string": str, "int": int, "double": float, "bool": bool, "strings": tuple}

each = pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)


def alone(path: Path) -> list[StepOutput]:
    """What each stream of a recording makes by itself."""
    return [translate([tick(1), *stream.events]) for stream in streams_of(path)]


def check_attributes(attributes: tuple[tuple[str, AttributeValue], ...], signal: str) -> None:
    names = [name for name, _ in attributes]
    assert len(names) == len(set(names))
    for name, value in attributes:
        known = CATALOGUE.attributes[name]
        assert signal in known.serves, f"{name} on a {signal}"
        assert type(value) is TYPES[known.type], f"{name} is {value!r}"


@each
def test_no_event_of_a_recording_is_unknown_and_no_field_unlisted(path: Path) -> None:
    diagnostics = Counter(decoded(path)[1])
    for outputs in alone(path):
        diagnostics.update(outputs.diagnostics)
    assert {key for key in diagnostics if key[0] not in ("replaced_value", "superseded", "duplicate")} == set()


@each
def test_every_attribute_is_catalogued_and_serves_its_signal(path: Path) -> None:
    for outputs in alone(path):
        for span in outputs.spans:
            check_attributes(span.attributes, "span")
            for event in span.events:
                check_attributes(event.attributes, "span")
        for log in outputs.logs:
            check_attributes(log.attributes, "log")
        for delta in outputs.metrics:
            check_attributes(delta.attributes, "metric")


@each
def test_spans_and_log_records_are_the_same_where_nobody_wants_measurements(path: Path) -> None:
    for stream in streams_of(path):
        events = [tick(1), *stream.events]
        measuring, others = Translator(CATALOGUE), Translator(CATALOGUE, measures=False)
        for event in events:
            measuring.step(event)
            others.step(event)
        expected, made = measuring.take(), others.take()
        assert (made.spans, made.logs, made.diagnostics) == (expected.spans, expected.logs, expected.diagnostics)
        assert made.metrics == []
        assert others.state.changes() == measuring.state.changes()


@each
def test_every_metric_attribute_is_one_of_the_metric_s(path: Path) -> None:
    for outputs in alone(path):
        for delta in outputs.metrics:
            assert {name for name, _ in delta.attributes} <= set(CATALOGUE.metric_attributes[delta.metric])
            assert delta.value >= 0
            if CATALOGUE.metrics[delta.metric].value_type == "int":
                assert type(delta.value) is int


@each
def test_spans_are_what_the_conventions_say(path: Path) -> None:
    kinds = {
        "invoke_agent": SpanKind.INTERNAL,
        "chat": SpanKind.CLIENT,
        "execute_tool": SpanKind.INTERNAL,
        "cline.approval": SpanKind.INTERNAL,
    }
    required = {
        "invoke_agent": {
            "gen_ai.operation.name",
            "gen_ai.provider.name",
            "gen_ai.agent.name",
            "cline.agent.id",
            "cline.telemetry.source",
            "cline.outcome",
        },
        "chat": {"gen_ai.operation.name", "gen_ai.provider.name", "cline.iteration"},
        "execute_tool": {"gen_ai.operation.name", "gen_ai.tool.name", "gen_ai.tool.type", "cline.outcome"},
        "cline.approval": {"gen_ai.tool.name", "cline.agent.id", "cline.run.id"},
    }
    for outputs in alone(path):
        for span in outputs.spans:
            attributes = dict(span.attributes)
            operation = span.name.split(" ")[0]
            names = CATALOGUE.spans[operation].attributes
            assert attributes.get("gen_ai.operation.name", "cline.approval") == operation
            assert span.kind == kinds[operation]
            assert [name for name in names if name in attributes] == list(attributes)
            assert required[operation] <= attributes.keys()
            assert (span.status == StatusCode.ERROR) == ("error.type" in attributes)
            assert 0 < span.started_at_ns <= span.ended_at_ns
            assert (len(span.trace_id), len(span.span_id)) == (16, 8)


@each
def test_an_error_says_which_in_words_that_are_among_its_attributes(path: Path) -> None:
    for outputs in alone(path):
        for span in outputs.spans:
            attributes = dict(span.attributes)
            exit_code = attributes.get("process.exit.code")
            words = [attributes.get("error.type"), None if exit_code is None else f"exit code {exit_code}"]
            is_error = span.status is StatusCode.ERROR
            assert span.status_message == (", ".join(str(word) for word in words if word is not None) * is_error)
            assert bool(span.status_message) == is_error


@each
def test_an_agent_has_a_name_of_its_own_on_spans_and_its_part_on_metrics(path: Path) -> None:
    parts = CATALOGUE.attributes["gen_ai.agent.name"].values or frozenset()
    for outputs in alone(path):
        agents: dict[tuple[AttributeValue, AttributeValue], set[AttributeValue]] = {}
        for span in outputs.spans:
            attributes = dict(span.attributes)
            name = str(attributes["gen_ai.agent.name"])
            agents.setdefault((attributes.get("gen_ai.conversation.id", ""), name), set()).add(
                attributes["cline.agent.id"]
            )
            part, _, number = name.partition(" ")
            assert part in parts
            assert number.isdecimal() == (part != "cline")
        shared = [each for each, ids in agents.items() if len(ids) > 1 and each[1] != "cline"]
        assert shared == []
        for delta in outputs.metrics:
            assert dict(delta.attributes).get("gen_ai.agent.name", "cline") in parts


@each
def test_a_log_record_has_a_name_a_uid_and_a_sentence(path: Path) -> None:
    for outputs in alone(path):
        spans = {span.span_id for span in outputs.spans}
        for log in outputs.logs:
            attributes = dict(log.attributes)
            assert attributes["event.name"] == log.event_name in CATALOGUE.log_events
            assert len(str(attributes["log.record.uid"])) == 32
            assert isinstance(log.severity, Severity)
            assert log.body[0].isupper()
            assert "\n" not in log.body
            assert not log.span_id or log.span_id in spans
            assert bool(log.span_id) == bool(log.trace_id)


@each
def test_a_child_lies_within_its_trace_s_root_or_outlives_it_knowingly(path: Path) -> None:
    """Only a subagent or teammate that its parent did not wait for may end after the root."""
    for outputs in alone(path):
        runs = {span.span_id: span for span in outputs.spans if span.name.startswith("invoke_agent")}
        for span in outputs.spans:
            owner = runs.get(span.parent_span_id)
            if owner is not None and not span.name.startswith("invoke_agent"):
                assert owner.started_at_ns <= span.started_at_ns
                assert span.ended_at_ns <= owner.ended_at_ns


@each
def test_run_totals_are_the_sums_of_their_calls(path: Path) -> None:
    for outputs in alone(path):
        for run in outputs.spans:
            if not run.name.startswith("invoke_agent"):
                continue
            children = [dict(s.attributes) for s in outputs.spans if s.parent_span_id == run.span_id]
            chats = [c for c in children if c.get("gen_ai.operation.name") == "chat"]
            tools = [c for c in children if c.get("gen_ai.operation.name") == "execute_tool"]
            totals = dict(run.attributes)
            if totals["cline.agent.id"] == totals["cline.run.id"]:
                assert not children  # a task that is told as a whole, without its calls
                assert not any(name.startswith("cline.run.") and name != "cline.run.id" for name in totals)
                continue
            assert totals["cline.run.model_calls"] == len(chats)
            assert totals["cline.run.tool_calls"] == len(tools)
            assert totals["cline.run.input_tokens"] == sum(int(c.get("gen_ai.usage.input_tokens", 0)) for c in chats)  # type: ignore[arg-type]
            assert totals["cline.run.failed_tool_calls"] == sum(
                t["cline.outcome"] in ("error", "rejected") for t in tools
            )


@each
def test_a_whole_recording_leaves_no_run_open(path: Path) -> None:
    result = replay_of([path])
    roots = {span.trace_id for span in result.spans if not span.parent_span_id}
    assert roots == {span.trace_id for span in result.spans}
    assert ("unmapped_event" in {kind for kind, _, _ in result.diagnostics}) is False


@each
def test_forgetting_leaves_no_trace_of_old_runs(path: Path) -> None:
    state = State()
    translator = Translator(CATALOGUE, state, claim_wait_ns=0)
    last_ns = 0
    for stream in streams_of(path):
        for event in stream.events:
            last_ns = max(last_ns, event.occurred_at_ns)
            translator.step(tick(event.occurred_at_ns))
            translator.step(event)
    saved = state.changes()
    for days in (2, 4, 90, 91):
        translator.step(tick(last_ns + days * 86_400_000_000_000))
        translator.forget()
    gone = {key for key, value in state.changes().items() if value is None}
    assert not any(
        (state.runs, state.agents, state.sessions, state.observations, state.open_runs, state.awaiting_owner)
    )
    assert {key for key in saved if not key.startswith(("prompt/", "heard/"))} <= gone
