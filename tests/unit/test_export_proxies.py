"""Which hosts are reached without a proxy: what `requests` decides, and some that it does not read."""

from __future__ import annotations

import pytest
import requests.utils

from cline_otel.export.proxies import grpc_proxy_for, is_direct, proxy_for, shown_proxy

HOSTS = [
    "collector.example",
    "a.collector.example",
    "xcollector.example",
    "10.1.2.3",
    "10.2.0.1",
    "192.0.2.7",
    "2001:db8::7",
]
ENTRIES = [
    "collector.example",
    ".collector.example",
    "10.1.0.0/16",
    "10.1.2.3",
    "192.0.2.7/32",
    "example",
    "other.example",
]


def url_of(host: str) -> str:
    return f"http://[{host}]:4318/v1/traces" if ":" in host else f"http://{host}:4318/v1/traces"


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("host", HOSTS)
def test_what_no_proxy_exempts_is_what_requests_exempts(host: str, entry: str) -> None:
    theirs = bool(requests.utils.should_bypass_proxies(url_of(host), f"unrelated.example, {entry}"))
    assert is_direct(host, 4318, f"unrelated.example, {entry}") is theirs


@pytest.mark.parametrize(
    ("host", "no_proxy", "direct"),
    [
        ("a.example", "*.example", True),
        ("example", "*.example", True),
        ("badexample", "*.example", False),
        ("anything", "*", True),
        ("2001:db8::7", "2001:db8::/32", True),
        ("2001:db8::7", "[2001:db8::7]", True),
        ("2001:db9::7", "2001:db8::/32", False),
        ("a.example", "a.example:4318", True),
        ("a.example", "a.example:443", False),
        ("a.example", "", False),
        ("a.example", ",,", False),
        ("10.0.0.1", "10.0.0.0/33", False),
    ],
)
def test_what_requests_does_not_read_is_read_as_other_programs_do(host: str, no_proxy: str, direct: bool) -> None:
    assert is_direct(host, 4318, no_proxy) is direct


def test_nothing_on_this_machine_is_asked_for_by_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://user:secret@proxy.example:3128")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert proxy_for("http://[::1]:4318/v1/traces") is None
    assert proxy_for("http://localhost:4318/v1/traces") is None
    proxy = proxy_for("http://collector.example:4318/v1/traces")
    assert proxy is not None
    assert shown_proxy(proxy) == "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("target", "by_proxy"),
    [
        ("collector.example:4317", True),
        ("collector.example", True),
        ("dns:///collector.example:4317", True),
        ("dns://192.0.2.1/collector.example:4317", True),
        ("ipv4:192.0.2.7:4317", True),
        ("[2001:db8::7]:4317", True),
        ("exempt.example:4317", False),
        ("127.0.0.1:4317", False),
        ("[::1]:4317", False),
        ("unix:/run/collector.sock", False),
    ],
)
def test_a_target_of_grpc_is_asked_for_by_the_proxy_of_its_own_variables(
    target: str, by_proxy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "exempt.example")
    assert grpc_proxy_for(target) is None
    monkeypatch.setenv("http_proxy", "proxy.example:3128")
    assert grpc_proxy_for(target) == ("http://proxy.example:3128" if by_proxy else None)
    monkeypatch.setenv("grpc_proxy", "http://own.example:3128")
    assert grpc_proxy_for(target) == ("http://own.example:3128" if by_proxy else None)
    monkeypatch.setenv("no_grpc_proxy", "*")
    assert grpc_proxy_for(target) is None
