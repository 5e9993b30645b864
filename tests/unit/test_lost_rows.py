"""What follows when a stored row cannot be read: what was published before stays true."""

from __future__ import annotations

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel.events import Event, tick
from cline_otel.signals import LogRecord, StepOutput
from cline_otel.translate.state import State
from cline_otel.translate.step import MEMORY_NS, Translator
from corpus import HOUR_NS, SECOND_NS, event_of

START_NS = 1_790_000_000 * SECOND_NS
SESSION = "session/s"


def event(kind: str, second: int, run_id: str = "", **attributes: str) -> Event:
    name = "checkpoint.snapshot" if kind == "log_event" else kind
    agent_id = "a" if run_id else ""
    at_ns = START_NS + second * SECOND_NS
    source = "cline-log" if kind == "log_event" else "plugin"
    return event_of(kind, source, at_ns, name, "s", agent_id, run_id, attributes=attributes)


def run_of_a_session(number: int) -> list[Event]:
    second = 100 * number
    checkpoint = {"cline.checkpoint.outcome": "stash"}
    return [
        event("run.started", second, f"r{number}"),
        event("log_event", second + 10, **checkpoint),
        event("log_event", second + 20, **checkpoint),
        event("run.finished", second + 30, f"r{number}"),
    ]


class Bridge:
    """A translator whose state is stored, and restored by ``restart``."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self._translator = Translator(CATALOGUE, State(), claim_wait_ns=0)

    def restart(self) -> State:
        state = State.restore(self.rows.items())
        self._translator = Translator(CATALOGUE, state, claim_wait_ns=0)
        return state

    def take(self, *events: Event, forgetting: bool = False) -> StepOutput:
        for each in events:
            self._translator.step(each)
        if forgetting:
            self._translator.forget()
        for key, value in self._translator.state.changes().items():
            self.rows.pop(key, None)
            if value is not None:
                self.rows[key] = value
        return self._translator.take()


def uid(log: LogRecord) -> str:
    return str(dict(log.attributes)["log.record.uid"])


def tasks(made: StepOutput) -> int:
    return sum(delta.metric == "cline.task.started" for delta in made.metrics)


@pytest.mark.parametrize("ticks", [(), (0, HOUR_NS)], ids=["at once", "after a while"])
def test_a_session_that_is_lost_has_no_id_of_a_log_record_twice_and_is_no_new_task(ticks: tuple[int, ...]) -> None:
    bridge = Bridge()
    before = bridge.take(tick(START_NS), *run_of_a_session(1))
    ids = set(map(uid, before.logs))
    assert tasks(before) == 1
    for number in (2, 3):
        # Lost twice: what came in between is kept apart too.
        bridge.rows[SESSION] = b"\xc1" * number
        assert bridge.restart().unreadable == {"session": 1}
        bridge.take(*(tick(START_NS + after_ns) for after_ns in ticks), forgetting=True)
        assert bridge.restart().unreadable == {}
        made = bridge.take(*run_of_a_session(number))
        assert tasks(made) == 0
        assert len(made.logs) == 4
        assert not ids & set(map(uid, made.logs))
        ids |= set(map(uid, made.logs))


def test_a_session_that_was_never_stored_has_the_ids_that_it_always_had() -> None:
    first, again = Bridge(), Bridge()
    again.rows["agent/x"] = b"\xc1"
    again.restart()
    made = [bridge.take(tick(START_NS), *run_of_a_session(1)) for bridge in (first, again)]
    assert list(map(uid, made[0].logs)) == list(map(uid, made[1].logs))


def test_a_session_that_is_lost_is_forgotten_as_late_as_any_other() -> None:
    bridge = Bridge()
    bridge.rows[SESSION] = b"\xc1"
    bridge.restart()
    kept = []
    for after_ns in (0, MEMORY_NS, MEMORY_NS + 1):
        bridge.take(tick(START_NS + after_ns), forgetting=True)
        kept.append(SESSION in bridge.rows)
    assert kept == [True, True, False]


def test_a_prompt_that_is_lost_costs_no_other_its_row() -> None:
    bridge = Bridge()
    for number in range(3):
        bridge.take(tick(START_NS), *run_of_a_session(number))
    rows = sorted(key for key in bridge.rows if key.startswith("prompt/"))
    assert len(rows) == 3
    bridge.rows[rows[0]] = b"damaged"
    bridge.restart()
    bridge.take(*run_of_a_session(3))
    kept = [bridge.rows[key] for key in rows[1:]]
    bridge.restart()
    bridge.take(*run_of_a_session(4))
    assert [bridge.rows[key] for key in rows[1:]] == kept
    assert sum(key.startswith("prompt/") for key in bridge.rows) == 4
