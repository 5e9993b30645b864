"""What differs between operating systems: here as it is on this one, and of the others what can be decided purely."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cline_otel.operating_system import files, locks
from cline_otel.operating_system.clocks import since_boot_ns
from cline_otel.operating_system.psutil_processes import PsutilProcesses, processes_with_argument

_STOPS_WHEN_ASKED = """
import asyncio
from cline_otel.operating_system.stop_signals import on_stop_signal

async def main():
    asked = asyncio.Event()
    on_stop_signal(asyncio.get_running_loop(), asked.set)
    print("ready", flush=True)
    await asked.wait()
    print("asked", flush=True)

asyncio.run(main())
"""


def status(*, mode: int = 0o100600, number: int = 1) -> os.stat_result:
    return os.stat_result((mode, number, 0, 1, 0, 0, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("mode", "allowed", "narrowed"),
    [
        (0o777, 0o700, 0o700),
        (0o1755, 0o700, 0o700),
        (0o666, 0o600, 0o600),
        (0o444, 0o600, 0o400),
        (0o500, 0o700, None),
        (0o600, 0o600, None),
        (0o000, 0o600, None),
    ],
)
def test_a_mode_only_ever_loses_permissions_and_only_of_what_is_ours(
    mode: int, allowed: int, narrowed: int | None
) -> None:
    assert files.narrowed_mode(mode, allowed, is_ours=True) == narrowed
    assert files.narrowed_mode(mode, allowed, is_ours=False) is None


def test_the_number_of_a_file_fits_64_bits_and_is_the_inode_where_that_does() -> None:
    assert files.file_number(status(number=2**64 - 1)) == 2**64 - 1
    wide = [files.file_number(status(number=number)) for number in (1 << 64 | 5, 2 << 64 | 5, 2**128 - 1)]
    assert max(wide) < 2**64
    assert len(set(wide)) == 3


@pytest.mark.parametrize(
    ("flags", "access", "disposition"),
    [
        (os.O_RDONLY, 0x80000000, 3),
        (os.O_RDWR, 0xC0000000, 3),
        (os.O_RDWR | os.O_CREAT, 0xC0000000, 4),
        (os.O_RDWR | os.O_CREAT | os.O_APPEND, 0xC0000000, 4),
        (os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0x40000000, 1),
        (os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_TRUNC, 0x40000000, 1),
        (os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0x40000000, 2),
        (os.O_WRONLY | os.O_TRUNC, 0x40000000, 5),
    ],
)
def test_windows_makes_opens_and_empties_a_file_when_posix_does(flags: int, access: int, disposition: int) -> None:
    assert files.windows_creation(flags) == (access, disposition)


def test_what_is_denied_is_done_again_until_it_is_not() -> None:
    waited: list[float] = []
    tries = iter([PermissionError(), PermissionError(), None])

    def action() -> None:
        if (error := next(tries)) is not None:
            raise error

    files.while_denied(action, (1, 2, 4), waited.append)
    assert waited == [1, 2]
    assert list(tries) == []


@pytest.mark.parametrize(("error", "waits"), [(PermissionError, [1, 2]), (FileNotFoundError, [])])
def test_what_stays_denied_or_fails_otherwise_is_told(error: type[OSError], waits: list[float]) -> None:
    waited: list[float] = []

    def action() -> None:
        raise error

    with pytest.raises(error):
        files.while_denied(action, (1, 2), waited.append)
    assert waited == waits


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610])
def test_a_file_that_others_may_use_is_told_from_one_that_they_may_not(mode: int) -> None:
    assert files.others_may_use(status(mode=stat.S_IFREG | mode))
    assert not files.others_may_use(status(mode=stat.S_IFREG | 0o700))


def test_reading_a_fifo_waits_for_no_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    descriptor = files.open_file(tmp_path / "pipe", os.O_RDONLY, follow_links=False)
    assert os.read(descriptor, 1) == b""
    os.close(descriptor)


def test_a_link_is_followed_only_if_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    descriptor = files.open_file(tmp_path / "link", os.O_RDONLY, follow_links=True)
    assert os.read(descriptor, 100) == b"content"
    os.close(descriptor)
    with pytest.raises(OSError, match="symbolic links"):
        files.open_file(tmp_path / "link", os.O_RDONLY, follow_links=False)


def test_what_is_opened_is_not_inherited(tmp_path: Path) -> None:
    descriptor = files.open_file(tmp_path / "file", os.O_RDWR | os.O_CREAT, follow_links=False)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_what_is_put_in_place_is_renamed_over_what_is_there(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    new.write_bytes(b"new")
    old.write_bytes(b"old")
    files.replace(new, old)
    files.sync_directory(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert old.read_bytes() == b"new"


def test_many_may_look_whether_a_file_is_locked_and_none_of_them_locks_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    holder, *lookers = (os.open(path, os.O_RDWR) for _ in range(3))
    assert [locks.is_locked(looker) for looker in lookers] == [False, False]
    for looker in lookers:
        os.close(looker)
    locks.lock(holder)
    looker = os.open(path, os.O_RDWR)
    assert locks.is_locked(looker)
    assert os.read(looker, 100) == b"content"
    os.close(holder)
    assert not locks.is_locked(looker)
    os.close(looker)


def test_the_clock_since_boot_never_goes_back() -> None:
    assert since_boot_ns() <= since_boot_ns()


def test_psutil_knows_this_process_and_not_one_that_cannot_be() -> None:
    processes = PsutilProcesses()
    ours = processes.living(os.getpid())
    assert ours is not None
    assert processes.look().bearers(os.getpid()) == [ours]
    for pid in (-1, 2**31 - 1, 2**40):
        assert processes.living(pid) is None


def test_a_process_is_found_by_one_of_its_arguments_and_not_by_a_part_of_one() -> None:
    argument = f"--found-by-{os.getpid()}"
    program = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, argument], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert processes_with_argument(argument) == {process.pid}
        assert processes_with_argument(argument[:-1]) == set()
        process.communicate()


@pytest.mark.parametrize("name", ["SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP"])
def test_a_program_is_asked_to_stop_by_each_signal_that_means_it(name: str) -> None:
    with subprocess.Popen([sys.executable, "-c", _STOPS_WHEN_ASKED], stdout=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == b"ready\n"
        program.send_signal(signal.Signals[name])
        assert program.communicate()[0] == b"asked\n"
    assert program.returncode == 0
