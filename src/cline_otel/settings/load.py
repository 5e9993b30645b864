"""All settings of the bridge, resolved."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from cline_otel.catalogue.load import read_profile, read_tables
from cline_otel.catalogue.profiles import metric_attribute_names, profile_names
from cline_otel.destinations import Destination, ExportSettings, FileDestination, OtlpDestination, SdkDestination
from cline_otel.places import ClinePlaces, Places
from cline_otel.prices.library import LIBRARY
from cline_otel.prices.own import OwnPrices
from cline_otel.prices.table import FirstKnown, PriceTable
from cline_otel.privacy.policy import Policy
from cline_otel.settings import shared
from cline_otel.settings.chosen_resource import chosen_resource
from cline_otel.settings.headers_file import HEADERS_FILE_VARIABLE
from cline_otel.settings.listening import (
    LISTEN_GRPC_VARIABLE,
    LISTEN_VARIABLE,
    clear_of_destinations,
    listen_token,
    notices_of_listening,
)
from cline_otel.settings.metric_attributes import metric_attributes, notices_of_metric_attributes
from cline_otel.settings.otlp import OtlpSettings
from cline_otel.settings.places import (
    known_installations,
    known_state_directory,
    path_of,
    required_installations,
    required_state_directory,
)
from cline_otel.settings.privacy import OptIn, opt_ins, policy_of
from cline_otel.settings.remote_config import RemoteConfigs, RemoteExports
from cline_otel.settings.values import ListenAddress, Secret, SettingsError
from cline_otel.settings.variables import (
    BRIDGE_PREFIX,
    COMMAND_PREFIX,
    DEFAULT_LISTEN_GRPC,
    DEFAULT_METRIC_EXPORT_INTERVAL_SECONDS,
    OTLP_PREFIX,
    STANDARD_PREFIX,
    WITHOUT_EFFECT,
    BridgeVariables,
    OtlpVariables,
    StandardVariables,
)
from cline_otel.signals import SERVICE_NAME, Attributes, HistogramAggregation, SignalName
from cline_otel.state_directory import JOURNAL_FILE_NAME, TELEMETRY_DIRECTORY_NAME

SIGNALS: Final[tuple[SignalName, ...]] = ("traces", "metrics", "logs")
DEFAULT_SERVICE_NAME: Final = "cline"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the bridge is to do.

    Attributes:
        known_state_directory: journal, spool, lock and local telemetry files; None for want of a home directory.
        known_installations: the Clines that are read; none for want of a home directory.
        claim_wait_seconds: how long weaker sources wait for the plugin to claim a session.
        call_limit_seconds: how long a call may go on until that is said; 0 for never.
        listen: where the OTLP/HTTP receiver listens; None if it does not.
        listen_grpc: where the OTLP/gRPC receiver listens; None if it does not.
        listen_token: what senders to either must show; None if nothing.
        listen_hosts: names, besides its own, by which senders reach the first.
        listen_uids: users who may send without a token, besides this one and root.
        service_name: what the user calls all that is exported; empty for the default, beside which sources may have
            services of their own.
        resource_attributes: what ``OTEL_RESOURCE_ATTRIBUTES`` adds, ``service.name`` not among it; nothing that looks
            like a secret.
        metric_attributes: those of the resource that are on every data point of a metric too.
        sdk_disabled: ``OTEL_SDK_DISABLED``; no signal has a destination then.
        destinations: where each signal goes; none if it is not exported.
        remote_config_path: the one file with the organization's remote config; None for the copies that Cline keeps.
        policy: what the user lets leave and holds back; the installation's key is not in it.
        own_prices: the user's own price list, as it was when the settings were read; None without one.
        profile: under which names telemetry is exported.
        remote_exports: what it said of exports when the settings were read.
        notices: lines to show at the start: settings that have no effect or look mistaken.
        further_off_files: what switches telemetry off by being there, besides that of the state directory.
        service: the service manager that the bridge runs under; empty if it does not.
    """

    known_state_directory: Path | None
    known_installations: tuple[ClinePlaces, ...]
    claim_wait_seconds: float
    call_limit_seconds: float
    journal_limit_bytes: int
    listen: ListenAddress | None
    listen_grpc: ListenAddress | None
    listen_token: Secret | None
    listen_hosts: frozenset[str]
    listen_uids: frozenset[int]
    service_name: str
    resource_attributes: tuple[tuple[str, str], ...]
    metric_attributes: Attributes
    sdk_disabled: bool
    log_level: str
    metric_export_interval_seconds: float
    metric_export_timeout_seconds: float
    histogram_aggregation: HistogramAggregation
    destinations: dict[SignalName, tuple[Destination, ...]]
    remote_config_path: Path | None
    remote_exports: RemoteExports
    policy: Policy
    own_prices: OwnPrices | None
    profile: str
    notices: tuple[str, ...]
    further_off_files: tuple[Path, ...] = ()
    service: str = ""

    def remote_configs(self) -> RemoteConfigs:
        """The files of the organization's remote config, not yet looked at."""
        return _remote_configs(self.remote_config_path, self.known_installations)

    def resource(self, instance_id: str) -> Attributes:
        """Of all that is exported: what reports it, and what ``OTEL_RESOURCE_ATTRIBUTES`` adds."""
        named = {
            SERVICE_NAME: self.service_name or DEFAULT_SERVICE_NAME,
            "service.instance.id": instance_id,
            **dict(self.resource_attributes),
        }
        return tuple(named.items())

    @property
    def also_sent(self) -> tuple[OptIn, ...]:
        """What leaves beyond the default, a short text each: what the policy lets, and what the resource has."""
        named = [SERVICE_NAME] * bool(self.service_name) + [name for name, _ in self.resource_attributes]
        of_resource = (OptIn(f"in plain, on the resource: {', '.join(named)}", is_content=False),) if named else ()
        return (*opt_ins(self.policy), *of_resource)

    @property
    def prices(self) -> PriceTable:
        """What calls are priced by: the user's own list, then the public one."""
        return LIBRARY if self.own_prices is None else FirstKnown((self.own_prices, LIBRARY))

    @property
    def exports(self) -> ExportSettings:
        """Where each signal goes, how often metrics do, and how their histograms keep values."""
        return ExportSettings(
            self.destinations,
            self.metric_export_interval_seconds,
            self.metric_export_timeout_seconds,
            self.histogram_aggregation,
        )

    @property
    def has_endpoint(self) -> bool:
        """Whether anything is to leave for more than a local file."""
        return any(
            not isinstance(destination, FileDestination)
            for destinations in self.destinations.values()
            for destination in destinations
        )

    @property
    def state_directory(self) -> Path:
        """Journal, spool, lock and local telemetry files.

        Raises:
            SettingsError: where that is, is not known for want of a home directory.
        """
        return required_state_directory(self.known_state_directory)

    @property
    def installations(self) -> tuple[ClinePlaces, ...]:
        """The Clines that are read, one at least.

        Raises:
            SettingsError: where Cline is, is not known for want of a home directory.
        """
        return required_installations(self.known_installations)

    @property
    def journal_path(self) -> Path:
        """The journal's file."""
        return self.state_directory / JOURNAL_FILE_NAME

    @property
    def places(self) -> Places:
        """Where sources may look.

        Raises:
            SettingsError: a place is not known for want of a home directory.
        """
        return Places(
            self.state_directory,
            self.installations,
            None if self.listen is None else self.listen.url,
            None if self.listen_grpc is None else self.listen_grpc.url,
        )

    @property
    def telemetry_directory(self) -> Path:
        """Where OTLP JSON lines go while no endpoint is set."""
        return self.state_directory / TELEMETRY_DIRECTORY_NAME


