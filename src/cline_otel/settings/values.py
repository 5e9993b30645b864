"""What single values of the variables mean. Pure functions of the text.

Each raises ValueError with what is wrong and what to do; the caller adds the variable's name. No
message repeats a value that could be a secret.

Sources: "Environment Variable Specification" and "OpenTelemetry Protocol Exporter" of the
OpenTelemetry specification, and the official Python exporters, which docs/delivery.md compares.
"""

from __future__ import annotations

import ipaddress
import math
import os
import re
from typing import Final, cast, get_args
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from cline_otel.destinations import Compression, OtlpProtocol
from cline_otel.signals import HistogramAggregation, Temporality

NO_LIMIT_SECONDS: Final = 3600.0
"""Stands for a timeout of 0, which the specification reads as none."""

SHORTEST_TOKEN: Final = 16
"""Characters of a bearer token, below which it might be guessed."""

_MILLISECONDS_FROM: Final = 1000.0
_LISTEN_EXAMPLE: Final = "give an address such as 127.0.0.1:4319, or off"
_BEARER_TOKEN: Final = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_HOST_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")

# RFC 9110 token; W3C Baggage octets, percent-encoding included.
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_GRPC_METADATA_NAME: Final = re.compile(r"[0-9a-z_.-]+")
_HEADER_VALUE: Final = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_PLAIN_HEADER_VALUE: Final = re.compile(r"[\x20\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")

_AUTHORITY: Final = re.compile(r"(?:[^@\s\\\[\]]*@)?(?:\[[0-9A-Fa-f:.]+(?:%[\w.~-]+)?\]|[\w.-]+)(?::\d{0,5})?")
"""Of a URL, without what programs read in different ways; ``\\w`` lets internationalized names through."""

