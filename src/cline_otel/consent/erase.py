"""Erases what was gathered and not sent yet."""

from __future__ import annotations

import msgspec

from cline_otel.journal.store import Journal
from cline_otel.sources.spool import SpoolReader
from cline_otel.translate.state import Run, State


class Erased(msgspec.Struct, frozen=True):
    """What is gone: spans and log records, files of the plugin's spool, and copies of what had left before."""

    items: int
    files: int
    remembered_items: int = 0

    def describe(self) -> str:
        """For people."""
        described = (
            f"{self.items} span{'' if self.items == 1 else 's'} and log records, "
            f"{self.files} spool file{'' if self.files == 1 else 's'}"
        )
        return described + (f", the copies of {self.remembered_items} that had left" if self.remembered_items else "")


def erase_waiting(journal: Journal, spool: SpoolReader) -> Erased:
    """Erases what waits to be sent, what was refused, what is known of open runs, and the plugin's spool.

    Also the copies that the journal keeps of what has left, and what is known of agents, facts and runs that
    are over. The totals of metrics stay: they are numbers, and most of each was sent before. So do ids, which
    let what comes of an erased run later be late instead of a run that begins in its middle.

    Raises:
        JournalError: the journal cannot be read or written; nothing of it was erased.
        UndeletableFile: a spool file cannot be deleted.
        msgspec.MsgspecError: the journal's state is not one that this release can read.
    """
    state = State.restore(journal.load_state())
    for key, run in list(state.runs.items()):
        state.runs[key] = Run(
            run.agent_id,
            run.run_id,
            run.root,
            owner=run.owner,
            session_id=run.session_id,
            last_at_ns=run.last_at_ns,
            closed=True,
        )
        state.touch_run(run)
    for agent_id, agent in state.agents.items():
        agent.attributes = {}
        state.touch("agent", agent_id)
    for session_id, session in state.sessions.items():
        session.attributes = {}
        state.touch("session", session_id)
    for fact in list(state.tellings):
        del state.tellings[fact]
        state.touch("fact", fact)
    remembered_items = journal.remembered_items()
    items = journal.erase_pending(state.changes())
    return Erased(items, spool.erase(), remembered_items)
