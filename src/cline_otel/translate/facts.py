"""Facts beside the run's own life: log records, counters and span events, each once.

Several sources tell the same fact, at slightly different times and without a common id. A telling is
matched to the nearest telling of the same fact (same name, session and attributes) that its source has
not told yet. So the order in which sources speak does not matter, and two identical facts of one source
stay two.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import Final

from cline_otel import ids
from cline_otel.catalogue.load import Catalogue
from cline_otel.events import AttributeValue, Event
from cline_otel.signals import SpanEvent, count
from cline_otel.translate.derive import IDENTITY, Deriver
from cline_otel.translate.state import Run, State, Telling

SAME_MOMENT_NS: Final = 2_000_000_000
"""Times of one event differ by 0 to 13 ms between log and OTLP; a plugin's mode comes up to 500 ms later."""

REMEMBERED_NS: Final = 600_000_000_000
"""How long a telling waits for another source's, by the bridge's clock: OTLP comes within some seconds of the log."""

MOST_TELLINGS: Final = 256
"""Of one fact with the same attributes in a session; beyond it the oldest are no longer matched."""

_LOOK_EVERY_NS: Final = 60_000_000_000

MAX_SPAN_EVENTS: Final = 128
"""OpenTelemetry's default limit (OTEL_SPAN_EVENT_COUNT_LIMIT)."""


class Facts:
    """Passes facts on, once each."""

    def __init__(self, state: State, deriver: Deriver, catalogue: Catalogue) -> None:
        self._state = state
        self._deriver = deriver
        self._catalogue = catalogue
        self._forget_again_at_ns = 0

    def tell(self, event: Event, fact_name: str, run: Run | None, session_id: str) -> None:
        """One telling of a fact; ``run`` is the agent's run it falls into, if one is known."""
        values = event.attributes
        if fact_name == "cline.mode.switched":
            if not self._is_switch(event, session_id):
                return
            values = {"cline.mode": values["cline.mode"]}
        key = self._key(event, fact_name, values)
        if self._was_told(event, key):
            count(self._deriver.outputs.tally, "duplicate", event.source, event.name)
            return
        fact = self._catalogue.facts[fact_name]
        if run is not None:
            values = {**values, "gen_ai.agent.id": run.agent_id, "cline.run.id": run.run_id}
        if session_id:
            values = {**values, "gen_ai.conversation.id": session_id}
        if event.iteration:
            values = {**values, "cline.iteration": event.iteration}
        uid = self._uid(fact_name, session_id, key, event.occurred_at_ns)
        span_id = ids.run_span_id(run.agent_id, run.run_id) if run is not None else b""
        self._deriver.log(fact, event.occurred_at_ns, dict(values), run, span_id, uid, event.source)
        if fact.span_event and run is not None and not run.closed and len(run.span_events) < MAX_SPAN_EVENTS:
            shown = tuple(
                (name, values[name])
                for name in fact.carries
                if name in values and "span" in self._catalogue.attributes[name].serves and name not in _ON_THE_SPAN
            )
            run.span_events.append(SpanEvent(fact_name, event.occurred_at_ns, shown))
            self._state.touch_run(run)

    def forget(self, now_ns: int) -> None:
        """Drops tellings that no other source will still match; looks once a minute."""
        if now_ns < self._forget_again_at_ns:
            return
        self._forget_again_at_ns = now_ns + _LOOK_EVERY_NS
        before_ns = now_ns - REMEMBERED_NS
        for key, tellings in list(self._state.tellings.items()):
            kept = [telling for telling in tellings if telling.touched_at_ns >= before_ns]
            if len(kept) == len(tellings):
                continue
            self._state.touch("fact", key)
            if kept:
                self._state.tellings[key] = kept
            else:
                del self._state.tellings[key]

    def _is_switch(self, event: Event, session_id: str) -> bool:
        """``task.mode`` comes with every prompt; only a mode other than the session's last is a switch."""
        mode = event.attributes.get("cline.mode")
        if not session_id or not isinstance(mode, str):
            return False
        session = self._state.session(session_id)
        last = session.mode.get(event.source)
        session.mode[event.source] = mode
        return last is not None and last != mode

    def _key(self, event: Event, fact_name: str, values: dict[str, AttributeValue]) -> str:
        shared = sorted((name, repr(value)) for name, value in values.items() if name not in _TOLD_BY_SOME)
        return f"{fact_name}/{event.session_id}/{shared}"

    def _was_told(self, event: Event, key: str) -> bool:
        """Whether another source has told it; remembers the telling either way."""
        tellings = self._state.tellings.setdefault(key, [])
        self._state.touch("fact", key)
        occurred_at_ns = event.occurred_at_ns
        first = bisect_left(tellings, occurred_at_ns - SAME_MOMENT_NS, key=_occurred_at_ns)
        nearest: Telling | None = None
        for telling in tellings[first:]:
            distance_ns = abs(telling.occurred_at_ns - occurred_at_ns)
            if distance_ns > SAME_MOMENT_NS:
                break
            if event.source not in telling.told_by and (
                nearest is None or distance_ns < abs(nearest.occurred_at_ns - occurred_at_ns)
            ):
                nearest = telling
        if nearest is None:
            insort(tellings, Telling(occurred_at_ns, self._state.now_ns, [event.source]), key=_occurred_at_ns)
            del tellings[:-MOST_TELLINGS]
            return False
        nearest.touched_at_ns = self._state.now_ns
        nearest.told_by.append(event.source)
        return True

    def _uid(self, fact_name: str, session_id: str, key: str, occurred_at_ns: int) -> str:
        """By the fact's place in its session; a fact without any key has only its time and its place there."""
        if not session_id:
            same_moment = [t for t in self._state.tellings[key] if t.occurred_at_ns == occurred_at_ns]
            return ids.log_record_uid(fact_name, "at", str(occurred_at_ns), key, str(len(same_moment)))
        session = self._state.session(session_id)
        ordinal = session.fact_ordinals[fact_name] = session.fact_ordinals.get(fact_name, 0) + 1
        return ids.log_record_uid(fact_name, session_id, str(ordinal))


def _occurred_at_ns(telling: Telling) -> int:
    return telling.occurred_at_ns


_ON_THE_SPAN: Final = frozenset(
    {"gen_ai.agent.id", "cline.run.id", "gen_ai.conversation.id", "cline.telemetry.source", "cline.version", *IDENTITY}
)
_TOLD_BY_SOME: Final = frozenset({"cline.duration_ms", "cline.version", *IDENTITY})
