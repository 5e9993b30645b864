"""What the end of a Cline process says of the runs that it had open: ``PROCESS_ENDS`` is the table.

The plugin writes as its last record why its process ends (``process.exited``); where a process could write none,
whoever reads its spool sees later that it is gone. Recordings of the real Cline have these ends:

- Ctrl-C, ``hub stop`` and the end of a session: Cline sends SIGTERM to the plugin's process. A run that is still open
  by then was ended with it; Cline's own files call it failed a moment later.
- A plugin that leaves a hook unanswered for 3 s: SIGTERM too, but the run goes on in another process, which the next
  hook starts.
- Half an hour without a call of the plugin (``CLINE_PLUGIN_IDLE_TIMEOUT_MS``): SIGTERM too, but the run goes on, in
  another process.
- Cline itself, or the hub daemon that runs its agents, was killed: the plugin loses its channel to it, within 50 ms.
- All were killed at once: nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from cline_otel.events import ProcessExited

FOLLOWED_WITHIN_NS: Final = 10_000_000_000
"""How long after Cline ended a plugin's process another one may go on with its runs.

The first hook of the next model call or tool starts it, and it takes a second to load, several on a busy machine.
"""

IDLE_NS: Final = 1_800_000_000_000
"""Cline's own limit, after which it ends a plugin's process that it has not called: half an hour."""


class ProcessEnd(NamedTuple):
    """What became of the runs of a process.

    Attributes:
        outcome: how they ended; empty where they go on in another process.
        error_type: why the calls failed that were open.
        is_observed: whether it was told when the process ended: what was open lasted until then, else until the last
            sign of life.
        may_be_followed: whether another process may still go on with them for ``FOLLOWED_WITHIN_NS``.
    """

    outcome: str
    error_type: str
    is_observed: bool = True
    may_be_followed: bool = False


_UNTOLD: Final = "untold"

PROCESS_ENDS: Final[Mapping[str, ProcessEnd]] = {
    "idle": ProcessEnd("", ""),
    "terminated": ProcessEnd("aborted", "aborted", may_be_followed=True),
    "disconnected": ProcessEnd("incomplete", "process_exited"),
    "exit": ProcessEnd("incomplete", "process_exited"),
    _UNTOLD: ProcessEnd("incomplete", "process_exited", is_observed=False),
}
"""By what the process said of its end; any other word is read as ``exit``."""


def process_end(event: ProcessExited, last_at_ns: int) -> ProcessEnd:
    """What an end says of the runs that the process had open.

    Plugins of before say ``terminated`` of an idle process too.

    Args:
        event: the end.
        last_at_ns: when those runs gave their last sign of life, nanoseconds since the Unix epoch.
    """
    reason = event.exit_reason or _UNTOLD
    if reason == "terminated" and event.occurred_at_ns - last_at_ns >= IDLE_NS:
        reason = "idle"
    return PROCESS_ENDS.get(reason, PROCESS_ENDS["exit"])
