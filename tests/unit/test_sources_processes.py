from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cline_otel.operating_system.linux_processes import LinuxProcesses
from cline_otel.operating_system.process_interface import LivingProcess, Processes
from cline_otel.operating_system.psutil_processes import PsutilProcesses
from cline_otel.sources.files.processes import Presence, ProcessKey, ProcessTable

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux' /proc")

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_BOOTED_AT_MS = 1_700_000_000_000
_NOW_SINCE_BOOT_NS = 3600 * 10**9


class Clocks:
    def __init__(self) -> None:
        self.boot_ns = _NOW_SINCE_BOOT_NS
        self.wall_shift_ns = _BOOTED_AT_MS * 10**6

    def wall(self) -> int:
        return self.boot_ns + self.wall_shift_ns

    def boot(self) -> int:
        return self.boot_ns


class Machine:
    """A ``/proc`` of our own making."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clocks = Clocks()
        self.bear(1, 0)
        self.bear(os.getpid(), 5)
        (directory / "self").symlink_to(str(os.getpid()))
        (directory / "self" / "ns").mkdir()
        self.enter_namespace("pid:[4026531836]")
        self.table = ProcessTable(
            LinuxProcesses(directory, self.clocks.wall, self.clocks.boot), boot_clock_ns=self.clocks.boot
        )

    def enter_namespace(self, name: str) -> None:
        link = self.directory / "self" / "ns" / "pid"
        link.unlink(missing_ok=True)
        link.symlink_to(name)

    def bear(self, pid: int, started_seconds: float, *, inner_pids: tuple[int, ...] = (), state: str = "S") -> None:
        process = self.directory / str(pid)
        process.mkdir(exist_ok=True)
        ticks = int(started_seconds * _TICKS_PER_SECOND)
        (process / "stat").write_text(f"{pid} (od) d) {state} " + "0 " * 18 + f"{ticks} 0 0\n")
        pids = "\t".join(str(borne) for borne in (pid, *inner_pids))
        (process / "status").write_text(f"Name:\todd\nNSpid:\t{pids}\n")

    def end(self, pid: int) -> None:
        shutil.rmtree(self.directory / str(pid))

    def presence(self, process: ProcessKey) -> Presence:
        return self.table.presences([process])[process]


def started(pid: int, seconds: float) -> ProcessKey:
    return ProcessKey(_BOOTED_AT_MS + int(seconds * 1000), pid)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_process_that_bears_the_pid_and_started_then_is_alive(machine: Machine) -> None:
    machine.bear(42, 100)
    assert machine.presence(started(42, 100.3)) is Presence.ALIVE


def test_a_process_that_nobody_bears_is_gone_where_all_can_be_seen(machine: Machine) -> None:
    assert machine.presence(started(42, 100)) is Presence.GONE


def test_a_process_that_cannot_be_seen_from_a_container_is_unknown(machine: Machine) -> None:
    machine.enter_namespace("pid:[4026532001]")
    assert machine.presence(started(42, 100)) is Presence.UNKNOWN


def test_a_process_is_unknown_where_others_are_hidden(machine: Machine) -> None:
    machine.end(1)
    assert machine.presence(started(42, 100)) is Presence.UNKNOWN


def test_another_process_under_the_same_pid_leaves_it_unknown(machine: Machine) -> None:
    machine.bear(42, 900)
    assert machine.presence(started(42, 100)) is Presence.UNKNOWN


def test_a_process_in_a_namespace_below_is_found_by_its_inner_pid(machine: Machine) -> None:
    machine.bear(7000, 100, inner_pids=(42,))
    assert machine.presence(started(42, 100)) is Presence.ALIVE
    machine.end(7000)
    assert machine.presence(started(42, 100)) is Presence.GONE


def test_a_process_is_told_from_another_that_bears_its_pid_here(machine: Machine) -> None:
    machine.bear(42, 900)
    machine.bear(7000, 100, inner_pids=(42,))
    assert machine.presence(started(42, 100)) is Presence.ALIVE


def test_of_several_that_bear_the_pid_the_one_that_started_nearest_is_meant(machine: Machine) -> None:
    machine.bear(7000, 102, inner_pids=(1,))
    machine.bear(7001, 100.1, inner_pids=(1,))
    assert machine.presence(started(1, 100)) is Presence.ALIVE
    machine.end(7000)
    assert machine.presence(started(1, 100)) is Presence.ALIVE
    machine.end(7001)
    assert machine.presence(started(1, 100)) is Presence.GONE


@pytest.mark.parametrize("namespace", ["pid:[4026531836]", "pid:[4026532001]"])
def test_a_process_once_recognised_is_gone_when_it_ends_or_its_pid_is_reused(machine: Machine, namespace: str) -> None:
    machine.enter_namespace(namespace)
    for end_it in (lambda: machine.end(42), lambda: machine.bear(42, 200)):
        machine.bear(42, 100)
        assert machine.presence(started(42, 100)) is Presence.ALIVE
        end_it()
        assert machine.presence(started(42, 100)) is Presence.GONE
        machine.table.presences([])


def test_a_zombie_is_gone(machine: Machine) -> None:
    machine.bear(42, 100)
    assert machine.presence(started(42, 100)) is Presence.ALIVE
    machine.bear(42, 100, state="Z")
    assert machine.presence(started(42, 100)) is Presence.GONE


def test_a_moved_clock_makes_no_living_process_gone(machine: Machine) -> None:
    machine.bear(42, 100)
    machine.bear(43, 100)
    assert machine.presence(started(42, 100)) is Presence.ALIVE
    machine.clocks.wall_shift_ns += 3600 * 10**9
    both = machine.table.presences([started(42, 100), started(43, 100)])
    assert both == {started(42, 100): Presence.ALIVE, started(43, 100): Presence.UNKNOWN}


def test_an_unknown_process_is_looked_for_again_after_a_while(machine: Machine) -> None:
    machine.enter_namespace("pid:[4026532001]")
    assert machine.presence(started(42, 100)) is Presence.UNKNOWN
    machine.bear(7000, 100, inner_pids=(42,))
    assert machine.presence(started(42, 100)) is Presence.UNKNOWN
    machine.clocks.boot_ns += 61 * 10**9
    assert machine.presence(started(42, 100)) is Presence.ALIVE


def test_processes_not_asked_for_are_forgotten(machine: Machine) -> None:
    machine.bear(42, 100)
    machine.presence(started(42, 100))
    machine.table.presences([])
    assert machine.table._recognised == {}


class OneProcess:
    """A system without pid namespaces, with one process or none."""

    shows_every_process = True

    def __init__(self, process: LivingProcess | None) -> None:
        self.process = process

    def living(self, pid: int) -> LivingProcess | None:
        return self.process if self.process is not None and self.process.pid == pid else None

    def look(self) -> OneProcess:
        return self

    def bearers(self, pid: int) -> list[LivingProcess]:
        living = self.living(pid)
        return [] if living is None else [living]


def test_a_process_of_which_no_start_is_told_is_never_gone_and_never_alive() -> None:
    key = started(42, 100)
    table = ProcessTable(OneProcess(LivingProcess(42, None, 0)))
    assert table.presences([key]) == {key: Presence.UNKNOWN}


def test_where_there_are_no_pid_namespaces_a_pid_that_nobody_bears_is_gone() -> None:
    key = started(42, 100)
    assert ProcessTable(OneProcess(None)).presences([key]) == {key: Presence.GONE}


def test_a_process_once_recognised_lives_while_its_identity_does_whatever_the_wall_clock_says() -> None:
    key = started(42, 100)
    system = OneProcess(LivingProcess(42, "the first", key.started_at_ms))
    table = ProcessTable(system)
    assert table.presences([key]) == {key: Presence.ALIVE}
    system.process = LivingProcess(42, "the first", key.started_at_ms + 3_600_000)
    assert table.presences([key]) == {key: Presence.ALIVE}
    system.process = LivingProcess(42, "the second", key.started_at_ms)
    assert table.presences([key]) == {key: Presence.GONE}


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


@needs_proc
@pytest.mark.parametrize("processes", [LinuxProcesses(), PsutilProcesses()], ids=["proc", "psutil"])
def test_a_real_process_is_alive_until_it_ends(child: subprocess.Popen[bytes], processes: Processes) -> None:
    table = ProcessTable(processes)
    key = ProcessKey(time.time_ns() // 10**6, child.pid)
    assert table.presences([key]) == {key: Presence.ALIVE}
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    # Not yet waited for by its parent, so a zombie.
    assert table.presences([key]) == {key: Presence.GONE}
    child.wait()
    assert table.presences([key]) == {key: Presence.GONE}


@needs_proc
@pytest.mark.parametrize("processes", [LinuxProcesses(), PsutilProcesses()], ids=["proc", "psutil"])
def test_a_real_process_with_another_start_time_is_not_taken_for_the_one_recorded(
    child: subprocess.Popen[bytes], processes: Processes
) -> None:
    key = ProcessKey(time.time_ns() // 10**6 - 3_600_000, child.pid)
    assert ProcessTable(processes).presences([key]) == {key: Presence.UNKNOWN}


@needs_proc
def test_a_real_process_in_a_pid_namespace_below_is_found() -> None:
    # Its own start time, so that it is not mixed up with other processes that are the first of their namespace.
    program = """
import os, time
ticks = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[19])
booted_at_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
print(os.getpid(), (booted_at_ns + ticks * 10**9 // os.sysconf("SC_CLK_TCK")) // 10**6, flush=True)
input()
"""
    isolate = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if shutil.which("unshare") is None or subprocess.run([*isolate, "true"], capture_output=True).returncode != 0:
        pytest.skip("pid namespaces cannot be made here")
    with subprocess.Popen(
        [*isolate, sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as inside:
        assert inside.stdout is not None
        pid, started_at_ms = (int(part) for part in inside.stdout.readline().split())
        key = ProcessKey(started_at_ms, pid)
        table = ProcessTable()
        assert pid == 1
        assert table.presences([key]) == {key: Presence.ALIVE}
        inside.communicate(b"\n")
    assert table.presences([key]) == {key: Presence.GONE}
