"""Who may talk to a receiver: where it may listen, and which requests are let in."""

from __future__ import annotations

import hmac
import ipaddress
import re

_HOST = re.compile(r"(?:\[(?P<ipv6>[0-9a-fA-F:.]+)\]|(?P<name>[^:\[\]@/\s]+))(?::\d{1,5})?", re.ASCII)


def is_loopback(address: str) -> bool:
    """Whether an IP address, as text, can be reached from this machine only."""
    parsed = _address(address)
    if parsed is None:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback


def is_allowed_host(header: str, bound_host: str, further_hosts: frozenset[str] = frozenset()) -> bool:
    """Whether a request's Host names this receiver, so that no page of a rebound domain name gets in.

    Let in are ``localhost``, loopback addresses, the host that the receiver is bound to and the
    further ones. A receiver bound to every address of the machine is reached by any of them, so there
    every IP address is let in: DNS rebinding needs a name.

    Args:
        header: the Host header.
        bound_host: what the receiver is to bind to, a name or an address.
        further_hosts: names in lower case.
    """
    match = _HOST.fullmatch(header)
    if match is None:
        return False
    host = (match["ipv6"] or match["name"]).lower().rstrip(".")
    if host == "localhost" or host == bound_host.lower() or host in further_hosts or is_loopback(host):
        return True
    address = _address(host)
    if address is None:
        return False
    bound = _address(bound_host)
    return bound is not None and (bound.is_unspecified or bound == address)


def is_authorized(header: str | None, bearer_token: str) -> bool:
    """Whether an Authorization header carries the token; compared in constant time."""
    scheme, _, credentials = (header or "").partition(" ")
    given = credentials.strip().encode("utf-8", "surrogateescape")
    return hmac.compare_digest(given, bearer_token.encode()) and scheme.lower() == "bearer"


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
