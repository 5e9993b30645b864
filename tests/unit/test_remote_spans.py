"""A prompt that was started within somebody else's span is its child or links to it, by what was recorded alone."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from bench.fixed_key import CATALOGUE

from cline_otel import ids
from cline_otel.events import Event, LogEvent, RunStarted, tick
from cline_otel.replay import claims
from cline_otel.signals import SpanRecord, StepOutput
from cline_otel.translate.state import State
from cline_otel.translate.step import Translator
from corpus import SECOND_NS, Stream, capture_paths, event_of, streams_of, translate

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
START_NS = 1_790_000_000 * SECOND_NS
RECORDINGS = [path for path in capture_paths() if {"plugin", "cline-log"} <= {each.source for each in streams_of(path)}]


def told(kind: str, seconds: float, run: str = "a/r", source: str = "plugin", **fields: Any) -> Event:
    agent_id, _, run_id = run.partition("/")
    occurred_at_ns = START_NS + round(seconds * SECOND_NS)
    process = "p" if source == "plugin" else ""
    return event_of(
        kind, source, occurred_at_ns, kind, "s", agent_id, run_id, fields.pop("iteration", 0), "", process, fields
    )


def started(
    seconds: float, run: str = "a/r", *, relation: str = "child", trace_id: str = TRACE_ID, span_id: str = SPAN_ID
) -> Event:
    remote = {"remote_trace_id": trace_id, "remote_span_id": span_id, "remote_relation": relation}
    return told("run.started", seconds, run, **remote)


def finished(seconds: float, run: str = "a/r") -> Event:
    return told("run.finished", seconds, run, **{"cline.outcome": "completed"})


def agents(outputs: StepOutput) -> list[SpanRecord]:
    return [span for span in outputs.spans if span.name.startswith("invoke_agent")]


def test_a_child_is_in_the_trace_with_all_that_belongs_to_it() -> None:
    steps = [
        tick(START_NS),
        started(0),
        told("model_call.started", 1, iteration=1),
        told("model_call.finished", 2, iteration=1, **{"error.type": "auth"}),
        told("run.started", 3, "b/q", parent_agent_id="a", parent_run_id="r", agent_kind="subagent"),
        finished(4, "b/q"),
        finished(5),
    ]
    outputs = translate(steps)
    assert {span.trace_id.hex() for span in outputs.spans} == {TRACE_ID}
    assert {log.trace_id.hex() for log in outputs.logs if log.span_id} == {TRACE_ID}
    assert {delta.trace_id.hex() for delta in outputs.metrics if delta.span_id} == {TRACE_ID}
    subagent, root = agents(outputs)
    assert root.parent_span_id.hex() == SPAN_ID
    assert root.span_id == ids.run_span_id("a", "r")
    assert subagent.parent_span_id == root.span_id
    assert root.links == ()


def test_a_link_leaves_the_trace_as_it_is() -> None:
    plain = translate([tick(START_NS), told("run.started", 0), finished(1)])
    linked = translate([tick(START_NS), started(0, relation="link"), finished(1)])
    (expected,), (root,) = plain.spans, linked.spans
    assert [(link.trace_id.hex(), link.span_id.hex()) for link in root.links] == [(TRACE_ID, SPAN_ID)]
    assert msgspec.structs.replace(root, links=()) == expected
    assert linked.logs == plain.logs


@pytest.mark.parametrize(
    ("trace_id", "span_id", "relation"),
    [
        ("0" * 32, SPAN_ID, "child"),
        (TRACE_ID, "0" * 16, "child"),
        ("_OTHER", SPAN_ID, "link"),
        (TRACE_ID, SPAN_ID, "x"),
    ],
)
def test_what_is_no_span_changes_nothing(trace_id: str, span_id: str, relation: str) -> None:
    plain = translate([tick(START_NS), told("run.started", 0), finished(1)])
    other = translate([tick(START_NS), started(0, trace_id=trace_id, span_id=span_id, relation=relation), finished(1)])
    assert other.spans == plain.spans


def test_the_next_prompt_links_to_the_one_before_wherever_that_is() -> None:
    steps = [tick(START_NS), started(0), finished(1), told("run.started", 2, "a/r2"), finished(3, "a/r2")]
    first, second = agents(translate(steps))
    assert second.trace_id == ids.trace_id("a", "r2")
    assert [(link.trace_id, link.span_id) for link in second.links] == [(first.trace_id, first.span_id)]


def test_a_run_remembers_its_trace_over_a_restart() -> None:
    translator = Translator(CATALOGUE)
    for step in (tick(START_NS), started(0)):
        translator.step(step)
    rows = translator.state.changes()
    after = Translator(CATALOGUE, State.restore([(key, row) for key, row in rows.items() if row is not None]))
    after.step(finished(5))
    (root,) = agents(after.take())
    assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE_ID, SPAN_ID)


# --- the same fact, the same id: live, in a replay, in whatever order sources are read ------------------------


def with_remote_span(stream: Stream) -> list[Event]:
    return [
        msgspec.structs.replace(event, remote_trace_id=TRACE_ID, remote_span_id=SPAN_ID, remote_relation="child")
        if isinstance(event, RunStarted) and stream.source == "plugin" and event.parent_agent_id is None
        else event
        for event in stream.events
    ]


def identities(outputs: StepOutput) -> tuple[set[tuple[bytes, bytes, bytes]], set[tuple[bytes, bytes, str]]]:
    return (
        {(span.trace_id, span.span_id, span.parent_span_id) for span in outputs.spans},
        {(log.trace_id, log.span_id, log.event_name) for log in outputs.logs if log.span_id},
    )


def interleaved(streams: list[list[Event]], seed: int) -> list[Event]:
    """All of them, each in its own order."""
    random, left = Random(seed), [list(stream) for stream in streams]
    merged: list[Event] = []
    while any(left):
        merged.append(random.choice([stream for stream in left if stream]).pop(0))
    return merged


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_a_child_has_the_same_ids_live_and_in_a_replay(path: Path) -> None:
    streams = [with_remote_span(stream) for stream in streams_of(path)]
    merged = sorted((event for stream in streams for event in stream), key=lambda event: event.occurred_at_ns)
    replayed = identities(translate([*claims(streams, CATALOGUE), *merged]))
    assert {trace_id.hex() for trace_id, _, _ in replayed[0]} == {TRACE_ID}
    assert {trace_id.hex() for trace_id, _, _ in replayed[1]} <= {TRACE_ID}
    for seed in range(5):
        events = interleaved(streams, seed)
        live = identities(translate([tick(events[0].occurred_at_ns), *events], claim_wait_ns=10**18))
        assert live == replayed


def test_nothing_of_a_prompt_leaves_before_its_trace_is_known() -> None:
    """What the log reports of a run before the plugin does waits for the plugin."""
    early = LogEvent("cline-log", START_NS, "task.skill_used", session_id="s", agent_id="a", run_id="r")
    steps = [tick(START_NS), told("run.started", 0, source="cline-log"), early, started(0.5), finished(1)]
    outputs = translate(steps, claim_wait_ns=10 * SECOND_NS)
    assert {log.trace_id.hex() for log in outputs.logs if log.trace_id} == {TRACE_ID}
    assert [span.trace_id.hex() for span in outputs.spans] == [TRACE_ID]


def test_what_another_than_the_owner_says_moves_no_run() -> None:
    steps = [
        tick(START_NS),
        told("run.started", 0, source="cline-log"),
        tick(START_NS + 60 * SECOND_NS),
        started(61),
        told("run.finished", 62, source="cline-log"),
    ]
    outputs = translate(steps, claim_wait_ns=SECOND_NS)
    assert {span.trace_id for span in outputs.spans} == {ids.trace_id("a", "r")}
