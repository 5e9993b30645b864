"""Repeats: an event that was reported before adds nothing, from whatever file, request or process it comes again.

What is known again is an event's identity:

- **The key**, of a run's, a model call's or a tool call's event whose source gives one: the agent and run with the
  iteration and attempt, or the iteration and ordinal. Whatever else the two say, they are one event. But each process
  numbers its attempts by itself, and the host may be restarted in the midst of a run: an attempt of the same number
  that began at another time is another one.
- **All that it says**, its time included, of every other event. Two that are equal are one event if they come from two
  places: a file and its copy, a request and the one that was sent again. Those of one place are all real: three tool
  calls begin in one millisecond, and nothing but their number says so. So the place that reports such an event first
  says how many there are. Where an event has no number to know it by, but there can't be two of it in one moment (a
  model call begins, its first chunk arrives), the place does not count.

A copy is read in an order of its own, which must not move a source's current run back, nor a mode. Hence repeats are
recognized before the translator sees them, and whose run it is or who owns it does not matter (docs/adr/0015).
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

import msgspec

from cline_otel.catalogue.compiled import Catalogue
from cline_otel.events import (
    AgentDescribed,
    Event,
    ModelCallEnded,
    ModelCallFinished,
    ModelCallFirstChunk,
    ModelCallStarted,
    ProcessExited,
    RunClaimed,
    RunFinished,
    RunStarted,
    SessionClaimed,
    Tick,
    ToolCallFinished,
    ToolCallStarted,
)
from cline_otel.signals import Diagnostics, count
from cline_otel.translate.seen_events import SeenEvents

Key = tuple[int | str, ...]

SAME_CALL_MS: Final = 100
"""Two reports of a model call differ by 0 to 12 ms (recordings); no other process starts and asks again so soon."""

_MOMENTS: Final = 1 << 32
"""Moments are remembered in milliseconds, modulo seven weeks."""

_MOST_ATTEMPTS: Final = 64
"""Model calls of one iteration that are told apart."""


class Repeats:
    """Recognizes what was reported before.

    Args:
        seen: the memory.
        catalogue: what each source can do.
    """

    def __init__(self, seen: SeenEvents, catalogue: Catalogue) -> None:
        self._seen = seen
        self._numbers_attempts = {name: source.numbers_attempts for name, source in catalogue.sources.items()}
        self._encode = msgspec.json.Encoder().encode

    def without(self, events: Iterable[Event], place: str, diagnostics: Diagnostics) -> list[Event]:
        """Those of the events that were not reported before; the others are counted as ``duplicate``.

        ``place`` is where they were read; empty for what was handed over whole, which no other place is like.
        """
        number = _number_of(place or f"{self._seen.added}.")
        new: list[Event] = []
        for event in events:
            try:
                is_repeat = self._is_repeat(event, number)
            except Exception:
                # Nothing may stop what follows; and rather twice than never.
                count(diagnostics, "defect", event.source, event.name)
                is_repeat = False
            if is_repeat:
                count(diagnostics, "duplicate", event.source, event.name)
            else:
                new.append(event)
        return new

    def _is_repeat(self, event: Event, place: int) -> bool:
        """Whether an event was reported before; if not it is from now on."""
        kind = type(event)
        if kind in _HARMLESS:
            return False
        if event.agent_id and event.run_id:
            if isinstance(event, ModelCallStarted | ModelCallFinished):
                if event.attempt is not None or self._numbers_attempts[event.source]:
                    return self._is_known_call(event)
            elif kind in _KEYS and (key := _KEYS[kind](event)) is not None:
                said = (event.source, event.kind, event.agent_id, event.run_id, *key)
                return self._first_told(said, 0) is not None
        # A copy of a process's file may have another name, which is where the process's comes from.
        first = self._first_told(msgspec.structs.replace(event, process="") if event.process else event, place)
        return first is not None and (first != place or kind in _ONE_AT_A_TIME)

    def _is_known_call(self, event: ModelCallStarted | ModelCallFinished) -> bool:
        """Attempts are numbered by process: where another one had this number at another time, this is the next."""
        started_at_ns = event.started_at_ns if isinstance(event, ModelCallFinished) else None
        moment = (event.occurred_at_ns if started_at_ns is None else started_at_ns) // 1_000_000 % _MOMENTS
        for attempt in range(event.attempt or 1, _MOST_ATTEMPTS):
            said = (event.source, event.kind, event.agent_id, event.run_id, event.iteration, attempt)
            first = self._first_told(said, moment)
            if first is None:
                return False
            if (moment - first + SAME_CALL_MS) % _MOMENTS <= 2 * SAME_CALL_MS:
                return True
        return True

    def _first_told(self, said: object, told: int) -> int | None:
        """What was told with the first report that says this; None if this one is the first."""
        identity = blake2b(self._encode(said), digest_size=8).digest()
        first = self._seen.told_of(identity)
        if first is None:
            self._seen.add(identity, told)
        return first


def _number_of(place: str) -> int:
    """What stands for a place in the memory."""
    return zlib.crc32(place.encode("utf-8", "surrogatepass"))


def _key_of_run(event: RunStarted | RunFinished) -> Key:
    return ()


def _key_of_tool_call(event: ToolCallStarted | ToolCallFinished) -> Key | None:
    if event.ordinal is not None:
        return event.iteration, event.ordinal
    return (event.iteration, event.call_id) if event.call_id else None


_KEYS: Final[Mapping[type[Event], Callable[[Any], Key | None]]] = {
    RunStarted: _key_of_run,
    RunFinished: _key_of_run,
    ToolCallStarted: _key_of_tool_call,
    ToolCallFinished: _key_of_tool_call,
}
"""Kinds of events that a source may give a key beside their agent and run; model calls have theirs and a moment."""

_ONE_AT_A_TIME: Final = frozenset({AgentDescribed, ModelCallStarted, ModelCallFirstChunk, ModelCallEnded})
"""Of these there are no two in one moment."""

_HARMLESS: Final = frozenset({SessionClaimed, ProcessExited, RunClaimed, Tick})
"""These add nothing: they say what is so, and a process that claims a session after it was let go claims it again."""
