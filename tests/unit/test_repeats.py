"""How an event is known again, where it is not, and what the memory of it costs."""

from __future__ import annotations

import json
import zlib
from itertools import permutations
from typing import Any

import pytest
from bench.fixed_key import CATALOGUE
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.events import Event, ToolCallStarted
from cline_otel.replay import replay
from cline_otel.signals import Diagnostics
from cline_otel.sources.interface import Payload
from cline_otel.sources.recording import Recording
from cline_otel.state_format import UnreadableRow
from cline_otel.translate.repeats import SAME_CALL_MS, Repeats
from cline_otel.translate.seen_events import MOST_EVENTS, ROW, ROW_EVENTS, SeenEvents
from cline_otel.translate.state import State
from corpus import event_of

KEY = ("s", "a", "r")
MS = 1_000_000


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
    "a first attempt at another time, of a process that does not know of the first": (
        event("model_call.started", at_ns=10 * MS, process="1-1"),
        event("model_call.started", at_ns=5_000 * MS, process="2-2"),
    ),
    "its end, if that says when the call began": (
        event("model_call.finished", at_ns=5_000 * MS, started_at_ns=10 * MS),
        event("model_call.finished", at_ns=5_001 * MS, started_at_ns=4_000 * MS),
    ),
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


def test_attempts_of_several_processes_are_all_real_and_copies_of_them_repeats() -> None:
    first = [event("model_call.finished", at_ns=at * MS, attempt=number) for number, at in ((None, 1_000), (2, 2_000))]
    second = [event("model_call.finished", at_ns=at * MS, attempt=number) for number, at in ((None, 3_000), (2, 4_000))]
    for reports in permutations((("first", first), ("second", second))):
        copies = [(f"copy of {place}", events) for place, events in (*reports, *reports[::-1])]
        assert left(*reports, *copies) == [2, 2, 0, 0, 0, 0]


def test_no_number_is_too_high_for_an_attempt() -> None:
    ends = [event("model_call.finished", at_ns=number * 1_000 * MS, attempt=number) for number in (1, 64, 65, 10**6)]
    assert left(("file", ends), ("copy", ends)) == [4, 0]


@given(st.integers(0, 2**62), st.integers(-SAME_CALL_MS, SAME_CALL_MS))
def test_two_reports_of_a_call_may_differ_by_a_moment(at_ms: int, differs_ms: int) -> None:
    at_ms += SAME_CALL_MS
    reports = [event("model_call.started", at_ns=each * MS) for each in (at_ms, at_ms + differs_ms)]
    assert left(("file", reports)) == [1]


@pytest.mark.parametrize(
    ("apart_ms", "calls"),
    [(0, 1), (100, 1), (101, 2), (-100, 1), (-101, 2), (2**31, 2), (2**32, 1), (2**32 + 100, 1), (2**32 + 101, 2)],
)
def test_reports_of_a_call_are_a_tenth_of_a_second_apart_at_most_whatever_weeks_lie_between(
    apart_ms: int, calls: int
) -> None:
    moments_ms = (1_790_000_000_000, 1_790_000_000_000 + apart_ms)
    assert left(("file", [event("model_call.started", at_ns=each * MS) for each in moments_ms])) == [calls]


def test_sixty_four_processes_may_make_a_call_again() -> None:
    ends = [event("model_call.finished", at_ns=number * 1_000 * MS, attempt=1) for number in range(66)]
    assert left(("file", ends)) == [64]


