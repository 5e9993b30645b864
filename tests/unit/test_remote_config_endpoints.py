"""Without TLS an organization's remote config leads to this machine alone, however its endpoint is spelled."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from cline_otel.destinations import OtlpDestination
from cline_otel.settings.remote_config import RemoteConfigError, parse_exports
from cline_otel.sources.otlp.access import is_loopback

ENABLED: dict[str, Any] = {"openTelemetryEnabled": True, "openTelemetryLogsExporter": "otlp"}
SPELLINGS = [
    "http://{}@{}/",
    "http://{}:4317@{}",
    "http://{}:x@{}:4317/",
    "http://{}\\@{}/",
    "http://{}/@{}",
    "http://{}?@{}",
    "http://{}#@{}",
    "http://{}://{}",
    "http://{}:4317/?://{}",
    "http://{}/#://{}",
    "http://{}%2f@{}",
    "http://{}%00.{}",
    "http://{}.{}",
    "http://{}。{}",
    "http://{} @{}",
    "http://{}\t@{}",
    "http://{};{}",
    "http://{},{}",
    "http://[{}]{}",
    "http://[{}].{}",
    "http://[{}]@{}",
    "HTTP://{}@{}",
    "http:\\\\{}@{}",
    "http:/{}/{}",
    "http:{}/{}",
    "{}:4317@{}",
    "{}/://{}",
    "dns://{}/{}",
    "dns:{},{}",
    "ipv4:{}:1,{}:1",
]
HERE = ["localhost", "127.0.0.1", "::1", "[::1]", "LOCALHOST", "127.8.8.8"]
ELSEWHERE = [
    "collector.evil.example",
    "192.0.2.7",
    "[2001:db8::7]",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "0.0.0.0",
    "2130706433",
    "0x7f.1",
    "[::1%25eth0]",
    "127.1",
    "localhost.",
    "[::]",
    "[::ffff:192.0.2.7]",
    "[::ffff:10.0.0.1%25lo]",
]


def insecurely_dialled(protocol: str, endpoint: str) -> str | None:
    """The host that a client gets from what is dialled, where that is without TLS and nobody allowed it."""
    try:
        destinations = parse_exports(
            {**ENABLED, "openTelemetryOtlpProtocol": protocol, "openTelemetryOtlpEndpoint": endpoint}
        ).destinations["logs"]
    except RemoteConfigError:
        return None
    (destination,) = destinations
    assert isinstance(destination, OtlpDestination)
    if not destination.insecure:
        return None
    if protocol == "grpc":
        assert re.fullmatch(r"[0-9A-Za-z.-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?", destination.endpoint)
        return URL(f"http://{destination.endpoint}").host
    return URL(destination.endpoint).host


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json", "grpc"])
@pytest.mark.parametrize("spelling", [*SPELLINGS, "http://{}", "http://{}:4317/v1/logs"])
def test_without_tls_nothing_but_this_machine_is_dialled_however_it_is_spelled(protocol: str, spelling: str) -> None:
    for here, elsewhere in itertools.product(HERE, ELSEWHERE):
        for first, second in ((here, elsewhere), (elsewhere, here), (elsewhere, elsewhere)):
            host = insecurely_dialled(protocol, spelling.format(first, second))
            assert host is None or host == "localhost" or ("%" not in host and is_loopback(host)), spelling


@given(
    st.lists(
        st.sampled_from([*"[]@:/?#\\.%;, \t\n\0aX1。", "http://", "localhost", "127.0.0.1", "::1", "evil.example"]),
        max_size=12,
    ).map("".join)
)
@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_no_arrangement_of_signs_leads_elsewhere_without_tls(protocol: str, rest: str) -> None:
    for text in (rest, f"http://{rest}"):
        host = insecurely_dialled(protocol, text)
        assert host is None or host == "localhost" or ("%" not in host and is_loopback(host)), text


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("host", ["localhost", "LocalHost:4317", "127.0.0.1:4317", "127.8.8.8", "[::1]:4317"])
def test_without_tls_this_machine_may_be_dialled(protocol: str, host: str) -> None:
    assert insecurely_dialled(protocol, f"http://{host}") is not None
