"""One fact, several sources: each run has one owner, whoever speaks first, however late the bridge is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random

import msgspec
import pytest
from bench.fixed_key import CATALOGUE
from hypothesis import given
from hypothesis import strategies as st

from cline_otel import ids
from cline_otel.events import Event, RunStarted, tick
from cline_otel.signals import LogRecord, SpanRecord, StepOutput
from cline_otel.translate.step import CLAIM_WAIT_NS, Translator
from corpus import (
    HOUR_NS,
    LIFECYCLE_LOG_EVENTS,
    SECOND_NS,
    Stream,
    capture_paths,
    claim,
    closing_ticks,
    event_of,
    streams_of,
    translate,
)

SEVERAL = [path for path in capture_paths() if len({stream.source for stream in streams_of(path)}) > 1]

KEYED_BY_IDS = {name for name, source in CATALOGUE.sources.items() if source.keys_by_ids}
"""Of these sources runs and calls have ids of their own."""

BORROWED = frozenset({"cline.client.name", "cline.version", "gen_ai.request.model", "gen_ai.provider.name"})
"""What a run may learn from a source that does not own it: who runs Cline, with which model."""

TOLD_BY_SPANS = frozenset({"model_call", "run", "tool_call"})
"""Kinds of errors that are those of spans."""

TOLD_DIFFERENTLY = frozenset(
    {
        "cline.telemetry.source",
        "log.record.uid",
        "cline.agent.id",
        "cline.run.id",
        "cline.iteration",
        "cline.duration_ms",
        "cline.version",
    }
)
"""Where tellings of one fact may differ: whose it is, and in which run it was seen to fall."""


class Delivery(msgspec.Struct, frozen=True):
    """Some sources of a recording, interleaved, with the bridge's clock in between."""

    path: Path
    streams: tuple[Stream, ...]
    steps: tuple[Event, ...]

    def __repr__(self) -> str:
        order = "".join(step.source[0] for step in self.steps)
        return f"<{self.path.name} {[s.source for s in self.streams]} {order}>"


