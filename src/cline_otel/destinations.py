"""Where a signal goes, resolved from the settings. Plain data; nothing here opens anything."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Literal, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from cline_otel.signals import HistogramAggregation, SignalName, Temporality

OtlpProtocol = Literal["http/protobuf", "http/json", "grpc"]
Compression = Literal["none", "gzip", "deflate"]

HIDDEN: Final = "***"
"""Stands in a text for what is not shown."""

_HARMLESS_SEGMENTS: Final = frozenset(
    {
        "v0.2",
        "v1",
        "v2",
        "v3",
        "api",
        "collector",
        "datapoint",
        "ingest",
        "insert",
        "intake",
        "integration",
        "logs",
        "loki",
        "metrics",
        "mimir",
        "opentelemetry",
        "otel",
        "otlp",
        "public",
        "receiver",
        "tempo",
        "trace",
        "traces",
    }
)
"""Parts of paths that collectors and vendors give to everybody. Any other may be a token."""

_GRPC_PLACE: Final = re.compile(r"(?:[^@/?#]*@)?(\[[0-9A-Za-z:.%]+\]|[\w.-]+)(:\d+)?(?:[/?#][^@]*)?")
_GRPC_SCHEME: Final = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock|xds):")


class HeadersThatChange(Protocol):
    """Where headers come from that are not the same for as long as we run."""

    def headers(self) -> tuple[tuple[str, str], ...]:
        """Lower-case names and their values, as of now. Never raises."""


class OtlpDestination(msgspec.Struct, frozen=True, kw_only=True):
    """An OTLP endpoint and how to speak to it.

    Attributes:
        endpoint: for HTTP the full URL of the signal; for gRPC the ``host:port`` or name to dial.
        headers: lower-case names and their values, which are secrets: they are never shown.
        changing_headers: further headers, which go before those of the same name.
        timeout_seconds: how long one export request may take.
        insecure: without TLS; for HTTP this only repeats the endpoint's scheme.
        certificate_file: PEM file (for HTTP also a directory) of the authorities to trust, instead of the system's.
        temporality: whether metrics are sent as totals or as growth.
    """

    signal: SignalName
    protocol: OtlpProtocol
    endpoint: str
    headers: tuple[tuple[str, str], ...] = ()
    changing_headers: HeadersThatChange | None = None
    timeout_seconds: float = 10.0
    compression: Compression = "none"
    insecure: bool = False
    certificate_file: str | None = None
    client_key_file: str | None = None
    client_certificate_file: str | None = None
    temporality: Temporality = "cumulative"

    @property
    def key(self) -> str:
        """Names the destination in the journal: the same endpoint has the same name, whatever else changes."""
        return _key("otlp", self.endpoint)

    @property
    def shown_endpoint(self) -> str:
        """The endpoint without credentials, query, fragment, and parts of its path that could be a token."""
        if self.protocol == "grpc":
            if place := _GRPC_PLACE.fullmatch(self.endpoint):
                return f"{place[1]}{place[2] or ''}"
            scheme = _GRPC_SCHEME.match(self.endpoint)
            return f"{scheme[0] if scheme else ''}{HIDDEN}"
        parts = _parts(self.endpoint)
        segments = (
            segment if not segment or segment.lower() in _HARMLESS_SEGMENTS else HIDDEN
            for segment in parts.path.split("/")
        )
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{'/'.join(segments)}"

    def headers_now(self) -> tuple[tuple[str, str], ...]:
        """The headers to send now."""
        if self.changing_headers is None:
            return self.headers
        return tuple({**dict(self.headers), **dict(self.changing_headers.headers())}.items())

    @property
    def secrets(self) -> frozenset[str]:
        """What is never repeated: the headers' values, and what of the endpoint is not shown, also in parts."""
        return frozenset(secrets_of_url(self.endpoint)).union(
            *(_secrets_of_header(value) for _, value in self.headers_now()),
        )

    def describe(self) -> str:
        """One line for people, without secrets."""
        details: list[str] = [] if self.compression == "none" else [self.compression]
        if self.protocol == "grpc":
            details.append("no TLS" if self.insecure else "TLS")
        if self.client_certificate_file and not self.insecure:
            details.append("client certificate")
        if self.headers:
            details.append(f"{len(self.headers)} header{'s' if len(self.headers) > 1 else ''}")
        if self.changing_headers is not None:
            details.append("headers from a file")
        return f"OTLP {self.protocol} to {self.shown_endpoint}" + (f" ({', '.join(details)})" if details else "")

    def __repr__(self) -> str:
        return f"OtlpDestination({self.signal}: {self.describe()})"


class FileDestination(msgspec.Struct, frozen=True):
    """OTLP JSON lines in ``directory``: ``traces.jsonl``, ``metrics.jsonl``, ``logs.jsonl``."""

    signal: SignalName
    directory: Path
    temporality: ClassVar[Temporality] = "cumulative"

    @property
    def key(self) -> str:
        """Names the destination in the journal."""
        return _key("file", str(self.directory))

    def describe(self) -> str:
        """One line for people."""
        return f"OTLP JSON lines in {self.directory / (self.signal + '.jsonl')}"


class SdkDestination(msgspec.Struct, frozen=True):
    """An OpenTelemetry SDK exporter, by its entry point's name."""

    signal: SignalName
    name: str
    temporality: ClassVar[Temporality] = "cumulative"

    @property
    def key(self) -> str:
        """Names the destination in the journal."""
        return _key("sdk", self.name)

    def describe(self) -> str:
        """One line for people."""
        return f"the OpenTelemetry SDK exporter '{self.name}'"


Destination = OtlpDestination | FileDestination | SdkDestination


class ExportSettings(msgspec.Struct, frozen=True):
    """Where each signal goes, how often metrics do, and how their histograms keep values."""

    destinations: Mapping[SignalName, Sequence[Destination]]
    metric_interval_seconds: float = 60.0
    metric_timeout_seconds: float = 30.0
    histogram_aggregation: HistogramAggregation = "explicit_bucket_histogram"


def _key(kind: str, place: str) -> str:
    # An endpoint may hold a token, and the journal is no place for one.
    return f"{kind}:{hashlib.blake2b(place.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def secrets_of_url(url: str) -> Iterator[str]:
    """The credentials, path segments that could be a token, query and fragment of ``url``, as written and decoded."""
    parts = _parts(url)
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    queries = [value for pair in re.split("[&;]", parts.query) for value in (pair, pair.partition("=")[2])]
    segments = [segment for segment in parts.path.split("/") if segment.lower() not in _HARMLESS_SEGMENTS]
    for text in (f"{user}:{password}", user, password, *segments, parts.query, *queries, parts.fragment):
        if text.strip(":"):
            yield text
            yield unquote(text)
    if user or password:
        yield base64.b64encode(unquote(f"{user}:{password}").encode("utf-8", "replace")).decode()


def _secrets_of_header(value: str) -> Iterator[str]:
    # "Bearer token", "Basic credentials", "session=token; other=token" and the like.
    scheme, _, credentials = value.partition(" ")
    pieces = {value, credentials.strip(), *credentials.split(), *(piece.strip() for piece in re.split("[;,]", value))}
    for piece in pieces:
        yield piece
        # An equals sign at the end is padding.
        yield piece.partition("=")[2].strip("=")
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(credentials.strip(), validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return
        yield decoded
        yield from decoded.split(":", 1)


def _parts(endpoint: str) -> SplitResult:
    text = endpoint if "://" in endpoint else f"//{endpoint}"
    try:
        return urlsplit(text)
    except ValueError:
        return SplitResult("", HIDDEN, "", text, "")
