"""Which proxy stands between us and an endpoint: what ``HTTP_PROXY`` and the like say, and ``NO_PROXY``.

``requests``, by which the official exporters send, is the measure for what is named; beyond it are read networks of
IPv6 and ``*.suffix``, which other programs take, and nothing on this machine is asked for by a proxy.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def proxy_for(url: str) -> str | None:
    """The URL of the proxy for ``url``, which may hold credentials; None if there is none.

    Not by aiohttp's ``trust_env``: that would also take credentials from ``~/.netrc``.
    """
    parts = urlsplit(url)
    proxies = getproxies()
    if is_direct(parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0), proxies.get("no", "")):
        return None
    # What the system's own settings exempt, where those are asked.
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return f"http://{proxy}" if proxy and "://" not in proxy else proxy


def is_direct(host: str, port: int, no_proxy: str) -> bool:
    """Whether a host is reached without a proxy.

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
    if host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback):
        return True
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


def _has_port(entry: str) -> bool:
    _, _, last = entry.rpartition(":")
    return last.isdigit() and (entry.count(":") == 1 or "]:" in entry)
