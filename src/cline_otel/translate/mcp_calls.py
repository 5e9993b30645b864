"""MCP calls that two sources report: the plugin as tool calls of a run, the VS Code extension over OTLP.

The extension's record names no session, run or call (its id is made for the record), and a server's name may be
changed in the tool's. So they are joined by time: both are made in one process when the call is over (0 ms apart in
recordings). A call counts once, as the run's owner has it unless the extension's record was read before the call began.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cline_otel.catalogue.values import OTHER
from cline_otel.events import AttributeValue, LogEvent
from cline_otel.translate.observations import was_observed
from cline_otel.translate.state import State
from cline_otel.translate.stored import CallState, Run, ToolCall

_KEY: Final = "cline.mcp.called"
"""The log event, which is observed by its time alone."""


def is_superseded(state: State, log_event_name: str, event: LogEvent) -> bool:
    """Whether a log event is a report of a call that is over and that a run has; such a report is remembered if not."""
    if log_event_name != _KEY or event.attributes.get("cline.extension.variant") != "next":
        return False
    return _is_open(state, event.occurred_at_ns) or was_observed(state, _KEY, event.source, event.occurred_at_ns)


def was_counted(state: State, run: Run, call: ToolCall) -> bool:
    """Whether a run's call that is over was counted as another source's; it is remembered if not."""
    return was_observed(state, _KEY, run.owner, call.over_at_ns)


def _is_open(state: State, at_ns: int) -> bool:
    return any(
        call.state is CallState.OPEN and call.started_at_ns <= at_ns and _may_be_mcp(call.attributes)
        for key in state.open_runs
        for call in state.runs[key].tool_calls
    )


def _may_be_mcp(attributes: Mapping[str, AttributeValue]) -> bool:
    """Cline names them ``server__tool``; that it is one is known when it is over."""
    name = str(attributes.get("gen_ai.tool.name"))
    return name == OTHER or "__" in name
