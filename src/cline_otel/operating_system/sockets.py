"""Connections that end without sending what waits."""

from __future__ import annotations

import os
import socket
import struct
from typing import Final

_DROP_WHAT_WAITS: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


def cut(connection: socket.socket) -> None:
    """Nothing can be written any more, and closing drops what the system would have gone on sending.

    Raises:
        OSError: it is not connected.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_WHAT_WAITS)
    connection.shutdown(socket.SHUT_RDWR)
