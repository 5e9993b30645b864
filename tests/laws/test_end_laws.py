"""Laws of how runs end before their time: on recordings of a killed Cline, live and replayed, and on made-up ends."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from bench.fixed_key import CATALOGUE, replay_of

from cline_otel.events import Event, tick
from cline_otel.signals import MetricDelta, SpanRecord, StatusCode
from cline_otel.translate.process_ends import FOLLOWED_WITHIN_NS, IDLE_NS
from cline_otel.translate.state import State
from cline_otel.translate.step import Translator
from cline_otel.translate.stored import RunState
from corpus import DATA, SECOND_NS, event_of, streams_of

ENDS = DATA / "ends"
START_NS = 1_790_000_000 * SECOND_NS

CUT_SHORT = {
    "hub_ctrlc_then_stop": ("chat", 1_795, "aborted", "aborted"),
    "sigkill_mid_model_call": ("chat", 6_403, "incomplete", "process_exited"),
    "vscode_next_exthost_kill9": ("execute_tool", 2_582, "incomplete", "process_exited"),
}
"""By recording: the call that was open, how many ms it was, how the run ended, and why the call failed."""

recordings = pytest.mark.parametrize("name", CUT_SHORT)


class Told:
    """What came of a translator's steps."""

    def __init__(self, translator: Translator | None = None) -> None:
        self.translator = translator or Translator(CATALOGUE, claim_wait_ns=0)
        self.spans: list[SpanRecord] = []
        self.metrics: list[MetricDelta] = []

    def step(self, *events: Event) -> Told:
        for event in events:
            self.translator.step(event)
        outputs = self.translator.take()
        self.spans += outputs.spans
        self.metrics += outputs.metrics
        return self


def live(path: Path) -> Told:
    """A recording as it comes, the clock after each event, and a quarter of a minute more."""
    events = sorted((event for stream in streams_of(path) for event in stream.events), key=lambda e: e.occurred_at_ns)
    steps = [step for event in events for step in (event, tick(event.occurred_at_ns))]
    return Told().step(tick(events[0].occurred_at_ns), *steps, tick(events[-1].occurred_at_ns + 15 * SECOND_NS))


def called(spans: Iterable[SpanRecord], name: str) -> list[SpanRecord]:
    return [span for span in spans if span.name.startswith(name)]


@recordings
def test_within_seconds_of_an_end_all_is_told_and_nothing_is_open(name: str) -> None:
    told = live(ENDS / name)
    assert not told.translator.state.open_runs
    counts = {
        each: sum(delta.value for delta in told.metrics if delta.metric == each)
        for each in ("cline.run.started", "cline.run.completed")
    }
    assert counts["cline.run.started"] == counts["cline.run.completed"] == len(called(told.spans, "invoke_agent"))


@recordings
def test_a_replay_tells_what_was_told_live(name: str) -> None:
    assert sorted(map(repr, live(ENDS / name).spans)) == sorted(map(repr, replay_of([ENDS / name]).spans))


@recordings
def test_the_open_call_lasts_until_the_process_ended_and_says_why(name: str) -> None:
    operation, length_ms, outcome, error_type = CUT_SHORT[name]
    told = live(ENDS / name)
    (call,) = [span for span in told.spans if span.status is StatusCode.ERROR]
    root = called(told.spans, "invoke_agent")[-1]
    assert call.name.startswith(operation)
    assert call.ended_at_ns - call.started_at_ns == length_ms * 1_000_000
    assert dict(call.attributes)["error.type"] == error_type
    assert (dict(root.attributes)["cline.outcome"], root.ended_at_ns) == (outcome, call.ended_at_ns)
    metric = "gen_ai.client.operation.duration" if operation == "chat" else "gen_ai.execute_tool.duration"
    measured = [delta for delta in told.metrics if delta.metric == metric]
    assert [delta.value for delta in measured if ("error.type", error_type) in delta.attributes] == [length_ms / 1e3]


