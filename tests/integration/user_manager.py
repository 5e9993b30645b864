"""A real systemd that manages the services of a home directory, where this machine lets one be started.

It believes that the machine was booted with systemd, because in its own mount namespace the place where that is looked
for is there; it has a control group of its own. ``systemctl`` on PATH runs in that namespace.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from waiting import PATIENCE_SECONDS, wait_until

_SYSTEMD: Final = "/lib/systemd/systemd"
_CONTROL_GROUPS: Final = tuple(map(Path, ("/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup")))
"""The hierarchies in which systemd keeps track of processes: the first two together, or the third."""

_START: Final = f"""\
mount -t tmpfs tmpfs /run/systemd && mkdir /run/systemd/system || exit 99
for group; do echo $$ > "$group/cgroup.procs" || exit 99; done
exec {_SYSTEMD} --user --log-target=console
"""


class NoUserManagerError(Exception):
    """None can be started here; the message says why."""


@contextmanager
def user_manager(home: Path) -> Iterator[dict[str, str]]:
    """Runs one for a home directory; gives the variables by which its commands find it.

    Raises:
        NoUserManagerError: this machine does not have what it takes.
    """
    missing = [each for each in ("systemctl", "nsenter", "unshare", _SYSTEMD) if shutil.which(each) is None]
    if missing:
        raise NoUserManagerError(f"there is no {missing[0]} here")
    if os.geteuid() != 0:
        raise NoUserManagerError("only root may make the namespace that a systemd of the test's own needs")
    # A short path: that of a socket may not be long.
    runtime = Path(tempfile.mkdtemp(prefix="run-"))
    try:
        with _control_groups(runtime.name) as groups:
            yield from _run(home, runtime, groups)
    finally:
        shutil.rmtree(runtime, ignore_errors=True)


def _run(home: Path, runtime: Path, groups: list[Path]) -> Iterator[dict[str, str]]:
    found = shutil.which("systemctl")
    environment = {
        "PATH": f"{runtime / 'bin'}:{os.environ['PATH']}",
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(runtime),
    }
    systemctl = runtime / "bin" / "systemctl"
    systemctl.parent.mkdir()
    log = runtime / "systemd.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", _START, "sh", *groups],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    systemctl.write_text(f'#!/bin/sh\nexec nsenter --target {process.pid} --mount {found} "$@"\n')
    systemctl.chmod(0o755)
    try:
        wait_until(lambda: process.poll() is not None or _is_up(environment), "the user's systemd")
        if process.poll() is not None:
            raise NoUserManagerError(f"systemd does not start: {log.read_text(errors='replace')[-300:]}")
        yield environment
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def _is_up(environment: dict[str, str]) -> bool:
    answer = subprocess.run(
        ["systemctl", "--user", "is-system-running"], env=environment, capture_output=True, text=True, check=False
    )
    return answer.stdout.strip() in {"running", "degraded"}


@contextmanager
def _control_groups(name: str) -> Iterator[list[Path]]:
    parents = [each for each in _CONTROL_GROUPS if (each / "cgroup.procs").exists()]
    if not parents:
        raise NoUserManagerError("there are no control groups here")
    groups = [parent / f"cline-otel-{name}" for parent in parents]
    try:
        try:
            for group in groups:
                group.mkdir()
        except OSError as error:
            raise NoUserManagerError(f"no control group can be made: {error.strerror}") from None
        yield groups
    finally:
        wait_until(lambda: all(map(_is_gone, groups)), "control groups to be empty")


def _is_gone(group: Path) -> bool:
    """Removes a control group and those in it, if no process is left in them."""
    try:
        if not group.exists():
            return True
        for directory, _, _ in os.walk(group, topdown=False):
            Path(directory).rmdir()
    except OSError:
        return False
    return True
