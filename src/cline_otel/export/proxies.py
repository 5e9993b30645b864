"""Which proxy stands between us and an endpoint: what ``HTTP_PROXY`` and the like say, and ``NO_PROXY``.

``requests``, by which the official exporters send, is the measure for what is named; beyond it are read networks of
IPv6 and ``*.suffix``, which other programs take, and nothing on this machine is asked for by a proxy: what is sent
without TLS to this machine holds tokens in the clear.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from cline_otel.operating_system.hosts import is_here

_NO_GRPC_PROXY: Final = "no_grpc_proxy"
_GRPC_PROXIES: Final = ("grpc_proxy", "https_proxy", "http_proxy")
_GRPC_TARGET: Final = re.compile(
    r"(?:dns:(?://[^/]*/)?|ipv4:|ipv6:)?(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::(?P<port>[0-9]{1,5}))?"
)
"""A host with or without a port; nothing else is reached through the network's proxy."""
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def proxy_for(url: str) -> str | None:
    """The URL of the proxy for ``url``, which may hold credentials; None if there is none.

    Not by aiohttp's ``trust_env``: that would also take credentials from ``~/.netrc``.
    """
    parts = urlsplit(url)
    proxies, host = getproxies(), parts.hostname or ""
    proxy = _with_scheme(proxies.get(parts.scheme) or proxies.get("all"))
    if proxy is None or is_direct(host, parts.port or _DEFAULT_PORTS.get(parts.scheme, 0), proxies.get("no", "")):
        return None
    # What the system's own settings exempt, where those are asked.
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return None if is_here(host) else proxy


def grpc_proxy_for(target: str) -> str | None:
    """The same for a target of gRPC, by the variables that its channels read: those in small letters."""
    named = _GRPC_TARGET.fullmatch(target)
    if named is None:
        return None
    host, port = named["host"].strip("[]"), int(named["port"] or 443)
    if is_direct(host, port, os.environ.get(_NO_GRPC_PROXY) or getproxies().get("no", "")):
        return None
    proxy = _with_scheme(next((os.environ[name] for name in _GRPC_PROXIES if os.environ.get(name)), None))
    return None if proxy is None or is_here(host) else proxy


def is_direct(host: str, port: int, no_proxy: str) -> bool:
    """Whether ``NO_PROXY`` exempts a host.

    Args:
        host: a name or an address, without brackets.
        port: of the endpoint.
        no_proxy: names (with everything below them), ``*.name``, ``.name``, addresses, networks (CIDR), each with or
            without a port; ``*`` is everything.
    """
    host = host.lower().rstrip(".")
    try:
        address = ip_address(host)
    except ValueError:
        address = None
    for entry in no_proxy.lower().replace(" ", "").split(","):
        if entry == "*":
            return True
        name, _, entry_port = entry.rpartition(":") if _has_port(entry) else (entry, "", "")
        if not name or (entry_port and entry_port != str(port)):
            continue
        name = name.removeprefix("[").removesuffix("]")
        try:
            network = ip_network(name, strict=False)
        except ValueError:
            name = name.removeprefix("*").strip(".")
            if address is None and name and (host == name or host.endswith(f".{name}")):
                return True
        else:
            if address is not None and address.version == network.version and address in network:
                return True
    return False


def shown_proxy(url: str) -> str:
    """A proxy for people: without credentials and path."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def by_proxy(url: str | None) -> str:
    """What to say behind an endpoint that a proxy stands before; empty for none."""
    return "" if url is None else f" by the proxy {shown_proxy(url)}"


def _with_scheme(proxy: str | None) -> str | None:
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def _has_port(entry: str) -> bool:
    _, _, last = entry.rpartition(":")
    return last.isdigit() and (entry.count(":") == 1 or "]:" in entry)
