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

    Also the copies that the journal keeps of what has left.

    The totals of metrics stay: they are numbers, and most of each was sent before. So does what
    remembers which facts were told already.

    Raises:
        JournalError: the journal cannot be read or written; nothing of it was erased.
        UndeletableFile: a spool file cannot be deleted.
        msgspec.MsgspecError: the journal's state is not one that this release can read.
    """
    state = State.restore(journal.load_state())
    for key in state.open_runs | state.holding:
        run = state.runs[key]
        # Closed, so that what comes of it later is late instead of a run that begins in its middle.
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
    remembered_items = journal.remembered_items()
    items = journal.erase_pending(state.changes())
    return Erased(items, spool.erase(), remembered_items)
