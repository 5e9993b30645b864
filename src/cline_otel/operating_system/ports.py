"""Which port can be listened on."""

from __future__ import annotations

import os
import socket


def bindable_port(address: str, port: int) -> int:
    """The port, or a free one for 0.

    Raises:
        OSError: it cannot be listened on.
    """
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        if os.name == "posix":
            # What closed connections leave behind is in nobody's way; elsewhere this option would share the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, port))
        return int(probe.getsockname()[1])
