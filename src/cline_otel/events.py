"""The vocabulary: what any source can tell, in one small set of events.

A decoder turns one upstream record into events of this module and nothing else; the translator
knows no other input. Time enters the core only here: every event carries when it happened, and a
``tick`` event says what time it is now.
"""

from __future__ import annotations

from typing import Literal

import msgspec

AttributeValue = str | bool | int | float | tuple[str, ...]
"""A value that OpenTelemetry can carry: scalar, or an array of strings."""

Kind = Literal[
    "session.claimed",
    "process.exited",
    "agent.described",
    "run.claimed",
    "run.started",
    "run.finished",
    "model_call.started",
    "model_call.first_chunk",
    "model_call.ended",
    "model_call.usage",
    "model_call.finished",
    "tool_call.started",
    "tool_call.finished",
    "tool_call.named",
    "records.dropped",
    "fact",
    "tick",
]
"""The role an event plays in a run's life; ``translate.lifecycle`` holds the transition table."""


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that happened, as one source tells it.

    Attributes:
        kind: the role in the lifecycle.
        source: who told it: the name of a source in the catalogue, or ``clock``.
        occurred_at_ns: when it happened, nanoseconds since the Unix epoch.
        name: the catalogue's name of the upstream event, for example ``task.tokens``.
        session_id: Cline's session (``ulid``, ``sessionId``); empty when the record has none.
        agent_id: Cline's agent; empty when the record has none.
        run_id: one prompt of that agent; empty when the record has none.
        iteration: the model call within the run, counted from 1; 0 when the record has none.
        call_id: the model's id of a tool call; empty where the source has none.
        process: the Cline process that told it, as the spool names it; empty elsewhere.
        attributes: catalogued attributes only, by their OpenTelemetry names. What the
            catalogue does not list never gets this far.
    """

    kind: Kind
    source: str
    occurred_at_ns: int
    name: str = ""
    session_id: str = ""
    agent_id: str = ""
    run_id: str = ""
    iteration: int = 0
    call_id: str = ""
    process: str = ""
    attributes: dict[str, AttributeValue] = {}


def tick(now_ns: int) -> Event:
    """The event that tells the core the time: nanoseconds since the Unix epoch."""
    return Event("tick", "clock", now_ns, "tick")
