"""The disk under the journal: full, failing, and the journal taken away while a bridge runs."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Protocol

import pytest

from waiting import PATIENCE_SECONDS, wait_until

from .endpoint import Answer, Endpoint
from .feeding import post
from .process import Bridge, Home
from .received import Received
from .workload import otlp_copies

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of another process, and mounts")

_CLONE_NEWNS, _CLONE_NEWUSER = 0x20000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_DISK_BYTES = 8 * 1024 * 1024


class Disk(Protocol):
    """The disk of a state directory, on which writing can fail."""

    def before_exec(self) -> None:
        """In the bridge's process, before it becomes one."""

    def fail(self, process_id: int) -> None:
        """From now on nothing more can be written."""

    def mend(self, process_id: int) -> None:
        """From now on it can again."""


class FailingDisk:
    """The kernel refuses to write (EFBIG), which SQLite takes for an I/O error."""

    def before_exec(self) -> None:
        """Nothing yet."""

    def fail(self, process_id: int) -> None:
        resource.prlimit(process_id, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def mend(self, process_id: int) -> None:
        resource.prlimit(process_id, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


class FullDisk:
    """A file system in memory that the bridge alone sees, and that somebody fills."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True)

    def before_exec(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        user, group = os.getuid(), os.getgid()
        for done in (
            library.unshare(_CLONE_NEWNS | (_CLONE_NEWUSER if user else 0)),
            library.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None),
        ):
            if done and user == 0:
                raise OSError(ctypes.get_errno(), "no namespace of one's own")
        if user:
            Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
        options = f"size={_DISK_BYTES},mode=0700".encode()
        if library.mount(b"tmpfs", os.fsencode(self._directory), b"tmpfs", 0, options):
            raise OSError(ctypes.get_errno(), "no file system of one's own")

    def fail(self, process_id: int) -> None:
        with self._filler(process_id).open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4_096)):
                    pass
            except OSError:
                return

    def mend(self, process_id: int) -> None:
        self._filler(process_id).unlink()

    def _filler(self, process_id: int) -> Path:
        return Path(f"/proc/{process_id}/root{self._directory}", "filler")


def disk(kind: str, home: Home) -> Disk:
    """One of that kind; skips where this machine allows none."""
    if kind == "failing":
        return FailingDisk()
    full = FullDisk(home.state)
    try:
        subprocess.run(["true"], preexec_fn=full.before_exec, check=True)
    except subprocess.SubprocessError:
        pytest.skip("this machine allows no file system of one's own")
    return full


@pytest.mark.parametrize("kind", ["full", "failing"])
def test_a_bridge_waits_for_a_disk_says_so_once_and_goes_on_without_losing_or_doubling(
    tmp_path: Path, kind: str
) -> None:
    recording = otlp_copies(12)
    bodies = list(recording.otlp_logs)
    home = Home(tmp_path / "home")
    disk_of_bridge = disk(kind, home)
    asked, go = threading.Event(), threading.Event()

    def answer(signal: str, request: object) -> Answer:
        if signal == "traces":
            asked.set()
            assert go.wait(PATIENCE_SECONDS)
        return 200, b""

    with Endpoint(answer) as endpoint:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url, "OTEL_METRIC_EXPORT_INTERVAL": "200"}
        with Bridge(home, environment=environment, before_exec=disk_of_bridge.before_exec) as bridge:
            taken = 3
            for body in bodies[:taken]:
                assert post(bridge.endpoint, body)[0] == 200
            assert asked.wait(PATIENCE_SECONDS)
            # While a request is on its way, so that what it led to cannot be written down.
            disk_of_bridge.fail(bridge.pid)
            wait_until(lambda: post(bridge.endpoint, bodies[taken])[0] != 200, lambda: bridge.said)
            bridge.wait_for_line("what is in it is kept")
            go.set()
            # Metrics have no queue, so that they go out says that the bridge goes on.
            sent = endpoint.asked["metrics"]
            wait_until(lambda: endpoint.asked["metrics"] > sent + 3 or not bridge.is_running(), lambda: bridge.said)
            assert bridge.is_running(), bridge.said
            assert post(bridge.endpoint, bodies[taken])[0] in {429, 503}
            disk_of_bridge.mend(bridge.pid)
            for body in bodies[taken:]:
                wait_until(lambda body=body: post(bridge.endpoint, body)[0] == 200, lambda: bridge.said)
            expected = Received.in_requests(recording.replayed(tmp_path / "recording").requests)
            wait_until(lambda: endpoint.span_count() >= len(expected.spans), lambda: bridge.said)
            bridge.wait_for_line("the journal can be used again")
            assert bridge.stop() == 0
            assert bridge.lines[-1].endswith(" stopped")
        received = Received(endpoint.traces(), endpoint.metrics(), endpoint.logs())
        assert endpoint.span_count() == len(expected.spans)
    assert received.spans.keys() == expected.spans.keys()
    assert received.logs.keys() == expected.logs.keys()
    assert sum("what is in it is kept" in line for line in bridge.lines) == 1
    assert "Traceback" not in bridge.said


@pytest.mark.parametrize("how", ["deleted", "truncated"])
def test_a_bridge_whose_journal_is_taken_away_acknowledges_nothing_more_and_ends_with_what_to_do(
    tmp_path: Path, how: str
) -> None:
    bodies = otlp_copies(8).otlp_logs
    home = Home(tmp_path / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"})
    with Bridge(home) as bridge:
        endpoint = bridge.endpoint
        assert post(endpoint, bodies[0])[0] == 200
        if how == "deleted":
            shutil.rmtree(home.state)
        else:
            os.truncate(home.journal, 0)
        for body in bodies[1:]:
            try:
                assert post(endpoint, body)[0] == 503
            except OSError:
                break
        assert bridge.wait() == 1
    assert "error: " in bridge.lines[-1]
    assert all(part in bridge.lines[-1] for part in (str(home.journal), "while the bridge ran", "start again"))


@pytest.mark.parametrize("how", ["deleted", "truncated"])
def test_that_a_journal_was_taken_away_is_found_also_where_nothing_comes(tmp_path: Path, how: str) -> None:
    home = Home(tmp_path / "home")
    with Bridge(home) as bridge:
        if how == "deleted":
            # The bridge may just be putting a file there.
            while home.state.exists():
                shutil.rmtree(home.state, ignore_errors=True)
        else:
            os.truncate(home.journal, 0)
        assert bridge.wait() == 1
    assert str(home.journal) in bridge.lines[-1]
