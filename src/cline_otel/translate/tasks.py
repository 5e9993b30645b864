"""Tasks of classic Cline, which its own telemetry tells as a whole, without agents and runs.

Such a task is a run of its own there, from ``task.created`` to ``task.completed``, known by its session; what comes
before or after counts in the metrics alone. Its files tell a run for every prompt, and know that session: then the task
is part of the run of the prompt that is at work, so that one of the two owns it as any other run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

from cline_otel.events import (
    AttributeValue,
    BufferedEvent,
    LogEvent,
    ModelCallUsage,
    RunFinished,
    RunStarted,
    ToolCallNamed,
)
from cline_otel.translate.state import State
from cline_otel.translate.stored import Run, RunKey, RunState

_Event = TypeVar("_Event", RunStarted, RunFinished)

BEGINS: Final = "cline.task.started"
ENDS: Final = "cline.task.completed"
"""Log records that say where a task begins and ends."""


class Tasks:
    """Keeps which tasks are told as a whole.

    Args:
        state: the translator's memory.
        route: takes an event about a run.
    """

    def __init__(self, state: State, route: Callable[[BufferedEvent], None]) -> None:
        self._state = state
        self._route = route

    def begin(self, event: LogEvent, log_event: str) -> None:
        """Opens the run of a task that begins, if this event says that one does."""
        if log_event == BEGINS and _is_of_task(event):
            self._route(_about(event, RunStarted))

    def end(self, event: LogEvent, log_event: str) -> None:
        """Closes the run of a task that ends, if this event says that one does; the session has none then."""
        if log_event != ENDS or not _is_of_task(event):
            return
        session = self._state.sessions.get(event.session_id)
        if session is not None and session.current_run.pop(event.source, None) is not None:
            self._state.touch("session", event.session_id)
            self._route(_about(event, RunFinished, {"cline.outcome": "completed"}))

    def run_of(self, event: BufferedEvent) -> Run | None:
        """The task that something without a run is of; if its beginning was not seen, the first that counts is it."""
        key: RunKey = (event.session_id, event.session_id)
        if key not in self._state.runs and isinstance(event, ModelCallUsage | ToolCallNamed):
            self._route(_about(event, RunStarted))
        return self._state.runs.get(key)

    def adopt(self, run: Run, event: RunStarted) -> None:
        """A run is that of a prompt in a task which another source tells as a whole; whoever owns that owns it."""
        if event.task_ulid is None:
            return
        key: RunKey = (event.task_ulid, event.task_ulid)
        task = self._state.runs.get(key)
        if task is None:
            task = self._state.runs[key] = Run(*key, key)
        if task.owner not in ("", event.source):
            run.owner = run.owner or task.owner
            self._state.touch_run(run)
            return
        waiting, task.buffered = task.buffered, []
        self._state.awaiting_owner.discard(key)
        task.root, task.joined_in, task.state = run.key, event.session_id, RunState.CLOSED
        task.last_at_ns = max(task.last_at_ns, event.occurred_at_ns)
        self._state.touch_run(task)
        for each in waiting:
            self._route(each)


def _is_of_task(event: LogEvent) -> bool:
    return bool(event.session_id) and not event.agent_id and not event.run_id


def _about(
    event: LogEvent | ModelCallUsage | ToolCallNamed,
    event_type: type[_Event],
    further: Mapping[str, AttributeValue] | None = None,
) -> _Event:
    """An event about the run of a task, where something without a run says it."""
    session_id = event.session_id
    return event_type(
        event.source,
        event.occurred_at_ns,
        event.name,
        attributes={**event.attributes, **(further or {})},
        session_id=session_id,
        agent_id=session_id,
        run_id=session_id,
    )