def load_settings(
    *,
    state_directory: Path | None = None,
    cline_directory: Path | None = None,
    remote_exports: RemoteExports | None = None,
) -> Settings:
    """Read the environment, and the organization's remote config. What is given here goes before either.

    Raises:
        SettingsError: a variable has a value that cannot be used, or names a price file that cannot.
    """
    bridge = BridgeVariables.read(BRIDGE_PREFIX)
    standard = StandardVariables.read(STANDARD_PREFIX)
    state_directory = state_directory or known_state_directory()
    installations = known_installations(cline_directory)
    policy = policy_of(bridge.include, bridge.include_plain, bridge.include_content, bridge.exclude)
    chosen = chosen_resource(standard.service_name, standard.resource_attributes, policy.excluded)
    service_name, attributes = chosen.service_name, dict(chosen.attributes)
    profile = _profile(bridge.profile)
    on_metrics = metric_attributes(
        bridge.metric_attributes,
        {
            **{name: value for name, value in standard.resource_attributes if name not in policy.excluded},
            SERVICE_NAME: service_name or DEFAULT_SERVICE_NAME,
        },
        _names_in_telemetry(profile) if bridge.metric_attributes else frozenset(),
    )
    remote_config_path = path_of(bridge.remote_config, f"{BRIDGE_PREFIX}REMOTE_CONFIG")
    token_file = path_of(bridge.listen_token_file, f"{BRIDGE_PREFIX}LISTEN_TOKEN_FILE")
    headers_file = path_of(bridge.headers_file, HEADERS_FILE_VARIABLE)
    notices: list[str] = []
    if remote_exports is None:
        remote_configs = _remote_configs(remote_config_path, installations)
        remote_configs.look()
        remote_exports = remote_configs.exports
        notices += remote_configs.problems
        if remote_config_path is not None and not remote_config_path.exists():
            notices.append(f"{BRIDGE_PREFIX}REMOTE_CONFIG: there is no file {remote_config_path} (yet)")
    log_level = shared.log_level(standard.log_level, notices)
    telemetry_directory = None if state_directory is None else state_directory / TELEMETRY_DIRECTORY_NAME
    destinations, remote = _destinations(standard, telemetry_directory, remote_exports, headers_file, notices)
    listen, listen_grpc = _listening(
        bridge, [each for of_signal in destinations.values() for each in of_signal], notices
    )
    interval_seconds = standard.metric_export_interval
    if interval_seconds is None and "metrics" in remote:
        interval_seconds = remote_exports.metric_export_interval_seconds
    return Settings(
        known_state_directory=state_directory,
        known_installations=installations,
        claim_wait_seconds=bridge.claim_wait_seconds,
        call_limit_seconds=bridge.call_limit_seconds,
        journal_limit_bytes=bridge.journal_limit_bytes,
        listen=listen,
        listen_grpc=listen_grpc,
        listen_token=listen_token(
            {LISTEN_VARIABLE: listen, LISTEN_GRPC_VARIABLE: listen_grpc}, bridge.listen_token, token_file
        ),
        listen_hosts=frozenset(bridge.listen_hosts),
        listen_uids=frozenset(bridge.listen_uids),
        service_name=service_name,
        resource_attributes=tuple(attributes.items()),
        metric_attributes=on_metrics,
        sdk_disabled=standard.sdk_disabled,
        log_level=log_level,
        metric_export_interval_seconds=interval_seconds or DEFAULT_METRIC_EXPORT_INTERVAL_SECONDS,
        metric_export_timeout_seconds=standard.metric_export_timeout,
        histogram_aggregation=standard.exporter_otlp_metrics_default_histogram_aggregation,
        destinations=destinations,
        remote_config_path=remote_config_path,
        remote_exports=remote_exports,
        policy=policy,
        own_prices=_own_prices(path_of(bridge.prices, f"{BRIDGE_PREFIX}PRICES")),
        profile=profile,
        notices=(
            *notices,
            *chosen.notices,
            *_notices_of_remote_config(remote, os.environ),
            *notices_of_listening([listen, listen_grpc]),
            *_notices_of_ports(destinations),
            *notices_of_metric_attributes(bridge.metric_attributes, on_metrics),
            *_notices_of_variables(os.environ),
        ),
        service=os.environ.get(f"{COMMAND_PREFIX}SERVICE", ""),
    )


