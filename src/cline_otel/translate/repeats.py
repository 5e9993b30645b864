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
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final, cast

import msgspec

from cline_otel import ids
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
    SessionAnnounced,
    SessionClaimed,
    SessionUntold,
    Tick,
    ToolCallFinished,
    ToolCallStarted,
)
from cline_otel.signals import Diagnostics, count
from cline_otel.translate.seen_events import SeenEvents

_Attempt = ModelCallStarted | ModelCallFinished
_encode = msgspec.json.Encoder().encode

SAME_CALL_MS: Final = 100
"""Two reports of a model call differ by 0 to 12 ms (recordings); no other process starts and asks again so soon."""

_ALL_BITS: Final = (1 << 64) - 1
_MOMENTS: Final = 1 << 32
"""Moments are remembered in milliseconds, modulo seven weeks."""

_MOST_ATTEMPTS: Final = 64
"""Processes that may make a model call again, one after the other."""


class Repeats:
    """Recognizes what was reported before.

    Args:
        seen: the memory.
        catalogue: what each source can do.
    """

    def __init__(self, seen: SeenEvents, catalogue: Catalogue) -> None:
        self._seen = seen
        self._numbers_attempts = {name: source.numbers_attempts for name, source in catalogue.sources.items()}
        self._keyed_by_ids = frozenset(name for name, source in catalogue.sources.items() if source.keys_by_ids)

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
            if event.source in self._keyed_by_ids and (key := _key_by_ids(event)) is not None:
                return self._seen.first_told(_identity(key, event), 0) is not None
            if kind in _ATTEMPTS:
                call = cast(_Attempt, event)
                if call.attempt is not None or self._numbers_attempts[call.source]:
                    return self._is_known_call(call)
            elif kind in _KEYS and (key := _KEYS[kind](event)) is not None:
                return self._seen.first_told(_identity(key, event), 0) is not None
        first = self._seen.first_told(_content(event), place)
        return first is not None and (first != place or kind in _ONE_AT_A_TIME)

    def _is_known_call(self, event: _Attempt) -> bool:
        """Attempts are numbered by process: where another one had this number at another time, this is the next."""
        started_at_ns = event.started_at_ns if isinstance(event, ModelCallFinished) else None
        moment = (event.occurred_at_ns if started_at_ns is None else started_at_ns) // 1_000_000 % _MOMENTS
        number = event.attempt or 1
        for attempt in range(number, number + _MOST_ATTEMPTS):
            key = ids.model_call_span_id(event.agent_id, event.run_id, event.iteration, attempt)
            first = self._seen.first_told(_identity(key, event), moment)
            if first is None:
                return False
            if (moment - first + SAME_CALL_MS) % _MOMENTS <= 2 * SAME_CALL_MS:
                return True
        return True


def _identity(key: bytes, event: Event) -> bytes:
    """Of an event with a key: the id of the span that it belongs to, set apart by who reports it and what it is."""
    return (int.from_bytes(key, "big") ^ _kind_number(event.source, event.kind)).to_bytes(8, "big")


@lru_cache
def _kind_number(source: str, kind: str) -> int:
    return int.from_bytes(blake2b(f"{source}/{kind}".encode(), digest_size=8).digest(), "big")


def _content(event: Event) -> bytes:
    """Of an event without a key: when it was, and a checksum of all that it says."""
    # A copy of a process's file may have another name, which is where the process's comes from.
    said = _encode(msgspec.structs.replace(event, process="") if event.process else event)
    return (((event.occurred_at_ns >> 20 << 32) & _ALL_BITS) | zlib.crc32(said)).to_bytes(8, "big")


def _number_of(place: str) -> int:
    """What stands for a place in the memory."""
    return zlib.crc32(place.encode("utf-8", "surrogatepass"))


def _run_of(event: RunStarted | RunFinished) -> bytes:
    return ids.run_span_id(event.agent_id, event.run_id)


def _tool_call_of(event: ToolCallStarted | ToolCallFinished) -> bytes | None:
    ordinal: int | str | None = event.ordinal
    if ordinal is None:
        if not event.call_id:
            return None
        ordinal = f"id {event.call_id}"
    return ids.tool_call_span_id(event.agent_id, event.run_id, event.iteration, ordinal)


def _key_by_ids(event: Event) -> bytes | None:
    """Of a model call or tool call that is told apart by the ids of messages and calls."""
    message_id = str(event.attributes.get("cline.message.id", ""))
    if not message_id:
        return None
    if event.call_id:
        return ids.asked_call_span_id(event.agent_id, event.run_id, message_id, event.call_id)
    return ids.answer_span_id(event.agent_id, event.run_id, message_id)


_KEYS: Final[Mapping[type[Event], Callable[[Any], bytes | None]]] = {
    RunStarted: _run_of,
    RunFinished: _run_of,
    ToolCallStarted: _tool_call_of,
    ToolCallFinished: _tool_call_of,
}
"""Kinds of events that have a key if their source gives it; model calls have theirs with a moment."""

_ATTEMPTS: Final = frozenset({ModelCallStarted, ModelCallFinished})

_ONE_AT_A_TIME: Final = frozenset({AgentDescribed, ModelCallStarted, ModelCallFirstChunk, ModelCallEnded})
"""Of these there are no two in one moment."""

_HARMLESS: Final = frozenset({SessionClaimed, SessionAnnounced, SessionUntold, ProcessExited, RunClaimed, Tick})
"""These add nothing: they say what is so, and a process that claims a session after it was let go claims it again."""