def test_an_event_without_a_key_is_stored_by_its_moment_and_checksum_and_one_with_a_key_says_nothing_more() -> None:
    at_ns = 1_790_000_000_123_456_789
    seen = SeenEvents()
    left(("file", [usage(at_ns), event("run.started")]), seen=seen)
    (row,) = seen.changes().values()
    (content, place), (_, nothing) = ROW.decode(row or b"").items()
    assert int.from_bytes(content[:4], "big") == (at_ns // 2**20) % 2**32
    assert (place, nothing) == (zlib.crc32(b"file"), 0)


def spool_of(process: str, started_at_ms: int, *more: dict[str, Any]) -> Payload:
    """What a plugin's process writes of the first call of a run."""
    run = {"v": 1, "agent_id": "agent_1790000000000_aaaaaa", "run_id": "run_AAAAAAAA", "iteration": 1}
    session = {**run, "session_id": "1790000000000_aaaaa"}
    ended_at_ms = started_at_ms + 2_000
    lines: list[dict[str, Any]] = [
        {**session, "event": "model_call.started", "time_unix_ms": started_at_ms},
        {**run, "event": "model_call.finished", "time_unix_ms": ended_at_ms, "started_at_ms": started_at_ms}
        | {"input_tokens": 100, "output_tokens": 10, "cost_usd": 0.5, "provider": "openai", "model": "gpt-5"},
        *({**session, **each} for each in more),
    ]
    return Payload("plugin", [json.dumps(each).encode() for each in lines], writer=process, place=process)


def test_a_call_that_a_restarted_host_makes_again_has_a_span_and_costs_and_a_copy_adds_nothing() -> None:
    start_ms = 1_790_000_000_000
    processes = [
        spool_of("1-1", start_ms),
        spool_of("2-2", start_ms + 10_000, {"event": "run.finished", "time_unix_ms": start_ms + 13_000}),
    ]
    copies = [payload._replace(writer=f"{n}-9", place=f"copy {n}") for n, payload in enumerate(processes)]
    once = replay(Recording([[payload] for payload in processes]), CATALOGUE)
    assert sum(each.value for each in once.measurements if each.metric == "cline.cost") == 1.0
    assert len({span.span_id for span in once.spans if span.name.startswith("chat")}) == 2
    for streams in permutations([*processes, *copies]):
        again = replay(Recording([[payload] for payload in streams]), CATALOGUE)
        assert (again.spans, again.totals) == (once.spans, once.totals)


def test_an_end_without_its_start_is_that_of_another_attempt_than_the_one_before() -> None:
    ends = [each._replace(parts=each.parts[1:]) for each in (spool_of("1-1", 10_000), spool_of("2-2", 20_000))]
    spans = replay(Recording([[*ends]]), CATALOGUE).spans
    assert len({span.span_id for span in spans if span.name.startswith("chat")}) == 2


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
    assert len(rows) == MOST_EVENTS // ROW_EVENTS == 512
    assert {len(identity) for row in rows.values() for identity in ROW.decode(row or b"")} == {8}
    assert sum(len(row or b"") for row in rows.values()) < 2**20
    assert left(("file", tool_calls(MOST_EVENTS, 1)), seen=seen) == [1]
    assert {number for number, row in seen.changes().items() if row is None} == {"0"}
    assert left(("copy", tool_calls(ROW_EVENTS, ROW_EVENTS)), ("copy", tool_calls(0, 2)), seen=seen) == [0, 2]


def test_no_restart_lets_more_be_remembered() -> None:
    most_events = 4 * ROW_EVENTS
    seen, rows = SeenEvents(most_events), dict[str, bytes]()
    for number in range(12):
        left(("file", tool_calls(number * ROW_EVENTS, ROW_EVENTS)), seen=seen)
        for key, row in seen.changes().items():
            if row is None:
                del rows[key]
            else:
                rows[key] = row
        seen = SeenEvents(most_events)
        for key, row in rows.items():
            seen.restore_row(key, row)
        assert len(rows) == min(number + 1, 4)


def test_a_lower_bound_than_that_of_before_counts_at_once() -> None:
    before = SeenEvents()
    left(("file", tool_calls(0, 8 * ROW_EVENTS)), seen=before)
    seen = SeenEvents(4 * ROW_EVENTS)
    for key, row in before.changes().items():
        seen.restore_row(key, row or b"")
    left(("file", tool_calls(8 * ROW_EVENTS, 1)), seen=seen)
    assert {key for key, row in seen.changes().items() if row is None} == {"0", "1", "2", "3", "4"}


def test_of_a_recording_nothing_is_forgotten() -> None:
    seen = SeenEvents(most_events=None)
    events = tool_calls(0, MOST_EVENTS + ROW_EVENTS)
    assert left(("file", events), ("copy", events), seen=seen) == [len(events), 0]


@pytest.mark.parametrize(("number", "value"), [("0", b"\xc1"), ("x", b"\x92\x02\x80"), ("0", b"\x92\x02\x90")])
def test_a_row_that_cannot_be_read_costs_what_it_held_alone(number: str, value: bytes) -> None:
    state = State.restore([(f"seen/{number}", value), ("seen/7", b"\x92\x02\x81\xc4\x08abcdefgh\x05")])
    assert (state.unreadable, state.seen.first_told(b"abcdefgh", 6)) == ({"seen": 1}, 5)
    assert state.changes()[f"seen/{number}"] is None
    with pytest.raises(UnreadableRow):
        SeenEvents().restore_row(number, value)
