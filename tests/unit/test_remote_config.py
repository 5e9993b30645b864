"""What an organization's remote config means here, what of it is refused, and what stays in force then."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cline_otel.destinations import Destination, FileDestination, OtlpDestination, SdkDestination
from cline_otel.settings import Settings, load_settings
from cline_otel.settings.remote_config import (
    RemoteConfigError,
    RemoteConfigs,
    RemoteExports,
    parse_exports,
    unwrapped,
)
from cline_otel.signals import SignalName

ENABLED: dict[str, Any] = {
    "version": "v1",
    "openTelemetryEnabled": True,
    "openTelemetryMetricsExporter": "otlp",
    "openTelemetryLogsExporter": "otlp",
    "openTelemetryOtlpProtocol": "http/protobuf",
    "openTelemetryOtlpEndpoint": "https://collector.example:4318",
}


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def shown(destination: Destination) -> str:
    match destination:
        case OtlpDestination():
            headers = f" {dict(destination.headers)}" if destination.headers else ""
            return (
                f"{destination.protocol} {destination.endpoint}{' insecure' if destination.insecure else ''}{headers}"
            )
        case FileDestination():
            return "file"
        case SdkDestination():
            return f"sdk {destination.name}"


def exports(**changes: Any) -> dict[SignalName, list[str]]:
    fields = {key: value for key, value in {**ENABLED, **changes}.items() if value is not None}
    return {
        signal: [shown(destination) for destination in destinations]
        for signal, destinations in parse_exports(fields).destinations.items()
    }


BASE = "http/protobuf https://collector.example:4318/v1"


@pytest.mark.parametrize(
    ("changes", "metrics", "logs", "traces"),
    [
        ({}, [f"{BASE}/metrics"], [f"{BASE}/logs"], [f"{BASE}/traces"]),
        ({"openTelemetryEnabled": False}, None, None, None),
        ({"openTelemetryEnabled": None}, None, None, None),
        # Who is disabled may hold anything else.
        ({"openTelemetryEnabled": False, "openTelemetryOtlpProtocol": "smoke signals"}, None, None, None),
        # A signal that is not spoken of.
        ({"openTelemetryLogsExporter": None}, [f"{BASE}/metrics"], None, None),
        ({"openTelemetryLogsExporter": ""}, [f"{BASE}/metrics"], None, None),
        ({"openTelemetryMetricsExporter": None}, None, [f"{BASE}/logs"], [f"{BASE}/traces"]),
        ({"openTelemetryMetricsExporter": "none"}, [], [f"{BASE}/logs"], [f"{BASE}/traces"]),
        ({"openTelemetryLogsExporter": "none"}, [f"{BASE}/metrics"], [], None),
        ({"openTelemetryLogsExporter": "console"}, [f"{BASE}/metrics"], ["sdk console"], None),
        (
            {"openTelemetryLogsExporter": " otlp, console,otlp"},
            [f"{BASE}/metrics"],
            [f"{BASE}/logs", "sdk console"],
            [f"{BASE}/traces"],
        ),
        # A signal's own values go before the general ones; traces follow the general ones.
        (
            {
                "openTelemetryOtlpMetricsEndpoint": "https://metrics.example/otlp",
                "openTelemetryOtlpMetricsProtocol": "http/json",
                "openTelemetryOtlpMetricsHeaders": {"X-Team": "m"},
                "openTelemetryOtlpHeaders": {"X-Team": "all"},
            },
            ["http/json https://metrics.example/otlp/v1/metrics {'x-team': 'm'}"],
            [f"{BASE}/logs {{'x-team': 'all'}}"],
            [f"{BASE}/traces {{'x-team': 'all'}}"],
        ),
        (
            {"openTelemetryOtlpLogsEndpoint": "https://logs.example/v1/logs/", "openTelemetryOtlpLogsProtocol": "grpc"},
            [f"{BASE}/metrics"],
            ["grpc logs.example"],
            [f"{BASE}/traces"],
        ),
        # An endpoint for the logs alone says nothing of traces.
        (
            {
                "openTelemetryOtlpEndpoint": None,
                "openTelemetryOtlpLogsEndpoint": "https://logs.example",
                "openTelemetryMetricsExporter": None,
            },
            None,
            ["http/protobuf https://logs.example/v1/logs"],
            None,
        ),
        # The path is appended unless it is there, as Cline does.
        (
            {"openTelemetryOtlpEndpoint": "https://c.example/base/"},
            ["http/protobuf https://c.example/base/v1/metrics"],
            ["http/protobuf https://c.example/base/v1/logs"],
            ["http/protobuf https://c.example/base/v1/traces"],
        ),
        # Without a protocol it is gRPC, as in Cline, with TLS unless it is allowed to do without.
        (
            {"openTelemetryOtlpProtocol": None, "openTelemetryOtlpEndpoint": "c.example:4317"},
            ["grpc c.example:4317"],
            ["grpc c.example:4317"],
            ["grpc c.example:4317"],
        ),
        (
            {
                "openTelemetryOtlpProtocol": "grpc",
                "openTelemetryOtlpEndpoint": "c.example:4317",
                "openTelemetryOtlpInsecure": True,
            },
            ["grpc c.example:4317 insecure"],
            ["grpc c.example:4317 insecure"],
            ["grpc c.example:4317 insecure"],
        ),
        (
            {"openTelemetryOtlpEndpoint": "http://c.example:4318", "openTelemetryOtlpInsecure": True},
            ["http/protobuf http://c.example:4318/v1/metrics insecure"],
            ["http/protobuf http://c.example:4318/v1/logs insecure"],
            ["http/protobuf http://c.example:4318/v1/traces insecure"],
        ),
        # What does not leave the machine needs no TLS.
        (
            {"openTelemetryOtlpEndpoint": "http://127.0.0.1:4318", "openTelemetryMetricsExporter": None},
            None,
            ["http/protobuf http://127.0.0.1:4318/v1/logs insecure"],
            ["http/protobuf http://127.0.0.1:4318/v1/traces insecure"],
        ),
        (
            {
                "openTelemetryOtlpEndpoint": "http://localhost:4317",
                "openTelemetryOtlpProtocol": "grpc",
                "openTelemetryMetricsExporter": None,
            },
            None,
            ["grpc localhost:4317 insecure"],
            ["grpc localhost:4317 insecure"],
        ),
    ],
)
def test_the_keys_mean_what_they_mean_to_cline(
    changes: dict[str, Any], metrics: list[str] | None, logs: list[str] | None, traces: list[str] | None
) -> None:
    wanted = {"metrics": metrics, "logs": logs, "traces": traces}
    assert exports(**changes) == {
        signal: destinations for signal, destinations in wanted.items() if destinations is not None
    }


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("openTelemetryEnabled", "true", "neither true nor false"),
        ("openTelemetryOtlpProtocol", "grcp-{secret}", "use http/protobuf, http/json, grpc"),
        ("openTelemetryOtlpLogsProtocol", 3, "not text"),
        ("openTelemetryOtlpEndpoint", "ftp://{secret}", "not an http or https URL"),
        ("openTelemetryOtlpEndpoint", "http://[{secret}", "not an http or https URL"),
        ("openTelemetryOtlpEndpoint", "https://c:{secret}", "not an http or https URL"),
        ("openTelemetryOtlpEndpoint", "http://{secret}.example:4318", "use https, or allow it"),
        ("openTelemetryOtlpMetricsEndpoint", "http://user:{secret}@c.example", "use https, or allow it"),
        ("openTelemetryOtlpEndpoint", "", "an otlp exporter needs it"),
        ("openTelemetryOtlpEndpoint", ["https://{secret}"], "not text"),
        ("openTelemetryMetricsExporter", "prometheus-{secret}", "use otlp, console or none"),
        ("openTelemetryLogsExporter", "otlp,none", "use otlp, console or none"),
        ("openTelemetryOtlpHeaders", "authorization={secret}", "not an object"),
        ("openTelemetryOtlpHeaders", {"authorization": 3}, "header 1 cannot be sent"),
        ("openTelemetryOtlpHeaders", {"a": "b", "authorization": "{secret}\n"}, "header 2 cannot be sent"),
        ("openTelemetryOtlpLogsHeaders", {"{secret} ": "x"}, "header 1 cannot be sent"),
        ("openTelemetryOtlpInsecure", "yes", "neither true nor false"),
        ("openTelemetryMetricExportInterval", 0, "not a positive number"),
        ("openTelemetryMetricExportInterval", "{secret}", "not a positive number"),
        ("openTelemetryMetricExportInterval", True, "not a positive number"),
        ("openTelemetryLogBatchSize", -1, "not a positive number"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_with_its_key_and_never_shown(
    key: str, value: Any, problem: str
) -> None:
    secret = "planted" + os.urandom(8).hex()
    planted = json.loads(json.dumps(value).replace("{secret}", secret))
    with pytest.raises(RemoteConfigError) as caught:
        parse_exports({**ENABLED, key: planted})
    line = str(caught.value)
    assert line.startswith(f"{key}: ")
    assert problem in line
    assert "\n" not in line
    assert secret not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "connection", "TE", "Upgrade"])
@pytest.mark.parametrize("key", ["openTelemetryOtlpHeaders", "openTelemetryOtlpLogsHeaders"])
def test_headers_that_say_how_a_request_is_sent_are_refused_by_their_names(key: str, name: str) -> None:
    with pytest.raises(RemoteConfigError) as caught:
        parse_exports({**ENABLED, key: {"x-key": "a", name: "planted-value"}})
    assert str(caught.value) == f"{key}: the header {name.lower()} is set by the exporter itself: take it out"


@pytest.mark.parametrize(
    ("key", "value"),
    [("openTelemetryOtlpHeaders", {"a-bin": "x"}), ("openTelemetryOtlpLogsHeaders", {"x": "caf\u00e9"})],
)
def test_headers_that_cannot_travel_over_grpc_are_refused(key: str, value: dict[str, str]) -> None:
    grpc = {"openTelemetryOtlpProtocol": "grpc", "openTelemetryOtlpEndpoint": "c.example:4317"}
    with pytest.raises(RemoteConfigError, match=f"{key}: header 1 cannot travel over gRPC"):
        parse_exports({**ENABLED, **grpc, key: value})


def test_the_interval_is_at_least_a_second_as_in_clines_exporters() -> None:
    assert parse_exports({**ENABLED, "openTelemetryMetricExportInterval": 5_000}).metric_export_interval_seconds == 5
    assert parse_exports({**ENABLED, "openTelemetryMetricExportInterval": 10}).metric_export_interval_seconds == 1
    assert parse_exports(ENABLED).metric_export_interval_seconds is None


@pytest.mark.parametrize(
    "document",
    [
        ENABLED,
        {"source": "cline-account", "version": "org_1", "remoteConfig": ENABLED, "telemetry": {}},
        {"organizationId": "org_1", "value": json.dumps(ENABLED), "enabled": True},
        {"success": True, "data": {"organizationId": "org_1", "value": json.dumps(ENABLED), "enabled": True}},
    ],
    ids=["bare", "bundle", "answer", "whole answer"],
)
def test_every_form_in_which_it_is_kept_or_sent_is_read(document: dict[str, Any]) -> None:
    assert parse_exports(unwrapped(document)) == parse_exports(ENABLED)


def test_an_answer_that_is_not_enabled_says_nothing() -> None:
    assert unwrapped({"value": json.dumps(ENABLED), "enabled": False}) == {}
    with pytest.raises(RemoteConfigError, match="value: it holds no JSON object"):
        unwrapped({"value": "{", "enabled": True})


# --- files ----------------------------------------------------------------------------------------------


def write(path: Path, fields: Mapping[str, object] | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(fields if isinstance(fields, str) else json.dumps(fields))
    return path


def endpoint(configs: RemoteConfigs) -> str:
    configs.look()
    destinations = configs.exports.destinations.get("logs", ())
    return destinations[0].endpoint if destinations and isinstance(destinations[0], OtlpDestination) else ""


def test_the_last_good_one_stays_in_force_until_it_is_put_right_or_taken_away(tmp_path: Path) -> None:
    path = write(tmp_path / "remote.json", ENABLED)
    configs = RemoteConfigs(path)
    good = "https://collector.example:4318/v1/logs"
    assert endpoint(configs) == good
    for bad in ('{"openTel', "", {**ENABLED, "openTelemetryOtlpEndpoint": "nowhere"}):
        write(path, bad)
        assert endpoint(configs) == good
        assert len(configs.problems) == 1
    assert "openTelemetryOtlpEndpoint: " in configs.problems[0]
    assert "what was in force before stays" in configs.problems[0]
    write(path, {**ENABLED, "openTelemetryOtlpEndpoint": "https://new.example"})
    assert endpoint(configs) == "https://new.example/v1/logs"
    assert configs.problems == ()
    path.unlink()
    assert endpoint(configs) == ""
    assert configs.exports == RemoteExports()


def test_an_off_counts_whatever_is_wrong_with_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path / "remote.json", ENABLED)
    configs = RemoteConfigs(path)
    configs.look()
    assert configs.telemetry_enabled is None
    write(path, {**ENABLED, "telemetryEnabled": False, "openTelemetryOtlpProtocol": "none of these"})
    configs.look()
    assert configs.telemetry_enabled is False
    write(path, {**ENABLED, "telemetryEnabled": "perhaps"})
    configs.look()
    assert configs.telemetry_enabled is False
    assert configs.is_known


def test_of_several_copies_the_newest_says_where_to_and_any_says_off(tmp_path: Path) -> None:
    older = write(tmp_path / "cache" / "remote_config_org_1.json", {**ENABLED, "telemetryEnabled": True})
    newer = write(
        tmp_path / "cache" / "remote_config_org_2.json",
        {**ENABLED, "openTelemetryOtlpEndpoint": "https://second.example"},
    )
    os.utime(older, ns=(1, 1_000))
    os.utime(newer, ns=(1, 2_000))
    configs = RemoteConfigs(None, [tmp_path])
    assert endpoint(configs) == "https://second.example/v1/logs"
    assert configs.telemetry_enabled is True
    third = write(tmp_path / "cache" / "remote_config_org_3.json", {"version": "v1", "telemetryEnabled": False})
    assert endpoint(configs) == ""
    assert configs.telemetry_enabled is False
    third.unlink()
    newer.unlink()
    assert endpoint(configs) == "https://collector.example:4318/v1/logs"
    assert configs.telemetry_enabled is True


def test_the_copy_of_the_editor_is_read_and_no_workspaces(tmp_path: Path) -> None:
    bundle = {"source": "x", "version": "v1", "remoteConfig": ENABLED}
    write(tmp_path / ".cline" / "enterprise" / "cache" / "bundle.json", bundle)
    configs = RemoteConfigs(None, [tmp_path])
    assert endpoint(configs) == ""
    write(tmp_path / "remote-config-workspace" / ".cline" / "remote-config" / "cache" / "bundle.json", bundle)
    assert endpoint(configs) == "https://collector.example:4318/v1/logs"


def test_a_named_file_is_the_only_one_that_counts(tmp_path: Path) -> None:
    write(tmp_path / "cache" / "remote_config_org_1.json", {**ENABLED, "telemetryEnabled": False})
    named = write(tmp_path / "mine.json", {"version": "v1"})
    configs = RemoteConfigs(named, [tmp_path])
    assert endpoint(configs) == ""
    assert configs.telemetry_enabled is None


# --- with the environment -------------------------------------------------------------------------------


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = write(
        tmp_path / "remote.json",
        {**ENABLED, "openTelemetryOtlpHeaders": {"x-key": "organizations"}, "openTelemetryMetricExportInterval": 5_000},
    )
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_REMOTE_CONFIG", str(path))
    return path


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def where(settings: Settings) -> dict[str, list[str]]:
    return {
        signal: [shown(destination) for destination in settings.destinations[signal]]
        for signal in settings.destinations
    }


THEIRS = "http/protobuf https://collector.example:4318/v1/{} {{'x-key': 'organizations'}}"


def theirs(signal: str) -> list[str]:
    return [THEIRS.format(signal)]


@pytest.mark.parametrize(
    ("environment", "traces", "metrics", "logs"),
    [
        ({}, theirs("traces"), theirs("metrics"), theirs("logs")),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"},
            ["http/protobuf http://127.0.0.1:1/v1/traces insecure"],
            ["http/protobuf http://127.0.0.1:1/v1/metrics insecure"],
            ["http/protobuf http://127.0.0.1:1/v1/logs insecure"],
        ),
        (
            {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:1"},
            theirs("traces"),
            theirs("metrics"),
            ["http/protobuf http://127.0.0.1:1 insecure"],
        ),
        ({"OTEL_TRACES_EXPORTER": "otlp_file"}, ["file"], theirs("metrics"), theirs("logs")),
        ({"OTEL_METRICS_EXPORTER": "none"}, theirs("traces"), [], theirs("logs")),
        ({"OTEL_SDK_DISABLED": "true"}, [], [], []),
        # What does not say where to send does not touch the organization's endpoint, nor meet its headers.
        (
            {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=mine", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            theirs("traces"),
            theirs("metrics"),
            theirs("logs"),
        ),
    ],
)
def test_the_environment_goes_before_it_and_never_mixes_with_it(
    named: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    traces: list[str],
    metrics: list[str],
    logs: list[str],
) -> None:
    assert where(load(monkeypatch, **environment)) == {"traces": traces, "metrics": metrics, "logs": logs}


def test_how_to_speak_to_the_endpoint_the_environment_may_say(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, OTEL_EXPORTER_OTLP_COMPRESSION="gzip", OTEL_EXPORTER_OTLP_LOGS_TIMEOUT="3")
    (destination,) = settings.destinations["logs"]
    assert isinstance(destination, OtlpDestination)
    assert (destination.compression, destination.timeout_seconds) == ("gzip", 3)


def test_the_interval_is_the_organizations_unless_the_environment_has_one(
    named: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings().metric_export_interval_seconds == 5
    assert load(monkeypatch, OTEL_METRIC_EXPORT_INTERVAL="7000").metric_export_interval_seconds == 7
    monkeypatch.delenv("OTEL_METRIC_EXPORT_INTERVAL")
    assert load(monkeypatch, OTEL_METRICS_EXPORTER="otlp").metric_export_interval_seconds == 60


def test_the_start_says_that_the_organization_decided_where_to(named: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, OTEL_EXPORTER_OTLP_HEADERS="authorization=mine")
    first, second = settings.notices
    assert first.startswith("traces, metrics, logs: sent where the organization's remote config says")
    assert second.startswith("OTEL_EXPORTER_OTLP_HEADERS has no effect")
    assert settings.has_endpoint


def test_its_headers_are_shown_nowhere(named: Path) -> None:
    settings = load_settings()
    described = [
        destination.describe() for destinations in settings.destinations.values() for destination in destinations
    ]
    assert "organizations" not in f"{settings!r} {settings.exports!r} {described} {settings.notices}"
    assert "(1 header)" in described[0]


def test_a_bad_one_at_the_start_is_told_and_nothing_leaves(named: Path) -> None:
    write(named, {**ENABLED, "openTelemetryOtlpEndpoint": "nowhere"})
    settings = load_settings()
    assert where(settings) == {"traces": ["file"], "metrics": ["file"], "logs": ["file"]}
    (notice,) = settings.notices
    assert notice.startswith("CLINE_OTEL_BRIDGE_REMOTE_CONFIG: openTelemetryOtlpEndpoint: ")


def test_a_missing_one_is_told_and_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, CLINE_OTEL_BRIDGE_REMOTE_CONFIG=str(tmp_path / "missing.json"))
    assert where(settings)["traces"] == ["file"]
    (notice,) = settings.notices
    assert notice.startswith("CLINE_OTEL_BRIDGE_REMOTE_CONFIG: there is no file ")
    assert not settings.remote_configs().problems
