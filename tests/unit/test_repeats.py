"""How an event is known again, where it is not, and what the memory of it costs."""

from __future__ import annotations

from typing import Any

import pytest
from bench.fixed_key import CATALOGUE

from cline_otel.events import Event, ToolCallStarted
from cline_otel.signals import Diagnostics
from cline_otel.state_format import UnreadableRow
from cline_otel.translate.repeats import Repeats
from cline_otel.translate.seen_events import MOST_EVENTS, ROW_EVENTS, SeenEvents
from cline_otel.translate.state import State
from corpus import event_of

KEY = ("s", "a", "r")


def event(
    kind: str, source: str = "plugin", at_ns: int = 10, iteration: int = 1, process: str = "", **own: Any
) -> Event:
    keyed = ("s", "a", "r", iteration, own.pop("call_id", ""))
    return event_of(kind, source, at_ns, kind, *keyed, process=process, attributes=own)


def usage(at_ns: int = 10, source: str = "cline-log", **attributes: Any) -> Event:
    """As the log has it: without a run and an iteration."""
    return event_of("model_call.usage", source, at_ns, "task.tokens", "s", "a", attributes=attributes)


def left(*reports: tuple[str, list[Event]], seen: SeenEvents | None = None) -> list[int]:
    """How many events of each place are no repeats."""
    repeats = Repeats(SeenEvents() if seen is None else seen, CATALOGUE)
    return [len(list(repeats.without(events, place, {}))) for place, events in reports]


SAME = {
    "a run's start, at another time": (event("run.started"), event("run.started", at_ns=11)),
    "its end, otherwise": (event("run.finished"), event("run.finished", iteration=8, **{"cline.outcome": "failed"})),
    "a first attempt, with and without its number": (
        event("model_call.started"),
        event("model_call.started", at_ns=12, attempt=1),
    ),
    "a model call's end": (event("model_call.finished"), event("model_call.finished", at_ns=13, attempt=1)),
    "a tool call by its ordinal": (
        event("tool_call.started", ordinal=1),
        event("tool_call.started", at_ns=14, ordinal=1, call_id="call_1"),
    ),
    "a tool call by its id": (
        event("tool_call.finished", call_id="call_1"),
        event("tool_call.finished", at_ns=15, call_id="call_1"),
    ),
    "of another process": (event("model_call.finished", process="1-1"), event("model_call.finished", process="2-2")),
    "an attempt without a number, at the same time": (
        event("model_call.started", "cline-log"),
        event("model_call.started", "cline-log"),
    ),
    "a first chunk": (event("model_call.first_chunk", "otlp"), event("model_call.first_chunk", "otlp")),
}

OTHERS = {
    "another run": (event("run.started"), event_of("run.started", "plugin", 10, "run.started", "s", "a", "r2")),
    "another agent": (event("run.started"), event_of("run.started", "plugin", 10, "run.started", "s", "a2", "r")),
    "another source": (event("run.started"), event("run.started", "otlp")),
    "another kind": (event("model_call.started"), event("model_call.finished")),
    "another iteration": (event("model_call.started"), event("model_call.started", iteration=2)),
    "another attempt": (event("model_call.started"), event("model_call.started", attempt=2)),
    "another end of an attempt": (event("model_call.finished"), event("model_call.finished", attempt=2)),
    "another tool call": (event("tool_call.started", ordinal=0), event("tool_call.started", ordinal=1)),
    "an attempt without a number, at another time": (
        event("model_call.started", "cline-log"),
        event("model_call.started", "cline-log", at_ns=11),
    ),
    "usage at another time": (usage(10), usage(11)),
    "usage of other tokens": (usage(**{"gen_ai.usage.output_tokens": 1}), usage(**{"gen_ai.usage.output_tokens": 2})),
}


@pytest.mark.parametrize("pair", SAME.values(), ids=SAME)
@pytest.mark.parametrize("places", [("file", "file"), ("file", "another"), ("", "")], ids=["one", "two", "requests"])
def test_what_has_the_same_key_is_one_event_wherever_it_comes_from(
    pair: tuple[Event, Event], places: tuple[str, str]
) -> None:
    first, second = pair
    assert left((places[0], [first]), (places[1], [second])) == [1, 0]


@pytest.mark.parametrize("pair", OTHERS.values(), ids=OTHERS)
def test_what_has_another_key_is_another_event(pair: tuple[Event, Event]) -> None:
    first, second = pair
    assert left(("file", [first]), ("another", [second])) == [1, 1]


PARALLEL = [event("tool_call.started", "otlp")] * 3
"""Three calls in one millisecond, as the log and OTLP have them: without an ordinal or an id."""