# --- made-up ends -----------------------------------------------------------------------------------------


def told(kind: str, second: float, process: str = "p", **values: object) -> Event:
    attributes = {name.replace("__", "."): value for name, value in values.items()}
    iteration = 1 if kind.startswith(("model_call", "tool_call")) else 0
    of_a_run = () if kind.startswith("process") else ("s", "a", "r", iteration)
    return event_of(
        kind, "plugin", START_NS + int(second * SECOND_NS), kind, *of_a_run, process=process, attributes=attributes
    )  # type: ignore[arg-type]


ASKED = (tick(START_NS), told("run.started", 0), told("model_call.started", 1))
FOLLOWED_WITHIN = FOLLOWED_WITHIN_NS / SECOND_NS
IDLE = IDLE_NS / SECOND_NS


def seconds(span: SpanRecord) -> float:
    return (span.ended_at_ns - span.started_at_ns) / SECOND_NS


def clock(second: float) -> Event:
    return tick(START_NS + int(second * SECOND_NS))


def test_where_all_died_at_once_a_call_lasts_until_the_last_sign_of_life() -> None:
    ended = Told().step(*ASKED, told("process.alive", 6), told("process.alive", 11), told("process.exited", 500))
    assert seconds(called(ended.spans, "chat")[0]) == 10


def test_a_sign_of_life_is_of_the_runs_of_its_process_alone() -> None:
    ended = Told().step(*ASKED, told("process.alive", 6, process="q"), told("process.exited", 500))
    assert seconds(called(ended.spans, "chat")[0]) == 0


def test_a_run_whose_plugin_was_ended_goes_on_in_another_that_comes_in_time() -> None:
    answer = {"gen_ai__response__finish_reasons": ("stop",)}
    run = Told().step(*ASKED, told("process.exited", 3, exit_reason="terminated"), clock(3 + FOLLOWED_WITHIN - 1))
    assert run.spans == []
    run.step(told("model_call.finished", 3 + FOLLOWED_WITHIN, process="q", **answer), clock(60))
    assert [seconds(span) for span in run.spans] == [2 + FOLLOWED_WITHIN]
    assert run.translator.state.runs["a", "r"].state is RunState.OPEN


def test_what_comes_after_that_is_late_in_whatever_order_clock_and_events_come() -> None:
    ended = told("process.exited", 3, exit_reason="terminated")
    late = told("model_call.finished", 4 + FOLLOWED_WITHIN, process="q")
    with_clock = Told().step(*ASKED, ended, clock(4 + FOLLOWED_WITHIN), late)
    without = Told().step(*ASKED, ended, late)
    assert with_clock.spans == without.spans
    assert [seconds(span) for span in called(without.spans, "chat")] == [2]


@pytest.mark.parametrize(
    ("reason", "at"), [("idle", 3.0), ("terminated", 1 + IDLE), ("terminated", 2 * IDLE)], ids=["told", "limit", "long"]
)
def test_a_run_whose_plugin_was_idle_goes_on(reason: str, at: float) -> None:
    run = Told().step(*ASKED, told("process.exited", at, exit_reason=reason), clock(at + 3_600))
    assert run.spans == []


def test_a_plugin_that_wrote_signs_of_life_was_not_idle() -> None:
    alive = [told("process.alive", second) for second in range(6, int(IDLE), 600)]
    ended = Told().step(*ASKED, *alive, told("process.exited", IDLE + 60, exit_reason="terminated"), clock(IDLE + 120))
    assert dict(called(ended.spans, "invoke_agent")[0].attributes)["cline.outcome"] == "aborted"


def test_a_restarted_bridge_still_waits_for_a_follower_and_then_closes_the_run() -> None:
    before = Told().step(*ASKED, told("process.exited", 3, exit_reason="terminated"))
    rows = [(key, row) for key, row in before.translator.state.changes().items() if row is not None]
    after = Told(Translator(CATALOGUE, State.restore(rows), claim_wait_ns=0)).step(clock(4))
    assert after.spans == []
    assert [seconds(span) for span in called(after.step(clock(60)).spans, "chat")] == [2]


