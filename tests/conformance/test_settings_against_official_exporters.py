"""Every ``OTEL_EXPORTER_OTLP_*`` variable resolves as the official exporters resolve it.

Each row of the matrix is set in the environment; the official exporter of each signal and protocol is
constructed, and what it made of the row is compared with what we make of it. Where we differ on
purpose the row says so, holds both sides, and is listed in docs/delivery.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc import exporter as grpc_exporter
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter

from cline_otel.destinations import OtlpDestination
from cline_otel.settings import load_settings
from cline_otel.signals import SignalName

SIGNALS: tuple[SignalName, ...] = ("traces", "metrics", "logs")
HTTP = {"traces": HttpSpanExporter, "metrics": HttpMetricExporter, "logs": HttpLogExporter}
GRPC = {"traces": GrpcSpanExporter, "metrics": GrpcMetricExporter, "logs": GrpcLogExporter}
OWN_HEADERS = {"content-type", "content-encoding", "user-agent"}


class Resolved(NamedTuple):
    endpoint: str
    headers: dict[str, str]
    timeout_seconds: float
    compression: str
    certificate: str | None = None
    client_key: str | None = None
    client_certificate: str | None = None
    insecure: bool | None = None


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    for name in ("ca.pem", "own-ca.pem", "key.pem", "own-key.pem", "cert.pem", "own-cert.pem"):
        (directory / name).write_text(name)
    return directory


def set_environment(monkeypatch: pytest.MonkeyPatch, row: Mapping[str, str], signal: str, files: Path) -> None:
    """``{S}`` in a name stands for the signal, ``{F}/`` in a value for the directory of TLS files."""
    for name, value in row.items():
        monkeypatch.setenv(
            f"OTEL_EXPORTER_OTLP_{name.replace('{S}', signal.upper())}", value.replace("{F}", str(files))
        )


def ours(signal: SignalName, protocol: str, monkeypatch: pytest.MonkeyPatch) -> Resolved:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv(f"OTEL_{signal.upper()}_EXPORTER", "otlp")
    (destination,) = load_settings().destinations[signal]
    assert isinstance(destination, OtlpDestination)
    return Resolved(
        destination.endpoint,
        dict(destination.headers),
        destination.timeout_seconds,
        destination.compression,
        destination.certificate_file,
        destination.client_key_file,
        destination.client_certificate_file,
        destination.insecure if protocol == "grpc" else None,
    )


def official_http(signal: SignalName) -> Resolved:
    exporter: Any = HTTP[signal]()
    session = exporter._client._transport._session
    certificate, key = session.cert if isinstance(session.cert, tuple) else (session.cert, None)
    return Resolved(
        exporter._endpoint,
        {name: value for name, value in exporter._client._headers.items() if name.lower() not in OWN_HEADERS},
        exporter._client._timeout,
        exporter._compression.value,
        None if session.verify is True else session.verify,
        key,
        certificate,
    )


def official_grpc(signal: SignalName, monkeypatch: pytest.MonkeyPatch) -> Resolved:
    files: dict[str, Any] = {}

    def credentials(**named: Any) -> grpc.ChannelCredentials:
        # An exporter asks once for its own files and, if it has none, once for the general ones.
        for name, value in named.items():
            if value is not None:
                files.setdefault(name, value)
        return grpc.ssl_channel_credentials()

    monkeypatch.setattr(grpc_exporter, "_read_file", lambda path: path)
    monkeypatch.setattr(grpc_exporter, "ssl_channel_credentials", credentials)
    exporter: Any = GRPC[signal]()
    exporter.shutdown()
    compression = {grpc.Compression.Gzip: "gzip", grpc.Compression.NoCompression: "none"}[exporter._compression]
    return Resolved(
        exporter._endpoint,
        dict(exporter._headers),
        exporter._timeout,
        compression,
        files.get("root_certificates"),
        files.get("private_key"),
        files.get("certificate_chain"),
        exporter._insecure,
    )


HTTP_ROWS: list[dict[str, str]] = [
    {},
    {"ENDPOINT": "http://collector:4318"},
    {"ENDPOINT": "http://collector:4318/"},
    {"ENDPOINT": "https://collector.example/base/path"},
    {"ENDPOINT": "https://collector.example/base/path/"},
    {"ENDPOINT": "http://[::1]:4318"},
    {"ENDPOINT": ""},
    {"{S}_ENDPOINT": "http://collector:4318"},
    {"{S}_ENDPOINT": "http://collector:4318/"},
    {"{S}_ENDPOINT": "https://collector.example/own/place?x=1"},
    {"{S}_ENDPOINT": "", "ENDPOINT": "http://collector:4318"},
    {"{S}_ENDPOINT": "http://own:1/v1/other", "ENDPOINT": "http://collector:4318"},
    {"HEADERS": "a=b"},
    {"HEADERS": "A=b,c=d"},
    {"HEADERS": " a = b , c=d "},
    {"HEADERS": "authorization=Basic%20abc%3D%3D"},
    {"HEADERS": "authorization=Bearer abc"},
    {"HEADERS": "authorization=Basic abc%3D="},
    {"HEADERS": "a=b,a=c,A=d"},
    {"HEADERS": "a=,b=x=y"},
    {"HEADERS": "a=b,,c=d,"},
    {"HEADERS": ""},
    {"HEADERS": "a=b", "{S}_HEADERS": "c=d"},
    {"HEADERS": "a=b", "{S}_HEADERS": ""},
    {"TIMEOUT": "5"},
    {"TIMEOUT": "2.5"},
    {"TIMEOUT": ""},
    {"TIMEOUT": "5", "{S}_TIMEOUT": "7"},
    {"TIMEOUT": "5", "{S}_TIMEOUT": ""},
    {"COMPRESSION": "gzip"},
    {"COMPRESSION": " GZIP "},
    {"COMPRESSION": "deflate"},
    {"COMPRESSION": "none"},
    {"COMPRESSION": ""},
    {"COMPRESSION": "gzip", "{S}_COMPRESSION": "none"},
    {"{S}_COMPRESSION": "gzip"},
    {"ENDPOINT": "https://c", "CERTIFICATE": "{F}/ca.pem"},
    {"ENDPOINT": "https://c", "CERTIFICATE": "{F}/ca.pem", "{S}_CERTIFICATE": "{F}/own-ca.pem"},
    {"ENDPOINT": "https://c", "CLIENT_CERTIFICATE": "{F}/cert.pem"},
    {"ENDPOINT": "https://c", "CLIENT_CERTIFICATE": "{F}/cert.pem", "CLIENT_KEY": "{F}/key.pem"},
    {
        "ENDPOINT": "https://c",
        "CLIENT_CERTIFICATE": "{F}/cert.pem",
        "CLIENT_KEY": "{F}/key.pem",
        "{S}_CLIENT_CERTIFICATE": "{F}/own-cert.pem",
        "{S}_CLIENT_KEY": "{F}/own-key.pem",
    },
    {"ENDPOINT": "https://c", "CLIENT_CERTIFICATE": "{F}/cert.pem", "{S}_CLIENT_KEY": "{F}/own-key.pem"},
    {"ENDPOINT": "http://c", "INSECURE": "false"},
    {"ENDPOINT": "http://c", "CERTIFICATE": "{F}/ca.pem", "CLIENT_CERTIFICATE": "{F}/cert.pem"},
    {"ENDPOINT": "https://c", "INSECURE": "true"},
    {
        "ENDPOINT": "https://c:1/x",
        "HEADERS": "a=b",
        "TIMEOUT": "3",
        "COMPRESSION": "gzip",
        "CERTIFICATE": "{F}/ca.pem",
    },
]

GRPC_ROWS: list[dict[str, str]] = [
    {},
    {"ENDPOINT": "http://collector:4317"},
    {"ENDPOINT": "https://collector:4317"},
    {"ENDPOINT": "https://collector.example"},
    {"ENDPOINT": "http://collector:4317/some/path"},
    {"ENDPOINT": "collector:4317"},
    {"ENDPOINT": "localhost:4317"},
    {"ENDPOINT": "127.0.0.1:4317"},
    {"ENDPOINT": "unix:/run/collector.sock"},
    {"ENDPOINT": "dns:///collector:4317"},
    {"{S}_ENDPOINT": "http://own:4317", "ENDPOINT": "https://collector:4317"},
    {"{S}_ENDPOINT": "", "ENDPOINT": "http://collector:4317"},
    {"ENDPOINT": "collector:4317", "INSECURE": "true"},
    {"ENDPOINT": "collector:4317", "INSECURE": "TRUE"},
    {"ENDPOINT": "collector:4317", "INSECURE": "false"},
    {"ENDPOINT": "collector:4317", "{S}_INSECURE": "true"},
    {"ENDPOINT": "collector:4317", "INSECURE": "true", "{S}_INSECURE": "false"},
    {"ENDPOINT": "https://collector:4317", "INSECURE": "true"},
    {"ENDPOINT": "https://collector:4317", "{S}_INSECURE": "true"},
    {"ENDPOINT": "http://collector:4317", "INSECURE": "true"},
    {"HEADERS": "A=b,c=d"},
    {"HEADERS": "authorization=Basic%20abc%3D%3D"},
    {"HEADERS": "authorization=Bearer abc"},
    {"HEADERS": ""},
    {"HEADERS": "a=b", "{S}_HEADERS": "c=d"},
    {"HEADERS": "a=b", "{S}_HEADERS": ""},
    {"TIMEOUT": "5"},
    {"TIMEOUT": "5", "{S}_TIMEOUT": "7"},
    {"COMPRESSION": "gzip"},
    {"COMPRESSION": " GZIP "},
    {"{S}_COMPRESSION": "gzip"},
    {"ENDPOINT": "https://c", "CERTIFICATE": "{F}/ca.pem"},
    {"ENDPOINT": "https://c", "{S}_CERTIFICATE": "{F}/own-ca.pem"},
    {"ENDPOINT": "https://c", "CERTIFICATE": "{F}/ca.pem", "{S}_CERTIFICATE": "{F}/own-ca.pem"},
    {
        "ENDPOINT": "https://c",
        "CERTIFICATE": "{F}/ca.pem",
        "CLIENT_CERTIFICATE": "{F}/cert.pem",
        "CLIENT_KEY": "{F}/key.pem",
    },
]


def row_id(row: object) -> str:
    return " ".join(f"{name}={value}" for name, value in row.items()) or "nothing set" if isinstance(row, dict) else ""


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("row", HTTP_ROWS, ids=row_id)
def test_http_resolves_as_the_official_exporter_does(
    row: dict[str, str], signal: SignalName, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, row, signal, files)
    assert ours(signal, "http/protobuf", monkeypatch) == official_http(signal)


@pytest.mark.parametrize("signal", SIGNALS)
@pytest.mark.parametrize("row", GRPC_ROWS, ids=row_id)
def test_grpc_resolves_as_the_official_exporter_does(
    row: dict[str, str], signal: SignalName, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_environment(monkeypatch, row, signal, files)
    assert ours(signal, "grpc", monkeypatch) == official_grpc(signal, monkeypatch)


class Deviation(NamedTuple):
    """A row where we differ: the fields in question, theirs and ours; an exception's name stands for a refusal."""

    protocol: str
    row: dict[str, str]
    theirs: dict[str, Any] | str
    ours: dict[str, Any] | str


