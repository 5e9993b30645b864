"""Which files the journal opens, brings forward and refuses, and who may hold a state directory."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from cline_otel.journal import (
    Commit,
    Journal,
    JournalError,
    OutboxItem,
    StateDirectoryBusyError,
    hold_state_directory,
    schema,
)


@pytest.mark.parametrize("umask", [0o000, 0o022], ids=oct)
def test_what_was_wider_is_taken_from_others_and_no_link_is_followed(tmp_path: Path, umask: int) -> None:
    state, precious = tmp_path / "state", tmp_path / "precious"
    before = os.umask(umask)
    try:
        Journal.open(state / "journal.db").close()
        state.chmod(0o777)
        (state / "journal.db").chmod(0o666)
        with Journal.open(state / "journal.db") as journal:
            journal.commit(Commit(state={"a": b"1"}))
            assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}
        assert state.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(before)
    precious.touch()
    (state / "linked.db").symlink_to(precious)
    with pytest.raises(JournalError, match=r"linked\.db is a symbolic link"):
        Journal.open(state / "linked.db")
    assert precious.stat().st_size == 0


def test_an_empty_file_of_version_0_becomes_a_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    sqlite3.connect(path).close()
    path.touch(0o644)
    with Journal.open(path) as journal:
        journal.commit(Commit(state={"a": b"1"}))
        assert journal.status().schema_version == len(schema.MIGRATIONS)


def test_a_file_of_every_older_version_comes_forward_with_what_it_holds(tmp_path: Path) -> None:
    next_migration = "ALTER TABLE cursors ADD COLUMN lag_bytes INTEGER NOT NULL DEFAULT 0;"
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        journal.commit(Commit(state={"a": b"1"}, outbox=[OutboxItem("logs", b"x", 1)], cursors={"c": b"9"}))
        before = (journal.started_at_ns, journal.instance_id)
    connection = schema.connect(path, busy_timeout_ms=1000)
    schema.migrate(connection, migrations=(*schema.MIGRATIONS, next_migration))
    assert schema.version(connection) == len(schema.MIGRATIONS) + 1
    assert connection.execute("SELECT * FROM cursors").fetchone()[-1] == 0
    meta = dict(connection.execute("SELECT key, value FROM meta").fetchall())
    assert (meta["started_at_ns"], meta["instance_id"]) == before
    assert connection.execute("SELECT payload FROM outbox").fetchall() == [(b"x",)]
    connection.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Journal.open(path).close()
    connection = schema.connect(path, busy_timeout_ms=1000)
    broken = "CREATE TABLE half (a); CREATE TABLE half (a);"
    with pytest.raises(sqlite3.Error):
        schema.migrate(connection, migrations=(*schema.MIGRATIONS, broken))
    assert schema.version(connection) == len(schema.MIGRATIONS)
    assert connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    connection.close()


def test_a_newer_journal_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    Journal.open(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    for opened in (Journal.open, Journal.open_read_only):
        with pytest.raises(JournalError, match=r"newer release \(schema 99.*upgrade cline-otel"):
            opened(path)
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (99,)


def test_an_older_journal_is_not_migrated_by_a_reader(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch()
    with pytest.raises(JournalError, match="older release"):
        Journal.open_read_only(path)
    assert path.stat().st_size == 0


def test_a_database_of_something_else_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (a)")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="not a journal"):
        Journal.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_damaged_file_is_refused_in_one_line_with_a_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    with pytest.raises(JournalError) as caught:
        Journal.open(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content


def test_a_file_system_without_write_ahead_logging_is_refused_with_a_remedy(tmp_path: Path) -> None:
    # A database in memory answers as one on such a file system does: it keeps another mode.
    connection = sqlite3.connect(":memory:")
    with pytest.raises(JournalError, match="CLINE_OTEL_BRIDGE_STATE_DIR"):
        schema.use_write_ahead_log(connection, tmp_path / "journal.db")
    connection.close()


def test_a_journal_that_is_not_there_is_not_made_by_a_reader(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="cline-otel run"):
        Journal.open_read_only(tmp_path / "journal.db")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match="CLINE_OTEL_BRIDGE_STATE_DIR"):
        Journal.open(tmp_path / "file" / "journal.db")
    (tmp_path / "journal.db").mkdir()
    with pytest.raises(JournalError, match="CLINE_OTEL_BRIDGE_STATE_DIR"):
        Journal.open(tmp_path / "journal.db")


def test_a_second_bridge_is_refused_by_name_until_the_first_is_gone(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from cline_otel.journal import hold_state_directory\n"
        "with hold_state_directory(Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.readline()\n"
    )
    directory = tmp_path / "state"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(StateDirectoryBusyError, match=rf"\(pid {first.pid}\).*CLINE_OTEL_BRIDGE_STATE_DIR"),
            hold_state_directory(directory),
        ):
            pass
        first.kill()
        first.wait()
    with hold_state_directory(directory):
        assert (directory / "bridge.pid").read_text().strip() == str(os.getpid())
    assert not (directory / "bridge.pid").exists()


def test_the_same_process_cannot_hold_a_state_directory_twice(tmp_path: Path) -> None:
    with (
        hold_state_directory(tmp_path),
        pytest.raises(StateDirectoryBusyError),
        hold_state_directory(tmp_path),
    ):
        pass
    with hold_state_directory(tmp_path):
        pass


def test_a_state_directory_that_is_held_is_made_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    directory = tmp_path / "further" / "state"
    with hold_state_directory(directory):
        assert directory.stat().st_mode & 0o777 == 0o700


def test_a_journal_carries_the_mark_by_which_it_is_known(tmp_path: Path) -> None:
    Journal.open(tmp_path / "journal.db").close()
    with (tmp_path / "journal.db").open("rb") as file:
        assert file.read(72)[68:] == b"CLOT", "the application id's place in the header of SQLite's file format"


def test_a_migration_that_another_process_has_done_meanwhile_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "journal.db"
    path.touch()
    ours, theirs = (schema.connect(path, busy_timeout_ms=1_000) for _ in range(2))
    version = schema.version

    def while_they_migrate(connection: sqlite3.Connection) -> int:
        found = version(connection)
        monkeypatch.setattr(schema, "version", version)
        schema.migrate(theirs, now_ns=7)
        return found

    monkeypatch.setattr(schema, "version", while_they_migrate)
    schema.migrate(ours, now_ns=8)
    assert schema.version(ours) == len(schema.MIGRATIONS)
    assert ours.execute("SELECT value FROM meta WHERE key = 'started_at_ns'").fetchone() == (7,)
    for connection in (ours, theirs):
        connection.close()


def test_a_lock_is_waited_for_as_long_as_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.touch()
    connection = schema.connect(path, busy_timeout_ms=1_500)
    assert connection.execute("PRAGMA busy_timeout").fetchone() == (1_500,)
    connection.close()
    with pytest.raises(sqlite3.OperationalError):
        schema.connect(tmp_path / "missing.db", busy_timeout_ms=1)
    assert not (tmp_path / "missing.db").exists()


def test_a_journal_that_is_closed_is_not_held_open(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        journal.commit(Commit(state={"a": b"1"}))
    with pytest.raises(JournalError, match="cannot be used"):
        journal.commit(Commit(state={"a": b"2"}))
    assert [file.name for file in tmp_path.iterdir()] == ["journal.db"], "what is in the log is in the file"


def test_the_files_of_a_held_state_directory_are_its_owner_s_alone(tmp_path: Path) -> None:
    (tmp_path / "bridge.lock").touch()
    (tmp_path / "bridge.lock").chmod(0o666)
    before = os.umask(0)
    try:
        for directory in (tmp_path, tmp_path / "new"):
            with hold_state_directory(directory):
                files = [file for file in directory.iterdir() if file.is_file()]
                assert {file.name: file.stat().st_mode & 0o777 for file in files} == {
                    "bridge.lock": 0o600,
                    "bridge.pid": 0o600,
                }
    finally:
        os.umask(before)


@pytest.mark.parametrize("said", [None, b"", b"not a pid", b"\xff", b"7 8"])
def test_a_bridge_that_does_not_say_who_it_is_holds_its_state_directory_all_the_same(
    tmp_path: Path, said: bytes | None
) -> None:
    with hold_state_directory(tmp_path):
        (tmp_path / "bridge.pid").unlink()
        if said is not None:
            (tmp_path / "bridge.pid").write_bytes(said)
        with (
            pytest.raises(StateDirectoryBusyError, match=f"^another bridge already runs on .*{tmp_path.name}: stop it"),
            hold_state_directory(tmp_path),
        ):
            pass


def test_what_a_crash_left_beside_the_journal_is_made_private(tmp_path: Path) -> None:
    crashed = tmp_path / "crashed"
    crashed.mkdir(mode=0o700)
    with Journal.open(tmp_path / "journal.db") as journal:
        journal.commit(Commit(state={"a": b"1"}))
        for name in ("journal.db", "journal.db-wal", "journal.db-shm"):
            (crashed / name).write_bytes((tmp_path / name).read_bytes())
            (crashed / name).chmod(0o644)
    with Journal.open(crashed / "journal.db") as again:
        assert dict(again.load_state()) == {"a": b"1"}
        assert {(crashed / f"journal.db{suffix}").stat().st_mode & 0o077 for suffix in ("", "-wal", "-shm")} == {0}


def test_a_state_directory_is_let_go_also_where_somebody_tidied_up(tmp_path: Path) -> None:
    with hold_state_directory(tmp_path):
        (tmp_path / "bridge.pid").unlink()
    with hold_state_directory(tmp_path):
        assert (tmp_path / "bridge.pid").exists()
