"""Repeats: an event that was reported before adds nothing, from whatever file, request or process it comes again.

What is known again is an event's identity:

- **The key**, of a run's, a model call's or a tool call's event whose source gives one: the agent and run with the
  iteration and attempt, or the iteration and ordinal. Whatever else the two say, they are one event.
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
from collections.abc import Callable, Iterable, Iterator, Mapping
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

    def without(self, events: Iterable[Event], place: str, diagnostics: Diagnostics) -> Iterator[Event]:
        """Those of the events that were not reported before; the others are counted as ``duplicate``.

        ``place`` is where they were read; empty for what was handed over whole, which no other place is like.
        """
        number = _number_of(place or f"{self._seen.added}.")
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
                yield event

    def _is_repeat(self, event: Event, place: int) -> bool:
        """Whether an event was reported before; if not it is from now on."""
        kind = type(event)
        if kind in _HARMLESS:
            return False
        key = None
        of_kind = _KEYS.get(kind)
        if of_kind is not None and event.agent_id and event.run_id:
            key = of_kind(event, self._numbers_attempts[event.source])
        if key is None:
            # A copy of a process's file may have another name, which is where the process's comes from.
            said: Any = msgspec.structs.replace(event, process="") if event.process else event
        else:
            said = (event.source, event.kind, event.agent_id, event.run_id, *key)
        identity = blake2b(self._encode(said), digest_size=8).digest()
        first = self._seen.place_of(identity)
        if first is None:
            self._seen.add(identity, place)
            return False
        return key is not None or first != place or kind in _ONE_AT_A_TIME


def _number_of(place: str) -> int:
    """What stands for a place in the memory."""
    return zlib.crc32(place.encode("utf-8", "surrogatepass"))


def _of_run(event: RunStarted | RunFinished, numbers_attempts: bool) -> Key:
    return ()


def _of_model_call_start(event: ModelCallStarted, numbers_attempts: bool) -> Key | None:
    if event.attempt is None and not numbers_attempts:
        return None
    return event.iteration, event.attempt or 1


def _of_model_call_end(event: ModelCallFinished, numbers_attempts: bool) -> Key:
    return event.iteration, event.attempt or 1


def _of_tool_call(event: ToolCallStarted | ToolCallFinished, numbers_attempts: bool) -> Key | None:
    if event.ordinal is not None:
        return event.iteration, event.ordinal
    return (event.iteration, event.call_id) if event.call_id else None


_KEYS: Final[Mapping[type[Event], Callable[[Any, bool], Key | None]]] = {
    RunStarted: _of_run,
    RunFinished: _of_run,
    ModelCallStarted: _of_model_call_start,
    ModelCallFinished: _of_model_call_end,
    ToolCallStarted: _of_tool_call,
    ToolCallFinished: _of_tool_call,
}
"""Kinds of events that a source may give a key; the second argument is whether it numbers attempts."""

_ONE_AT_A_TIME: Final = frozenset({AgentDescribed, ModelCallStarted, ModelCallFirstChunk, ModelCallEnded})
"""Of these there are no two in one moment."""

_HARMLESS: Final = frozenset({SessionClaimed, ProcessExited, RunClaimed, Tick})
"""These add nothing: they say what is so, and a process that claims a session after it was let go claims it again."""