DEVIATIONS: dict[str, Deviation] = {
    "timeout in milliseconds": Deviation(
        "http/protobuf", {"TIMEOUT": "10000"}, {"timeout_seconds": 10000.0}, {"timeout_seconds": 10.0}
    ),
    "timeout in milliseconds, gRPC": Deviation(
        "grpc", {"TIMEOUT": "10000"}, {"timeout_seconds": 10000.0}, {"timeout_seconds": 10.0}
    ),
    "timeout of 0": Deviation("http/protobuf", {"TIMEOUT": "0"}, {"timeout_seconds": 0.0}, {"timeout_seconds": 3600.0}),
    "timeout that is no number": Deviation(
        "http/protobuf", {"TIMEOUT": "soon"}, {"timeout_seconds": 10.0}, "SettingsError"
    ),
    "unknown compression": Deviation(
        "http/protobuf", {"COMPRESSION": "zstd"}, {"compression": "none"}, "SettingsError"
    ),
    "malformed header": Deviation(
        "http/protobuf", {"HEADERS": "a=b,nonsense"}, {"headers": {"a": "b"}}, "SettingsError"
    ),
    "endpoint without a scheme over HTTP": Deviation(
        "http/protobuf", {"ENDPOINT": "collector:4318"}, {"endpoint": "collector:4318/v1/traces"}, "SettingsError"
    ),
    "control characters in a header": Deviation(
        "http/protobuf", {"HEADERS": "a=b%0D%0Ac"}, {"headers": {"a": "b\r\nc"}}, "SettingsError"
    ),
    "a missing TLS file": Deviation(
        "http/protobuf",
        {"ENDPOINT": "https://c", "CERTIFICATE": "{F}/missing.pem"},
        {"certificate": "{F}/missing.pem"},
        "SettingsError",
    ),
    "compression none over gRPC": Deviation(
        "grpc", {"COMPRESSION": "none"}, "InvalidCompressionValueException", {"compression": "none"}
    ),
    "endpoint with a query": Deviation(
        "http/protobuf",
        {"ENDPOINT": "http://collector:4318/otlp?token=abc"},
        {"endpoint": "http://collector:4318/otlp?token=abc/v1/traces"},
        {"endpoint": "http://collector:4318/otlp/v1/traces?token=abc"},
    ),
    "empty general endpoint over gRPC": Deviation(
        "grpc", {"ENDPOINT": ""}, {"endpoint": ""}, {"endpoint": "localhost:4317"}
    ),
    "empty timeout over gRPC": Deviation("grpc", {"TIMEOUT": ""}, "ValueError", {"timeout_seconds": 10.0}),
    "http scheme and INSECURE=false": Deviation(
        "grpc", {"ENDPOINT": "http://collector:4317", "INSECURE": "false"}, {"insecure": False}, {"insecure": True}
    ),
    "neither true nor false": Deviation(
        "grpc", {"ENDPOINT": "collector:4317", "INSECURE": "1"}, {"insecure": False}, "SettingsError"
    ),
    "client certificate without CERTIFICATE over gRPC": Deviation(
        "grpc",
        {"ENDPOINT": "https://c", "CLIENT_CERTIFICATE": "{F}/cert.pem", "CLIENT_KEY": "{F}/key.pem"},
        {"client_certificate": None, "client_key": None},
        {"client_certificate": "{F}/cert.pem", "client_key": "{F}/key.pem"},
    ),
    "TLS files for an http endpoint over gRPC": Deviation(
        "grpc",
        {"ENDPOINT": "http://c", "CERTIFICATE": "{F}/ca.pem"},
        {"certificate": None},
        {"certificate": "{F}/ca.pem"},
    ),
    "TLS files of both layers over gRPC": Deviation(
        "grpc",
        {
            "ENDPOINT": "https://c",
            "TRACES_CERTIFICATE": "{F}/own-ca.pem",
            "CLIENT_CERTIFICATE": "{F}/cert.pem",
            "CLIENT_KEY": "{F}/key.pem",
        },
        {"certificate": "{F}/own-ca.pem", "client_certificate": None},
        {"certificate": "{F}/own-ca.pem", "client_certificate": "{F}/cert.pem"},
    ),
}


@pytest.mark.parametrize("name", DEVIATIONS)
def test_every_deviation_is_as_written_down(name: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deviation = DEVIATIONS[name]
    set_environment(monkeypatch, deviation.row, "traces", files)

    def resolve(resolver: Any, expected: dict[str, Any] | str) -> None:
        if isinstance(expected, str):
            with pytest.raises(Exception) as caught:  # noqa: PT011
                resolver()
            assert type(caught.value).__name__ == expected
            return
        resolved = resolver()._asdict()
        for field, value in expected.items():
            assert resolved[field] == (value.replace("{F}", str(files)) if isinstance(value, str) else value)

    is_grpc = deviation.protocol == "grpc"
    resolve(
        (lambda: official_grpc("traces", monkeypatch)) if is_grpc else (lambda: official_http("traces")),
        deviation.theirs,
    )
    resolve(lambda: ours("traces", deviation.protocol, monkeypatch), deviation.ours)


def test_every_deviation_is_in_the_documentation() -> None:
    document = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text(encoding="utf-8")
    for name in DEVIATIONS:
        assert f"| {name} |" in document