def _listening(
    bridge: BridgeVariables, destinations: Sequence[Destination], notices: list[str]
) -> tuple[ListenAddress | None, ListenAddress | None]:
    """Where OTLP is received over HTTP and over gRPC."""
    # `off` has been the word for no receiver at all since before there were two.
    grpc = bridge.listen_grpc
    if grpc is msgspec.UNSET:
        grpc = None if bridge.listen is None else DEFAULT_LISTEN_GRPC
    return (
        clear_of_destinations(LISTEN_VARIABLE, bridge.listen, destinations, notices),
        clear_of_destinations(LISTEN_GRPC_VARIABLE, grpc, destinations, notices),
    )


def _remote_configs(named: Path | None, installations: Iterable[ClinePlaces]) -> RemoteConfigs:
    directories = (directory for each in installations for directory in each.settings_directories)
    return RemoteConfigs(named, dict.fromkeys(directories))


def _destinations(
    standard: StandardVariables,
    telemetry_directory: Path | None,
    remote: RemoteExports,
    headers_file: Path | None,
    notices: list[str],
) -> tuple[dict[SignalName, tuple[Destination, ...]], tuple[SignalName, ...]]:
    """Where each signal goes, and which of them go where the organization says."""
    if standard.sdk_disabled:
        return dict.fromkeys(SIGNALS, ()), ()
    generic = OtlpVariables.read(OTLP_PREFIX)
    destinations: dict[SignalName, tuple[Destination, ...]] = {}
    remote_signals: list[SignalName] = []
    for signal in SIGNALS:
        specific = OtlpVariables.read(f"{OTLP_PREFIX}{signal.upper()}_")
        otlp = OtlpSettings(
            signal, generic, specific, standard.exporter_otlp_metrics_temporality_preference, headers_file
        )
        names = shared.pushed_exporters(signal, getattr(standard, f"{signal}_exporter"), notices)
        if names is None and not otlp.has_endpoint and signal in remote.destinations:
            destinations[signal] = tuple(
                _remote_destination(destination, otlp) for destination in remote.destinations[signal]
            )
            remote_signals.append(signal)
            continue
        if names is None:
            # Local first: only an endpoint, or an exporter's name, makes anything leave the machine.
            names = ("otlp",) if otlp.has_endpoint else ("otlp_file",)
        named = (_destination(name, signal, otlp, telemetry_directory) for name in names)
        destinations[signal] = tuple(destination for destination in named if destination is not None)
    return destinations, tuple(remote_signals)


