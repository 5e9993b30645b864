"""Whatever the translator remembers is saved: the rows of all saves so far are its memory, at any moment."""

from __future__ import annotations

from pathlib import Path

from bench.fixed_key import CATALOGUE
from hypothesis import given, settings
from hypothesis import strategies as st

from cline_otel.events import Event, tick
from cline_otel.translate.state import State
from cline_otel.translate.step import CLAIM_WAIT_NS, Translator
from corpus import HOUR_NS, SECOND_NS, capture_paths, closing_ticks, event_of, streams_of

paths = st.sampled_from([path for path in capture_paths() if streams_of(path)])
START_NS = 1_790_000_000 * SECOND_NS


class Saved:
    """A translator, and the rows that a journal would have of it."""

    def __init__(self) -> None:
        self.translator = Translator(CATALOGUE, claim_wait_ns=CLAIM_WAIT_NS)
        self.rows: dict[str, bytes] = {}

    def save(self) -> None:
        for key, value in self.translator.state.changes().items():
            if value is None:
                self.rows.pop(key, None)
            else:
                self.rows[key] = value

    def assert_saved(self) -> None:
        """After a save, what is read back is what is remembered, and there is no row of anything else."""
        self.save()
        live, restored = self.translator.state, State.restore(self.rows.items())
        assert restored.runs == live.runs
        assert restored.agents == live.agents
        assert restored.sessions == live.sessions
        assert restored.observations == live.observations
        assert restored.prompts == live.prompts
        assert restored.heard == live.heard
        assert (restored.open_runs, restored.awaiting_owner) == (live.open_runs, live.awaiting_owner)
        assert not restored.unreadable
        assert live.changes() == {}
        memories = (live.runs, live.agents, live.sessions, live.observations)
        prompts = sum(map(len, live.prompts.values()))
        assert len(self.rows.keys() - {"heard/"}) == sum(map(len, memories)) + prompts


def told(path: Path, ticks_from: int) -> list[Event]:
    """All sources by time; the bridge tells the time from some event on, and thrice at the end."""
    events = sorted(
        (event for stream in streams_of(path) for event in stream.events), key=lambda event: event.occurred_at_ns
    )
    steps: list[Event] = []
    for number, event in enumerate(events):
        steps += [event, tick(event.occurred_at_ns)] if number >= ticks_from else [event]
    return [*steps, *closing_ticks(events)]


@settings(max_examples=25)
@given(paths, st.integers(0, 12), st.sampled_from([1, 2, 7]))
def test_what_is_saved_is_what_is_remembered_after_any_step(path: Path, ticks_from: int, every: int) -> None:
    saved = Saved()
    steps = told(path, ticks_from)
    for number, step in enumerate(steps):
        saved.translator.step(step)
        if number % every == 0:
            saved.assert_saved()
    saved.translator.close_open_runs()
    saved.assert_saved()
    # As every hour: what was heard of before there was a clock is of then.
    saved.translator.forget()
    saved.assert_saved()
    saved.translator.step(tick(steps[-1].occurred_at_ns + 31 * 24 * HOUR_NS))
    saved.assert_saved()
    saved.translator.forget()
    saved.assert_saved()
    kept = {key.partition("/")[0] for key in saved.rows}
    assert kept <= {"prompt", "heard"}, "a month later only prompts that were told, and the plugin, are remembered"


POOL: list[tuple[str, str, dict[str, object]]] = [
    ("run.started", "agent.run-started", {}),
    ("run.started", "agent.run-started", {"parent_agent_id": "a", "parent_run_id": "r", "cline.mode": "act"}),
    ("run.claimed", "", {}),
    ("run.finished", "agent.run-finished", {"cline.outcome": "completed"}),
    ("model_call.started", "task.provider_request_started", {"gen_ai.request.model": "gpt-5"}),
    ("model_call.first_chunk", "task.first_chunk_received", {}),
    ("model_call.ended", "agent.usage-updated", {}),
    ("model_call.usage", "task.tokens", {"uncached_input_tokens": 5, "cline.cost_usd": 0.5}),
    ("model_call.finished", "model_call.finished", {"gen_ai.usage.input_tokens": 7, "requested_tool_calls": 1}),
    ("tool_call.started", "agent.tool-started", {}),
    ("tool_call.finished", "agent.tool-finished", {}),
    ("tool_call.named", "task.tool_used", {"gen_ai.tool.name": "editor"}),
    ("log_event", "checkpoint.snapshot", {"cline.checkpoint.outcome": "stash"}),
    ("log_event", "task.mode", {"cline.mode": "plan"}),
    ("session.claimed", "", {"cline.client.name": "cli"}),
    ("agent.described", "task.agent_created", {"user.hash": "h"}),
    ("process.exited", "", {"exit_reason": "terminated"}),
    ("process.exited", "", {}),
]
BY_LOG_AND_OTLP_ALONE = ("log_event", "model_call.usage", "tool_call.named")
"""Of these the name matters, and it is one of Cline's own telemetry."""


