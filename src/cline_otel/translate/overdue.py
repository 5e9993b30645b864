"""Calls that have not ended for long: said once each, while they go on, so that somebody can look."""

from __future__ import annotations

from typing import Final

from cline_otel.translate.active_time import asks
from cline_otel.translate.spans import SpanBuilder
from cline_otel.translate.state import CallState, State
from cline_otel.translate.waits import is_awaited

LOOK_EVERY_NS: Final = 5_000_000_000


class Overdue:
    """Looks at the calls of the runs that are under way.

    Args:
        state: the translator's memory.
        spans: makes the log records.
        limit_ns: from which duration on a call is one, nanoseconds; None for never.
    """

    def __init__(self, state: State, spans: SpanBuilder, limit_ns: int | None) -> None:
        self._state = state
        self._spans = spans
        self._limit_ns = limit_ns
        self._look_again_at_ns = 0

    def look_again(self) -> None:
        """The clock was set: at the next occasion calls are looked at."""
        self._look_again_at_ns = 0

    def look(self, now_ns: int) -> None:
        """What time it is; a tool that asks the user, and a call that waits for an approval, wait for a person."""
        if self._limit_ns is None or now_ns < self._look_again_at_ns:
            return
        self._look_again_at_ns = now_ns + LOOK_EVERY_NS
        began_by_ns = now_ns - self._limit_ns
        for key in sorted(self._state.open_runs):
            run = self._state.runs[key]
            for iteration, call in run.model_calls.items():
                if is_awaited(call) and call.started_at_ns <= began_by_ns and not call.is_overdue:
                    call.is_overdue = True
                    self._spans.model_call_overdue(run, iteration, call, now_ns)
                    self._state.touch_run(run)
            for tool in run.tool_calls:
                is_open = tool.state is CallState.OPEN and not asks(tool)
                if is_open and tool.started_at_ns <= began_by_ns and not tool.is_overdue:
                    tool.is_overdue = True
                    self._spans.tool_call_overdue(run, tool, now_ns)
                    self._state.touch_run(run)
