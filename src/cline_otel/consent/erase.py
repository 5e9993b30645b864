"""Erases what was gathered and not sent yet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from cline_otel.aggregation.totals import TOTAL_PREFIX
from cline_otel.journal.store import Journal
from cline_otel.privacy.policy import Policy
from cline_otel.sources.interface import Input
from cline_otel.translate.state import State
from cline_otel.translate.stored import Run, RunState


class EraseResult(msgspec.Struct, frozen=True):
    """What is gone: spans and log records, files that were written for us, and copies of what had left before.

    ``reason`` says why, where nobody asked for it.
    """

    items: int
    files: int = 0
    sent_history_items: int = 0
    reason: str = ""

    def describe(self) -> str:
        """For people."""
        described = (
            f"{self.items} span{'' if self.items == 1 else 's'} and log records, "
            f"{self.files} spooled file{'' if self.files == 1 else 's'}"
        )
        return described + (
            f", the copies of {self.sent_history_items} that had left" if self.sent_history_items else ""
        )


def erase_waiting(journal: Journal, inputs: Iterable[Input]) -> EraseResult:
    """Erases what waits to be sent, what was refused, what is known of open runs, and what was written for us.

    Also the copies that the journal keeps of what has left, and what is known of agents, log events and runs that
    are over. Metrics count from now. Ids stay: they let what comes of an erased run later be late instead of a
    run that begins in its middle. So do the digests by which repeats are known: nothing that was erased comes again.

    Raises:
        JournalError: the journal cannot be read or written; nothing of it was erased.
        UndeletableFile: a file that was written for us cannot be deleted; everything else is.
    """
    items, sent_history_items = _erase_gathered(journal)
    return EraseResult(items, erase_inputs(inputs), sent_history_items)


def erase_inputs(inputs: Iterable[Input]) -> int:
    """Deletes what was written for us and not read yet; how many files that were. A failure keeps none of the rest.

    Raises:
        UndeletableFile: a file cannot be deleted.
    """
    files, failure = 0, None
    for each in inputs:
        try:
            files += each.erase()
        except Exception as error:
            failure = failure or error
    if failure is not None:
        raise failure
    return files


def erase_if_less_is_allowed(journal: Journal, policy: Policy) -> EraseResult | None:
    """Erases what was gathered while the user let more leave; files stay, what is in them is checked by today's policy.

    If what was allowed cannot be read any more, that is taken to be more.

    Returns:
        What is gone, and why; None if no less is allowed than at the last call.

    Raises:
        JournalError: the journal cannot be read or written.
    """
    decisions = {name: sorted(getattr(policy, name)) for name in _DECISIONS}
    written = journal.note(_POLICY_NOTE)
    erased = None
    reason = _reason_to_erase(written, policy)
    if reason is not None and any(True for _ in journal.load_state()):
        items, sent_history_items = _erase_gathered(journal)
        erased = EraseResult(items, sent_history_items=sent_history_items, reason=reason)
    if erased is not None or msgspec.json.encode(decisions) != written:
        journal.write_note(_POLICY_NOTE, msgspec.json.encode(decisions))
    return erased


def _reason_to_erase(written: bytes | None, policy: Policy) -> str | None:
    """Why what was gathered may not leave, if it may not: more was allowed when the note was written, or perhaps."""
    before = Policy()
    try:
        if written is not None:
            said = msgspec.json.decode(written, type=dict[str, frozenset[str]])
            before = Policy(**{name: said[name] for name in _DECISIONS if name in said})  # type: ignore[arg-type]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "the journal does not say in a readable way what was allowed to leave at the last start"
    return "less is allowed to leave than at the last start" if policy.allows_less_than(before) else None


_POLICY_NOTE: Final = "policy"
_DECISIONS: Final = ("included", "plain", "content", "excluded")


def _erase_gathered(journal: Journal) -> tuple[int, int]:
    """How many spans and log records that waited are gone, and how many copies of what had left."""
    rows = list(journal.load_state())
    state = State.restore(rows)
    for key, run in list(state.runs.items()):
        state.runs[key] = Run(
            run.agent_id,
            run.run_id,
            run.root,
            owner=run.owner,
            session_id=run.session_id,
            last_at_ns=run.last_at_ns,
            state=RunState.CLOSED,
        )
        state.touch_run(run)
    for agent_id, agent in state.agents.items():
        agent.attributes = {}
        state.touch("agent", agent_id)
    for session_id, session in state.sessions.items():
        session.attributes = {}
        state.touch("session", session_id)
    for log_event in list(state.observations):
        del state.observations[log_event]
        state.touch("log_event", log_event)
    totals: dict[str, bytes | None] = {key: None for key, _ in rows if key.startswith(TOTAL_PREFIX)}
    sent_history_items = journal.sent_history_items()
    return journal.erase_pending(state.changes() | totals), sent_history_items
