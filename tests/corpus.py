"""The recordings that tests replay, and how a test runs events through the translator.

``tests/data/captures`` holds small scrubbed recordings of the real Cline. ``CLINE_OTEL_CAPTURES`` may name
a folder with further ones; every law is then held over them too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import msgspec
from bench.fixed_key import CATALOGUE, recording_of

import payloads
from cline_otel.events import EVENT_TYPES, AttributeValue, Event, RunClaimed, steering_fields, tick
from cline_otel.replay import decode_recording
from cline_otel.signals import Diagnostics, StepOutput
from cline_otel.translate.silence import SILENCE_NS
from cline_otel.translate.step import Translator

DATA: Final = Path(__file__).parent / "data"
CAPTURES: Final = DATA / "captures"
SECOND_NS: Final = 1_000_000_000
MINUTE_NS: Final = 60 * SECOND_NS
HOUR_NS: Final = 3_600 * SECOND_NS

LIFECYCLE_LOG_EVENTS: Final = frozenset(
    {"cline.run.started", "cline.run.finished", "cline.model_call.failed", "cline.tool_call.failed"}
)
"""Log records that the translator makes of runs and calls; the others are facts that a source tells."""


class Stream(msgspec.Struct, frozen=True):
    """What one source told, in its own order."""

    source: str
    events: tuple[Event, ...]


def capture_paths() -> list[Path]:
    """Every recording folder: the bundled ones, and instead of them and besides those of ``CLINE_OTEL_CAPTURES``."""
    folders = [Path(further)] if (further := os.environ.get("CLINE_OTEL_CAPTURES")) else []
    paths = {path.name: path for folder in [CAPTURES, *folders] for path in sorted(folder.iterdir()) if path.is_dir()}
    return list(paths.values())


@lru_cache(None)
def decoded(path: Path) -> tuple[tuple[Stream, ...], Diagnostics]:
    """The streams of a recording, and what its decoding counted."""
    diagnostics: Diagnostics = {}
    catalogue = CATALOGUE
    streams = [
        Stream(events[0].source, tuple(events))
        for events in decode_recording(recording_of([path]), catalogue, diagnostics)
        if events
    ]
    for body in sorted(path.glob("*.pb")):
        events = payloads.decoded(payloads.otlp_request(body.read_bytes(), "protobuf"), diagnostics)
        if events:
            streams.append(Stream("otlp", tuple(events)))
    return tuple(streams), dict(diagnostics)


def streams_of(path: Path) -> tuple[Stream, ...]:
    """The streams of a recording."""
    return decoded(path)[0]


def end_of(events: Iterable[Event]) -> int:
    """The time of the last event, nanoseconds since the Unix epoch."""
    return max((event.occurred_at_ns for event in events), default=0)


def translate(steps: Sequence[Event], claim_wait_ns: int = 0) -> StepOutput:
    """All that comes of the steps; what stays open is closed by two ticks a day and more after the last."""
    translator = Translator(CATALOGUE, claim_wait_ns=claim_wait_ns)
    for step in [*steps, *closing_ticks(steps)]:
        translator.step(step)
    return translator.take()


def closing_ticks(steps: Iterable[Event]) -> list[Event]:
    """The first ends the waiting for a better source, the second the waiting for a sign of life."""
    end_ns = end_of(steps)
    return [tick(end_ns + HOUR_NS), tick(end_ns + 2 * HOUR_NS + SILENCE_NS)]


def live_steps(path: Path) -> list[Event]:
    """All sources of a recording by time, with the bridge's clock after each event; empty if nothing is told."""
    events = sorted(
        (event for stream in streams_of(path) for event in stream.events), key=lambda event: event.occurred_at_ns
    )
    if not events:
        return []
    steps = [step for event in events for step in (event, tick(event.occurred_at_ns))]
    return [tick(events[0].occurred_at_ns), *steps, *closing_ticks(events)]


def claim(
    agent_id: str, run_id: str, owner: str, session_id: str = "", prompt_id: str = "", started_at_ns: int = 0
) -> Event:
    """The decision who owns a root run, made beforehand."""
    attributes: dict[str, AttributeValue] = {"cline.prompt.id": prompt_id} if prompt_id else {}
    return RunClaimed(
        owner,
        started_at_ns,
        "run.claimed",
        attributes=attributes,
        session_id=session_id,
        agent_id=agent_id,
        run_id=run_id,
    )


def event_of(
    kind: str,
    source: str,
    occurred_at_ns: int,
    name: str = "",
    session_id: str = "",
    agent_id: str = "",
    run_id: str = "",
    iteration: int = 0,
    call_id: str = "",
    process: str = "",
    attributes: Mapping[str, AttributeValue] | None = None,
) -> Event:
    """An event of a kind; what of ``attributes`` steers the translator becomes a field of its own."""
    values = dict(attributes or {})
    event_type = EVENT_TYPES[kind]
    steering: dict[str, Any] = {field: values.pop(field) for field in steering_fields(event_type) if field in values}
    own = (session_id, agent_id, run_id, iteration, call_id)
    return event_type(source, occurred_at_ns, name, process, values, *own, **steering)
