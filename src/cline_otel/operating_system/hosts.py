"""Which hosts are this machine, as the system that dials them understands their names."""

from __future__ import annotations

import socket
import threading
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Final

_WITHIN_SECONDS: Final = 2.0
"""More than a name needs that this machine itself knows; one that only a server knows is of elsewhere."""


def is_here(host: str) -> bool:
    """Whether what is dialled for a host is this machine, and nothing else.

    The addresses decide, not the name: ``127.1``, ``0x7f000001`` and ``2130706433`` are dialled as 127.0.0.1
    (inet_aton(3)), a name of ``/etc/hosts`` as what stands there, and ``localhost.example`` is anybody's. ``localhost``
    and what is below it need no address to be this machine (RFC 6761, 6.3), and are not if they have one of elsewhere.

    Args:
        host: a name or an address, without brackets.
    """
    found = _addresses(host)
    if not found:
        name = host.lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost")
    return all(map(is_loopback_address, found))


def is_loopback_address(text: str) -> bool:
    """Whether an address leads to this machine alone, that of all its addresses included, which dials it."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    return address.is_loopback or address.is_unspecified


def _addresses(host: str) -> frozenset[str]:
    try:
        return _resolved(host)
    except OSError:
        return frozenset()


# What was found is kept, so that one host is not here for one question and elsewhere for the next.
@lru_cache(maxsize=64)
def _resolved(host: str) -> frozenset[str]:
    found: list[frozenset[str]] = []

    def resolve() -> None:
        try:
            entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        found.append(frozenset(str(entry[4][0]).partition("%")[0] for entry in entries))

    # A server of names that does not answer is not waited for.
    thread = threading.Thread(target=resolve, name="resolve-host", daemon=True)
    thread.start()
    thread.join(_WITHIN_SECONDS)
    if not found or not found[0]:
        raise OSError(0, "not resolved")
    return found[0]
