"""Whatever the wall clock does, what waits does so for its time, and what lives is not given up."""

from __future__ import annotations

import json

import msgspec
import pytest
from bench.fixed_key import CATALOGUE
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.aggregation.points import cumulative_points, delta_points
from cline_otel.decode.times import MOST_AHEAD_NS, without_future, without_outliers
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.events import Event, ModelCallFinished, RunFinished, tick
from cline_otel.pipeline import Pipeline
from cline_otel.replay import replay
from cline_otel.signals import Diagnostics, MetricTotal
from cline_otel.translate.ownership import CLAIM_WAIT_NS
from cline_otel.translate.silence import SILENCE_NS
from cline_otel.translate.state import State
from cline_otel.translate.step import Translator
from corpus import CAPTURES, HOUR_NS, SECOND_NS, capture_paths, streams_of
from payloads import log_lines, recorded, spool_lines

ORIGIN = ResourceAndScope((("service.name", "test"),), "test", "", "")
START_NS = 1_790_000_000 * SECOND_NS
AGENT, RUN = "agent_1700000000000_abc", "run_aaaaaaa1"
HOURS = st.integers(-40, 40).map(lambda hours: hours * HOUR_NS)


def log_line(name: str, at_ns: int, **fields: object) -> bytes:
    given_fields = {"agentId": AGENT, "runId": RUN, "iteration": 1, **fields}
    return json.dumps({"time": at_ns // 1_000_000, "event": name, "properties": given_fields}).encode()


def spool_line(name: str, at_ns: int, **fields: object) -> bytes:
    record = {"event": name, "time_unix_ms": at_ns // 1_000_000, "agent_id": AGENT, "run_id": RUN, **fields}
    return json.dumps(record).encode()


def new_pipeline(rows: dict[str, bytes] | None = None) -> Pipeline:
    return Pipeline(CATALOGUE, ORIGIN, ORIGIN, list((rows or {}).items()))


class Live:
    """A pipeline over a wall clock that may be set, and a journal's rows."""

    def __init__(self) -> None:
        self.pipeline = new_pipeline()
        self.rows: dict[str, bytes] = {}
        self.now_ns = START_NS
        self.spans = 0
        self.diagnostics: Diagnostics = {}

    def tick(self, after_ns: int = SECOND_NS // 2, moved_ns: int = 0) -> None:
        self.now_ns += after_ns + moved_ns
        self.pipeline.advance_clock(self.now_ns, moved_ns=moved_ns)
        self.commit()

    def take_log(self, name: str, **fields: object) -> None:
        self.pipeline.take(log_lines([log_line(name, self.now_ns, **fields)]), self.now_ns)
        self.commit()

    def commit(self) -> None:
        flushed = self.pipeline.flush(self.now_ns)
        self.spans += len(flushed.spans)
        for key, value in flushed.diagnostics.items():
            self.diagnostics[key] = self.diagnostics.get(key, 0) + value
        for row, stored in flushed.state.items():
            if stored is None:
                self.rows.pop(row, None)
            else:
                self.rows[row] = stored

    def restart(self) -> None:
        self.pipeline = new_pipeline(self.rows)


@pytest.mark.parametrize("restarts", [False, True])
@given(HOURS)
def test_a_run_waits_for_its_owner_no_longer_because_the_clock_is_set(restarts: bool, moved_ns: int) -> None:
    live = Live()
    live.tick()
    live.take_log("agent.run-started")
    live.take_log("agent.run-finished", status="completed")
    live.tick()
    assert live.spans == 0
    if restarts:
        live.now_ns += moved_ns
        live.restart()
        live.tick()
    else:
        live.tick(moved_ns=moved_ns)
    live.tick(CLAIM_WAIT_NS)
    live.tick(CLAIM_WAIT_NS)
    assert live.spans == 1
    assert live.pipeline.is_settled(live.now_ns)


@given(st.lists(HOURS, max_size=4))
def test_a_live_run_is_not_given_up_because_the_clock_is_set_and_a_silent_one_is(moves: list[int]) -> None:
    live = Live()
    live.tick()
    live.pipeline.take(spool_lines([spool_line("run.started", live.now_ns, agent_kind="root")]), live.now_ns)
    for moved_ns in moves:
        live.tick(HOUR_NS)
        live.tick(moved_ns=moved_ns)
        assert live.pipeline.open_runs == 1
    live.tick(SILENCE_NS - (len(moves) + 1) * HOUR_NS)
    assert live.pipeline.open_runs == 1
    live.tick((len(moves) + 3) * HOUR_NS)
    assert live.pipeline.open_runs == 0


def test_a_run_goes_on_after_the_clock_was_26_hours_slow() -> None:
    live = Live()
    live.tick()
    live.pipeline.take(spool_lines([spool_line("run.started", live.now_ns, agent_kind="root")]), live.now_ns)
    live.tick(moved_ns=26 * HOUR_NS)
    finished = spool_line("run.finished", live.now_ns, status="completed")
    live.pipeline.take(spool_lines([finished]), live.now_ns)
    live.tick()
    assert live.spans == 1
    assert not [kind for kind, _, _ in live.diagnostics if kind == "late"]


@pytest.mark.parametrize("path", [CAPTURES / "plugin_basic", CAPTURES / "plugin_team"], ids=lambda path: path.name)
@given(st.lists(st.tuples(st.integers(0, 400), HOURS), max_size=3))
def test_a_recording_says_the_same_while_the_clock_is_set(path: object, moves: list[tuple[int, int]]) -> None:
    events = [event for stream in streams_of(path) if stream.source == "plugin" for event in stream.events]  # type: ignore[arg-type]
    expected = spans_of(events, [])
    assert spans_of(events, moves) == expected


def spans_of(events: list[Event], moves: list[tuple[int, int]]) -> list[bytes]:
    translator = Translator(CATALOGUE)
    ahead_ns = 0
    for number, event in enumerate(events):
        translator.step(event)
        moved_ns = sum(moved for at, moved in moves if at == number)
        ahead_ns += moved_ns
        translator.step(tick(event.occurred_at_ns + ahead_ns, moved_ns=moved_ns))
    end_ns = max(event.occurred_at_ns for event in events) + ahead_ns
    translator.step(tick(end_ns + HOUR_NS))
    translator.step(tick(end_ns + 2 * HOUR_NS + SILENCE_NS))
    return sorted(msgspec.msgpack.encode(span) for span in translator.take().spans)


def test_a_record_of_the_far_future_is_as_of_its_neighbours_and_moves_no_clock() -> None:
    live = Live()
    live.tick()
    of_2255_ns = 9_000_000_000 * SECOND_NS
    lines = [
        spool_line("run.started", live.now_ns - 5 * SECOND_NS, agent_kind="root"),
        spool_line("model_call.started", of_2255_ns, iteration=1),
        spool_line("run.finished", live.now_ns, status="completed"),
    ]
    live.pipeline.take(spool_lines(lines), live.now_ns)
    spans = live.pipeline.flush(live.now_ns).spans
    assert {span.started_at_ns for span in spans} == {live.now_ns - 5 * SECOND_NS}
    assert {span.ended_at_ns for span in spans} <= {live.now_ns - 5 * SECOND_NS, live.now_ns}
    assert live.pipeline.state.now_ns == live.now_ns


OF_2255_NS = 9_000_000_000 * SECOND_NS


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_a_replay_of_a_record_of_the_far_future_makes_no_run_of_centuries(place: int) -> None:
    times = [START_NS + number * SECOND_NS for number in range(4)]
    times[place] = OF_2255_NS
    lines = [
        spool_line("run.started", times[0], agent_kind="root"),
        spool_line("model_call.started", times[1], iteration=1),
        spool_line("model_call.finished", times[2], iteration=1),
        spool_line("run.finished", times[3], status="completed"),
    ]
    replayed = replay(recorded(spool_lines(lines)), CATALOGUE)
    assert replayed.ended_at_ns == max(START_NS + number * SECOND_NS for number in range(4) if number != place)
    assert [dict(span.attributes).get("cline.outcome") for span in replayed.spans] == [None, "completed"]
    assert all(span.ended_at_ns - span.started_at_ns <= 3 * SECOND_NS for span in replayed.spans)
    assert replayed.diagnostics["malformed", "plugin", "time"] == 1


STREAMS_OF_CAPTURES = [[list(stream.events) for stream in streams_of(path)] for path in capture_paths()]


@pytest.mark.parametrize("streams", [each for each in STREAMS_OF_CAPTURES if each])
def test_what_is_of_its_time_keeps_it(streams: list[list[Event]]) -> None:
    counted: Diagnostics = {}
    weekend_ns = 3 * 24 * HOUR_NS
    later = [
        [msgspec.structs.replace(e, occurred_at_ns=e.occurred_at_ns + weekend_ns) for e in each] for each in streams
    ]
    resumed = [[*first, *again] for first, again in zip(streams, later, strict=True)]
    assert without_outliers(streams, counted) == streams
    assert [[e.occurred_at_ns for e in each] for each in without_outliers(resumed, {})] == [
        [e.occurred_at_ns for e in each] for each in resumed
    ]
    assert counted == {}


@given(st.sampled_from([each for each in STREAMS_OF_CAPTURES if sum(map(len, each)) > 1]), st.data())
def test_a_record_of_the_far_future_is_told_by_the_recording_alone_whenever_that_is_replayed(
    streams: list[list[Event]], data: st.DataObject
) -> None:
    times = [event.occurred_at_ns for stream in streams for event in stream]
    number = data.draw(st.sampled_from([number for number, stream in enumerate(streams) if len(stream) > 2]))
    place = data.draw(st.integers(0, len(streams[number]) - 1))
    planted = [list(stream) for stream in streams]
    planted[number][place] = msgspec.structs.replace(planted[number][place], occurred_at_ns=OF_2255_NS)
    counted: Diagnostics = {}
    held = without_outliers(planted, counted)
    assert sum(counted.values()) == 1
    assert all(min(times) <= event.occurred_at_ns <= max(times) for stream in held for event in stream)
    assert [[*map(type, stream)] for stream in held] == [[*map(type, stream)] for stream in streams]
    del held[number][place]
    assert held == [
        [e for at, e in enumerate(each) if (row, at) != (number, place)] for row, each in enumerate(streams)
    ]


@given(st.integers(-10 * MOST_AHEAD_NS, 10 * MOST_AHEAD_NS), st.integers(-10 * MOST_AHEAD_NS, 10 * MOST_AHEAD_NS))
def test_no_time_that_upstream_says_is_ahead_by_more_than_a_day(first_ns: int, second_ns: int) -> None:
    events: list[Event] = [
        RunFinished("plugin", START_NS + first_ns, "run.finished"),
        ModelCallFinished("plugin", START_NS, "model_call.finished", started_at_ns=START_NS + second_ns),
    ]
    counted: Diagnostics = {}
    held = without_future(events, START_NS, counted)
    far = sum(ahead_ns > MOST_AHEAD_NS for ahead_ns in (first_ns, second_ns))
    assert sum(counted.values()) == far
    assert (held == events) == (not far)
    finished = held[1]
    assert isinstance(finished, ModelCallFinished)
    assert held[0].occurred_at_ns <= START_NS + MOST_AHEAD_NS
    assert finished.started_at_ns is not None
    assert finished.started_at_ns <= START_NS + MOST_AHEAD_NS


@given(HOURS, HOURS)
def test_a_point_never_begins_after_its_time(started_ns: int, told_ns: int) -> None:
    totals = {"key": MetricTotal("cline.errors", (), 3, started_at_ns=START_NS + started_ns)}
    points = cumulative_points(totals, (), START_NS, lambda key: ())
    points += delta_points(totals, {}, START_NS + told_ns, START_NS, lambda key: ()).values()
    assert len(points) == 3
    assert all(point.started_at_ns <= point.at_ns for point in points)


@given(st.sampled_from([0, 1, START_NS]))
def test_zero_is_a_time_also_after_a_restart(at_ns: int) -> None:
    live = Live()
    live.now_ns = at_ns
    live.tick(0)
    live.pipeline.take(log_lines([log_line("agent.run-started", at_ns)]), at_ns)
    (run,) = live.pipeline.state.runs.values()
    assert run.buffered_since_ns == at_ns
    live.commit()
    assert State.restore(live.rows.items()).awaiting_owner == live.pipeline.state.awaiting_owner
    live.restart()
    live.tick(0)
    live.tick(CLAIM_WAIT_NS)
    assert live.pipeline.open_runs == 1
    live.restart()
    assert live.pipeline.open_runs == 1