@pytest.mark.parametrize("alike", [PARALLEL, [usage()] * 3], ids=["tool calls", "usage"])
def test_what_has_no_key_is_so_often_real_as_its_first_place_reports_it(alike: list[Event]) -> None:
    assert left(("file", alike[:2]), ("file", alike[2:]), ("copy", alike), ("", alike), ("", alike)) == [2, 1, 0, 0, 0]
    assert left(("", alike), ("", alike), ("file", alike)) == [3, 0, 0]


def test_a_copy_of_a_process_s_file_is_a_copy_under_any_name() -> None:
    compaction = [event("log_event", process="1-1"), event("log_event", process="2-2")]
    assert left(("one", compaction[:1]), ("two", compaction[1:])) == [1, 0]


@pytest.mark.parametrize("kind", ["session.claimed", "process.exited"])
def test_a_claim_and_an_end_may_come_again(kind: str) -> None:
    """After a process ended, a claim of another one with its name holds, and so does that one's end."""
    assert left(("one", [event(kind)]), ("two", [event(kind)])) == [1, 1]


def test_repeats_are_counted_by_their_names() -> None:
    diagnostics: Diagnostics = {}
    repeats = Repeats(SeenEvents(), CATALOGUE)
    for place in ("one", "two", "three"):
        list(repeats.without([event("run.started"), usage()], place, diagnostics))
    assert diagnostics == {("duplicate", "plugin", "run.started"): 2, ("duplicate", "cline-log", "task.tokens"): 2}


def test_what_has_no_identity_goes_on_and_so_does_what_follows() -> None:
    diagnostics: Diagnostics = {}
    broken = usage(**{"cline.reason": "\ud800"})
    repeats = Repeats(SeenEvents(), CATALOGUE)
    assert list(repeats.without([broken, usage()], "file", diagnostics)) == [broken, usage()]
    assert diagnostics == {("defect", "cline-log", "task.tokens"): 1}


# --- the memory --------------------------------------------------------------------------------------------


def tool_calls(first: int, count: int) -> list[Event]:
    return [
        ToolCallStarted("plugin", 1, "tool_call.started", "", {}, "s", "a", "r", 1, "", ordinal)
        for ordinal in range(first, first + count)
    ]


def test_what_was_seen_is_known_after_a_restart() -> None:
    state, rows = State(), {}
    assert left(("file", [*PARALLEL, *tool_calls(0, 300)]), seen=state.seen) == [303]
    rows = {key: value for key, value in state.changes().items() if value is not None}
    restored = State.restore(sorted(rows.items()))
    assert restored.unreadable == {}
    assert restored.seen.added == state.seen.added == 301
    again = [("file", PARALLEL), ("copy", [*PARALLEL, *tool_calls(0, 301)])]
    assert left(*again, seen=restored.seen) == [3, 1]
    assert restored.changes().keys() == {"seen/2"}


def test_a_transaction_writes_the_last_row_and_no_more() -> None:
    seen = SeenEvents()
    left(("file", tool_calls(0, 10 * ROW_EVENTS)), seen=seen)
    assert len(seen.changes()) == 10
    left(("copy", tool_calls(0, 10 * ROW_EVENTS)), seen=seen)
    assert seen.changes() == {}
    left(("file", tool_calls(10 * ROW_EVENTS, 1)), seen=seen)
    assert list(seen.changes()) == ["10"]


def test_beyond_the_bound_the_oldest_are_forgotten_and_their_row_is_deleted() -> None:
    seen = SeenEvents()
    left(("file", tool_calls(0, MOST_EVENTS)), seen=seen)
    rows = seen.changes()
    assert len(rows) == MOST_EVENTS // ROW_EVENTS
    assert sum(len(row or b"") for row in rows.values()) < 2**20
    assert left(("file", tool_calls(MOST_EVENTS, 1)), seen=seen) == [1]
    assert {number for number, row in seen.changes().items() if row is None} == {"0"}
    assert left(("copy", tool_calls(ROW_EVENTS, ROW_EVENTS)), ("copy", tool_calls(0, 2)), seen=seen) == [0, 2]


def test_of_a_recording_nothing_is_forgotten() -> None:
    seen = SeenEvents(most_events=None)
    events = tool_calls(0, MOST_EVENTS + ROW_EVENTS)
    assert left(("file", events), ("copy", events), seen=seen) == [len(events), 0]


@pytest.mark.parametrize(("number", "value"), [("0", b"\xc1"), ("x", b"\x92\x02\x80"), ("0", b"\x92\x02\x90")])
def test_a_row_that_cannot_be_read_costs_what_it_held_alone(number: str, value: bytes) -> None:
    state = State.restore([(f"seen/{number}", value), ("seen/7", b"\x92\x02\x81\xc4\x08abcdefgh\x05")])
    assert (state.unreadable, state.seen.place_of(b"abcdefgh")) == ({"seen": 1}, 5)
    assert state.changes()[f"seen/{number}"] is None
    with pytest.raises(UnreadableRow):
        SeenEvents().restore_row(number, value)