def _remote_destination(destination: Destination, otlp: OtlpSettings) -> Destination:
    """The organization's endpoint with its own headers; how to speak to it, the environment may say."""
    if not isinstance(destination, OtlpDestination):
        return destination
    return msgspec.structs.replace(
        otlp.destination(destination.protocol),
        endpoint=destination.endpoint,
        headers=destination.headers,
        changing_headers=None,
        insecure=destination.insecure,
    )


def _destination(
    name: str, signal: SignalName, otlp: OtlpSettings, telemetry_directory: Path | None
) -> Destination | None:
    """What an exporter's name stands for; None for local files where there is no place for them."""
    match name:
        case "otlp":
            return otlp.destination()
        case "otlp_proto_http":
            return otlp.destination("http/protobuf")
        case "otlp_proto_grpc":
            return otlp.destination("grpc")
        case "otlp_file":
            return None if telemetry_directory is None else FileDestination(signal, telemetry_directory)
        case _:
            return SdkDestination(signal, name)


def _profile(name: str) -> str:
    known = profile_names()
    if name not in known:
        raise SettingsError(f"{BRIDGE_PREFIX}PROFILE: {name!r} is no profile: set it to one of {', '.join(known)}")
    return name


def _names_in_telemetry(profile: str) -> frozenset[str]:
    return frozenset([*read_tables().attributes.attributes, *metric_attribute_names(read_profile(profile))])


def _own_prices(path: Path | None) -> OwnPrices | None:
    if path is None:
        return None
    # Few have such a file, and its models take longer to make than all other settings to read.
    from cline_otel.settings.price_file import read_price_file

    return read_price_file(path, f"{BRIDGE_PREFIX}PRICES")


def _notices_of_ports(destinations: Mapping[SignalName, tuple[Destination, ...]]) -> list[str]:
    notices: list[str] = []
    for destination in (
        destination for signal_destinations in destinations.values() for destination in signal_destinations
    ):
        if isinstance(destination, OtlpDestination):
            is_grpc = destination.protocol == "grpc"
            port = urlsplit(f"//{destination.endpoint}" if is_grpc else destination.endpoint).netloc.rpartition(":")[2]
            if port == ("4318" if is_grpc else "4317"):
                usual = "http/protobuf" if is_grpc else "grpc"
                notices.append(
                    f"{destination.signal}: port {port} is usually for OTLP {usual}, "
                    f"and the protocol is {destination.protocol}: if nothing arrives, "
                    f"set OTEL_EXPORTER_OTLP_PROTOCOL={usual}"
                )
    return notices


def _notices_of_remote_config(remote: tuple[SignalName, ...], environment: Mapping[str, str]) -> list[str]:
    if not remote:
        return []
    where = (
        f"{', '.join(remote)}: sent where the organization's remote config says; "
        f"{OTLP_PREFIX}ENDPOINT and OTEL_<SIGNAL>_EXPORTER go before it"
    )
    # A secret meant for one endpoint must not reach another.
    return [where] + [
        f"{name} has no effect: the endpoint is the organization's, and so are its headers and protocol"
        for part in ("", *(f"{signal.upper()}_" for signal in remote))
        for name in (f"{OTLP_PREFIX}{part}HEADERS", f"{OTLP_PREFIX}{part}PROTOCOL")
        if environment.get(name)
    ]


def _notices_of_variables(environment: Mapping[str, str]) -> list[str]:
    ours = {f"{BRIDGE_PREFIX}{each.name.upper()}" for each in fields(BridgeVariables)}
    misspelt = [
        f"{name} is not known: there are {', '.join(sorted(ours))}"
        for name in sorted(environment)
        if name.startswith(BRIDGE_PREFIX) and name not in ours
    ]
    return misspelt + [
        f"{name} has no effect here: {reason}"
        for name in sorted(environment)
        for prefix, reason in WITHOUT_EFFECT
        if name.startswith(prefix) and environment[name]
    ]