@st.composite
def deliveries(draw: st.DrawFn) -> Delivery:
    path = draw(st.sampled_from(SEVERAL))
    chosen = draw(st.sets(st.integers(0, len(streams_of(path)) - 1), min_size=1))
    streams = tuple(in_order_of_sessions(streams_of(path)[number] for number in sorted(chosen)))
    bursts = draw(st.sampled_from([1, 4, 30, 100_000]))
    random = Random(draw(st.integers(0, 2**32)))
    late_ns = draw(st.sampled_from([0, SECOND_NS // 5, HOUR_NS, 40 * 24 * HOUR_NS]))
    pause_ns = draw(st.sampled_from([0, SECOND_NS // 5, 3 * SECOND_NS]))
    return Delivery(path, streams, tuple(interleaved(streams, random, bursts, late_ns, pause_ns)))


def in_order_of_sessions(streams: Iterable[Stream]) -> Iterable[Stream]:
    """Processes that a session has one after the other are one stream of their source, as the bridge reads them."""
    joined: dict[tuple[str, frozenset[str]], list[Event]] = {}
    for stream in streams:
        sessions = frozenset(event.session_id for event in stream.events if event.session_id)
        joined.setdefault((stream.source, sessions), []).extend(stream.events)
    for (source, _), events in joined.items():
        yield Stream(source, tuple(events))


def interleaved(streams: Sequence[Stream], random: Random, bursts: int, late_ns: int, pause_ns: int) -> Iterable[Event]:
    """Each stream in its own order; the clock never says less than the newest event."""
    now_ns = min(event.occurred_at_ns for stream in streams for event in stream.events) + late_ns
    yield tick(now_ns)
    waiting = [list(reversed(stream.events)) for stream in streams]
    while waiting:
        chosen = random.choice(waiting)
        for _ in range(min(len(chosen), random.randint(1, bursts))):
            event = chosen.pop()
            now_ns = max(now_ns, event.occurred_at_ns + late_ns)
            yield event
        waiting = [events for events in waiting if events]
        now_ns += random.randint(0, pause_ns)
        yield tick(now_ns)


def roots(spans: Iterable[SpanRecord]) -> dict[bytes, SpanRecord]:
    return {span.trace_id: span for span in spans if not span.parent_span_id}


def attribute(item: SpanRecord | LogRecord, name: str) -> object:
    return dict(item.attributes).get(name)


def owners(outputs: StepOutput) -> list[Event]:
    """Who owns each root run, as decisions made beforehand."""
    return [
        claim(
            str(attribute(root, "cline.agent.id")),
            str(attribute(root, "cline.run.id")),
            source,
            str(attribute(root, "gen_ai.conversation.id") or ""),
            str(attribute(root, "cline.prompt.id") or ""),
            root.started_at_ns,
        )
        for root in roots(outputs.spans).values()
        if (source := source_of(root))
    ]


def source_of(root: SpanRecord) -> str:
    return attribute(root, "cline.telemetry.source")  # type: ignore[return-value]


def alone(delivery: Delivery, outputs: StepOutput) -> dict[str, StepOutput]:
    """What each source says by itself, of the runs that it owns."""
    decisions = owners(outputs)
    runs = {(each.agent_id, each.run_id): each.source for each in decisions}
    # A task that its files tell is theirs, too, where another source tells it as a whole.
    decisions += [
        claim(event.task_ulid, event.task_ulid, event.source, "", "", event.occurred_at_ns)
        for event in delivery.steps
        if isinstance(event, RunStarted)
        and event.task_ulid is not None
        and runs.get((event.agent_id, event.run_id)) == event.source
    ]
    return {
        source: translate(
            [*decisions, *(e for stream in delivery.streams if stream.source == source for e in stream.events)]
        )
        for source in {stream.source for stream in delivery.streams}
    }


def comparable(span: SpanRecord) -> object:
    attributes = tuple((name, value) for name, value in span.attributes if name not in BORROWED)
    kind = span.name.split()[0]
    return (
        span.trace_id, span.span_id, span.parent_span_id, kind, span.kind, span.started_at_ns, span.ended_at_ns,
        attributes,
        span.status,
    )  # fmt: skip


def log_events(logs: Iterable[LogRecord], tasks: Mapping[object, object]) -> Counter[object]:
    """Log records of facts; ``tasks`` are the sessions of classic Cline's telemetry whose task their files tell."""
    return Counter(
        (
            log.event_name,
            tuple(sorted((n, tasks.get(v, v)) for n, v in log.attributes if n not in TOLD_DIFFERENTLY)),
        )
        for log in logs
        if log.event_name not in LIFECYCLE_LOG_EVENTS
    )


def run_metrics(outputs: StepOutput) -> dict[object, float]:
    """Sums and counts by series, without what the facts count and what a model or session is called.

    Whether a report of a failure counts depends on whether a span tells it (``test_failure_laws``).
    """
    sums: Counter[object] = Counter()
    for delta in outputs.metrics:
        if delta.metric == "cline.errors" and dict(delta.attributes)["cline.error.kind"] not in TOLD_BY_SPANS:
            continue
        series = (delta.metric, tuple((n, v) for n, v in delta.attributes if n not in BORROWED))
        sums[series, "sum"] += delta.value
        sums[series, "count"] += 1
    catalogue = CATALOGUE
    for log in outputs.logs:
        counters = catalogue.log_events[log.event_name].counts if log.event_name not in LIFECYCLE_LOG_EVENTS else ()
        for counter in set(counters) - {"cline.errors"}:
            attributes = dict(log.attributes)
            picked = tuple((n, attributes[n]) for n in catalogue.metric_attributes[counter] if n in attributes)
            sums[(counter, picked), "sum"] -= 1
            sums[(counter, picked), "count"] -= 1
    started = ("cline.task.started", "cline.sessions")
    return {key: round(value, 9) for key, value in sums.items() if value and key[0][0] not in started}  # type: ignore[index]


@given(deliveries())
def test_each_run_and_call_its_owner_can_know_appears_exactly_once(delivery: Delivery) -> None:
    outputs = translate(delivery.steps, CLAIM_WAIT_NS)
    expected = [span for single in alone(delivery, outputs).values() for span in single.spans]
    assert Counter(map(comparable, outputs.spans)) == Counter(map(comparable, expected))


@given(deliveries())
def test_no_span_id_is_used_twice_and_every_parent_exists(delivery: Delivery) -> None:
    spans = translate(delivery.steps, CLAIM_WAIT_NS).spans
    known = {span.span_id for span in spans}
    assert len(known) == len(spans)
    assert {span.parent_span_id for span in spans} <= known | {b""}
    assert len(roots(spans)) == len({span.trace_id for span in spans})


@given(deliveries())
def test_metric_sums_are_the_owner_s(delivery: Delivery) -> None:
    outputs = translate(delivery.steps, CLAIM_WAIT_NS)
    expected: Counter[object] = Counter()
    for single in alone(delivery, outputs).values():
        expected.update(run_metrics(single))
    assert run_metrics(outputs) == pytest.approx({key: value for key, value in expected.items() if value})


@given(deliveries())
def test_what_the_owner_cannot_know_is_told_once(delivery: Delivery) -> None:
    outputs = translate(delivery.steps, CLAIM_WAIT_NS)
    tasks = {
        event.task_ulid: event.session_id
        for event in delivery.steps
        if isinstance(event, RunStarted) and event.task_ulid is not None
    }
    expected: Counter[object] = Counter()
    for single in alone(delivery, outputs).values():
        expected |= log_events(single.logs, tasks)
    assert log_events(outputs.logs, tasks) == expected


@given(deliveries())
def test_a_session_s_runs_form_one_chain_and_count_as_one_task(delivery: Delivery) -> None:
    outputs = translate(delivery.steps, CLAIM_WAIT_NS)
    by_session: dict[object, list[SpanRecord]] = {}
    for root in roots(outputs.spans).values():
        by_session.setdefault(attribute(root, "gen_ai.conversation.id"), []).append(root)
    for session_id, runs in by_session.items():
        targets = [link.span_id for run in runs for link in run.links]
        assert len(targets) == len(set(targets)) == len(runs) - (1 if session_id else len(runs))
        assert set(targets) <= {run.span_id for run in runs}
    started = sum(delta.value for delta in outputs.metrics if delta.metric == "cline.task.started")
    assert started == len([session_id for session_id in by_session if session_id])


@given(deliveries())
def test_a_log_record_s_uid_is_used_once(delivery: Delivery) -> None:
    uids = [attribute(log, "log.record.uid") for log in translate(delivery.steps, CLAIM_WAIT_NS).logs]
    assert len(uids) == len(set(uids))


@pytest.mark.parametrize("path", SEVERAL, ids=lambda path: path.name)
def test_the_best_source_owns_every_run_when_all_is_there(path: Path) -> None:
    streams = streams_of(path)
    if not any(stream.source == "plugin" for stream in streams):
        pytest.skip("no plugin in this recording")
    merged = sorted((event for stream in streams for event in stream.events), key=lambda event: event.occurred_at_ns)
    steps = [step for event in merged for step in (event, tick(event.occurred_at_ns))]
    spans = translate(steps, CLAIM_WAIT_NS).spans
    assert {source_of(root) for root in roots(spans).values()} == {"plugin"}


def test_a_session_that_the_plugin_claimed_waits_for_it() -> None:
    claimed = event_of("session.claimed", "plugin", 1 * SECOND_NS, "session.claimed", session_id="s", process="p")
    log = event_of("run.started", "cline-log", 2 * SECOND_NS, "agent.run-started", "s", "a", "r")
    plugin = event_of("run.started", "plugin", 2 * SECOND_NS, "run.started", "s", "a", "r", process="p")
    ended = event_of("run.finished", "plugin", 3 * SECOND_NS, "run.finished", "s", "a", "r", process="p")
    spans = translate([claimed, log, tick(100 * SECOND_NS), plugin, ended], CLAIM_WAIT_NS).spans
    assert [source_of(span) for span in spans] == ["plugin"]


def told_so_far(steps: list[Event]) -> list[SpanRecord]:
    translator = Translator(CATALOGUE, claim_wait_ns=CLAIM_WAIT_NS)
    for step in steps:
        translator.step(step)
    return translator.take().spans


def test_a_claim_is_void_when_its_process_is_gone() -> None:
    claimed = event_of("session.claimed", "plugin", 1 * SECOND_NS, "session.claimed", session_id="s", process="p")
    described = event_of("agent.described", "cline-log", 2 * SECOND_NS, "task.agent_created", "s", "a")
    log = event_of("run.started", "cline-log", 2 * SECOND_NS, "agent.run-started", "", "a", "r")
    gone = event_of("process.exited", "plugin", 3 * SECOND_NS, "process.exited", process="p")
    steps = [tick(SECOND_NS), claimed, described, log, tick(30 * SECOND_NS)]
    assert told_so_far(steps) == []
    ended = event_of("run.finished", "cline-log", 3 * SECOND_NS, "agent.run-finished", "", "a", "r")
    spans = told_so_far([*steps, gone, tick(31 * SECOND_NS), ended])
    assert [source_of(span) for span in spans] == ["cline-log"]


def test_a_claim_that_the_plugin_does_not_make_good_is_void_after_a_minute() -> None:
    claimed = event_of("session.claimed", "plugin", 1 * SECOND_NS, "session.claimed", session_id="s", process="p")
    log = event_of("run.started", "cline-log", 2 * SECOND_NS, "agent.run-started", "s", "a", "r")
    ended = event_of("run.finished", "cline-log", 3 * SECOND_NS, "agent.run-finished", "s", "a", "r")
    steps = [tick(SECOND_NS), claimed, log, ended, tick(59 * SECOND_NS)]
    assert told_so_far(steps) == []
    spans = told_so_far([*steps, tick(62 * SECOND_NS)])
    assert [source_of(span) for span in spans] == ["cline-log"]


def test_a_weaker_source_waits_before_the_bridge_has_told_the_time() -> None:
    log = event_of("run.started", "cline-log", 2 * SECOND_NS, "agent.run-started", "s", "a", "r")
    plugin = event_of("run.started", "plugin", 2 * SECOND_NS, "run.started", "s", "a", "r", process="p")
    spans = translate([log, tick(9 * SECOND_NS), plugin], CLAIM_WAIT_NS).spans
    assert [source_of(span) for span in spans] == ["plugin"]


def test_ids_are_the_same_whoever_tells() -> None:
    for source in ("plugin", "cline-log", "otlp"):
        event = event_of("run.started", source, 2 * SECOND_NS, "agent.run-started", "s", "a", "r")  # type: ignore[arg-type]
        (span,) = translate([tick(0), event, *closing_ticks([event])]).spans
        assert (span.trace_id, span.span_id) == (ids.trace_id("a", "r"), ids.run_span_id("a", "r"))


@pytest.mark.parametrize("path", SEVERAL, ids=lambda path: path.name)
def test_every_call_of_a_root_run_has_the_same_id_whoever_tells(path: Path) -> None:
    """So that a run seen by one source today and replayed from another tomorrow is the same run."""

    def spans_of(source: str) -> dict[bytes, tuple[str, object]]:
        told = [event for stream in streams_of(path) if stream.source == source for event in stream.events]
        spans = translate([tick(1), *told]).spans
        return {span.span_id: (span.name.split()[0], attribute(span, "cline.iteration")) for span in spans}

    known = {stream.source: spans_of(stream.source) for stream in streams_of(path)}
    if {"cline-log", "otlp"} <= known.keys():
        for span_id in known["cline-log"].keys() & known["otlp"].keys():
            assert known["cline-log"][span_id] == known["otlp"][span_id]
    for source in known.keys() - {"plugin", *KEYED_BY_IDS}:
        assert known[source].items() <= known.get("plugin", known[source]).items()


def test_runs_that_wait_together_are_told_in_the_order_in_which_they_began() -> None:
    """The ids of the later run sort before those of the earlier one; each begins in another mode."""

    def begun(run_id: str, at_ns: int, mode: str) -> Event:
        fields = {"cline.mode": mode}
        return event_of("run.started", "session-files", at_ns, "run.started", "s", "s", run_id, 0, "", "", fields)

    start_ns = 1_790_000_000 * SECOND_NS
    steps = [
        begun("z", start_ns, "act"),
        begun("a", start_ns + SECOND_NS, "plan"),
        begun("b", start_ns + 2 * SECOND_NS, "act"),
    ]
    outputs = translate([tick(start_ns), *steps], CLAIM_WAIT_NS)
    switches = [attribute(log, "cline.mode") for log in outputs.logs if log.event_name == "cline.mode.switched"]
    assert switches == ["plan", "act"]


def test_a_run_that_waits_for_better_changes_nothing_that_is_saved_while_time_passes() -> None:
    """The log names an agent's session apart from a run's start, and the session's files are awaited for a minute."""
    start_ns = 1_790_000_000 * SECOND_NS
    translator = Translator(CATALOGUE, claim_wait_ns=CLAIM_WAIT_NS)
    for step in (
        tick(start_ns),
        event_of("session.announced", "session-files", start_ns, "session.announced", "s"),
        event_of("agent.described", "cline-log", start_ns, "task.agent_created", "s", "a"),
        event_of("run.started", "cline-log", start_ns, "agent.run-started", "", "a", "r"),
        tick(start_ns + 1),
    ):
        translator.step(step)
    translator.state.changes()
    for seconds in range(1, 4):
        translator.step(tick(start_ns + seconds * SECOND_NS))
        assert translator.state.changes() == {}
