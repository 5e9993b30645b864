"""The same input gives the same output: twice, elsewhere, after a restart, in another order."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

import msgspec
import pytest
from bench.fixed_key import CATALOGUE, recording_of, replay_of
from hypothesis import given
from hypothesis import strategies as st

from cline_otel import ids
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.events import Event, tick
from cline_otel.pipeline import Pipeline
from cline_otel.replay import ReplayResult, claims, replay, write
from cline_otel.signals import LogRecord, MetricTotal, SpanRecord, StepOutput
from cline_otel.sources.recording import Recording
from corpus import CAPTURES, capture_paths, closing_ticks, streams_of, translate

ALL = capture_paths()
ORIGIN = ResourceAndScope((("service.name", "cline"),), "cline-otel", "0", "https://opentelemetry.io/schemas/1.41.0")

paths = st.sampled_from([path for path in ALL if streams_of(path)])


def replayed(path: Path) -> ReplayResult:
    return replay_of([path])


def in_time(path: Path) -> list[Event]:
    """All sources of a recording by time, decisions about ownership first."""
    streams = [stream.events for stream in streams_of(path)]
    merged = sorted((event for events in streams for event in events), key=lambda event: event.occurred_at_ns)
    return [*claims(streams, CATALOGUE), *merged]


def comparable(outputs: StepOutput) -> tuple[list[SpanRecord], list[LogRecord], Counter[object]]:
    return (
        sorted(outputs.spans, key=lambda span: span.span_id),
        sorted(outputs.logs, key=lambda log: (log.occurred_at_ns, repr(log))),
        Counter((delta.metric, delta.attributes, round(delta.value, 9)) for delta in outputs.metrics),
    )


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_replay_twice_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    first = write(replayed(path), tmp_path / "first")
    second = write(replayed(path), tmp_path / "second")
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


DIGEST = """
import hashlib, sys
from pathlib import Path
from bench.fixed_key import replay_of
from cline_otel.replay import write
digest = hashlib.sha256()
for folder in sys.argv[2:]:
    for path in write(replay_of([Path(folder)]), Path(sys.argv[1])):
        digest.update(path.read_bytes())
