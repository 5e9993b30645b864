"""What the journal knows of one session: what was told of it, by whomever, and what still is."""

from __future__ import annotations

from typing import NamedTuple

from cline_otel.journal.store import Journal
from cline_otel.translate.state import State
from cline_otel.translate.stored import SESSION, RunKey, RunState, Session


class Memory(NamedTuple):
    """What is known of a session.

    Attributes:
        rows: the stored state that is about it.
        told: what the prompts are called that were told: runs and messages.
        is_at_work: whether a bridge has told a part of a prompt, or of one that has no owner yet.
        newest_at_ns: when the last prompt that was told began, nanoseconds since the Unix epoch; None if none was.
    """

    rows: tuple[tuple[str, bytes], ...]
    told: frozenset[str]
    is_at_work: bool
    newest_at_ns: int | None


def memory_of(journal: Journal, session_id: str) -> Memory:
    """What the journal knows of a session.

    Raises:
        JournalError: it cannot be read.
    """
    rows = [*journal.load_state(f"prompt/{session_id}/")]
    for key in (f"session/{session_id}", f"agent/{session_id}"):
        rows += [row for row in journal.load_state(key) if row[0] == key]
    prompts = State.restore(rows).prompts.get(session_id, [])
    runs = {run for prompt in prompts for run in (prompt.run, prompt.run_by_ids) if run is not None}
    keys = {f"run/{agent_id}/{run_id}" for agent_id, run_id in runs}
    rows += [row for key in sorted(keys) for row in journal.load_state(key) if row[0] == key]
    state = State.restore(rows)
    told = [prompt for prompt in prompts if prompt.owner]
    return Memory(
        tuple(rows),
        frozenset(
            name
            for prompt in told
            for name in (prompt.message_id, prompt.run_by_ids[1] if prompt.run_by_ids is not None else "")
            if name
        ),
        any(run.state is RunState.OPEN or run.buffered for _, run in state.runs.glance()),
        max((prompt.started_at_ns for prompt in told), default=None),
    )


def rows_for(memory: Memory, session_id: str, first: RunKey, began_at_ns: int) -> tuple[tuple[str, bytes], ...]:
    """The rows to go on from with prompts that were not told, ``first`` the run of the oldest one, which began then.

    A session of which something was told is counted already, even where the journal has forgotten it. A prompt that is
    older than those which were told follows none of them.
    """
    rows, key = dict(memory.rows), f"session/{session_id}"
    session = State.restore([(key, rows[key])] if key in rows else []).sessions.get(session_id)
    if memory.told and (session is None or (memory.newest_at_ns is not None and began_at_ns < memory.newest_at_ns)):
        session = session or Session(is_counted=True)
        session.last_root = first
        rows[key] = SESSION.encode(session)
    return tuple(rows.items())
