"""Facts beside a run's life: told by several sources, passed on once each."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from cline_otel.events import Event, tick
from corpus import HOUR_NS, SECOND_NS, event_of, translate

MILLISECOND_NS = 1_000_000
START_NS = 1_790_000_000 * SECOND_NS

moments = st.lists(st.integers(0, 8_000), min_size=1, max_size=12).map(sorted)
"""When one and the same kind of fact happened, in milliseconds; the same millisecond may occur more than once."""


def checkpoint(source: str, occurred_at_ns: int, session_id: str = "s") -> Event:
    attributes = {"cline.checkpoint.outcome": "stash"}
    return event_of("log_event", source, occurred_at_ns, "checkpoint.snapshot", session_id, attributes=attributes)  # type: ignore[arg-type]


def told(source: str, times: list[int], jitter: list[int], session_id: str = "s") -> list[Event]:
    """One source's tellings, in order: a little later each than the other source has it."""
    late = [
        START_NS + (time + jitter[number % len(jitter)]) * MILLISECOND_NS
        if jitter
        else START_NS + time * MILLISECOND_NS
        for number, time in enumerate(times)
    ]
    return [checkpoint(source, occurred_at_ns, session_id) for occurred_at_ns in sorted(late)]


def merged(first: list[Event], second: list[Event], random: Random) -> list[Event]:
    waiting = [list(reversed(first)), list(reversed(second))]
    steps: list[Event] = [tick(START_NS)]
    while waiting := [events for events in waiting if events]:
        steps.append(random.choice(waiting).pop())
        steps.append(tick(START_NS + 9 * SECOND_NS))
    return steps


@given(moments, st.lists(st.integers(0, 13), min_size=1, max_size=5), st.integers(0, 2**32))
@example([0, 1500, 3000], [10], 0)
@example([0, 1490, 3000], [0, 10, 5], 3)
def test_a_fact_that_two_sources_tell_is_passed_on_once(times: list[int], jitter: list[int], seed: int) -> None:
    steps = merged(told("cline-log", times, []), told("otlp", times, jitter), Random(seed))
    outputs = translate(steps)
    assert len(outputs.logs) == len(times)
    assert sum(delta.value for delta in outputs.metrics if delta.metric == "cline.checkpoints") == len(times)


@given(moments, moments, st.integers(0, 2**32))
def test_facts_of_two_sessions_are_never_taken_for_one(first: list[int], second: list[int], seed: int) -> None:
    steps = merged(told("cline-log", first, [], "s"), told("otlp", second, [], "t"), Random(seed))
    sessions = Counter(dict(log.attributes)["gen_ai.conversation.id"] for log in translate(steps).logs)
    assert sessions == {"s": len(first), "t": len(second)}


@given(moments, st.booleans())
def test_identical_facts_of_one_source_stay_as_many(times: list[int], has_session: bool) -> None:
    outputs = translate([tick(START_NS), *told("cline-log", times, [], "s" if has_session else "")])
    uids = {dict(log.attributes)["log.record.uid"] for log in outputs.logs}
    assert len(outputs.logs) == len(uids) == len(times)


def uids_of(steps: list[Event]) -> list[object]:
    return [dict(log.attributes)["log.record.uid"] for log in translate([tick(START_NS), *steps]).logs]


@given(moments, st.lists(st.sampled_from(["ann", "bob"]), min_size=12, max_size=12), st.integers(0, 2**32))
def test_a_fact_of_no_session_has_one_id_whoever_else_reports_to_the_same_bridge(
    times: list[int], users: list[str], seed: int
) -> None:
    def of_user(user: str) -> list[Event]:
        mine = [time for time, each in zip(times, users, strict=False) if each == user]
        return [
            msgspec.structs.replace(event, attributes={**event.attributes, "user.hash": user, "cline.device.hash": "d"})
            for event in told("otlp", mine, [], "")
        ]

    apart = uids_of(of_user("ann")) + uids_of(of_user("bob"))
    together = uids_of(merged(of_user("ann"), of_user("bob"), Random(seed))[1:])
    assert len(set(apart)) == len(apart) == len(times)
    assert sorted(map(str, together)) == sorted(map(str, apart))


def test_more_facts_of_one_moment_than_are_remembered_have_ids_of_their_own() -> None:
    uids = uids_of(told("otlp", [0] * 600, [], ""))
    assert len(set(uids)) == len(uids) == 600


def test_a_fact_is_passed_on_again_when_it_happens_again_much_later() -> None:
    steps = [checkpoint("cline-log", START_NS), checkpoint("otlp", START_NS + 3 * SECOND_NS)]
    assert len(translate([tick(START_NS), *steps]).logs) == 2


def test_tellings_are_forgotten_an_hour_later() -> None:
    later = tick(START_NS + 2 * HOUR_NS)
    steps = [tick(START_NS), checkpoint("cline-log", START_NS), later, checkpoint("otlp", START_NS)]
    assert len(translate(steps).logs) == 2


def mode(source: str, milliseconds: int, value: str, session: str = "s") -> Event:
    occurred_at_ns = START_NS + milliseconds * MILLISECOND_NS
    return event_of("log_event", source, occurred_at_ns, "task.mode", session, attributes={"cline.mode": value})  # type: ignore[arg-type]


def test_a_mode_of_no_session_is_no_switch() -> None:
    told = [mode("cline-log", 5_000 * number, value, session="") for number, value in enumerate(["act", "plan", "act"])]
    assert translate([tick(START_NS), *told]).logs == []


@given(st.lists(st.sampled_from(["act", "plan"]), min_size=1, max_size=10), st.integers(0, 2**32))
def test_only_a_changed_mode_is_a_switch_and_each_switch_counts_once(modes: list[str], seed: int) -> None:
    log = [mode("cline-log", 5_000 * number, value) for number, value in enumerate(modes)]
    otlp = [mode("otlp", 5_000 * number + 7, value) for number, value in enumerate(modes)]
    switches = sum(before != after for before, after in pairwise(modes))
    outputs = translate(merged(log, otlp, Random(seed)))
    assert len(outputs.logs) == switches
    assert sum(delta.value for delta in outputs.metrics) == switches
