"""The journal: everything the bridge must not forget, in one SQLite file.

State, outputs, source positions and dedupe keys of one step are written in one transaction, so that
a crash at any point leaves either all of a step or nothing of it. The outbox is the queue between
translation, which is exactly once, and delivery, which is at least once.
"""

from cline_otel.journal.lock import StateDirectoryBusyError, hold_state_directory
from cline_otel.journal.records import (
    Commit,
    CountStatus,
    CursorStatus,
    JournalDamagedError,
    JournalError,
    JournalFullError,
    JournalStatus,
    JournalUnavailableError,
    KeptRequest,
    OutboxItem,
    OutboxRow,
    RequestState,
    SignalStatus,
)
from cline_otel.journal.store import Journal

__all__ = [
    "Commit",
    "CountStatus",
    "CursorStatus",
    "Journal",
    "JournalDamagedError",
    "JournalError",
    "JournalFullError",
    "JournalStatus",
    "JournalUnavailableError",
    "KeptRequest",
    "OutboxItem",
    "OutboxRow",
    "RequestState",
    "SignalStatus",
    "StateDirectoryBusyError",
    "hold_state_directory",
]
