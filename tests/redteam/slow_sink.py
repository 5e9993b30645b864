"""Where telemetry goes, and where nobody reads on: how much of it comes all the same."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from typing import Final, Self

from waiting import PATIENCE_SECONDS

BEGUN_BYTES: Final = 16 * 1024
"""So much of a request is read before anybody waits for its end."""
RECEIVE_BUFFER_BYTES: Final = 4096
"""Asked of the system, so that hardly anything waits on this side."""


class SlowSink:
    """Takes connections, reads the beginning of what comes, and the rest only when it is told to; answers nothing.

    Attributes:
        begun: set when a large request is on its way.
        rest_bytes: what came of all requests after their beginnings, as far as it was read.
        connections: how many came.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, greeting: bytes = b"", *, hangs_up: bool = False) -> None:
        """``greeting`` is sent to who connects; with ``hangs_up`` nothing else happens there."""
        self.begun = threading.Event()
        self.rest_bytes = self.connections = 0
        self._tls, self._greeting, self._hangs_up = tls, greeting, hangs_up
        self._go_on = threading.Event()
        self._lock = threading.Lock()
        self._readers: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._go_on.set()
        # Closing alone leaves a thread in accept.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def read_on(self) -> int:
        """Reads all that still comes, until every connection has ended; how many bytes that was."""
        self._go_on.set()
        for reader in list(self._readers):
            reader.join(PATIENCE_SECONDS)
            assert not reader.is_alive(), "a connection is kept open"
        return self.rest_bytes

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                if self._hangs_up:
                    connection.close()
                    continue
                reader = threading.Thread(target=self._read, args=[connection], daemon=True)
                self._readers.append(reader)
                reader.start()

    def _read(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            stream = self._tls.wrap_socket(connection, server_side=True) if self._tls is not None else connection
            with stream:
                stream.sendall(self._greeting)
                left = BEGUN_BYTES
                while left > 0 and (data := stream.recv(left)):
                    left -= len(data)
                if left == 0:
                    self.begun.set()
                self._go_on.wait(PATIENCE_SECONDS)
                while data := stream.recv(BEGUN_BYTES):
                    with self._lock:
                        self.rest_bytes += len(data)
