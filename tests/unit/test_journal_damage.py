"""A journal that is damaged, or that is taken away while it is open: found, and told in one message."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from cline_otel.journal import Commit, Journal, JournalDamagedError, JournalError, JournalUnavailableError, OutboxItem
from cline_otel.journal.failures import explained

PAGE_BYTES = 4_096


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def put(journal: Journal, number: int) -> None:
    outbox = [OutboxItem("logs", number.to_bytes(2, "big") * 150, 1)]
    counts = {("received", "cline-log", f"name {number}"): 1}
    journal.commit(Commit(state={f"run/{number}": b"x" * 200}, outbox=outbox, cursors={"c": b"9"}, counts=counts))


def use(journal: Journal) -> None:
    """All that a bridge does with it at the start, and a command that reads it."""
    journal.status()
    list(journal.load_state())
    journal.cursors()
    journal.newest(100)
    journal.pending("logs", limit_bytes=10_000, limit_rows=10)


def spoilt(content: bytes, chance: random.Random) -> bytes:
    """With some bytes or a page changed, or without its end."""
    changed = bytearray(content)
    match chance.randrange(5):
        case 0:
            for _ in range(chance.choice([1, 5, 50])):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
        case 1:
            begin = chance.randrange(len(changed) // PAGE_BYTES) * PAGE_BYTES
            changed[begin : begin + PAGE_BYTES] = chance.randbytes(PAGE_BYTES)
        case 2:
            begin = chance.randrange(len(changed) // PAGE_BYTES) * PAGE_BYTES
            changed[begin : begin + PAGE_BYTES] = bytes(PAGE_BYTES)
        case 3:
            for _ in range(3):
                changed[chance.randrange(600)] = chance.randrange(256)
        case _:
            del changed[chance.randrange(len(changed)) :]
    return bytes(changed)


def test_whatever_is_damaged_is_told_by_the_journals_own_error_with_the_file(path: Path) -> None:
    with Journal.open(path) as journal:
        for number in range(60):
            put(journal, number)
    content = path.read_bytes()
    chance = random.Random(11)
    told: list[str] = []
    for _ in range(250):
        path.write_bytes(spoilt(content, chance))
        for opened in (Journal.open, Journal.open_read_only):
            try:
                with opened(path) as journal:
                    use(journal)
            except JournalError as error:
                told.append(str(error))
            path.with_name("journal.db-wal").unlink(missing_ok=True)
            path.with_name("journal.db-shm").unlink(missing_ok=True)
    assert len(told) > 100
    assert all(str(path) in text for text in told)


def test_text_that_is_none_is_damage_and_is_not_quoted(path: Path) -> None:
    with Journal.open(path) as journal:
        put(journal, 1)
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO state VALUES (CAST(x'706c616e746564ff' AS TEXT), x'00')")
    connection.close()
    with Journal.open(path) as journal, pytest.raises(JournalDamagedError, match=r"damaged.*move it away") as raised:
        list(journal.load_state())
    assert "planted" not in str(raised.value)


def killed(path: Path, directory: Path) -> Path:
    """The files of a journal as they are where its bridge was killed."""
    with Journal.open(path) as journal:
        for number in range(60):
            put(journal, number)
        shutil.copytree(path.parent, directory)
    return directory / path.name


def test_after_an_unclean_end_every_page_is_looked_at(path: Path) -> None:
    with Journal.open(path) as journal:
        for number in range(60):
            put(journal, number)
    # A page of the outbox, which nothing reads at the start.
    content = bytearray(path.read_bytes())
    place = content.index((30).to_bytes(2, "big") * 100)
    begin = place // PAGE_BYTES * PAGE_BYTES
    content[begin : begin + 8] = bytes(8)
    path.write_bytes(content)
    Journal.open(path).close()
    path.with_name("journal.db-wal").write_bytes(b"left behind")
    with pytest.raises(JournalDamagedError, match=r"journal\.db is damaged \(.*\): move it away and start again"):
        Journal.open(path)


def test_after_an_unclean_end_a_whole_journal_is_opened_with_all_that_was_committed(path: Path, tmp_path: Path) -> None:
    with Journal.open(killed(path, tmp_path / "copy")) as journal:
        assert len(dict(journal.load_state())) == 60


def delete_directory(path: Path) -> None:
    shutil.rmtree(path.parent)


def delete(path: Path) -> None:
    path.unlink()


def replace_by_another(path: Path) -> None:
    Journal.open(path.with_name("other.db")).close()
    path.with_name("other.db").replace(path)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size - PAGE_BYTES)


def overwrite(path: Path) -> None:
    path.write_bytes(b"#" * path.stat().st_size)


def delete_log(path: Path) -> None:
    path.with_name("journal.db-wal").unlink()


TAKEN_AWAY = [delete_directory, delete, replace_by_another, empty, cut_off, overwrite, delete_log]


@pytest.mark.parametrize("take_away", TAKEN_AWAY)
def test_nothing_is_committed_into_a_journal_that_is_gone(path: Path, take_away: Callable[[Path], None]) -> None:
    with Journal.open(path) as journal:
        put(journal, 1)
        journal._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        put(journal, 2)
        journal.verify()
        take_away(path)
        with pytest.raises(JournalDamagedError, match=r"journal\.db .*while the bridge ran.*start again"):
            put(journal, 3)
        with pytest.raises(JournalDamagedError):
            journal.status()


@pytest.mark.parametrize("take_away", TAKEN_AWAY)
def test_a_look_finds_that_a_journal_is_gone_although_nothing_is_committed(
    path: Path, take_away: Callable[[Path], None]
) -> None:
    with Journal.open(path) as journal:
        put(journal, 1)
        journal._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        journal.verify()
        take_away(path)
        with pytest.raises(JournalDamagedError, match=r"journal\.db .*while the bridge ran.*start again"):
            journal.verify()


def test_a_look_finds_that_a_log_was_emptied(path: Path) -> None:
    with Journal.open(path) as journal:
        put(journal, 1)
        os.truncate(path.with_name("journal.db-wal"), 0)
        put(journal, 2)
        with pytest.raises(JournalDamagedError, match="write-ahead log"):
            journal.verify()


def test_a_journal_that_gives_its_space_back_is_whole(path: Path) -> None:
    with Journal.open(path) as journal:
        journal.commit(Commit(outbox=[OutboxItem("traces", b"x" * 1024 * 1024, 1) for _ in range(24)]))
        journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        largest = path.stat().st_size
        journal.verify()
        journal.acknowledge("traces", range(1, 25), delivered=24)
        journal._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        journal.verify()
        journal.erase_pending()
        put(journal, 1)
        journal.verify()
        assert path.stat().st_size < largest


def test_trouble_is_told_from_damage_and_is_over_with_the_next_transaction(path: Path) -> None:
    with Journal.open(path) as journal:
        journal._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(JournalUnavailableError):
            journal.commit(Commit(state={"a": b"x" * 1024 * 1024}))
        assert journal.trouble is not None
        journal._connection.execute("PRAGMA max_page_count = 100000")
        journal.probe()
        assert journal.trouble is None


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        (sqlite3.SQLITE_CORRUPT, JournalDamagedError),
        (sqlite3.SQLITE_NOTADB, JournalDamagedError),
        (sqlite3.SQLITE_FULL, JournalUnavailableError),
        (sqlite3.SQLITE_IOERR_WRITE, JournalUnavailableError),
        (sqlite3.SQLITE_IOERR_FSYNC, JournalUnavailableError),
        (sqlite3.SQLITE_CANTOPEN, JournalUnavailableError),
        (sqlite3.SQLITE_READONLY, JournalUnavailableError),
        (sqlite3.SQLITE_BUSY, JournalUnavailableError),
    ],
)
def test_only_damage_is_damage(path: Path, code: int, raised: type[JournalError]) -> None:
    error = sqlite3.OperationalError("a fault")
    error.sqlite_errorcode = code
    with pytest.raises(raised, match=r"journal\.db"), explained(path):
        raise error
