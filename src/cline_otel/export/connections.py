"""Connections that can be cut: what was written and has not left the machine does not leave it any more."""

from __future__ import annotations

import socket
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from cline_otel.operating_system.sockets import cut


class Connections:
    """The sockets of one exporter. May be cut from any thread."""

    def __init__(self) -> None:
        """None yet."""
        self._lock = threading.RLock()
        self._sockets: weakref.WeakSet[_Socket] = weakref.WeakSet()

    def new_socket(self, address: Sequence[Any]) -> socket.socket:
        """One that is not connected yet, for an address as ``getaddrinfo`` gives it."""
        family, kind, protocol = address[:3]
        made = _Socket(family, kind, protocol)
        made.lock = self._lock
        with self._lock:
            self._sockets.add(made)
        return made

    def cut(self) -> None:
        """Nothing can be written any more; whoever uses a connection finds it broken, and drops what waits in it."""
        with self._lock:
            for each in self._sockets:
                # Not connected yet, or not any more.
                with suppress(OSError):
                    cut(each)


class _Socket(socket.socket):
    """Is not closed while it is cut: its number could be another file's by then."""

    lock: threading.RLock

    def close(self) -> None:
        with self.lock:
            super().close()
