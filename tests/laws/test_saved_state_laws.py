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
        assert (restored.open_runs, restored.awaiting_owner) == (live.open_runs, live.awaiting_owner)
        assert not restored.unreadable
        assert live.changes() == {}
        memories = (live.runs, live.agents, live.sessions, live.observations)
        assert len(self.rows) == sum(map(len, memories))


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
    saved.translator.step(tick(steps[-1].occurred_at_ns + 31 * 24 * HOUR_NS))
    saved.assert_saved()
    saved.translator.forget()
    saved.assert_saved()
    assert saved.rows == {}, "a month later nothing is remembered"


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
