"""What another user of the machine owns, or may change, is neither read for trust nor written to."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from cline_otel.journal.lock import hold_state_directory
from cline_otel.journal.records import JournalError
from cline_otel.journal.store import Journal
from cline_otel.operating_system.owners import TRUSTED_UIDS_VARIABLE, UntrustedFileError
from cline_otel.private_files import open_private, open_trusted, private_directory, written_beside
from cline_otel.running import find_running
from cline_otel.settings.pseudonyms_file import PseudonymsFileError, ensure_pseudonyms
from cline_otel.settings.remote_config import RemoteConfigs
from cline_otel.settings.secret_files import read_secret_file
from cline_otel.settings.values import SettingsError
from cline_otel.settings.watched_file import WatchedFile
from cline_otel.sources.plugin.spool import SpoolReader
from other_users import as_user
from presences import Presences

pytestmark = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root can give files to other users"
)

OTHER = 54321
US = 54322


def theirs(path: Path, mode: int = 0o666) -> Path:
    """A file or directory of another user, who lets everybody in."""
    os.chown(path, OTHER, OTHER, follow_symlinks=False)
    if not path.is_symlink():
        path.chmod(mode)
    return path


def file(path: Path, content: str = "{}", mode: int = 0o600) -> Path:
    path.write_text(content)
    path.chmod(mode)
    return path


def read_secret(path: Path) -> bytes:
    return read_secret_file(
        path, 100, not_regular="no file", open_to_others="open", unreadable=lambda reason: f"unreadable: {reason}"
    )


def test_a_state_directory_of_another_user_is_refused_and_nothing_is_made_in_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    theirs(state, 0o777)
    with (
        pytest.raises(UntrustedFileError, match=rf"state belongs to user {OTHER}, .*`chown` it"),
        hold_state_directory(state),
    ):
        pass
    with pytest.raises(JournalError, match=f"belongs to user {OTHER}"):
        Journal.open(state / "journal.db")
    with pytest.raises(PseudonymsFileError, match=f"belongs to user {OTHER}"):
        ensure_pseudonyms(state)
    assert list(state.iterdir()) == []


def test_a_directory_below_one_of_another_user_is_neither_made_nor_used(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    theirs(above, 0o755)
    with pytest.raises(UntrustedFileError, match="above belongs to"):
        private_directory(above / "state")
    assert not (above / "state").exists()
    (above / "state").mkdir()
    with pytest.raises(UntrustedFileError, match="above belongs to"):
        private_directory(above / "state")


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal", "journal.db-shm"])
def test_a_journal_that_another_user_put_there_is_refused_and_unchanged(tmp_path: Path, name: str) -> None:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    if name != "journal.db":
        Journal.open(state / "journal.db").close()
    planted = theirs(file(state / name, "what he wrote"))
    with pytest.raises(JournalError, match=rf"{name} belongs to user {OTHER}"):
        Journal.open(state / "journal.db")
    with pytest.raises(JournalError):
        Journal.open_read_only(state / "journal.db")
    assert planted.read_text() == "what he wrote"


def test_what_is_not_ours_is_not_emptied(tmp_path: Path) -> None:
    planted = theirs(file(tmp_path / "planted", "what he wrote"))
    with pytest.raises(UntrustedFileError):
        open_private(planted, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    assert planted.read_text() == "what he wrote"


def test_a_fifo_in_the_place_of_a_file_of_ours_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for flags in (os.O_WRONLY | os.O_CREAT, os.O_RDWR | os.O_CREAT, os.O_RDONLY):
        with pytest.raises(OSError):  # noqa: PT011 - which of two errors is the system's choice
            open_private(tmp_path / "pipe", flags)


def test_nothing_is_written_beside_what_others_may_replace(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(UntrustedFileError, match=r"mode 0777\): `chmod o-w` it"), written_beside(folder / "file", b""):
        pass
    assert list(folder.iterdir()) == []


READERS: dict[str, Callable[[Path], object]] = {
    "trusted": lambda path: os.close(open_trusted(path)),
    "secret": read_secret,
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_what_is_read_for_trust_is_ours_or_roots_at_every_step(tmp_path: Path, read: Callable[[Path], object]) -> None:
    refusals = (UntrustedFileError, SettingsError)
    ours = file(tmp_path / "ours")
    read(ours)
    with pytest.raises(refusals, match=f"file belongs to user {OTHER}"):
        read(theirs(file(tmp_path / "file"), 0o600))
    folder = tmp_path / "folder"
    folder.mkdir()
    file(folder / "below")
    with pytest.raises(refusals, match=f"folder belongs to user {OTHER}"):
        read(theirs(folder, 0o755) / "below")
    link = tmp_path / "link"
    link.symlink_to(ours)
    read(link)
    with pytest.raises(refusals, match=f"link belongs to user {OTHER}"):
        read(theirs(link))
    (tmp_path / "to_his").symlink_to(folder / ".." / "folder" / "below")
    with pytest.raises(refusals, match=f"folder belongs to user {OTHER}"):
        read(tmp_path / "to_his")
    (tmp_path / "round").symlink_to("round")
    with pytest.raises((*refusals, OSError)):
        read(tmp_path / "round")


def test_a_mounted_secret_that_is_linked_twice_is_read(tmp_path: Path) -> None:
    """As Kubernetes mounts them: ``token -> ..data/token``, ``..data -> ..2024…``, in a sticky directory of root's."""
    tmp_path = tmp_path / "mount"
    tmp_path.mkdir()
    tmp_path.chmod(0o1777)
    (tmp_path / "..2024_01_01").mkdir()
    file(tmp_path / "..2024_01_01" / "token", "a token")
    (tmp_path / "..data").symlink_to("..2024_01_01")
    (tmp_path / "token").symlink_to("..data/token")
    assert read_secret(tmp_path / "token") == b"a token"


