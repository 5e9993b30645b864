"""Where a signal goes, resolved from the settings. Plain data; nothing here opens anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from cline_otel.signals import SignalName

Protocol = Literal["http/protobuf", "http/json", "grpc"]
Compression = Literal["none", "gzip", "deflate"]


class OtlpTarget(msgspec.Struct, frozen=True, kw_only=True):
    """An OTLP endpoint and how to speak to it.

    Attributes:
        endpoint: for HTTP the full URL of the signal; for gRPC the ``host:port`` or name to dial.
        headers: lower-case names and their values, which are secrets: they are never shown.
        timeout_seconds: how long one export request may take.
        insecure: without TLS; for HTTP this only repeats the endpoint's scheme.
        certificate_file: PEM file (for HTTP also a directory) of the authorities to trust, instead of the system's.
    """

    signal: SignalName
    protocol: Protocol
    endpoint: str
    headers: tuple[tuple[str, str], ...] = ()
    timeout_seconds: float = 10.0
    compression: Compression = "none"
    insecure: bool = False
    certificate_file: str | None = None
    client_key_file: str | None = None
    client_certificate_file: str | None = None

    @property
    def shown_endpoint(self) -> str:
        """The endpoint without credentials, query or fragment."""
        if self.protocol == "grpc":
            return self.endpoint.rpartition("@")[2]
        parts = urlsplit(self.endpoint)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def describe(self) -> str:
        """One line for people, without secrets."""
        details: list[str] = [] if self.compression == "none" else [self.compression]
        if self.protocol == "grpc":
            details.append("no TLS" if self.insecure else "TLS")
        if self.client_certificate_file and not self.insecure:
            details.append("client certificate")
        if self.headers:
            details.append(f"{len(self.headers)} header{'s' if len(self.headers) > 1 else ''}")
        return f"OTLP {self.protocol} to {self.shown_endpoint}" + (f" ({', '.join(details)})" if details else "")

    def __repr__(self) -> str:
        return f"OtlpTarget({self.signal}: {self.describe()})"


class FileTarget(msgspec.Struct, frozen=True):
    """OTLP JSON lines in ``directory``: ``traces.jsonl``, ``metrics.jsonl``, ``logs.jsonl``."""

    signal: SignalName
    directory: Path

    def describe(self) -> str:
        """One line for people."""
        return f"OTLP JSON lines in {self.directory / (self.signal + '.jsonl')}"


class SdkTarget(msgspec.Struct, frozen=True):
    """An OpenTelemetry SDK exporter, by its entry point's name."""

    signal: SignalName
    name: str

    def describe(self) -> str:
        """One line for people."""
        return f"the OpenTelemetry SDK exporter '{self.name}'"


Target = OtlpTarget | FileTarget | SdkTarget


class ExportSettings(msgspec.Struct, frozen=True):
    """Where each signal goes, and how often metrics do."""

    targets: Mapping[SignalName, Sequence[Target]]
    metric_interval_seconds: float = 60.0
    metric_timeout_seconds: float = 30.0
