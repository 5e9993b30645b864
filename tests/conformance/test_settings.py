"""Which exporters a set of variables selects, what our own variables mean, and how bad values are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cline_otel.destinations import Destination, FileDestination, OtlpDestination, SdkDestination
from cline_otel.settings import ListenAddress, Settings, SettingsError, load_settings
from cline_otel.signals import SignalName

SIGNALS: tuple[SignalName, ...] = ("traces", "metrics", "logs")


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def load(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings()


def kind(destination: Destination) -> str:
    match destination:
        case OtlpDestination():
            return f"{destination.protocol} {destination.endpoint}"
        case FileDestination():
            return "file"
        case SdkDestination():
            return f"sdk {destination.name}"


HTTP = "http/protobuf http://localhost:4318/v1/"


@pytest.mark.parametrize(
    ("environment", "traces", "metrics", "logs"),
    [
        # Local first: nothing set, nothing leaves.
        ({}, ["file"], ["file"], ["file"]),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, ["file"], ["file"], ["file"]),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a=b"}, ["file"], ["file"], ["file"]),
        ({"OTEL_TRACES_EXPORTER": ""}, ["file"], ["file"], ["file"]),
        # An endpoint, or an exporter's name, changes that for its signal.
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1"},
            ["http/protobuf http://c:1/v1/traces"],
            ["http/protobuf http://c:1/v1/metrics"],
            ["http/protobuf http://c:1/v1/logs"],
        ),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://c:1"}, ["file"], ["file"], ["http/protobuf http://c:1"]),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, [f"{HTTP}traces"], ["file"], ["file"]),
        ({"OTEL_METRICS_EXPORTER": "none"}, ["file"], [], ["file"]),
        ({"OTEL_LOGS_EXPORTER": "console"}, ["file"], ["file"], ["sdk console"]),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, ["sdk zipkin"], ["file"], ["file"]),
        ({"OTEL_TRACES_EXPORTER": "otlp, console,otlp,"}, [f"{HTTP}traces", "sdk console"], ["file"], ["file"]),
        ({"OTEL_TRACES_EXPORTER": "otlp_file,otlp"}, ["file", f"{HTTP}traces"], ["file"], ["file"]),
        # none wins over an endpoint.
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1",
                "OTEL_TRACES_EXPORTER": "None",
                "OTEL_METRICS_EXPORTER": "none",
            },
            [],
            [],
            ["http/protobuf http://c:1/v1/logs"],
        ),
        # Protocols.
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            ["grpc c:1"],
            ["grpc c:1"],
            ["grpc c:1"],
        ),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1",
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL": "http/json",
            },
            ["grpc c:1"],
            ["grpc c:1"],
            ["http/json http://c:1/v1/logs"],
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp_proto_grpc", "OTEL_LOGS_EXPORTER": "otlp_proto_http"},
            ["grpc localhost:4317"],
            ["file"],
            [f"{HTTP}logs"],
        ),
        (
            {"OTEL_TRACES_EXPORTER": "otlp_proto_grpc,otlp"},
            ["grpc localhost:4317", f"{HTTP}traces"],
            ["file"],
            ["file"],
        ),
        # Off is off.
        (
            {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1", "OTEL_TRACES_EXPORTER": "otlp"},
            [],
            [],
            [],
        ),
        ({"OTEL_SDK_DISABLED": "TRUE"}, [], [], []),
        ({"OTEL_SDK_DISABLED": "false"}, ["file"], ["file"], ["file"]),
    ],
    ids=lambda value: " ".join(f"{n}={v}" for n, v in value.items()) if isinstance(value, dict) else "",
)
def test_the_variables_select_the_exporters(
    environment: dict[str, str],
    traces: list[str],
    metrics: list[str],
    logs: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load(monkeypatch, **environment)
    assert [[kind(each) for each in settings.destinations[signal]] for signal in SIGNALS] == [
        traces,
        metrics,
        logs,
    ]
    assert settings.sdk_disabled == (environment.get("OTEL_SDK_DISABLED", "").lower() == "true")


def test_defaults_are_those_of_the_specification_and_the_documentation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(monkeypatch)
    assert settings.resource("i") == (("service.name", "cline"), ("service.instance.id", "i"))
    assert settings.service_name == ""
    assert settings.resource_attributes == ()
    assert settings.metric_export_interval_seconds == 60
    assert settings.metric_export_timeout_seconds == 30
    assert settings.log_level == "INFO"
    assert settings.claim_wait_seconds == 2
    assert settings.journal_limit_bytes == 1024**3
    assert settings.listen == ListenAddress("127.0.0.1", 4319)
    [cline] = settings.installations
    assert cline.directory == tmp_path / ".cline"
    assert cline.log_files == tuple(cline.directory / "data" / "logs" / name for name in ("cline.log", "code.log"))
    assert settings.state_directory.name == "cline-otel"
    assert settings.journal_path.parent == settings.telemetry_directory.parent == settings.state_directory
    assert settings.notices == ()


def test_our_own_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        CLINE_OTEL_BRIDGE_STATE_DIR="~/state",
        CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS="0.5",
        CLINE_OTEL_BRIDGE_JOURNAL_LIMIT_BYTES="16777216",
        CLINE_OTEL_BRIDGE_LISTEN="[::1]:0",
        CLINE_DIR=str(tmp_path / "elsewhere"),
        CLINE_LOG_PATH=str(tmp_path / "my.log"),
        OTEL_METRIC_EXPORT_INTERVAL="5000",
        OTEL_METRIC_EXPORT_TIMEOUT="1500",
        OTEL_LOG_LEVEL="Warn",
        OTEL_SERVICE_NAME="mine",
        OTEL_RESOURCE_ATTRIBUTES="service.name=theirs,team=a%2Cb",
    )
    assert settings.state_directory == tmp_path / "state"
    assert settings.claim_wait_seconds == 0.5
    assert settings.journal_limit_bytes == 16 * 1024**2
    assert settings.listen == ListenAddress("::1", 0)
    [cline] = settings.installations
    assert (cline.directory, cline.log_files) == (tmp_path / "elsewhere", (tmp_path / "my.log",))
    assert settings.metric_export_interval_seconds == 5
    assert settings.metric_export_timeout_seconds == 1.5
    assert settings.log_level == "WARNING"
    assert settings.service_name == "mine"
    assert settings.resource_attributes == (("team", "a,b"),)


def test_attributes_of_the_resource_are_on_metrics_too_where_they_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(
        monkeypatch,
        OTEL_SERVICE_NAME="mine",
        OTEL_RESOURCE_ATTRIBUTES="team.id=payments,cost_center=,other=x,deployment.environment.name=ci",
        CLINE_OTEL_BRIDGE_METRIC_ATTRIBUTES="deployment.environment.name,team.id,cost_center,service.name",
    )
    assert settings.metric_attributes == (
        ("deployment.environment.name", "ci"),
        ("team.id", "payments"),
        ("service.name", "mine"),
    )
    assert "cost_center" in settings.notices[0]


@pytest.mark.parametrize(
    ("names", "value", "says"),
    [
        ("team.id", "sk-live-" + "a1B2" * 6, "the value of team.id looks like a secret (key): change it, or leave"),
        ("team.id", "someone@example.com", "looks like a secret (e-mail)"),
        ("team.id", "/home/someone/work", "looks like a secret (path)"),
        ("team.id", "x" * 129, "the value of team.id is longer than 128 characters"),
        ("gen_ai.request.model", "x", "gen_ai.request.model is an attribute of telemetry itself"),
        (",".join(f"a{number}" for number in range(9)), "x", "9 attributes are more than 8"),
    ],
)
def test_what_must_not_be_on_metrics_is_refused_and_not_repeated(
    names: str, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attributes = ",".join(f"{name}={value}" for name in names.split(","))
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, OTEL_RESOURCE_ATTRIBUTES=attributes, CLINE_OTEL_BRIDGE_METRIC_ATTRIBUTES=names)
    assert str(caught.value).startswith("CLINE_OTEL_BRIDGE_METRIC_ATTRIBUTES: ")
    assert says in str(caught.value)
    assert value == "x" or value not in str(caught.value)


def test_the_receiver_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, CLINE_OTEL_BRIDGE_LISTEN="none").listen is None


def test_what_the_command_line_gives_goes_before_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_STATE_DIR", "/elsewhere")
    monkeypatch.setenv("CLINE_DIR", "/elsewhere")
    settings = load_settings(state_directory=tmp_path / "s", cline_directory=tmp_path / "c")
    assert settings.journal_path == tmp_path / "s" / "journal.db"
    assert [each.directory for each in settings.installations] == [tmp_path / "c"]
    assert settings.destinations["traces"] == (FileDestination("traces", tmp_path / "s" / "telemetry"),)


BAD_VALUES = [
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grcp", "http/protobuf, http/json or grpc"),
    ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http", "http/protobuf, http/json or grpc"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4318", "http://localhost:4318"),
    ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "ftp://c", "http://localhost:4318"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://", "http://localhost:4318"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:port", "http://localhost:4318"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://[::1", "http://localhost:4318"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon", "10 (seconds)"),
    ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1", "10 (seconds)"),
    ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "nan", "10 (seconds)"),
    ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd", "gzip, deflate or none"),
    ("OTEL_EXPORTER_OTLP_INSECURE", "yes", "true or false"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "nonsense", "name=value"),
    ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "sum", "cumulative"),
    ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "summary", "explicit_bucket_histogram"),
    ("OTEL_TRACES_EXPORTER", "otlp,none", "remove"),
    ("OTEL_RESOURCE_ATTRIBUTES", "a=b,c", "key=value"),
    ("OTEL_RESOURCE_ATTRIBUTES", "=b", "key=value"),
    ("OTEL_SDK_DISABLED", "1", "true or false"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "0", "60000"),
    ("OTEL_METRIC_EXPORT_INTERVAL", "1m", "60000"),
    ("OTEL_METRIC_EXPORT_TIMEOUT", "inf", "60000"),
    ("CLINE_OTEL_BRIDGE_LISTEN", "4319", "127.0.0.1:4319"),
    ("CLINE_OTEL_BRIDGE_LISTEN", "127.0.0.1:99999", "127.0.0.1:4319"),
    ("CLINE_OTEL_BRIDGE_LISTEN", "some-host:4319", "127.0.0.1:4319"),
    ("CLINE_OTEL_BRIDGE_LISTEN", "0.0.0.0:4319", "127.0.0.1"),
    ("CLINE_OTEL_BRIDGE_LISTEN", "[::]:4319", "127.0.0.1"),
    ("CLINE_OTEL_BRIDGE_JOURNAL_LIMIT_BYTES", "1GB", "1073741824"),
    ("CLINE_OTEL_BRIDGE_JOURNAL_LIMIT_BYTES", "1000", "8388608"),
    ("CLINE_OTEL_BRIDGE_STATE_DIR", "~nobody-has-this-name/x", "give the whole path"),
    ("CLINE_LOG_PATH", "~nobody-has-this-name/x", "give the whole path"),
    ("CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS", "-2", "a number of seconds"),
]


@pytest.mark.parametrize(("name", "value", "remedy"), BAD_VALUES)
def test_a_bad_value_is_refused_in_one_line_with_its_variable_and_a_remedy(
    name: str, value: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **{name: value})
    line = str(caught.value)
    assert line.startswith(f"{name}: ")
    assert remedy in line
    assert "\n" not in line
    assert caught.value.__cause__ is None


GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1"}


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"OTEL_EXPORTER_OTLP_COMPRESSION": "deflate"}, "OTEL_EXPORTER_OTLP_COMPRESSION: gRPC takes no deflate"),
        ({"OTEL_EXPORTER_OTLP_TRACES_HEADERS": "a!b=c"}, "OTEL_EXPORTER_OTLP_TRACES_HEADERS: header 1 cannot travel"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "a-bin=c"}, "OTEL_EXPORTER_OTLP_HEADERS: header 1 cannot travel"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "b=c,a=caf%C3%A9"}, "OTEL_EXPORTER_OTLP_HEADERS: header 2 cannot travel"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://"}, "OTEL_EXPORTER_OTLP_ENDPOINT: it names no host"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://c", "OTEL_EXPORTER_OTLP_CLIENT_KEY": "/nowhere.pem"},
            "OTEL_EXPORTER_OTLP_CLIENT_KEY: there is no file /nowhere.pem",
        ),
    ],
)
def test_what_grpc_cannot_do_is_refused(
    environment: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(monkeypatch, **{**GRPC, **environment})
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer {secret}"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "authorization={secret},broken"},
        {"OTEL_EXPORTER_OTLP_HEADERS": '{secret}="'},
        {"OTEL_EXPORTER_OTLP_HEADERS": "a={secret}%0A"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "a={secret}%C3%A9", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:{secret}@c:1/x?key={secret}"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:{secret}@c:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "ftp://user:{secret}@c:1"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://user:{secret}@c:port"},
        {"OTEL_EXPORTER_OTLP_HEADERS": "a={secret}", "OTEL_EXPORTER_OTLP_TIMEOUT": "soon"},
        {"OTEL_RESOURCE_ATTRIBUTES": "a={secret},broken"},
    ],
)
def test_no_secret_shows_in_a_description_a_notice_or_an_error(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = "planted" + os.urandom(8).hex()
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    try:
        settings = load(monkeypatch, **{name: value.format(secret=secret) for name, value in environment.items()})
    except SettingsError as error:
        shown = f"{error!r} {error.__cause__!r}"
    else:
        described = [
            destination.describe() for destinations in settings.destinations.values() for destination in destinations
        ]
        shown = f"{settings!r} {described} {settings.notices}"
    assert secret not in shown


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317"}, "traces: port 4317 is usually for OTLP grpc"),
        (
            {**GRPC, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"},
            "traces: port 4318 is usually for OTLP http/protobuf",
        ),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, "OTEL_TRACES_SAMPLER has no effect here: every run is exported"),
        ({"OTEL_BSP_SCHEDULE_DELAY": "1"}, "OTEL_BSP_SCHEDULE_DELAY has no effect here"),
        ({"OTEL_SPAN_EVENT_COUNT_LIMIT": "1"}, "OTEL_SPAN_EVENT_COUNT_LIMIT has no effect here"),
        (
            {"CLINE_OTEL_BRIDGE_METRIC_ATTRIBUTES": "team.id", "OTEL_RESOURCE_ATTRIBUTES": "cost_center=1"},
            "CLINE_OTEL_BRIDGE_METRIC_ATTRIBUTES: team.id is not in OTEL_RESOURCE_ATTRIBUTES",
        ),
        ({"CLINE_OTEL_BRIDGE_STATE_DIRECTORY": "/x"}, "CLINE_OTEL_BRIDGE_STATE_DIRECTORY is not known: there are "),
    ],
)
def test_what_looks_mistaken_is_told_at_the_start(
    environment: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(monkeypatch, **environment).notices[0].startswith(says)


def test_reading_settings_imports_neither_a_client_nor_the_sdk() -> None:
    script = (
        "import sys, cline_otel.settings as settings; settings.load_settings()\n"
        "print([name for name in ('aiohttp', 'grpc', 'opentelemetry.sdk', 'google.protobuf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"OTEL_LOG_LEVEL": "verbose"}, "OTEL_LOG_LEVEL is ignored: 'verbose'"),
        ({"OTEL_METRICS_EXPORTER": "otlp,prometheus"}, "OTEL_METRICS_EXPORTER: prometheus is ignored"),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, "OTEL_METRICS_EXPORTER: prometheus is ignored"),
    ],
)
def test_what_other_programs_understand_of_a_shared_variable_is_warned_of_and_ignored(
    environment: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(monkeypatch, OTEL_EXPORTER_OTLP_ENDPOINT="http://c:1", **environment)
    (notice,) = settings.notices
    assert notice.startswith(says)
    assert settings.log_level == "INFO"
    assert [each.describe() for each in settings.destinations["metrics"]] == [
        "OTLP http/protobuf to http://c:1/v1/metrics"
    ]