@pytest.mark.parametrize(
    ("mode", "gid", "is_read"), [(0o664, 0, True), (0o664, OTHER, False), (0o646, 0, False), (0o644, OTHER, True)]
)
def test_the_private_group_of_the_owner_is_nobody_else(tmp_path: Path, mode: int, gid: int, is_read: bool) -> None:
    path = file(tmp_path / "file", mode=mode)
    os.chown(path, 0, gid)
    path.chmod(mode)
    if is_read:
        os.close(open_trusted(path))
    else:
        with pytest.raises(UntrustedFileError, match="can be written by"):
            open_trusted(path)


def test_a_remote_config_of_another_user_is_not_followed_and_what_was_in_force_stays(tmp_path: Path) -> None:
    path = tmp_path / "remote.json"
    content = '{"telemetryEnabled": true, "openTelemetryEnabled": true, "openTelemetryLogsExporter": "otlp", '
    content += '"openTelemetryOtlpEndpoint": "https://evil.example"}'
    theirs(file(path, content), 0o644)
    configs = RemoteConfigs(path)
    configs.look()
    assert (configs.exports.destinations, configs.is_known, configs.telemetry_enabled) == ({}, False, None)
    (problem,) = configs.problems
    assert f"belongs to user {OTHER}" in problem
    os.chown(path, 0, 0)
    configs.look()
    assert (configs.telemetry_enabled, configs.problems) == (True, ())
    file(path, '{"telemetryEnabled": false}')
    configs.look()
    path.unlink()
    theirs(file(path, content), 0o644)
    configs.look()
    assert configs.telemetry_enabled is False


def test_settings_below_a_directory_that_is_given_back_are_read_then(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = file(folder / "settings.json", '{"said": true}')
    theirs(folder, 0o755)
    watched = WatchedFile(path)
    watched.look()
    assert not watched.is_known
    os.chown(folder, 0, 0)
    watched.look()
    assert (watched.fields, watched.problem) == ({"said": True}, "")


def test_what_another_user_left_in_the_spool_is_not_read_and_that_is_said(tmp_path: Path) -> None:
    reader = SpoolReader(tmp_path / "spool", Presences())
    reader.poll({})
    planted = theirs(file(tmp_path / "spool" / "1-1-0.jsonl", '{"event": "x"}\n'))
    assert reader.poll({}) == []
    assert [line for line in reader.problems.values() if f"{planted} belongs to user {OTHER}" in line]


def test_a_bridge_that_another_user_announces_is_none(tmp_path: Path) -> None:
    theirs(file(tmp_path / "bridge.json"))
    assert find_running(tmp_path) is None


def test_a_user_who_is_named_counts_as_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = theirs(file(tmp_path / "file"), 0o600)
    monkeypatch.setenv(TRUSTED_UIDS_VARIABLE, f"7, {OTHER}")
    os.close(open_trusted(path))
    monkeypatch.setenv(TRUSTED_UIDS_VARIABLE, "7")
    with pytest.raises(UntrustedFileError, match=f"name {OTHER} in {TRUSTED_UIDS_VARIABLE}"):
        open_trusted(path)


def test_a_user_without_a_name_uses_what_is_its_own_and_refuses_what_is_not() -> None:
    def use(directory: Path) -> str:
        private_directory(directory / "state")
        with written_beside(directory / "state" / "file", b"content") as temporary:
            temporary.rename(directory / "state" / "file")
        os.close(open_private(directory / "state" / "file", os.O_RDWR))
        return "used"

    # Above pytest's own directories nobody but root gets in.
    with TemporaryDirectory() as name:
        home = Path(name)
        home.chmod(0o755)
        for each, uid in (("ours", US), ("his", OTHER)):
            (home / each).mkdir()
            os.chown(home / each, uid, uid)
            (home / each).chmod(0o777 if each == "his" else 0o775)
        assert as_user(US, lambda: use(home / "ours")) == "used"
        said = as_user(US, lambda: use(home / "his"))
        assert f"his belongs to user {OTHER}, and this process is of user {US}" in said
        assert list((home / "his").iterdir()) == []
