"""The addresses on which the OTLP receivers listen, and what to say where they cannot."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Final

from cline_otel.sources.interface import AddressInUse, ReceiverProtocol, ReceiverRefused
from cline_otel.sources.otlp.access import is_loopback

DEFAULT_HOST: Final = "127.0.0.1"

_NAMES: Final[dict[ReceiverProtocol, str]] = {"http": "OTLP/HTTP", "grpc": "OTLP/gRPC"}
_VARIABLES: Final[dict[ReceiverProtocol, str]] = {
    "http": "CLINE_OTEL_BRIDGE_LISTEN",
    "grpc": "CLINE_OTEL_BRIDGE_LISTEN_GRPC",
}


async def addresses_of(protocol: ReceiverProtocol, host: str, port: int, bearer_token: str | None) -> list[str]:
    """The addresses of a host.

    Raises:
        ReceiverRefused: it is not known, or others could reach it and no token is asked for.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError, OverflowError):
        reason = "the name is not known"
        remedy = f"listen on an address, for example {DEFAULT_HOST}"
        raise ReceiverRefused(_sentence(protocol, host, port, reason, remedy)) from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if bearer_token is not None and not bearer_token.strip():
        reason, remedy = "its bearer token is empty", "set a token, or none at all"
        raise ReceiverRefused(_sentence(protocol, host, port, reason, remedy))
    if bearer_token is None and not all(is_loopback(address) for address in addresses):
        reason = "others could reach it and no bearer token is set"
        remedy = f"set CLINE_OTEL_BRIDGE_LISTEN_TOKEN to a token that senders must show, or listen on {DEFAULT_HOST}"
        raise ReceiverRefused(_sentence(protocol, host, port, reason, remedy))
    return addresses


def cannot_listen(protocol: ReceiverProtocol, host: str, port: int, error: OSError) -> ReceiverRefused:
    """That an address cannot be listened on, with the reason and the remedy."""
    if error.errno == errno.EADDRINUSE:
        remedy = (
            "stop the program that uses it, perhaps another bridge or a collector, and start again, "
            f"or choose another port with {_VARIABLES[protocol]}, or `off` for none"
        )
        return AddressInUse(_sentence(protocol, host, port, "the address is in use", remedy))
    # The event loop of Python 3.13 and newer passes such an address over, and its error has no number.
    if error.errno is None or error.errno == errno.EADDRNOTAVAIL:
        reason = "this machine does not have that address"
        remedy = f"listen on an address it has, for example {DEFAULT_HOST}"
    elif error.errno in (errno.EACCES, errno.EPERM):
        reason, remedy = "permission denied", "choose a port above 1023"
    else:
        reason, remedy = os.strerror(error.errno), "choose another address or port"
    return ReceiverRefused(_sentence(protocol, host, port, reason, remedy))


def url_of(host: str, port: int) -> str:
    """The base URL of an address, as exporters take it."""
    return f"http://{authority_of(host, port)}"


def authority_of(host: str, port: int) -> str:
    """The address as it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _sentence(protocol: ReceiverProtocol, host: str, port: int, reason: str, remedy: str) -> str:
    return f"the {_NAMES[protocol]} receiver cannot listen on {authority_of(host, port)}: {reason}; {remedy}"
