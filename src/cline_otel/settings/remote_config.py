"""The remote config that an organization writes for Cline: whether telemetry is on, and where it goes.

Read from the file that ``CLINE_OTEL_BRIDGE_REMOTE_CONFIG`` names, else from the copies that Cline keeps in
its own data directory (Cline's sources: ``writeRemoteConfigToCache``, ``FileRemoteConfigBundleStore``).
Copies in workspaces are never read: whoever writes a repository would say where its telemetry goes.

The keys are those of Cline's ``RemoteConfigSchema``, and mean what Cline's OpenTelemetry exporters make
of them, except that an endpoint without TLS must be allowed, and a value that cannot be used is refused
instead of skipped. No text of this module repeats a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Literal, get_args

import msgspec

from cline_otel.destinations import Destination, OtlpDestination, OtlpProtocol, SdkDestination
from cline_otel.operating_system.hosts import is_here
from cline_otel.settings import values
from cline_otel.settings.watched_file import WatchedFile
from cline_otel.signals import SignalName

NAMING_VARIABLE: Final = "CLINE_OTEL_BRIDGE_REMOTE_CONFIG"

_CACHED_FILES: Final = "cache/remote_config_*.json"
_CACHED_BUNDLE: Final = Path("remote-config-workspace", ".cline", "remote-config", "cache", "bundle.json")
_DEFAULT_PROTOCOL: Final[OtlpProtocol] = "grpc"
_SHORTEST_INTERVAL_MS: Final = 1000
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LONGEST_MS: Final = 2**31 - 1
"""What a timer of Cline's runtime can wait (Node.js: ``setTimeout``)."""
_HOST_AND_PORT: Final = re.compile(r"(?:[0-9A-Za-z._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_WITHOUT_EFFECT: Final = ("openTelemetryLogBatchSize", "openTelemetryLogBatchTimeout", "openTelemetryLogMaxQueueSize")


class RemoteConfigError(ValueError):
    """A value cannot be used; the message names its key, the problem and the remedy, never the value."""


class RemoteExports(msgspec.Struct, frozen=True):
    """Where the organization wants telemetry to go.

    Attributes:
        destinations: by signal; a signal that is missing is not spoken of.
        metric_export_interval_seconds: between two exports of metrics; None where it is not said.
    """

    destinations: dict[SignalName, tuple[Destination, ...]] = msgspec.field(default_factory=dict)
    metric_export_interval_seconds: float | None = None


class RemoteConfigs:
    """The files that hold a remote config, and the last good of each.

    Attributes:
        exports: what the newest file says of them: Cline writes that of the active organization again and again.
        telemetry_enabled: False if any file says so, which no other takes back; None if none says anything.
        is_known: False if a file is there that could never be read.
        problems: what is refused or unreadable just now, a line each, without paths or values.
    """

    def __init__(self, named: Path | None, data_directories: Iterable[Path] = ()) -> None:
        """``named`` is the only file that counts, if given. Nothing is looked at before :meth:`look`."""
        self._named = named
        self._data_directories = tuple(data_directories)
        self._files: dict[Path, _ConfigFile] = {}
        self.exports = RemoteExports()
        self.telemetry_enabled: bool | None = None
        self.is_known = True
        self.problems: tuple[str, ...] = ()

    def look(self) -> None:
        """Reads what changed since the last look."""
        paths = self._paths()
        self._files = {path: self._files.get(path) or _ConfigFile(path) for path in paths}
        files = list(self._files.values())
        for file in files:
            file.look()
        there = [file for file in files if file.watched.is_there]
        newest = max(there, key=lambda file: file.watched.modified_at_ns, default=None)
        self.exports = newest.exports if newest is not None else RemoteExports()
        said = {file.telemetry_enabled for file in files}
        self.telemetry_enabled = False if False in said else True if True in said else None
        self.is_known = all(file.is_telemetry_known for file in files)
        self.problems = tuple(f"{self.description}: {file.problem}" for file in files if file.problem)

    @property
    def description(self) -> str:
        """What people know the files by."""
        return NAMING_VARIABLE if self._named is not None else "the remote config that Cline keeps"

    def _paths(self) -> list[Path]:
        if self._named is not None:
            return [self._named]
        paths: list[Path] = []
        for directory in self._data_directories:
            paths += [*sorted(directory.glob(_CACHED_FILES)), directory / _CACHED_BUNDLE]
        return paths


class _ConfigFile:
    """One file and what of it is in force."""

    def __init__(self, path: Path) -> None:
        self.watched = WatchedFile(path)
        self.exports = RemoteExports()
        self.telemetry_enabled: bool | None = None
        self.is_telemetry_known = False
        self._refused = ""

    @property
    def problem(self) -> str:
        return self.watched.problem or self._refused

    def look(self) -> None:
        if not self.watched.look() or self.watched.problem:
            if not self.watched.is_there:
                self.is_telemetry_known = True
            return
        self._refused = ""
        try:
            fields = unwrapped(self.watched.fields)
            # By itself: an off counts whatever is wrong with the rest.
            self.telemetry_enabled = _typed(fields, "telemetryEnabled", bool)
            self.is_telemetry_known = True
            self.exports = parse_exports(fields)
        except RemoteConfigError as error:
            self._refused = f"{error}; what was in force before stays"


def unwrapped(document: Mapping[str, object]) -> Mapping[str, object]:
    """The remote config within what Cline keeps or its service answers: bare, in a bundle, or as text in an answer.

    Raises:
        RemoteConfigError: the envelope is not one of these.
    """
    document = _typed(document, "data", dict) or document
    bundled: dict[str, object] | None = _typed(document, "remoteConfig", dict)
    if bundled is not None:
        return bundled
    text: str | None = _typed(document, "value", str)
    if text is None:
        return document
    if _typed(document, "enabled", bool) is False:
        return {}
    try:
        value = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RemoteConfigError("value: it holds no JSON object: give the remote config as Cline's service sends it")
    return value


def parse_exports(fields: Mapping[str, object]) -> RemoteExports:
    """The ``openTelemetry*`` keys as destinations; nothing where ``openTelemetryEnabled`` is not true.

    Metrics and logs go where their keys say. Cline has no keys for traces: they follow the logs, to the
    endpoint that is given for all signals, and stay local if only the logs have one of their own.

    Raises:
        RemoteConfigError: a key has a value that cannot be used.
    """
    if not _typed(fields, "openTelemetryEnabled", bool):
        return RemoteExports()
    interval_ms = _positive(fields, "openTelemetryMetricExportInterval")
    for key in _WITHOUT_EFFECT:
        _positive(fields, key)
    metrics = _signal_destinations(fields, "metrics", "Metrics")
    logs = _signal_destinations(fields, "logs", "Logs")
    destinations: dict[SignalName, tuple[Destination, ...]] = {}
    if metrics is not None:
        destinations["metrics"] = metrics
    if logs is not None:
        destinations["logs"] = logs
        if any(isinstance(each, OtlpDestination) for each in logs) and fields.get("openTelemetryOtlpEndpoint"):
            destinations["traces"] = (_otlp_destination(fields, "traces", ""),)
    if not destinations:
        return RemoteExports()
    # Cline's exporters wait a second at least.
    interval_ms = None if interval_ms is None else max(interval_ms, _SHORTEST_INTERVAL_MS)
    return RemoteExports(destinations, None if interval_ms is None else interval_ms / 1000)


_Part = Literal["Metrics", "Logs", ""]


def _signal_destinations(
    fields: Mapping[str, object], signal: SignalName, part: Literal["Metrics", "Logs"]
) -> tuple[Destination, ...] | None:
    key = f"openTelemetry{part}Exporter"
    text = _typed(fields, key, str)
    names = list(dict.fromkeys(name for name in (name.strip() for name in (text or "").split(",")) if name))
    if not names:
        return None
    destinations: list[Destination] = []
    for name in names:
        if name == "otlp":
            destinations.append(_otlp_destination(fields, signal, part))
        elif name == "console":
            destinations.append(SdkDestination(signal, "console"))
        elif name != "none" or len(names) > 1:
            raise RemoteConfigError(f"{key}: it names an exporter that is not known: use otlp, console or none")
    return tuple(destinations)


def _otlp_destination(fields: Mapping[str, object], signal: SignalName, part: _Part) -> OtlpDestination:
    protocol_key = _own_or_general(fields, part, "Protocol")
    protocol = _protocol(fields, protocol_key)
    endpoint_key = _own_or_general(fields, part, "Endpoint")
    text = (_typed(fields, endpoint_key, str) or "").strip()
    if not text:
        raise RemoteConfigError(f"{endpoint_key}: it is missing: an otlp exporter needs it")
    may_be_insecure = _typed(fields, "openTelemetryOtlpInsecure", bool) is True
    try:
        if protocol == "grpc":
            endpoint, insecure, host = _grpc_endpoint(text, may_be_insecure)
        else:
            endpoint, insecure, host = _http_endpoint(text, signal)
    except ValueError as error:
        raise RemoteConfigError(f"{endpoint_key}: {error}") from None
    if insecure and not may_be_insecure and not (values.is_loopback(host) and is_here(host)):
        raise RemoteConfigError(
            f"{endpoint_key}: it is an http endpoint on another machine: use https, or allow it with "
            "openTelemetryOtlpInsecure: true"
        )
    headers_key = _own_or_general(fields, part, "Headers")
    headers = _headers(fields, headers_key)
    if protocol == "grpc" and (number := values.first_header_not_for_grpc(headers)):
        raise RemoteConfigError(f"{headers_key}: {values.not_for_grpc(number)}")
    return OtlpDestination(signal=signal, protocol=protocol, endpoint=endpoint, headers=headers, insecure=insecure)


def _own_or_general(fields: Mapping[str, object], part: _Part, name: str) -> str:
    own = f"openTelemetryOtlp{part}{name}"
    return own if fields.get(own) else f"openTelemetryOtlp{name}"


def _protocol(fields: Mapping[str, object], key: str) -> OtlpProtocol:
    text = _typed(fields, key, str)
    if not text:
        return _DEFAULT_PROTOCOL
    known: tuple[OtlpProtocol, ...] = get_args(OtlpProtocol)
    for protocol in known:
        if text == protocol:
            return protocol
    raise RemoteConfigError(f"{key}: it is not an OTLP protocol: use {', '.join(known)}")


def _http_endpoint(text: str, signal: SignalName) -> tuple[str, bool, str]:
    """What to dial, whether it is without TLS, and the host in it.

    Cline appends the signal's path to any endpoint that does not end with it (``ensurePathSuffix``).
    """
    parts = values.http_endpoint(text)
    path = parts.path.removesuffix("/")
    suffix = f"/v1/{signal}"
    path = path if path.endswith(suffix) else f"{path}{suffix}"
    dialled = parts._replace(path=path)
    return dialled.geturl(), dialled.scheme == "http", dialled.hostname or ""


def _grpc_endpoint(text: str, may_be_insecure: bool) -> tuple[str, bool, str]:
    """As :func:`_http_endpoint`; of gRPC's names only a host and a port, which is unambiguous."""
    endpoint, insecure = values.grpc_endpoint(text)
    if not _HOST_AND_PORT.fullmatch(endpoint):
        raise ValueError("it is not a host with a port: give one such as https://collector.example.com:4317")
    host = values.http_endpoint(f"http://{endpoint}").hostname or ""
    return endpoint, may_be_insecure if insecure is None else insecure, host


def _headers(fields: Mapping[str, object], key: str) -> tuple[tuple[str, str], ...]:
    found = _typed(fields, key, dict)
    headers: dict[str, str] = {}
    for number, (name, value) in enumerate((found or {}).items(), start=1):
        if not _HEADER_NAME.fullmatch(name) or not isinstance(value, str) or not value.isprintable():
            raise RemoteConfigError(
                f"{key}: header {number} cannot be sent: its name must be a header's, its value text of one line"
            )
        if values.is_set_by_exporter(name):
            raise RemoteConfigError(f"{key}: {values.not_for_users(name)}")
        headers[name.lower()] = value.strip()
    return tuple(headers.items())


def _positive(fields: Mapping[str, object], key: str) -> float | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST_MS:
        raise RemoteConfigError(f"{key}: it is not a positive number up to {_LONGEST_MS}: give one, or leave it out")
    return float(value)


_TYPES: Final = {bool: "neither true nor false", str: "not text", dict: "not an object"}


def _typed(fields: Mapping[str, object], key: str, kind: type) -> Any:
    value = fields.get(key)
    if value is None or isinstance(value, kind):
        return value
    raise RemoteConfigError(f"{key}: it is {_TYPES[kind]}: correct it, or leave it out")
