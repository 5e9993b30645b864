"""What is reported beside the run's own life: log records, counters and span events, each once.

Several sources report the same log event, at slightly different times and without a common id. A report is
matched to the nearest observation of the same event (same name, session and attributes) that its source has
not made yet. So the order in which sources report does not matter, and two identical events of one source
stay two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cline_otel import ids
from cline_otel.catalogue.compiled import Catalogue, LogEventDefinition
from cline_otel.catalogue.values import OTHER
from cline_otel.events import AttributeValue, LogEvent, ModelCallEnded, ModelCallStarted
from cline_otel.signals import SpanEvent, count
from cline_otel.translate import failures
from cline_otel.translate.edits import measure_change
from cline_otel.translate.observations import REMEMBERED_NS, number_at, was_observed
from cline_otel.translate.output import Output, pick
from cline_otel.translate.state import State
from cline_otel.translate.stored import CallState, Run, RunState

_WHO: Final = ("user.hash", "user.id", "cline.device.hash", "cline.device.id")
"""What tells a report of no session from the same of somebody else, or of another machine."""

_LOOK_EVERY_NS: Final = 60_000_000_000

MAX_SPAN_EVENTS: Final = 128
"""OpenTelemetry's default limit (OTEL_SPAN_EVENT_COUNT_LIMIT)."""


