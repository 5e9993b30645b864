"""Older layouts of the translator's structs, as plain values, to the next ones.

What a version's layout was stands here in words and numbers and nowhere else; nothing of the present classes is used.
"""

from __future__ import annotations

from typing import Any, Final

_RUN_1: Final[tuple[Any, ...]] = (
    "",  # agent_id
    "",  # run_id
    ["", ""],  # root
    "",  # owner
    "",  # session_id
    "cline",  # agent_name
    b"",  # parent_span_id
    ["", ""],  # previous
    "",  # process
    0,  # started_at_ns
    0,  # last_at_ns
    False,  # closed
    {},  # attributes
    {},  # model_calls
    [],  # tool_calls
    {},  # tools_started
    {},  # models_asked
    [],  # span_events
    0,  # model_call_count
    0,  # tool_call_count
    0,  # failed_tool_call_count
    0,  # input_tokens
    0,  # output_tokens
    0.0,  # cost_usd
    [],  # held
    0,  # held_since_ns
    False,  # mode_noted
    0,  # heard_at_ns
)
"""Version 1 of a run, field by field, with the values of those that a shorter row leaves out."""

_STEERING_2: Final[dict[str, tuple[str, ...]]] = {
    "run.started": ("parent_agent_id", "parent_run_id", "parent_iteration", "parent_ordinal", "agent_kind"),
    "model_call.started": ("attempt",),
    "model_call.usage": ("uncached_input_tokens",),
    "model_call.finished": ("attempt", "started_at_ns", "first_chunk_at_ns"),
    "tool_call.started": ("ordinal",),
    "tool_call.finished": ("ordinal", "started_at_ns", "ended_at_ns", "is_mcp"),
}
"""What steers the translator: in version 1 among an event's attributes, in version 2 fields of its class."""


def run_1_to_2(row: list[Any]) -> list[Any]:
    """States have names, times that are not known are nil, and buffered events are of a class each."""
    values = [*row, *_RUN_1[len(row) :]]
    (agent_id, run_id, root, owner, session_id, agent_name, parent_span_id, previous, process) = values[:9]
    started_at_ns, last_at_ns, closed, attributes, model_calls, tool_calls = values[9:15]
    held, held_since_ns, mode_noted, heard_at_ns = values[24:28]
    return [
        agent_id,
        run_id,
        root,
        "closed" if closed else "open" if started_at_ns else "new",
        owner,
        session_id,
        agent_name,
        parent_span_id,
        _key_1_to_2(previous),
        process,
        started_at_ns,
        last_at_ns,
        heard_at_ns or None,
        attributes,
        {iteration: _model_call_1_to_2(call) for iteration, call in model_calls.items()},
        [_tool_call_1_to_2(call) for call in tool_calls],
        *values[15:24],
        [_event_1_to_2(event) for event in held],
        held_since_ns or None,
        mode_noted,
    ]


def session_1_to_2(row: list[Any]) -> list[Any]:
    """No last root run is nil."""
    claimed_by, attributes, current_run, last_root, *rest = row
    return [claimed_by, attributes, current_run, _key_1_to_2(last_root), *rest]


def _key_1_to_2(key: list[str]) -> list[str] | None:
    return key if any(key) else None


def _model_call_1_to_2(row: list[Any]) -> list[Any]:
    started_at_ns, first_chunk_at_ns, ended_at_ns, attempt, attributes = row
    state = "ended" if ended_at_ns else "open"
    return [started_at_ns, state, first_chunk_at_ns or None, ended_at_ns or None, attempt, attributes]


def _tool_call_1_to_2(row: list[Any]) -> list[Any]:
    iteration, ordinal, started_at_ns, ended_at_ns, call_id, attributes = row
    state = "ended" if ended_at_ns else "open"
    is_mcp = attributes.pop("is_mcp", False) is True
    return [iteration, ordinal, started_at_ns, state, ended_at_ns or None, call_id, is_mcp, attributes]


def _event_1_to_2(row: list[Any]) -> list[Any]:
    kind, source, occurred_at_ns, name, session_id, agent_id, run_id, iteration, call_id, process, attributes = row
    steering = [attributes.pop(field, None) for field in _STEERING_2.get(kind, ())]
    own = [session_id, agent_id, run_id, iteration, call_id, *steering]
    return ["log_event" if kind == "fact" else kind, source, occurred_at_ns, name, process, attributes, *own]
