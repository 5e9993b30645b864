"""After ``off`` nothing leaves: no rest of a request that was under way, and no connection."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from bridge.process import Bridge, Home
from bridge.workload import log_copies
from redteam.slow_sink import SlowSink
from waiting import wait_until

ON_THE_WAY_BYTES: Final = 64 * 1024
"""What the systems of both sides may have taken by then; a request is many times as large."""
COPIES: Final = 150

HTTP2_SETTINGS: Final = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""An empty SETTINGS frame: with it a gRPC channel counts as connected, and a window is 64 KiB."""


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """What waits to be sent."""
    home = Home(tmp_path_factory.mktemp("waiting") / "home")
    home.cline_log.parent.mkdir(parents=True)
    home.cline_log.write_bytes(b"".join(line + b"\n" for line in log_copies(COPIES).cline_log))
    with Bridge(home, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) as bridge:
        wait_until(lambda: home.pending("traces") > COPIES, lambda: bridge.said)
        bridge.stop()
    return home


@pytest.fixture
def home(tmp_path: Path, waiting: Home) -> Home:
    shutil.copytree(waiting.state, tmp_path / "home" / "state")
    return Home(tmp_path / "home")


def certificate(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """What a sink speaks TLS with, and the file by which it is trusted."""
    made, key = directory / "sink.pem", directory / "sink.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context, made


Way = Callable[[Path], tuple[SlowSink, dict[str, str]]]


def by_http(directory: Path) -> tuple[SlowSink, dict[str, str]]:
    sink = SlowSink()
    return sink, {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink.address}"}


def by_tls(directory: Path) -> tuple[SlowSink, dict[str, str]]:
    context, trusted = certificate(directory)
    sink = SlowSink(context)
    return sink, {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"https://{sink.address}",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(trusted),
    }


def by_proxy(directory: Path) -> tuple[SlowSink, dict[str, str]]:
    sink = SlowSink()
    return sink, {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4318",
        "HTTP_PROXY": f"http://{sink.address}",
        "NO_PROXY": "",
    }


def by_grpc(directory: Path) -> tuple[SlowSink, dict[str, str]]:
    sink = SlowSink(greeting=HTTP2_SETTINGS)
    return sink, {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{sink.address}", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}


@pytest.mark.parametrize(
    "way",
    [
        by_http,
        pytest.param(by_tls, marks=pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl")),
        by_proxy,
        by_grpc,
    ],
)
def test_a_request_under_way_is_broken_off_and_its_rest_stays_here(home: Home, tmp_path: Path, way: Way) -> None:
    slow, environment = way(tmp_path)
    with slow, Bridge(home, environment={"OTEL_METRICS_EXPORTER": "none", **environment}):
        assert slow.begun.wait(60)
        assert home.run("off").returncode == 0
        assert slow.read_on() <= ON_THE_WAY_BYTES
        assert home.pending("traces") > COPIES, "it waits here"


@pytest.fixture
def dialled() -> Iterator[SlowSink]:
    with SlowSink(hangs_up=True) as sink:
        yield sink


@pytest.mark.parametrize("by", ["itself", "a proxy"])
def test_grpc_dials_nobody_after_off(home: Home, dialled: SlowSink, by: str) -> None:
    environment = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{dialled.address}"}
    if by == "a proxy":
        environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.example:4317", "NO_PROXY": ""}
        environment |= {"http_proxy": f"http://{dialled.address}"}
    with Bridge(home, environment=environment) as bridge:
        wait_until(lambda: dialled.connections > 2, lambda: bridge.said)
        assert home.run("off").returncode == 0
        # What was under way; then long enough for a channel that is left open: it dials each second.
        time.sleep(1)
        before = dialled.connections
        time.sleep(3)
        assert dialled.connections == before