_NOT_FOR_USERS: Final = frozenset(
    {
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that belong to the request as it is sent (RFC 9110, sections 6 to 8 and 10)."""


class SettingsError(Exception):
    """A setting cannot be used; one line that names the variable, the problem and the remedy."""


class ListenAddress(msgspec.Struct, frozen=True):
    """Where an OTLP receiver listens."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def is_every_address(self) -> bool:
        """Whether it is all addresses of the machine."""
        return self.host != "localhost" and ipaddress.ip_address(self.host).is_unspecified

    @property
    def authority(self) -> str:
        """As it stands in a URL."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """What senders are given."""
        return f"http://{self.authority}"


def is_loopback(host: str) -> bool:
    """Whether a host, a name or an address, is this machine, and no other can reach it."""
    try:
        return host == "localhost" or ("%" not in host and ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


class Secret(msgspec.Struct, frozen=True):
    """A text that is never shown; ``value`` is read where it is used, and nowhere else."""

    value: str

    def __repr__(self) -> str:
        return "Secret(...)"

    __str__ = __repr__


def boolean(text: str) -> bool:
    """``true`` or ``false`` in any case; nothing else is true."""
    value = text.strip().lower()
    if value not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false: set it to true or false")
    return value == "true"


def timeout_seconds(text: str) -> float:
    """Seconds. From 1,000 on the value is read as milliseconds; 0 is no limit.

    The specification has milliseconds, the official Python exporters read seconds. Nobody waits
    1,000 seconds for an export, and hardly anybody allows it less than a second.
    """
    value = _number(text, "a timeout such as 10 (seconds)")
    if value == 0:
        return NO_LIMIT_SECONDS
    return value / 1000 if value >= _MILLISECONDS_FROM else value


def duration_ms_as_seconds(text: str) -> float:
    """A positive number of milliseconds, as seconds."""
    value = _number(text, "a number of milliseconds such as 60000")
    if value == 0:
        raise ValueError("0 is not an interval: give a number of milliseconds such as 60000")
    return value / 1000


def seconds(text: str) -> float:
    """A number of seconds, 0 included."""
    return _number(text, "a number of seconds such as 2")


def size_bytes(text: str, at_least: int) -> int:
    """A whole number of bytes, no smaller than ``at_least``."""
    if not text.strip().isascii() or not text.strip().isdigit():
        raise ValueError(f"{text!r} is not a number of bytes: give a whole number such as 1073741824")
    value = int(text)
    if value < at_least:
        raise ValueError(f"{value} is too small: give at least {at_least}")
    return value


def protocol(text: str) -> OtlpProtocol:
    """An OTLP transport protocol."""
    value = text.strip()
    if value == "grpc":
        return "grpc"
    if value == "http/protobuf":
        return "http/protobuf"
    if value == "http/json":
        return "http/json"
    raise ValueError(f"{text!r} is not an OTLP protocol: use http/protobuf, http/json or grpc")


def compression(text: str) -> Compression:
    """A compression; gRPC takes fewer, which the caller checks."""
    value = text.strip().lower()
    if value == "none":
        return "none"
    if value == "gzip":
        return "gzip"
    if value == "deflate":
        return "deflate"
    raise ValueError(f"{text!r} is not a known compression: use gzip, deflate or none")


def headers(text: str) -> tuple[tuple[str, str], ...]:
    """``name=value,name=value``, percent-encoded; names become lower case and the last of a name counts.

    A value with spaces is taken as it stands, without percent-decoding, as the official exporters do.
    """
    found: dict[str, str] = {}
    for item in re.split(r"[ \t]*,[ \t]*", text.strip()):
        if not item:
            continue
        name, separator, value = item.partition("=")
        name, value = name.strip(" \t"), value.strip(" \t")
        if not separator or not _HEADER_NAME.fullmatch(name) or not _PLAIN_HEADER_VALUE.fullmatch(value):
            raise ValueError(
                f"header {len(found) + 1} is not of the form name=value: separate headers by commas "
                'and percent-encode spaces, commas, semicolons, quotes (") and backslashes in values'
            )
        if _HEADER_VALUE.fullmatch(value):
            name, value = unquote(name).strip(), unquote(value).strip()
        if not value.isprintable() or not _HEADER_NAME.fullmatch(name):
            raise ValueError(
                f"header {len(found) + 1} has control characters in it, or a name that is no header's: take them out"
            )
        if is_set_by_exporter(name):
            raise ValueError(not_for_users(name))
        found[name.lower()] = value
    return tuple(found.items())


def is_set_by_exporter(header_name: str) -> bool:
    """Whether a header says how a request is sent, so that nobody else can set it."""
    return header_name.lower() in _NOT_FOR_USERS


def not_for_users(header_name: str) -> str:
    """What is wrong with a header that :func:`is_set_by_exporter`."""
    return f"the header {header_name.lower()} is set by the exporter itself: take it out"


def first_header_not_for_grpc(headers: tuple[tuple[str, str], ...]) -> int:
    """The number, from 1, of the first header that cannot travel over gRPC; 0 if all can."""
    for number, (name, value) in enumerate(headers, start=1):
        if not _GRPC_METADATA_NAME.fullmatch(name) or name.endswith("-bin") or not value.isascii():
            return number
    return 0


def not_for_grpc(number: int) -> str:
    """What is wrong with header ``number``."""
    return (
        f"header {number} cannot travel over gRPC: names are letters, digits, '-', '_' and '.', "
        "without the ending -bin, and values are ASCII"
    )


def resource_attributes(text: str) -> tuple[tuple[str, str], ...]:
    """``key=value,key=value``, percent-decoded; the last of a key counts."""
    found: dict[str, str] = {}
    for item in text.split(","):
        if not item.strip():
            continue
        key, separator, value = item.partition("=")
        key = unquote(key.strip())
        if not separator or not key:
            raise ValueError(
                f"attribute {len(found) + 1} is not of the form key=value: "
                "separate attributes by commas and percent-encode commas and equals signs in them"
            )
        found[key] = unquote(value.strip())
    return tuple(found.items())


def words(text: str) -> tuple[str, ...]:
    """The words of a comma-separated list, each once, in their order."""
    return tuple(dict.fromkeys(word for part in text.split(",") if (word := part.strip())))


def paths(text: str) -> tuple[str, ...]:
    """The paths of a list as in ``PATH``, each once, in their order; nothing is asked of the file system."""
    return tuple(dict.fromkeys(path for part in text.split(os.pathsep) if (path := part.strip())))


def exporter_names(text: str) -> tuple[str, ...]:
    """A list of exporter names, separated by commas; ``none`` alone is an empty list."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if "none" in [name.lower() for name in names]:
        if len(names) > 1:
            raise ValueError("none cannot stand beside other exporters: remove it, or the others")
        return ()
    return names


def http_endpoint(text: str) -> SplitResult:
    """The parts of an HTTP URL with a host."""
    try:
        parts = urlsplit(text.strip())
        usable = (
            parts.scheme.lower() in {"http", "https"}
            and _AUTHORITY.fullmatch(parts.netloc) is not None
            and bool(parts.hostname)
            and parts.port != 0
        )
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("it is not an http or https URL with a host: give one such as http://localhost:4318")
    return parts


def grpc_endpoint(text: str) -> tuple[str, bool | None]:
    """What to dial, and whether the scheme says insecure (True), secure (False) or nothing (None).

    The path of a URL is dropped, as the official exporter does.
    """
    text = text.strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = SplitResult("http", "", "", "", "")
    scheme = parts.scheme.lower()
    if scheme in {"http", "https"}:
        if not parts.netloc:
            raise ValueError("it names no host: give an endpoint such as http://localhost:4317")
        return parts.netloc, scheme == "http"
    return parts.netloc or text, None


def listen_address(text: str) -> ListenAddress | None:
    """``host:port``; None for ``off`` or ``none``. Beyond loopback it takes a token, which is not known here."""
    value = text.strip()
    if value.lower() in {"off", "none"}:
        return None
    host, separator, port_text = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or not host or not port_text.isascii() or not port_text.isdigit() or int(port_text) > 65_535:
        raise ValueError(f"{text!r} is not an address with a port: {_LISTEN_EXAMPLE}")
    try:
        ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ValueError(f"{text!r} has no IP address in it: {_LISTEN_EXAMPLE}") from None
    return ListenAddress(host, int(port_text))


def bearer_token(text: str) -> Secret:
    """A token that senders show: the letters that RFC 6750, section 2.1, allows, and too many to be guessed."""
    value = text.strip()
    if not _BEARER_TOKEN.fullmatch(value):
        raise ValueError("it is not a bearer token: use letters, digits, '-', '.', '_', '~', '+', '/', '=' at its end")
    if len(value) < SHORTEST_TOKEN:
        raise ValueError(
            f"it is too short to keep others out: give at least {SHORTEST_TOKEN} random characters, "
            "for example those of `openssl rand -hex 32`"
        )
    return Secret(value)


def host_names(text: str) -> tuple[str, ...]:
    """A list of host names, separated by commas, in lower case."""
    names = tuple(name.strip().lower() for name in text.split(",") if name.strip())
    for name in names:
        if not _HOST_NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a host name: give names such as bridge.example.com, without ports")
    return names


def user_numbers(text: str) -> tuple[int, ...]:
    """A list of users' numbers, separated by commas."""
    numbers = [number.strip() for number in text.split(",") if number.strip()]
    for number in numbers:
        if not (number.isascii() and number.isdigit()) or int(number) >= 2**32 - 1:
            raise ValueError(f"{number!r} is not a user's number: give numbers as `id -u` prints them")
    return tuple(map(int, numbers))


def log_level(text: str) -> str:
    """A level name of Python's ``logging``."""
    levels = {
        "trace": "DEBUG",
        "debug": "DEBUG",
        "info": "INFO",
        "warn": "WARNING",
        "warning": "WARNING",
        "error": "ERROR",
        "fatal": "CRITICAL",
        "critical": "CRITICAL",
        "none": "CRITICAL",
    }
    level = levels.get(text.strip().lower())
    if level is None:
        raise ValueError(f"{text!r} is not a log level: use debug, info, warn or error")
    return level


def temporality(text: str) -> Temporality:
    """The temporality of sums and histograms; ``lowmemory`` differs from ``delta`` in instruments that are not here."""
    value = text.strip().lower()
    if value in {"delta", "lowmemory"}:
        return "delta"
    if value != "cumulative":
        raise ValueError(f"{text!r} is not a known temporality: give cumulative, delta or lowmemory, or leave it unset")
    return "cumulative"


def histogram_aggregation(text: str) -> HistogramAggregation:
    """How histograms keep their values."""
    value = text.strip().lower()
    if value not in get_args(HistogramAggregation):
        known = " or ".join(get_args(HistogramAggregation))
        raise ValueError(f"{text!r} is not a known aggregation: give {known}, or leave it unset")
    return cast(HistogramAggregation, value)


def _number(text: str, example: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number: give {example}") from None
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{text!r} is out of range: give {example}")
    return value


def trace_url(text: str) -> str:
    """The URL of a trace, with ``{trace_id}`` where its id stands."""
    if urlsplit(text).scheme not in ("http", "https") or "{trace_id}" not in text:
        raise ValueError("expected a URL with {trace_id} in it, for example https://traces.example/trace/{trace_id}")
    return text
