"""What was gathered is erased at a start where less is allowed, and the reason that is said is the true one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cline_otel.consent.erase import EraseResult, erase_if_less_is_allowed
from cline_otel.journal import Commit, Journal, OutboxItem
from cline_otel.privacy.policy import Policy
from cline_otel.translate.stored import AGENT, Agent

WIDE, NARROW = Policy(included=frozenset({"user"})), Policy()


def erased(path: Path, policy: Policy) -> EraseResult | None:
    with Journal.open(path) as journal:
        return erase_if_less_is_allowed(journal, policy)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal in which a log record waits that was gathered by the wide policy."""
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        assert erase_if_less_is_allowed(journal, WIDE) is None
        journal.commit(Commit(state={"agent/a": AGENT.encode(Agent())}, outbox=[OutboxItem("logs", b"x", 1)]))
    return path


def test_where_less_is_allowed_that_is_the_reason(path: Path) -> None:
    assert erased(path, NARROW) == EraseResult(1, reason="less is allowed to leave than at the last start")
    assert erased(path, NARROW) is None


def test_where_as_much_is_allowed_nothing_is_erased(path: Path) -> None:
    assert erased(path, WIDE) is None


@pytest.mark.parametrize("note", [b"\xff", b"[", b'{"included": 5}', "no BLOB", 5])
@pytest.mark.parametrize("policy", [WIDE, NARROW], ids=["wide", "narrow"])
def test_where_what_was_allowed_cannot_be_read_that_is_the_reason(path: Path, note: object, policy: Policy) -> None:
    with sqlite3.connect(path) as connection:
        changed = connection.execute("UPDATE meta SET value = ? WHERE key = 'note/policy'", (note,))
        assert changed.rowcount == 1
    connection.close()
    result = erased(path, policy)
    assert result is not None
    assert result.items == 1
    assert result.reason == "the journal does not say in a readable way what was allowed to leave at the last start"
    assert erased(path, policy) is None
