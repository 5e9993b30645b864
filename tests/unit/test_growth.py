"""What a step costs does not depend on how long a run has lasted, nor on how many are open: counted, not timed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from bench.fixed_key import CATALOGUE
from hypothesis import given, settings
from hypothesis import strategies as st

from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.pipeline import Pipeline
from cline_otel.translate.seen_events import ROW_EVENTS
from cline_otel.translate.silence import SILENCE_NS
from cline_otel.translate.step import Translator
from cline_otel.translate.waits import Waits
from corpus import HOUR_NS, MINUTE_NS, SECOND_NS, capture_paths, live_steps
from counted_steps import steps_of
from payloads import spool_lines

ORIGIN = ResourceAndScope((("service.name", "test"),), "test", "", "")
START_NS = 1_790_000_000 * SECOND_NS
CALL_LIMIT_NS = 600 * SECOND_NS

FEW, MANY = 5, 5 + 2 * ROW_EVENTS


def line(name: str, at_ns: int, number: int = 0, **fields: object) -> bytes:
    record = {
        "event": name,
        "time_unix_ms": at_ns // 1_000_000,
        "agent_id": f"agent_1700000000000_{number:06d}",
        "run_id": f"run_{number:08d}",
        **fields,
    }
    return json.dumps(record).encode()


class Live:
    """A pipeline, and the clock."""

    def __init__(self, open_runs: int) -> None:
        self.pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN, call_limit_ns=CALL_LIMIT_NS)
        self.now_ns = START_NS
        self.tick(0)
        for number in range(open_runs):
            self.take(line("run.started", self.now_ns, number, agent_kind="root"))
            self.take(line("model_call.started", self.now_ns, number, iteration=1))
        self.tick(CALL_LIMIT_NS)
        self.tick(SECOND_NS)
        assert self.pipeline.open_runs == open_runs

    def take(self, *lines: bytes) -> None:
        self.pipeline.take(spool_lines(lines), self.now_ns)

    def tick(self, after_ns: int) -> None:
        self.now_ns += after_ns
        self.pipeline.advance_clock(self.now_ns)
        self.pipeline.flush(self.now_ns)

    def event(self) -> None:
        self.take(line("model_call.started", self.now_ns, iteration=2))
        self.tick(SECOND_NS)


def gauges(live: Live) -> None:
    live.pipeline.gauges(live.now_ns)


@pytest.mark.parametrize(
    "action",
    [
        pytest.param(lambda live: live.tick(SECOND_NS // 2), id="a poll"),
        pytest.param(lambda live: live.tick(2 * MINUTE_NS), id="a minute"),
        pytest.param(lambda live: live.tick(SILENCE_NS - HOUR_NS), id="most of a day"),
        pytest.param(Live.event, id="an event"),
        pytest.param(gauges, id="gauges"),
    ],
)
def test_what_time_costs_does_not_depend_on_how_many_runs_are_open(action: Callable[[Live], None]) -> None:
    warm, few, many = (Live(open_runs) for open_runs in (FEW, FEW, MANY))
    for live in (warm, few, many):
        gauges(live)
    # What is made once for a value is made here.
    action(warm)
    assert steps_of(lambda: action(many)) == steps_of(lambda: action(few))


def test_every_silent_run_is_given_up_with_the_first_tick_after_its_day() -> None:
    live = Live(FEW)
    live.take(line("run.started", live.now_ns, 100, agent_kind="root"))
    live.tick(SECOND_NS)
    live.tick(SILENCE_NS - CALL_LIMIT_NS - 3 * SECOND_NS)
    for after_ns, open_runs in ((SECOND_NS, 1 + FEW), (1, 1), (CALL_LIMIT_NS, 1), (SECOND_NS - 1, 1), (1, 0)):
        live.tick(after_ns)
        assert live.pipeline.open_runs == open_runs, after_ns


@settings(max_examples=20)
@given(st.sampled_from([path for path in capture_paths() if live_steps(path)]), st.data())
def test_what_runs_wait_for_is_the_same_whenever_it_is_asked(path: Path, data: st.DataObject) -> None:
    """Kept as runs change, and made anew of all of them."""
    translator = Translator(CATALOGUE)
    waits = Waits(translator.state, CATALOGUE.services)
    steps = live_steps(path)
    asked = data.draw(st.sets(st.integers(0, len(steps) - 1), max_size=30))
    for number, step in enumerate(steps):
        translator.step(step)
        if number % 3 == 0:
            translator.state.changes()
        if number in asked:
            anew = Waits(translator.state, CATALOGUE.services)
            assert waits.by_service(step.occurred_at_ns) == anew.by_service(step.occurred_at_ns)
