"""Folders and files of ours are for their owner alone, whatever the umask and whatever they were before."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cline_otel.journal.lock import hold_state_directory
from cline_otel.operating_system.owners import UntrustedFileError
from cline_otel.private_files import keep_private, make_directory, open_private, private_directory
from cline_otel.running import Running, announced, find_running
from cline_otel.sources.plugin.spool import SpoolReader


@pytest.fixture(params=[0o000, 0o022], ids=oct, autouse=True)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def wide_file(path: Path) -> Path:
    path.touch()
    path.chmod(0o666)
    return path


def wide_folder(path: Path) -> Path:
    path.mkdir()
    path.chmod(0o777)
    return path


def test_every_folder_that_is_made_is_private_and_those_above_stay_as_they_were(tmp_path: Path) -> None:
    above = tmp_path / "above"
    above.mkdir()
    above.chmod(0o755)
    private_directory(above / "a" / "b" / "c")
    assert [mode(path) for path in (above / "a" / "b" / "c", above / "a" / "b", above / "a")] == [0o700] * 3
    assert mode(above) == 0o755


def test_a_folder_that_was_there_is_taken_from_others_unless_it_is_only_to_be_made(tmp_path: Path) -> None:
    folder = wide_folder(tmp_path / "folder")
    make_directory(folder)
    assert mode(folder) == 0o777
    private_directory(folder)
    assert mode(folder) == 0o700
    folder.chmod(0o500)
    private_directory(folder)
    assert mode(folder) == 0o500


def test_a_folder_that_is_shared_on_purpose_stays_shared(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o1777)
    private_directory(folder)
    assert mode(folder) == 0o1777


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_somebody_else_owns_is_refused_and_theirs_to_care_for(tmp_path: Path) -> None:
    folder, file = wide_folder(tmp_path / "folder"), wide_file(tmp_path / "file")
    for path in (folder, file):
        os.chown(path, 65534, -1)
    with pytest.raises(UntrustedFileError, match="folder belongs to"):
        private_directory(folder)
    with pytest.raises(UntrustedFileError, match="file belongs to"):
        keep_private(file)
    assert (mode(folder), mode(file)) == (0o777, 0o666)


@pytest.mark.parametrize("there", ["a file", "a dangling link"])
def test_what_is_no_folder_is_not_taken_for_one(tmp_path: Path, there: str) -> None:
    place = tmp_path / "place"
    if there == "a file":
        place.touch()
    else:
        place.symlink_to("nowhere")
    for path in (place, place / "below"):
        with pytest.raises(OSError, match="place"):
            private_directory(path)


def test_a_file_is_made_private_or_becomes_so(tmp_path: Path) -> None:
    made, found = tmp_path / "made", wide_file(tmp_path / "found")
    for path in (made, found):
        os.close(open_private(path, os.O_WRONLY | os.O_CREAT))
        assert mode(path) == 0o600


def test_a_link_is_never_followed(tmp_path: Path) -> None:
    target = wide_file(tmp_path / "target")
    link = tmp_path / "link"
    link.symlink_to(target)
    with pytest.raises(OSError, match="link is a symbolic link"):
        open_private(link, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    keep_private(link)
    assert mode(target) == 0o666


def test_what_is_no_regular_file_is_left_alone_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipe").chmod(0o666)
    keep_private(tmp_path / "pipe")
    keep_private(tmp_path / "missing")
    keep_private(wide_folder(tmp_path / "folder"))
    assert (mode(tmp_path / "pipe"), mode(tmp_path / "folder")) == (0o666, 0o777)


@pytest.mark.parametrize("was_there", [False, True], ids=["made", "was there, wide"])
def test_a_bridges_folders_and_files_are_private(tmp_path: Path, was_there: bool) -> None:
    state = tmp_path / "state"
    names = ("bridge.json", "bridge.lock", "bridge.pid")
    if was_there:
        wide_folder(state)
        wide_folder(state / "spool")
        for name in names:
            wide_file(state / name)
    with hold_state_directory(state), announced(state, Running(1, 2, None)):
        SpoolReader(state / "spool").poll({})
        assert (mode(state), mode(state / "spool")) == (0o700, 0o700)
        assert {name: mode(state / name) for name in names} == dict.fromkeys(names, 0o600)
        assert find_running(state) == Running(1, 2, None)


@pytest.mark.parametrize("name", ["bridge.json", "bridge.pid"])
def test_a_bridge_writes_through_no_link(tmp_path: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    state = tmp_path / "state"
    state.mkdir()
    (state / name).symlink_to(precious)
    with (
        pytest.raises(OSError, match=f"{name} is a symbolic link"),
        hold_state_directory(state),
        announced(state, Running(1, 2, None)),
    ):
        pass
    assert precious.read_text() == "precious"
