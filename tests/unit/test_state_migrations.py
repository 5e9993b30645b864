"""Rows of the first release, field by field, as the present one reads them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cline_otel.events import LogEvent, ModelCallFinished, RunStarted, ToolCallFinished
from cline_otel.journal.sent_history import DIAGNOSTICS
from cline_otel.translate.stored import RUN, SESSION, Agent, CallState, ModelCall, Run, RunState, Session, ToolCall

FULL_RUN: list[Any] = [
    "a",  # agent_id
    "r",  # run_id
    ["a", "r"],  # root
    "plugin",  # owner
    "s",  # session_id
    "subagent",  # agent_name
    b"12345678",  # parent_span_id
    ["a", "before"],  # previous
    "p",  # process
    11,  # started_at_ns
    12,  # last_at_ns
    False,  # closed
    {"cline.mode": "act"},  # attributes
    {1: [13, 14, 15, 2, {"x": 1}], 2: [16, 0, 0, 1, {}]},  # model_calls
    [[1, 2, 17, 18, "c", {"is_mcp": True, "y": 1}], [3, 4, 19, 0, "", {}]],  # tool_calls
    {1: 3},  # tools_started
    {1: 2},  # models_asked
    [],  # span_events
    21,  # model_call_count
    22,  # tool_call_count
    23,  # failed_tool_call_count
    24,  # input_tokens
    25,  # output_tokens
    0.5,  # cost_usd
    [],  # held
    26,  # held_since_ns
    True,  # mode_noted
    27,  # heard_at_ns
]
"""All that a run had in version 1."""


def migrated(row: list[Any]) -> Run:
    return RUN.decode(msgspec.msgpack.encode(row))


def test_every_field_of_a_run_goes_to_its_place() -> None:
    assert migrated(FULL_RUN) == Run(
        "a",
        "r",
        ("a", "r"),
        RunState.OPEN,
        owner="plugin",
        session_id="s",
        agent_name="subagent",
        parent_span_id=b"12345678",
        previous=("a", "before"),
        process="p",
        started_at_ns=11,
        last_at_ns=12,
        seen_at_ns=27,
        attributes={"cline.mode": "act"},
        model_calls={
            1: ModelCall(13, CallState.ENDED, 14, 15, 2, {"x": 1}),
            2: ModelCall(16, CallState.OPEN, None, None, 1, {}),
        },
        tool_calls=[
            ToolCall(1, 2, 17, CallState.ENDED, 18, "c", True, {"y": 1}),
            ToolCall(3, 4, 19, CallState.OPEN, None, "", False, {}),
        ],
        tools_started={1: 3},
        model_attempts={1: 2},
        model_call_count=21,
        tool_call_count=22,
        failed_tool_call_count=23,
        input_tokens=24,
        output_tokens=25,
        cost_usd=0.5,
        buffered_since_ns=26,
        has_reported_mode=True,
    )


def test_what_is_stored_of_what_is_not_known_yet_is_nothing() -> None:
    """The values of fields that a row of an earlier release leaves out."""
    assert msgspec.to_builtins(Run("a", "r", ("a", "r")), builtin_types=(bytes,)) == [
        *("a", "r", ("a", "r"), "new", "", "", "cline", b"", None, "", 0, 0, None),
        *({}, {}, [], {}, {}, [], 0, 0, 0, 0, 0, 0.0, [], None, False),
        *(0, 0, 0, 0, None, 0, False, 0, [], 0, 0, {}),
        *("", b"", None, b"", b"", 0, 0, None, False, []),
    ]
    assert msgspec.to_builtins(ModelCall(5)) == [5, "open", None, None, 1, {}, False]
    assert msgspec.to_builtins(ToolCall(1, 2, 3)) == [1, 2, 3, "open", None, "", False, {}, None, None, False]
    assert msgspec.to_builtins(Agent()) == ["", {}, {}, 0, 0]
    assert msgspec.to_builtins(Session()) == [[], {}, {}, None, {}, {}, 0, "", {}, False, "", 0, 0, False]


@pytest.mark.parametrize("length", range(3, len(FULL_RUN)))
def test_a_row_that_an_earlier_build_wrote_shorter_has_the_defaults_for_the_rest(length: int) -> None:
    run, whole, defaults = migrated(FULL_RUN[:length]), migrated(FULL_RUN), Run("a", "r", ("a", "r"))
    for field in Run.__struct_fields__:
        values = [getattr(each, field) for each in (whole, defaults)]
        if field == "state":
            assert run.state is (RunState.OPEN if run.started_at_ns else RunState.NEW)
        else:
            assert getattr(run, field) in values
    if length == 3:
        assert run == defaults


@pytest.mark.parametrize(
    ("started_at_ns", "closed", "state"),
    [(0, False, RunState.NEW), (1, False, RunState.OPEN), (0, True, RunState.CLOSED), (1, True, RunState.CLOSED)],
)
def test_a_run_is_new_until_it_has_a_start_and_open_until_it_is_closed(
    started_at_ns: int, closed: bool, state: RunState
) -> None:
    assert migrated([*FULL_RUN[:9], started_at_ns, 12, closed]).state is state


def test_what_waited_is_an_event_of_its_class_with_what_steers_it_apart() -> None:
    def event(kind: str, attributes: dict[str, Any]) -> list[Any]:
        return [kind, "otlp", 5, "name", "s", "a", "r", 7, "c", "p", attributes]

    held = [
        event("run.started", {"parent_agent_id": "a0", "parent_ordinal": 2, "x": 1}),
        event("model_call.finished", {"attempt": 3, "started_at_ns": 4}),
        event("tool_call.finished", {"ordinal": 1, "ended_at_ns": 6, "is_mcp": True}),
        event("log_event", {"x": 2}),
    ]
    key: dict[str, Any] = {"session_id": "s", "agent_id": "a", "run_id": "r", "iteration": 7, "call_id": "c"}
    assert migrated([*FULL_RUN[:24], held, *FULL_RUN[25:]]).buffered == [
        RunStarted("otlp", 5, "name", "p", {"x": 1}, **key, parent_agent_id="a0", parent_ordinal=2),
        ModelCallFinished("otlp", 5, "name", "p", {}, **key, attempt=3, started_at_ns=4),
        ToolCallFinished("otlp", 5, "name", "p", {}, **key, ordinal=1, ended_at_ns=6, is_mcp=True),
        LogEvent("otlp", 5, "name", "p", {"x": 2}, **key),
    ]


@pytest.mark.parametrize(("stored", "last_root"), [(["", ""], None), (["a", "r"], ("a", "r")), (["a", ""], ("a", ""))])
def test_a_session_without_a_last_run_has_none(stored: list[str], last_root: tuple[str, str] | None) -> None:
    row = [["p"], {"cline.version": "1"}, {"plugin": ["a", "r"]}, stored, {"otlp": "act"}, {"x": 1}, 9]
    assert SESSION.decode(msgspec.msgpack.encode(row)) == Session(
        ["p"], {"cline.version": "1"}, {"plugin": ("a", "r")}, last_root, {"otlp": "act"}, {"x": 1}, 9
    )


def test_what_was_called_shadowed_in_a_request_s_diagnostics_is_called_superseded_and_all_else_stays() -> None:
    stored = msgspec.msgpack.encode([["shadowed", "otlp", "task.completed", 2], ["dropped_field", "plugin", "x", 3]])
    assert DIAGNOSTICS.decode(stored) == [
        ("superseded", "otlp", "task.completed", 2),
        ("dropped_field", "plugin", "x", 3),
    ]