print(digest.hexdigest())
"""


def test_a_replay_elsewhere_gives_the_same_bytes(tmp_path: Path) -> None:
    """In another time zone, locale, hash seed and directory."""
    folders = [str(path) for path in sorted(CAPTURES.iterdir())]
    places = [
        {"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "0"},
        {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "PYTHONHASHSEED": "4711", "LANG": "ja_JP"},
    ]
    running = []
    for number, place in enumerate(places):
        directory = tmp_path / str(number)
        directory.mkdir()
        command = [sys.executable, "-c", DIGEST, str(directory / "out"), *folders]
        environment = {**os.environ, **place, "PYTHONPATH": str(Path(__file__).parents[2])}
        running.append(subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.PIPE, text=True))
    digests = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert digests[0] == digests[1] != ""


def test_the_order_in_which_folders_are_named_does_not_matter(tmp_path: Path) -> None:
    folders = [CAPTURES / "plugin_basic", CAPTURES / "plugin_team"]
    there = replay_of(folders)
    back = replay_of(folders[::-1])
    assert sorted(there.spans, key=repr) == sorted(back.spans, key=repr)
    # Which of two sources' times an event has, where it was told twice, may differ by some milliseconds.
    assert [msgspec.structs.replace(total, started_at_ns=0) for total in there.totals] == [
        msgspec.structs.replace(total, started_at_ns=0) for total in back.totals
    ]


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.name)
def test_a_replay_gives_each_run_to_the_source_that_knows_it_best(path: Path) -> None:
    result = replayed(path)
    told_by_plugin = {
        ids.trace_id(event.agent_id, event.run_id)
        for stream in streams_of(path)
        if stream.source == "plugin"
        for event in stream.events
        if event.kind == "run.started" and "parent_agent_id" not in event.attributes
    }
    for span in result.spans:
        if not span.parent_span_id:
            owner = dict(span.attributes)["cline.telemetry.source"]
            assert (owner == "plugin") == (span.trace_id in told_by_plugin)


@pytest.mark.parametrize("name", ["subagents_plugin", "second_run_plugin_hub", "classic_full", "roo_code_task"])
def test_a_shifted_replay_keeps_ids_and_durations(name: str) -> None:
    recording = recording_of([CAPTURES / name])
    now_ns = 1_900_000_000_000_000_000
    there, shifted = replay(recording, CATALOGUE), replay(recording, CATALOGUE, shift_to_ns=now_ns)
    assert [span.span_id for span in there.spans] == [span.span_id for span in shifted.spans]
    assert [s.ended_at_ns - s.started_at_ns for s in there.spans] == [
        s.ended_at_ns - s.started_at_ns for s in shifted.spans
    ]
    assert max(span.ended_at_ns for span in shifted.spans) <= now_ns
    assert len({a.started_at_ns - b.started_at_ns for a, b in zip(there.spans, shifted.spans, strict=True)}) == 1


def test_an_empty_recording_becomes_nothing() -> None:
    result = replay(Recording(), CATALOGUE)
    assert (result.spans, result.logs, result.totals, result.requests["metrics"]) == ([], [], [], [])


# --- restart ---------------------------------------------------------------------------------------------


def through(steps: Iterable[Event], cuts: Iterable[int]) -> tuple[list[SpanRecord], list[LogRecord], list[MetricTotal]]:
    """All that comes out when the process dies at each cut and a new one starts from what was stored."""
    rows: dict[str, bytes] = {}
    spans: list[SpanRecord] = []
    logs: list[LogRecord] = []
    remaining, done = list(steps), 0
    pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN)
    for cut in [*sorted(cuts), len(remaining)]:
        pipeline.take_events(remaining[done:cut])
        done = cut
        flushed = pipeline.flush()
        spans += flushed.spans
        logs += flushed.logs
        for key, value in flushed.state.items():
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN, rows.items())
        now_ns = max((step.occurred_at_ns for step in remaining[:cut] if step.kind == "tick"), default=0)
        pipeline.advance_clock(now_ns)
    return spans, logs, pipeline.totals


@given(paths, st.data())
def test_a_restart_at_any_cut_gives_the_same_output(path: Path, data: st.DataObject) -> None:
    steps = [tick(1), *in_time(path)]
    steps = [step for event in steps for step in (event, tick(event.occurred_at_ns))]
    steps += closing_ticks(steps)
    cuts = data.draw(st.sets(st.integers(0, len(steps)), min_size=1, max_size=6))
    whole, cut = through(steps, []), through(steps, cuts)
    assert whole[0] == cut[0]
    assert whole[1] == cut[1]
    assert [(t.metric, t.attributes, t.count) for t in whole[2]] == [(t.metric, t.attributes, t.count) for t in cut[2]]
    assert [t.sum for t in whole[2]] == pytest.approx([t.sum for t in cut[2]])


@given(paths, st.integers(0, 2**32), st.sets(st.integers(0, 200), max_size=5))
def test_a_restart_in_live_use_gives_the_same_output(path: Path, seed: int, cuts: set[int]) -> None:
    """Nothing is decided beforehand; sources lag behind each other."""
    random = Random(seed)
    waiting = [list(reversed(stream.events)) for stream in streams_of(path)]
    now_ns = min(event.occurred_at_ns for events in waiting for event in events)
    steps = [tick(now_ns)]
    while waiting := [events for events in waiting if events]:
        event = random.choice(waiting).pop()
        now_ns = max(now_ns + random.randint(0, 10**9), event.occurred_at_ns)
        steps += [event, tick(now_ns)]
    steps += closing_ticks(steps)
    whole, cut = through(steps, []), through(steps, {2 * number + 1 for number in cuts if 2 * number + 1 < len(steps)})
    assert (whole[0], whole[1]) == (cut[0], cut[1])
    assert [(t.metric, t.attributes, t.count) for t in whole[2]] == [(t.metric, t.attributes, t.count) for t in cut[2]]


# --- duplicates and order ----------------------------------------------------------------------------------


@given(paths, st.data())
def test_a_stream_that_comes_again_changes_no_run_and_no_call(path: Path, data: st.DataObject) -> None:
    """Also where it is forgotten that it was reported, which the translator is never asked (``repeats.py``)."""
    with_runs = [stream for stream in streams_of(path) if any(event.run_id for event in stream.events)]
    if not with_runs:
        return
    stream = data.draw(st.sampled_from(with_runs))
    once = translate(stream.events)
    again = translate([*stream.events, *closing_ticks(stream.events), *stream.events])
    assert sorted(again.spans, key=repr) == sorted(once.spans, key=repr)
    run_metrics = ("gen_ai.", "cline.run.", "cline.task.", "cline.cost", "cline.tool.")
    for metric in run_metrics:
        counted = [
            Counter((d.metric, d.attributes, d.value) for d in o.metrics if d.metric.startswith(metric))
            for o in (once, again)
        ]
        assert counted[0] == counted[1]


@given(st.lists(paths, min_size=2, max_size=4, unique=True), st.integers(0, 2**32))
def test_the_order_of_independent_sessions_does_not_matter(chosen: list[Path], seed: int) -> None:
    random = Random(seed)
    inputs = [in_time(path) for path in chosen]
    one_after_another = [event for events in inputs for event in events]
    waiting = [list(reversed(events)) for events in inputs]
    mixed = []
    while waiting := [events for events in waiting if events]:
        events = random.choice(waiting)
        mixed += [events.pop() for _ in range(min(len(events), random.randint(1, 40)))]
    start = tick(1)
    assert comparable(translate([start, *mixed])) == comparable(translate([start, *one_after_another]))
