"""A proxy never sees what is sent to this machine, however its endpoint is written; and it is asked for all else."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import pytest

from cline_otel.destinations import OtlpDestination
from cline_otel.export.exporters import Exporters
from cline_otel.export.interface import Batch, Delivered
from cline_otel.export.otlp_grpc import OtlpGrpcExporter
from cline_otel.export.otlp_http import OtlpHttpExporter
from cline_otel.operating_system import hosts
from cline_otel.settings.remote_config import RemoteConfigError, parse_exports
from waiting import patience

TOKEN = "Bearer of-nobody-else"
BY_NAME = {
    "collector.here": ["127.0.0.1"],
    "app.localhost": ["127.0.0.1"],
    "localhost.evil.example": ["192.0.2.7"],
    "evil.localhost": ["192.0.2.7"],
    "half.example": ["127.0.0.1", "192.0.2.7"],
    "127.0.0.1.evil.example": ["192.0.2.7"],
}
HERE = [
    "127.0.0.1",
    "127.8.9.1",
    "localhost",
    "localhost.",
    "LOCALHOST",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "0.0.0.0",
    "[::ffff:127.0.0.1]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "app.localhost",
    "collector.here",
]
ELSEWHERE = ["localhost.evil.example", "evil.localhost", "half.example", "127.0.0.1.evil.example", "not.known.example"]
NOT_EVERYWHERE = {"localhost.", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1"}
"""Whether a library or the system dials these is its own matter, but a proxy must not get them."""


class Recorder:
    """Takes connections and notes what each says first; answers HTTP with success."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.arrived = asyncio.Event()
        self.port = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if said := await reader.read(65536):
            self.heard.append(said)
            self.arrived.set()
        if said.startswith(b"POST"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()


@asynccontextmanager
async def listening(*, everywhere: bool = False) -> AsyncIterator[Recorder]:
    recorder = Recorder()
    family = socket.AF_INET6 if everywhere and socket.has_dualstack_ipv6() else socket.AF_INET
    listener = socket.create_server(
        ("::" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family, dualstack_ipv6=family == socket.AF_INET6
    )
    recorder.port = listener.getsockname()[1]
    async with await asyncio.start_server(recorder.take, sock=listener):
        yield recorder


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Names as no server of the network knows them."""
    real = socket.getaddrinfo

    def resolve(host: Any, port: Any, *args: Any, **options: Any) -> Any:
        text = host.decode() if isinstance(host, bytes) else str(host)
        if text.endswith(".example") or text in BY_NAME:
            found = [each for address in BY_NAME.get(text, []) for each in real(address, port, *args, **options)]
            if not found:
                raise socket.gaierror(socket.EAI_NONAME, "not known")
            return found
        return real(host, port, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    hosts._resolved.cache_clear()
    yield
    hosts._resolved.cache_clear()


def set_proxy(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy"):
        for each in (name, name.upper()):
            monkeypatch.setenv(each, f"http://user:secret@127.0.0.1:{port}")
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)


def destination(protocol: str, host: str, port: int) -> OtlpDestination:
    endpoint = f"http://{host}:{port}/v1/traces" if protocol == "http" else f"{host}:{port}"
    return OtlpDestination(
        signal="traces",
        protocol="http/protobuf" if protocol == "http" else "grpc",
        endpoint=endpoint,
        headers=(("authorization", TOKEN),),
        timeout_seconds=5,
        insecure=True,
    )


def exporter_of(protocol: str, host: str, port: int) -> OtlpHttpExporter | OtlpGrpcExporter:
    made = destination(protocol, host, port)
    return OtlpHttpExporter(made) if protocol == "http" else OtlpGrpcExporter(made)


def can_be_dialled(host: str) -> bool:
    try:
        return ip_address(host.strip("[]")).version == 4 or socket.has_dualstack_ipv6()
    except ValueError:
        return True


@pytest.mark.parametrize("host", HERE)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
async def test_what_is_sent_to_this_machine_is_dialled_and_no_proxy_asked(
    protocol: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_be_dialled(host):
        pytest.skip("this machine has no IPv6")
    async with listening() as proxy, listening(everywhere=True) as endpoint:
        set_proxy(monkeypatch, proxy.port)
        exporter = exporter_of(protocol, host, endpoint.port)
        assert "proxy" not in exporter.description
        try:
            result = await exporter.export(Batch(b""))
        finally:
            await exporter.close()
        assert proxy.heard == []
        if protocol == "http" and host not in NOT_EVERYWHERE:
            assert isinstance(result, Delivered)
        if host not in NOT_EVERYWHERE and host not in BY_NAME:
            # gRPC asks the system for names by a way of its own, which knows none of those here.
            assert endpoint.heard[0].startswith(b"POST" if protocol == "http" else b"PRI * HTTP/2.0")


@pytest.mark.parametrize("host", ELSEWHERE)
@pytest.mark.parametrize("protocol", ["http", "grpc"])
async def test_a_name_that_only_looks_like_this_machine_is_asked_for_by_the_proxy(
    protocol: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening() as proxy:
        set_proxy(monkeypatch, proxy.port)
        exporter = exporter_of(protocol, host, 4318)
        assert f"by the proxy http://127.0.0.1:{proxy.port}" in exporter.description
        assert "secret" not in exporter.description
        try:
            async with patience():
                await asyncio.gather(exporter.export(Batch(b"")), proxy.arrived.wait())
        finally:
            await exporter.close()
        assert host.encode() in proxy.heard[0]


def test_the_proxy_is_named_where_it_is_said_where_telemetry_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    set_proxy(monkeypatch, 3128)
    made = {"traces": (destination("http", "collector.example", 4318),), "logs": (destination("http", "127.1", 4318),)}
    traces, _, logs = Exporters(made).describe()
    assert "by the proxy http://127.0.0.1:3128" in traces
    assert "proxy" not in logs


@pytest.mark.parametrize("host", ["localhost.evil.example", "evil.localhost", "half.example", "127.0.0.1.evil.example"])
@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_a_remote_config_needs_tls_for_what_only_looks_like_this_machine(protocol: str, host: str) -> None:
    with pytest.raises(RemoteConfigError, match="http endpoint on another machine"):
        parse_exports(remote(protocol, host))


def test_a_localhost_that_leads_elsewhere_needs_tls_too(monkeypatch: pytest.MonkeyPatch) -> None:
    parse_exports(remote("grpc", "localhost"))
    hosts._resolved.cache_clear()
    monkeypatch.setitem(BY_NAME, "localhost", ["192.0.2.7"])
    with pytest.raises(RemoteConfigError, match="http endpoint on another machine"):
        parse_exports(remote("grpc", "localhost"))


def remote(protocol: str, host: str) -> dict[str, object]:
    return {
        "openTelemetryEnabled": True,
        "openTelemetryLogsExporter": "otlp",
        "openTelemetryOtlpProtocol": protocol,
        "openTelemetryOtlpEndpoint": f"http://{host}:4318",
    }
