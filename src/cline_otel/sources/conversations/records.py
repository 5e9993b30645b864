"""What a record is made of, whichever conversation it tells of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from cline_otel.sources.conversations.told import Record

INFERRED: Final = "inferred"
"""The ``timing`` of what has a time that no file says."""


Fields = Mapping[str, str | float | None]
"""Fields of a record by name."""


def record_of(event: str, at_ms: int, agent_id: str, run_id: str, fields: Fields) -> Record:
    """A record of a run.

    Args:
        event: what happened.
        at_ms: when, ms since the Unix epoch.
        agent_id: whose run it is.
        run_id: the run.
        fields: what is said of it; what is None is left out.
    """
    record: Record = {"event": event, "time_unix_ms": at_ms, "agent_id": agent_id, "run_id": run_id}
    for name, value in fields.items():
        if value is not None:
            record[name] = value
    return record