@st.composite
def any_steps(draw: st.DrawFn) -> list[Event]:
    """Events of two agents and two sessions in any order, told by several sources, and the time now and then."""
    steps: list[Event] = []
    at_ns = START_NS
    for kind, name, attributes in draw(st.lists(st.sampled_from(POOL), min_size=1, max_size=14)):
        source = draw(
            st.sampled_from(["cline-log", "otlp"] if kind in BY_LOG_AND_OTLP_ALONE else ["plugin", "cline-log"])
        )
        agent_id, session_id = draw(st.sampled_from(["a", "c"])), draw(st.sampled_from(["", "s", "t"]))
        key = {"agent_id": agent_id, "run_id": draw(st.sampled_from(["r", "r2"])), "iteration": 1}
        if kind == "log_event":
            key = draw(st.sampled_from([key, {}]))
        process = {"process": "p"} if source == "plugin" else {}
        if draw(st.booleans()):
            at_ns += draw(st.sampled_from([1, SECOND_NS, HOUR_NS]))
        event = event_of(kind, source, at_ns, name or kind, session_id, **key, **process, attributes=attributes)  # type: ignore[arg-type]
        steps += [event, tick(at_ns)] if draw(st.booleans()) else [event]
    return steps


@settings(max_examples=60, deadline=None)
@given(any_steps())
def test_whatever_comes_in_whatever_order_what_it_changes_is_saved(steps: list[Event]) -> None:
    saved = Saved()
    for step in steps:
        saved.translator.step(step)
        saved.assert_saved()
    saved.translator.close_open_runs()
    saved.assert_saved()


def test_of_whom_a_run_is_is_saved_though_another_source_owns_it() -> None:
    saved = Saved()
    child = event_of(
        "run.started",
        "cline-log",
        START_NS,
        "agent.run-started",
        "s",
        "c",
        "r",
        attributes={"parent_agent_id": "a", "parent_run_id": "r"},
    )
    for step in (tick(START_NS), event_of("run.started", "plugin", START_NS, "run.started", "s", "a", "r"), child):
        saved.translator.step(step)
        saved.assert_saved()
    assert saved.translator.state.runs["c", "r"].root == ("a", "r")


def test_a_run_that_is_claimed_while_another_source_waits_waits_no_more_and_is_the_claimant_s() -> None:
    saved = Saved()
    run = ("", "c", "r")
    for step in (
        event_of("run.started", "cline-log", START_NS, "agent.run-started", *run),
        event_of("run.claimed", "plugin", START_NS, "run.claimed", *run),
        tick(START_NS),
        tick(START_NS + CLAIM_WAIT_NS),
    ):
        saved.translator.step(step)
        saved.assert_saved()
    claimed = saved.translator.state.runs["c", "r"]
    assert (claimed.owner, claimed.buffered, saved.translator.state.awaiting_owner) == ("plugin", [], set())
    saved.translator.step(event_of("run.finished", "plugin", START_NS, "agent.run-finished", *run))
    saved.assert_saved()


def test_that_a_session_was_lost_is_saved() -> None:
    saved = Saved()
    saved.translator.state = State.restore([("session/s", b"\xc1")])
    saved.save()
    restored = State.restore(saved.rows.items())
    assert restored.sessions == saved.translator.state.sessions
    assert restored.sessions["s"].lost
    assert not restored.unreadable


def test_what_a_first_tick_learns_of_a_run_is_saved() -> None:
    """When it was seen is not known before the bridge tells the time."""
    saved = Saved()
    for source, agent_id in (("plugin", "a"), ("cline-log", "b")):
        saved.translator.step(event_of("run.started", source, START_NS, "run.started", "", agent_id, "r"))
        saved.assert_saved()
    for seconds in (5, 6, 7, 8, 70):
        saved.translator.step(tick(START_NS + seconds * SECOND_NS))
        saved.assert_saved()
    assert saved.translator.state.runs["a", "r"].seen_at_ns == START_NS + 5 * SECOND_NS


def test_what_the_end_of_a_process_does_is_saved() -> None:
    saved = Saved()
    process = {"process": "p"}
    began = event_of("run.started", "plugin", START_NS, "run.started", "s", "a", "r", **process)
    steps = [
        tick(START_NS),
        event_of("session.claimed", "plugin", START_NS, "session.claimed", "s", **process),
        began,
        event_of("process.exited", "plugin", START_NS, "", **process, attributes={"exit_reason": "terminated"}),
        event_of("process.exited", "plugin", START_NS, "", **process),
    ]
    for step in steps:
        saved.translator.step(step)
        saved.assert_saved()
    assert saved.translator.state.open_runs == {("a", "r")}, "an idle process goes on in another"
    assert saved.translator.state.sessions["s"].claimed_by == []
