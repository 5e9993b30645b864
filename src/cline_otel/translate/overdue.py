"""Calls that have not ended for long: said once each, while they go on, so that somebody can look."""

from __future__ import annotations

from cline_otel.translate.active_time import asks
from cline_otel.translate.deadlines import Deadlines
from cline_otel.translate.spans import SpanBuilder
from cline_otel.translate.state import State
from cline_otel.translate.stored import CallState, Run
from cline_otel.translate.waits import is_awaited


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
        self._deadlines = Deadlines(state)

    def look(self, now_ns: int) -> None:
        """What time it is; a tool that asks the user, and a call that waits for an approval, wait for a person."""
        if self._limit_ns is None:
            return
        began_by_ns = now_ns - self._limit_ns
        for run in self._deadlines.take_due(now_ns):
            if (began_at_ns := self._say(run, began_by_ns, now_ns)) is not None:
                self._deadlines.put(run, began_at_ns + self._limit_ns)

    def _say(self, run: Run, began_by_ns: int, now_ns: int) -> int | None:
        """Says which calls are overdue; when the first of the others began, None where there is none."""
        began: list[int] = []
        for iteration, call in run.model_calls.items():
            if is_awaited(call) and not call.is_overdue:
                if call.started_at_ns > began_by_ns:
                    began.append(call.started_at_ns)
                    continue
                call.is_overdue = True
                self._spans.model_call_overdue(run, iteration, call, now_ns)
                self._state.touch_run(run)
        for tool in run.tool_calls:
            if tool.state is CallState.OPEN and not asks(tool) and not tool.is_overdue:
                if tool.started_at_ns > began_by_ns:
                    began.append(tool.started_at_ns)
                    continue
                tool.is_overdue = True
                self._spans.tool_call_overdue(run, tool, now_ns)
                self._state.touch_run(run)
        return min(began, default=None)
