"""Every environment variable of the bridge, its commands and OpenTelemetry: docs/settings.md is made from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from cline_otel.catalogue.profiles import DEFAULT_PROFILE
from cline_otel.destinations import Compression, OtlpProtocol
from cline_otel.settings import values
from cline_otel.settings.values import ListenAddress, Secret
from cline_otel.settings.variable import A_DIRECTORY, A_FILE, DIRECTORIES, NAMES, NUMBERS, Variables, variable
from cline_otel.signals import HistogramAggregation, Temporality

BRIDGE_PREFIX: Final = "CLINE_OTEL_BRIDGE_"
COMMAND_PREFIX: Final = "CLINE_OTEL_"
STANDARD_PREFIX: Final = "OTEL_"
OTLP_PREFIX: Final = "OTEL_EXPORTER_OTLP_"
SMALLEST_JOURNAL_BYTES: Final = 8 * 1024 * 1024
DEFAULT_LISTEN: Final = ListenAddress("127.0.0.1", 4319)
DEFAULT_LISTEN_GRPC: Final = ListenAddress("127.0.0.1", 4320)
DEFAULT_METRIC_EXPORT_INTERVAL_SECONDS: Final = 60.0

WITHOUT_EFFECT: Final[tuple[tuple[str, str], ...]] = (
    ("OTEL_CONFIG_FILE", "declarative configuration is not read"),
    ("OTEL_TRACES_SAMPLER", "every run is exported; sample in the collector"),
    ("OTEL_BSP_", "requests are filled from the journal, not by a batch processor"),
    ("OTEL_BLRP_", "requests are filled from the journal, not by a batch processor"),
    ("OTEL_ATTRIBUTE_", "the limits are fixed"),
    ("OTEL_SPAN_", "the limits are fixed"),
    ("OTEL_EVENT_ATTRIBUTE_", "the limits are fixed"),
    ("OTEL_LINK_ATTRIBUTE_", "the limits are fixed"),
    ("OTEL_LOGRECORD_", "the limits are fixed"),
    ("OTEL_METRICS_EXEMPLAR_FILTER", "every histogram has exemplars, because every run is exported"),
)
"""Variables of the OpenTelemetry SDK, or the beginnings of their names, that have none here, and why."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PlaceVariables(Variables):
    """Where the bridge's own files are, and which Clines it reads."""

    state_dir: str | None = variable(
        None,
        A_DIRECTORY,
        "Where the journal, the plugin's spool, the lock and local telemetry are.",
        unset="`cline-otel` in the platform's directory for state",
    )
    trusted_uids: tuple[int, ...] = variable(
        (),
        NUMBERS,
        "Numbers of users, besides this one and root, whose files and directories are used, as where a container's "
        "user is not that of what is mounted into it.",
        parse=values.user_numbers,
    )
    cline_dirs: tuple[str, ...] = variable(
        (),
        DIRECTORIES,
        "Directories of further Clines, as `cline --config` names them, which are read too: their logs, settings and "
        "copies of a remote config; `cline-otel install` puts the plugin into each.",
        parse=values.paths,
    )
    cline_data_dirs: tuple[str, ...] = variable(
        (),
        DIRECTORIES,
        "Further data directories of Cline, as `cline --data-dir` names them, which are read too.",
        parse=values.paths,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class BridgeVariables(PlaceVariables):
    """What only this bridge knows."""

    listen: ListenAddress | None = variable(
        DEFAULT_LISTEN,
        "`host:port`, or `off`",
        "Where OTLP is received over HTTP; port 0 is any free one, and an address that others can reach needs a token.",
        unset="`127.0.0.1:4319`",
        parse=values.listen_address,
    )
    listen_grpc: ListenAddress | msgspec.UnsetType | None = variable(
        msgspec.UNSET,
        "`host:port`, or `off`",
        "Where OTLP is received over gRPC.",
        unset="`127.0.0.1:4320`; `off` where `CLINE_OTEL_BRIDGE_LISTEN` is",
        parse=values.listen_address,
    )
    listen_token: Secret | None = variable(
        None,
        "at least 16 characters",
        "The bearer token that whoever sends OTLP to the bridge must show.",
        secret=True,
        parse=values.bearer_token,
    )
    listen_token_file: str | None = variable(
        None, A_FILE, "A file with that token, which nobody else may use (`chmod 600`)."
    )
    headers_file: str | None = variable(
        None,
        A_FILE,
        "A file with further headers for OTLP, in the form of `OTEL_EXPORTER_OTLP_HEADERS` or one a line, which nobody "
        "else may use (`chmod 600`). It is read again when it changes, so that tokens which expire can be renewed in "
        "it; an endpoint of a remote config gets none of them.",
    )
    listen_hosts: tuple[str, ...] = variable(
        (),
        NAMES,
        "Host names by which senders reach the OTLP/HTTP receiver, besides its own address.",
        parse=values.host_names,
    )
    listen_uids: tuple[int, ...] = variable(
        (),
        NUMBERS,
        "Numbers of users of this machine, besides the bridge's own and root, who may send to the OTLP receivers "
        "without a token; looked at on Linux.",
        parse=values.user_numbers,
    )
    remote_config: str | None = variable(
        None,
        A_FILE,
        "The file with the organization's remote config; no other is looked at then.",
        unset="the copies that Cline keeps",
    )
    claim_wait_seconds: float = variable(
        2.0,
        "seconds",
        "How long the log and OTLP wait for the plugin to claim a session, before they report it themselves.",
        unset="`2`",
        parse=values.seconds,
    )
    call_limit_seconds: float = variable(
        300.0,
        "seconds, `0` for never",
        "How long a model call or tool call may go on until a log record says so (`cline.call.overdue`).",
        unset="`300`",
        parse=values.seconds,
    )
    journal_limit_bytes: int = variable(
        1024 * 1024 * 1024,
        "bytes, at least 8388608",
        "How much may wait in the journal; when it is full, files are left unread and senders are asked to retry.",
        unset="`1073741824`",
        parse=lambda text: values.size_bytes(text, SMALLEST_JOURNAL_BYTES),
    )
    metric_attributes: tuple[str, ...] = variable(
        (),
        "attributes, separated by commas, at most 8",
        "Attributes of the resource, such as `team.id`, that are on all data points of metrics too, for backends that "
        "group by these alone; another value begins new series.",
        parse=values.words,
    )
    prices: str | None = variable(
        None,
        A_FILE,
        "A TOML file with prices of your own, which go before the public ones that the bridge brings along.",
    )
    include: tuple[str, ...] = variable(
        (),
        "`user`, `device`, `organization`, `repository`, separated by commas",
        "What is exported too, as pseudonyms.",
        parse=values.words,
    )
    include_plain: tuple[str, ...] = variable(
        (),
        "`names`, `user`, `device`, `organization`, separated by commas",
        "What is exported as it is and not as pseudonyms; all but `names` have to be included as well.",
        parse=values.words,
    )
    include_content: tuple[str, ...] = variable(
        (),
        "attributes of class content, separated by commas",
        "Texts that are exported, with everything masked that looks like a secret.",
        parse=values.words,
    )
    exclude: tuple[str, ...] = variable(
        (),
        "attributes, separated by commas",
        "Attributes that are not exported, whatever the other variables say.",
        parse=values.words,
    )
    profile: str = variable(
        DEFAULT_PROFILE,
        "`claude_code`, `genai-main`, `llm-tools`, `semconv-1.41`",
        "Under which names telemetry is exported ([telemetry.md](telemetry.md#profiles)).",
        unset=f"`{DEFAULT_PROFILE}`",
    )


_EXPORTERS: Final = (
    "`otlp`, `otlp_proto_http`, `otlp_proto_grpc`, `otlp_file`, `console`, the name of an SDK exporter, "
    "several of these separated by commas, or `none`"
)
_EXPORTER_UNSET: Final = "`otlp` if an endpoint is set, else where a remote config says, else `otlp_file`"


@dataclass(frozen=True, kw_only=True, eq=False)
class StandardVariables(Variables):
    """Variables that the specification of OpenTelemetry defines for all of its SDKs."""

    sdk_disabled: bool = variable(
        False,
        "`true`, `false`",
        "`true` switches telemetry off: nothing is read, stored or sent.",
        unset="`false`",
        parse=values.boolean,
    )
    service_name: str | None = variable(
        None,
        "a text",
        "The resource's `service.name`; it goes before one in `OTEL_RESOURCE_ATTRIBUTES`. Either names everything.",
        unset="`cline`; forks of Cline have [their own](telemetry.md#resource-and-scope)",
    )
    resource_attributes: tuple[tuple[str, str], ...] = variable(
        (),
        "`key=value,key=value`, percent-encoded",
        "What is added to the resource of all that is exported. What looks like a secret is left out, "
        "and the start says so.",
        parse=values.resource_attributes,
    )
    traces_exporter: tuple[str, ...] | None = variable(
        None, _EXPORTERS, "What spans are exported with.", unset=_EXPORTER_UNSET, parse=values.exporter_names
    )
    metrics_exporter: tuple[str, ...] | None = variable(
        None, _EXPORTERS, "What metrics are exported with.", unset=_EXPORTER_UNSET, parse=values.exporter_names
    )
    logs_exporter: tuple[str, ...] | None = variable(
        None, _EXPORTERS, "What log records are exported with.", unset=_EXPORTER_UNSET, parse=values.exporter_names
    )
    metric_export_interval: float | None = variable(
        None,
        "milliseconds",
        "How long from one export of the metrics to the next.",
        unset="`60000`",
        parse=values.duration_ms_as_seconds,
    )
    metric_export_timeout: float = variable(
        30.0,
        "milliseconds",
        "How long one export of the metrics may take.",
        unset="`30000`",
        parse=values.duration_ms_as_seconds,
    )
    exporter_otlp_metrics_temporality_preference: Temporality = variable(
        "cumulative",
        "`cumulative`, `delta`, `lowmemory`",
        "Whether metrics are sent over OTLP as totals or as what they have grown by; `lowmemory` is `delta` here.",
        unset="`cumulative`",
        parse=values.temporality,
    )
    exporter_otlp_metrics_default_histogram_aggregation: HistogramAggregation = variable(
        "explicit_bucket_histogram",
        "`explicit_bucket_histogram`, `base2_exponential_bucket_histogram`",
        "How histograms keep their values; another one begins every histogram anew.",
        unset="`explicit_bucket_histogram`",
        parse=values.histogram_aggregation,
    )
    log_level: str = variable(
        "info",
        "`debug`, `info`, `warn`, `error`",
        "How much the bridge reports of itself on stderr; any other level is ignored with a warning.",
        unset="`info`",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class OtlpVariables(Variables):
    """What can be said of an OTLP endpoint, in general or for one signal."""

    endpoint: str | None = variable(
        None,
        "HTTP: a URL, to which the general one has `/v1/traces`, `/v1/metrics` or `/v1/logs` appended; gRPC: a URL, or "
        "`host:port`",
        "Where telemetry is exported to.",
        unset="none; of an exporter that is named `http://localhost:4318`, over gRPC `http://localhost:4317`",
        secret=True,
    )
    protocol: OtlpProtocol | None = variable(
        None,
        "`http/protobuf`, `http/json`, `grpc`",
        "The transport protocol.",
        unset="`http/protobuf`",
        parse=values.protocol,
    )
    headers: tuple[tuple[str, str], ...] | None = variable(
        None,
        "`name=value,name=value`, percent-encoded",
        "Headers of each request, which are never shown; those that belong to the request itself are refused.",
        secret=True,
        parse=values.headers,
    )
    timeout: float | None = variable(
        None,
        "seconds; from 1000 on milliseconds; `0` for no limit",
        "How long one request may take.",
        unset="`10`",
        parse=values.timeout_seconds,
    )
    compression: Compression | None = variable(
        None,
        "`none`, `gzip`, over HTTP also `deflate`",
        "How requests are compressed.",
        unset="`none`",
        parse=values.compression,
    )
    certificate: str | None = variable(
        None, "a PEM file", "The certificate authorities to trust.", unset="the system's"
    )
    client_key: str | None = variable(
        None, "a PEM file", "The key of the client certificate.", unset="it is in the certificate's file"
    )
    client_certificate: str | None = variable(None, "a PEM file", "The client certificate for mutual TLS.")
    insecure: bool | None = variable(
        None,
        "`true`, `false`",
        "Whether a gRPC endpoint without a scheme is dialled without TLS.",
        unset="`false`",
        parse=values.boolean,
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class CommandVariables(Variables):
    """What `cline-otel exec` and the commands that it runs depend on."""

    trace_url: str | None = variable(
        None,
        "a URL with `{trace_id}`",
        "Where a trace is to be seen: `cline-otel exec` prints that link and writes it into the step summary.",
        parse=values.trace_url,
    )
    traceparent_as: str | None = variable(
        None,
        "`parent`, `link`, `none`",
        "What the span in `TRACEPARENT` is to a prompt's root span: its parent, one that it has a link to, or nothing.",
        unset="`link`; in a command of `cline-otel exec` `parent`",
    )
    traceparent_to_commands: str | None = variable(
        None,
        "`true`, `false`",
        "In Cline's environment `true` has commands that Cline runs find the span of their tool call in `TRACEPARENT`.",
        unset="`false`",
    )
    service: str | None = variable(
        None,
        "set by `cline-otel install --service`",
        "Which service manager the bridge runs under, so that other commands can say how it is stopped.",
    )
    exec_id: str | None = variable(
        None,
        "set by `cline-otel exec`",
        "Marks the processes that a command has started, so that of Cline's hubs only its own is ended.",
    )