class LogEvents:
    """Passes log events on, once each."""

    def __init__(self, state: State, output: Output, catalogue: Catalogue) -> None:
        self._state = state
        self._output = output
        self._catalogue = catalogue
        self._compared_not = frozenset({"cline.duration_ms", "cline.version", *catalogue.identity})
        on_the_span = {
            "cline.agent.id",
            "cline.run.id",
            "gen_ai.conversation.id",
            "cline.telemetry.source",
            "cline.version",
            *catalogue.identity,
        }
        self._on_span_events = {
            each.name: tuple(
                name for name in each.carries if "span" in catalogue.attributes[name].serves and name not in on_the_span
            )
            for each in catalogue.log_events.values()
            if each.span_event
        }
        self._forget_again_at_ns = 0

    def report(self, event: LogEvent, log_event_name: str, run: Run | None, session_id: str) -> None:
        """One source's report of it; ``run`` is the agent's run it falls into, if one is known."""
        values = event.attributes
        if log_event_name == "cline.mode.switched":
            if not self._is_switch(event, session_id):
                return
            values = {"cline.mode": values["cline.mode"]}
        log_event = self._catalogue.log_events[log_event_name]
        repeated = log_event.repeated(values)
        if repeated == "model_call" and (error_type := values.get("error.type", OTHER)) != OTHER:
            self._note_class(event, run, str(error_type))
        key = self._key(event, log_event_name, values)
        if was_observed(self._state, key, event.source, event.occurred_at_ns):
            count(self._output.diagnostics, "duplicate", event.source, event.name)
            return
        if log_event_name == "cline.edit.accepted":
            measure_change(self._output, values, event.occurred_at_ns)
        elif log_event_name == "cline.task.started" and session_id:
            self._output.session(self._state.session(session_id), event.occurred_at_ns)
        shown = {**values}
        if run is not None:
            shown["cline.agent.id"] = run.agent_id
            shown["cline.run.id"] = run.run_id
        if session_id:
            shown["gen_ai.conversation.id"] = session_id
        if event.iteration:
            shown["cline.iteration"] = event.iteration
        if log_event.span_event and run is not None and run.state is not RunState.CLOSED:
            self._add_span_event(run, log_event, event.occurred_at_ns, shown)
        uid = self._uid(log_event_name, session_id, key, event.occurred_at_ns)
        span_id = ids.run_span_id(run.agent_id, run.run_id) if run is not None else b""
        self._output.log(
            log_event, event.occurred_at_ns, shown, run, span_id, uid, event.source, is_counted=bool(repeated)
        )
        if repeated:
            owner = self._state.root_of(run).owner if run is not None else ""
            failures.report(
                self._state, self._output, repeated, log_event_name, shown, event.occurred_at_ns, owner or event.source
            )

    def _note_class(self, event: LogEvent, run: Run | None, error_type: str) -> None:
        """A record says why a model call fails: if it names no run, of the only one that waits for an answer."""
        state = self._state
        runs = (state.runs[key] for key in state.open_runs | state.awaiting_owner) if run is None else [run]
        waiting = [
            each
            for each in runs
            if state.root_of(each).owner in ("", event.source) and _waits_for_a_model(each, event.source)
        ]
        if len(waiting) == 1:
            waiting[0].told_errors.append((event.occurred_at_ns, error_type, event.source))
            state.touch_run(waiting[0])

    def _add_span_event(
        self, run: Run, log_event: LogEventDefinition, occurred_at_ns: int, values: Mapping[str, AttributeValue]
    ) -> None:
        if len(run.span_events) >= MAX_SPAN_EVENTS:
            return
        shown = pick(self._on_span_events[log_event.name], values)
        run.span_events.append(SpanEvent(log_event.name, occurred_at_ns, shown))
        self._state.touch_run(run)

    def look_again(self) -> None:
        """The clock was set: at the next occasion observations are looked at."""
        self._forget_again_at_ns = 0

    def forget(self, now_ns: int) -> None:
        """Drops observations that no other source will still match; looks once a minute."""
        if now_ns < self._forget_again_at_ns:
            return
        self._forget_again_at_ns = now_ns + _LOOK_EVERY_NS
        before_ns = now_ns - REMEMBERED_NS
        for key, observations in list(self._state.observations.items()):
            kept = [each for each in observations if each.seen_at_ns >= before_ns]
            if len(kept) == len(observations):
                continue
            self._state.touch("log_event", key)
            if kept:
                self._state.observations[key] = kept
            else:
                del self._state.observations[key]

    def _is_switch(self, event: LogEvent, session_id: str) -> bool:
        """``task.mode`` comes with every prompt; only a mode other than the session's last is a switch."""
        mode = event.attributes.get("cline.mode")
        if not session_id or not isinstance(mode, str):
            return False
        session = self._state.session(session_id)
        last = session.mode.get(event.source)
        session.mode[event.source] = mode
        return last is not None and last != mode

    def _key(self, event: LogEvent, log_event_name: str, values: dict[str, AttributeValue]) -> str:
        compared_not = self._compared_not
        shared = sorted([(name, repr(value)) for name, value in values.items() if name not in compared_not])
        # Several users or machines may report the same at once, and through one bridge, or to one backend through many.
        told_by = "" if event.session_id else ids.mark_of_reporter([str(values.get(name, "")) for name in _WHO])
        return f"{log_event_name}/{event.session_id or told_by}/{shared}"

    def _uid(self, log_event_name: str, session_id: str, key: str, occurred_at_ns: int) -> str:
        """By its place in its session; one of none has whose it is, its time, and its place there (docs/adr/0002)."""
        if not session_id:
            same_moment = number_at(self._state.observations[key], occurred_at_ns)
            return ids.log_record_uid(log_event_name, "at", str(occurred_at_ns), key, str(same_moment))
        session = self._state.session(session_id)
        ordinal = session.log_event_ordinals[log_event_name] = session.log_event_ordinals.get(log_event_name, 0) + 1
        return ids.log_record_uid(log_event_name, session_id, str(ordinal), *filter(None, [session.lost]))


def _waits_for_a_model(run: Run, source: str) -> bool:
    """Whether a model call is open by what a source said of it, be that held back until the run has an owner."""
    for event in reversed(run.buffered):
        if event.source == source and isinstance(event, ModelCallStarted | ModelCallEnded):
            return isinstance(event, ModelCallStarted)
    return any(call.state is CallState.OPEN for call in run.model_calls.values())