# --- ends that nobody wrote down: the process that wrote cline.log is gone ------------------------------------


def by(source: str, kind: str, second: float, **more: object) -> Event:
    """An event of a run as ``source`` tells it; only the log knows the process."""
    process = "log-1" if source == "cline-log" else ""
    iteration = 1 if kind.startswith("model_call") else 0
    of_a_run = () if kind.startswith("process") else ("s", "a", "r", iteration)
    at_ns = START_NS + int(second * SECOND_NS)
    return event_of(kind, source, at_ns, kind, *of_a_run, process=process, **more)  # type: ignore[arg-type]


OWNED = tick(START_NS + 3 * SECOND_NS)
"""By then nobody has claimed the run."""


def gone(second: float, reason: str | None = "exit") -> Event:
    attributes = {} if reason is None else {"exit_reason": reason}
    return by("cline-log", "process.exited", second, attributes=attributes)


@pytest.mark.parametrize("owner", ["cline-log", "otlp"])
def test_what_a_log_s_process_left_open_lasts_until_it_was_last_seen_alive(owner: str) -> None:
    """Whichever of the two sources that say the same of it owns the run."""
    others = {"cline-log", "otlp"} - {owner}
    steps = [
        by(each, kind, at) for kind, at in (("run.started", 0), ("model_call.started", 1)) for each in (owner, *others)
    ]
    came = Told().step(
        tick(START_NS), *steps, OWNED, by(owner, "model_call.first_chunk", 4), gone(60), tick(START_NS + 70 * SECOND_NS)
    )
    (call,), (root,) = called(came.spans, "chat"), called(came.spans, "invoke_agent")
    assert (seconds(call), seconds(root)) == (59, 60)
    assert (dict(call.attributes)["error.type"], call.status) == ("process_exited", StatusCode.ERROR)
    assert dict(root.attributes)["cline.outcome"] == "incomplete"
    assert dict(root.attributes)["cline.telemetry.source"] == owner
    assert not came.translator.state.open_runs


def test_of_one_that_was_never_seen_alive_the_last_record_is_the_last_sign_of_life() -> None:
    started = by("cline-log", "run.started", 0), by("cline-log", "model_call.started", 1)
    came = Told().step(tick(START_NS), *started, OWNED, gone(3_600, None))
    assert [seconds(span) for span in called(came.spans, "invoke_agent")] == [1]


def test_a_log_s_process_ends_no_run_that_the_plugin_tells() -> None:
    steps = [told("run.started", 0), by("cline-log", "run.started", 0), told("model_call.started", 1)]
    came = Told().step(tick(START_NS), *steps, by("cline-log", "model_call.started", 1), gone(60))
    assert len(came.translator.state.open_runs) == 1


def test_nor_one_that_has_ended() -> None:
    steps = [
        by("cline-log", "run.started", 0),
        by("cline-log", "run.finished", 5, attributes={"cline.outcome": "completed"}),
    ]
    came = Told().step(tick(START_NS), *steps, OWNED, gone(60))
    assert [dict(span.attributes)["cline.outcome"] for span in called(came.spans, "invoke_agent")] == ["completed"]


def test_after_a_restart_it_is_still_known_which_process_told_a_run() -> None:
    steps = [by("otlp", "run.started", 0), by("cline-log", "run.started", 0), OWNED]
    before = Told().step(tick(START_NS), *steps)
    rows = [(key, row) for key, row in before.translator.state.changes().items() if row is not None]
    after = Told(Translator(CATALOGUE, State.restore(rows), claim_wait_ns=0)).step(tick(START_NS), gone(60))
    assert [seconds(span) for span in called(after.spans, "invoke_agent")] == [60]
