"""``replay``: the same input gives the same bytes, whatever surrounds it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from bridge.endpoint import Endpoint
from bridge.process import Home
from bridge.received import Received
from bridge.workload import EXAMPLE
from corpus import CAPTURES

HOOK_CALLS = Path(__file__).parents[1] / "plugin" / "fixtures" / "subagents.jsonl"
FILES = ("traces.jsonl", "metrics.jsonl", "logs.jsonl")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recording of all sources, with files beside it that are none."""
    folder = tmp_path / "recording"
    shutil.copytree(CAPTURES / "plugin_basic", folder)
    (folder / "stdout_01.jsonl").write_text('{"type":"iteration_start"}\n')
    (folder / "notes.txt").write_text("nothing to see here\n")
    (folder / "empty").mkdir()
    return folder


def replayed(home: Home, output: Path, *arguments: str | Path, **surroundings: str) -> dict[str, bytes]:
    """The files that a replay wrote."""
    directory = Path(surroundings.pop("directory", home.directory))
    answer = home.run("replay", *arguments, "--output", output, environment=surroundings, directory=directory)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == [str(output / name) for name in FILES]
    return {name: (output / name).read_bytes() for name in FILES}


def test_the_same_input_gives_the_same_bytes_in_any_surroundings(home: Home, folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    elsewhere.mkdir()
    first = replayed(home, tmp_path / "1", folder)
    assert all(first.values())
    assert first == replayed(home, tmp_path / "1", folder), "over the files of the first"
    assert first == replayed(
        home,
        tmp_path / "2",
        Path(os.path.relpath(folder, elsewhere)),
        directory=str(elsewhere),
        TZ="Pacific/Chatham",
        LC_ALL="tr_TR.UTF-8",
        LANG="tr_TR.UTF-8",
        PYTHONHASHSEED="4242",
        OTEL_SERVICE_NAME="another",
        CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS="77",
    )


def test_what_it_writes_is_otlp_json_that_the_official_messages_take(home: Home, folder: Path, tmp_path: Path) -> None:
    replayed(home, tmp_path / "out", folder)
    received = Received.in_files(tmp_path / "out")
    assert received.spans
    assert received.logs
    assert received.totals


@pytest.mark.parametrize("source", ["plugin", "session-files", "cline-log", "otlp"])
def test_only_hears_one_source(home: Home, folder: Path, tmp_path: Path, source: str) -> None:
    replayed(home, tmp_path / "out", folder, "--only", source)
    told = (tmp_path / "out" / "traces.jsonl").read_text()
    others = {"plugin", "session-files", "cline-log", "otlp"} - {source}
    assert f'"key":"cline.telemetry.source","value":{{"stringValue":"{source}"}}' in told
    assert not any(f'"stringValue":"{other}"' in told for other in others)


def test_files_are_the_same_as_their_folder(home: Home, folder: Path, tmp_path: Path) -> None:
    files = [
        folder / "otlp_logs.jsonl",
        folder / "cline.log",
        *(folder / "spool").iterdir(),
        *folder.rglob("*.messages.json"),
    ]
    assert replayed(home, tmp_path / "1", *files) == replayed(home, tmp_path / "2", folder)


def test_recorded_hook_calls_are_no_recording_and_a_folder_s_spool_tells_its_runs(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "capture"
    (folder / "spool").mkdir(parents=True)
    shutil.copy(HOOK_CALLS, folder / "plugin.jsonl")
    assert "nothing to replay there" in home.run("replay", folder).stderr
    spool = shutil.copy(HOOK_CALLS.with_name("subagents.expected.jsonl"), folder / "spool" / "100-1-0.jsonl")
    assert replayed(home, tmp_path / "out", folder) == replayed(home, tmp_path / "expected", spool)
    assert Received.in_files(tmp_path / "out").spans


def test_without_output_the_trace_is_drawn_and_no_file_is_written(home: Home) -> None:
    answer = home.run("replay", EXAMPLE)
    assert answer.returncode == 0
    for name in ("invoke_agent cline", "chat claude-opus-4-5", "execute_tool spawn_agent", "gen_ai.client.token.usage"):
        assert name in answer.stdout
    assert "\x1b" not in answer.stdout, "no colours into a pipe"
    assert list(home.directory.iterdir()) == []


def test_a_torn_and_a_foreign_line_are_counted_and_passed_over(home: Home, tmp_path: Path) -> None:
    log = tmp_path / "cline.log"
    log.write_bytes(
        (EXAMPLE / "cline.log").read_bytes() + b'{"level":30,"time":"2026-11-22T14:3\n\xff\xfe\n[1]\n{"leve'
    )
    answer = home.run("replay", log)
    assert answer.returncode == 0
    assert "malformed" in answer.stdout or "could not be read" in answer.stdout


def test_send_sends_traces_and_logs_and_metrics_only_if_asked(home: Home, tmp_path: Path) -> None:
    with Endpoint() as endpoint:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url}
        answer = home.run("replay", EXAMPLE, "--output", tmp_path / "out", "--send", environment=environment)
        assert answer.returncode == 0, answer.stderr
        assert f"Sent 23 spans: OTLP http/protobuf to {endpoint.url}/v1/traces" in answer.stdout
        assert {signal: len(requests) for signal, requests in endpoint.taken.items()} == {
            "traces": 1,
            "metrics": 0,
            "logs": 1,
        }
        files = Received.in_files(tmp_path / "out")
        assert Received(endpoint.traces(), [], endpoint.logs()).spans == files.spans
        answer = home.run("replay", EXAMPLE, "--send", "--metrics", environment=environment)
        assert answer.returncode == 0, answer.stderr
        assert Received([], endpoint.metrics(), []).totals == files.totals


def test_an_endpoint_for_one_signal_gets_that_signal_and_local_files_get_none(home: Home) -> None:
    with Endpoint() as endpoint:
        environment = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{endpoint.listen().url}/v1/traces"}
        answer = home.run("replay", EXAMPLE, "--send", environment=environment)
        assert answer.returncode == 0, answer.stderr
        assert endpoint.asked == {"traces": 1, "metrics": 0, "logs": 0}
        assert "log records" not in answer.stdout.partition("Sent ")[2]
    assert not home.telemetry.exists()


@pytest.mark.parametrize(
    ("environment", "services"),
    [
        ({}, {"cline", "roo-code"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "team.id=payments"}, {"cline", "roo-code"}),
        ({"OTEL_SERVICE_NAME": "agents"}, {"agents"}),
        ({"OTEL_SERVICE_NAME": "cline"}, {"cline"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=agents"}, {"agents"}),
    ],
)
def test_a_fork_has_a_service_of_its_own_unless_the_user_names_one_for_everything(
    home: Home, environment: dict[str, str], services: set[str]
) -> None:
    with Endpoint() as endpoint:
        to_endpoint = environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url}
        recordings = [EXAMPLE, CAPTURES / "roo_code_task"]
        answer = home.run("replay", *recordings, "--send", "--metrics", environment=to_endpoint)
        assert answer.returncode == 0, answer.stderr
        for requests in (endpoint.traces(), endpoint.metrics(), endpoint.logs()):
            named = [
                {pair.key: pair.value.string_value for pair in each.resource.attributes}
                for request in requests
                for field in request.DESCRIPTOR.fields
                for each in getattr(request, field.name)
            ]
            assert {each["service.name"] for each in named} == services
            assert len({each["service.instance.id"] for each in named}) == 1
    shown = home.run("preview", *recordings, "--json", environment=environment).stdout
    assert json.loads(shown.splitlines()[-1])["summary"]["services"] == sorted(services & {"roo-code"})
    shown = home.run("preview", *recordings, environment=environment).stdout
    assert ("the same with service.name roo-code" in shown) == ("roo-code" in services)


def test_what_the_resource_variables_say_is_on_what_a_replay_sends_and_what_a_preview_shows(home: Home) -> None:
    environment = {
        "OTEL_SERVICE_NAME": "agents",
        "OTEL_RESOURCE_ATTRIBUTES": "team.id=payments",
        "CLINE_OTEL_BRIDGE_METRIC_ATTRIBUTES": "team.id",
    }
    with Endpoint() as endpoint:
        to_endpoint = environment | {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url}
        answer = home.run("replay", EXAMPLE, "--send", "--metrics", environment=to_endpoint)
        assert answer.returncode == 0, answer.stderr
        for request in (*endpoint.traces(), *endpoint.metrics(), *endpoint.logs()):
            (resource,) = (getattr(request, field.name)[0].resource for field in request.DESCRIPTOR.fields)
            named = {pair.key: pair.value.string_value for pair in resource.attributes}
            assert (named["service.name"], named["team.id"]) == ("agents", "payments")
        series = {attributes for request in endpoint.metrics() for attributes in attributes_of_points(request)}
        assert series
        assert [each for each in series if ("team.id", "payments") not in each] == []
    shown = home.run("preview", EXAMPLE, "--json", environment=environment).stdout
    measurements = [each for line in shown.splitlines() for each in json.loads(line).get("measurements", [])]
    assert measurements
    assert {each["attributes"]["team.id"] for each in measurements} == {"payments"}


def attributes_of_points(request: ExportMetricsServiceRequest) -> Iterator[tuple[tuple[str, str], ...]]:
    for metric in request.resource_metrics[0].scope_metrics[0].metrics:
        for point in (*metric.sum.data_points, *metric.histogram.data_points):
            yield tuple((pair.key, pair.value.string_value) for pair in point.attributes)
