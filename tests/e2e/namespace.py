"""Runs a command in a network of its own that holds nothing but loopback.

Cline reports to a collector whose address is compiled in. The tests must not send anything there, so
they run only where the kernel lets them make a network namespace, as root or as a normal user.
"""

from __future__ import annotations

import fcntl
import shutil
import socket
import struct
import subprocess
import sys
from functools import lru_cache

_SET_INTERFACE_FLAGS = 0x8914
_INTERFACE_UP = 0x1
_PROBE_TIMEOUT_SECONDS = 300

_OPTIONS = (
    # With a process namespace, nothing that a scenario started can outlive it.
    ("--user", "--map-root-user", "--net", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"),
    ("--net", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child"),
    ("--user", "--map-root-user", "--net", "--uts"),
    ("--net", "--uts"),
)


class NamespaceUnavailableError(RuntimeError):
    """This machine lets us make no network namespace; the message says what was tried and answered."""


@lru_cache(maxsize=1)
def namespace_command() -> tuple[str, ...]:
    """The command line to put before another one so that it runs in a namespace of its own.

    Raises:
        NamespaceUnavailableError: there is no ``unshare``, or every way to use it failed.
    """
    unshare = shutil.which("unshare")
    if unshare is None:
        raise NamespaceUnavailableError("no `unshare` on PATH; install util-linux (Linux only)")
    answers = []
    for options in _OPTIONS:
        command = (unshare, *options)
        probe = subprocess.run(
            [*command, sys.executable, "-c", "import socket; print(*[name for _, name in socket.if_nameindex()])"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_PROBE_TIMEOUT_SECONDS,
        )
        if probe.returncode == 0 and probe.stdout.split() == ["lo"]:
            return command
        answers.append(f"`unshare {' '.join(options)}`: {(probe.stderr or probe.stdout).strip()[:200]}")
    raise NamespaceUnavailableError("this machine allows no network namespace: " + "; ".join(answers))


def enter_network() -> None:
    """Brings loopback up, after making sure that there is no other interface.

    Raises:
        NamespaceUnavailableError: there is another interface, so this is not a namespace of our own.
    """
    interfaces = [name for _, name in socket.if_nameindex()]
    if interfaces != ["lo"]:
        raise NamespaceUnavailableError(f"refusing to run Cline in the open: the network has {', '.join(interfaces)}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, _SET_INTERFACE_FLAGS, struct.pack("16sh14x", b"lo", _INTERFACE_UP))
