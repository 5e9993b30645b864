"""OTLP over gRPC comes to the same as over HTTP, in a bridge that runs."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from corpus import CAPTURES
from otlp_json_lines import from_json_line
from waiting import wait_until

from .feeding import export, post
from .process import Bridge, Home
from .received import Received
from .test_troubles import SMALLEST_JOURNAL_BYTES, joined
from .workload import Recording, WritingProcess, otlp_copies, plugin_copies

GRPC = "CLINE_OTEL_BRIDGE_LISTEN_GRPC"
ANY_PORT = {GRPC: "127.0.0.1:0"}
PROTOBUF = "application/x-protobuf"
OK, UNAVAILABLE, RESOURCE_EXHAUSTED, INVALID_ARGUMENT = (
    grpc.StatusCode.OK,
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.INVALID_ARGUMENT,
)


def bodies_of(recording: Recording) -> list[bytes]:
    """The requests as protobuf."""
    return [from_json_line("logs", body) for body in recording.otlp_logs]


@contextmanager
def taken_port() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def outcome(home: Home) -> tuple[Any, ...]:
    received = Received.in_files(home.telemetry)
    counts = {(each["kind"], each["source"], each["name"]): each["count"] for each in home.status()["counts"]}
    return received.bare_spans, received.bare_logs, received.totals, counts


SendAll = Callable[[Bridge, list[bytes]], None]


def over_http(bridge: Bridge, bodies: list[bytes]) -> None:
    for body in bodies:
        assert post(bridge.endpoint, body, content_type=PROTOBUF)[0] in (200, 400)
    assert post(bridge.endpoint, b"metrics", signal="metrics", content_type=PROTOBUF)[0] == 200
    assert post(bridge.endpoint, b"traces", signal="traces", content_type=PROTOBUF)[0] == 200


def over_grpc(bridge: Bridge, bodies: list[bytes], compression: grpc.Compression) -> None:
    for body in bodies:
        status, retry_after_seconds = export(bridge.endpoint_grpc, body, compression=compression)
        assert (status in (OK, INVALID_ARGUMENT), retry_after_seconds) == (True, None)
    assert export(bridge.endpoint_grpc, b"metrics", signal="metrics", compression=compression)[0] is OK
    assert export(bridge.endpoint_grpc, b"traces", signal="traces", compression=compression)[0] is OK


def plain_grpc(bridge: Bridge, bodies: list[bytes]) -> None:
    over_grpc(bridge, bodies, grpc.Compression.NoCompression)


def gzipped_grpc(bridge: Bridge, bodies: list[bytes]) -> None:
    over_grpc(bridge, bodies, grpc.Compression.Gzip)


@pytest.mark.parametrize("name", ["classic_full", "plugin_basic", "sdk_interactive_modes_abort", "vscode_next_basic"])
def test_the_same_requests_come_to_the_same_over_http_and_over_grpc(tmp_path: Path, name: str) -> None:
    bodies = bodies_of(Recording.read(CAPTURES / name, "otlp"))
    requests = len(set(bodies))
    bodies += [bodies[0], b"no request"]

    def come_to(send_all: SendAll) -> tuple[Any, ...]:
        home = Home(tmp_path / send_all.__name__, {**ANY_PORT, "CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS": "0"})
        with Bridge(home) as bridge:
            send_all(bridge, bodies)
            assert bridge.stop() == 0
        return outcome(home)

    expected = come_to(over_http)
    assert expected[-1]["received", "otlp", "records"] == requests
    assert come_to(plain_grpc) == expected
    assert come_to(gzipped_grpc) == expected


def test_a_request_that_comes_over_http_and_again_over_grpc_is_one(tmp_path: Path) -> None:
    home = Home(tmp_path, ANY_PORT)
    bodies = bodies_of(otlp_copies(1))
    with Bridge(home) as bridge:
        over_http(bridge, bodies)
        plain_grpc(bridge, bodies)
        assert bridge.stop() == 0
    assert home.counted("received", "otlp") == len(bodies)
    assert home.counted("duplicate", "otlp") >= len(bodies)


def test_off_is_acknowledged_and_dropped_and_unknown_is_asked_to_come_again(tmp_path: Path) -> None:
    home = Home(tmp_path, ANY_PORT)
    settings = home.cline / "data" / "settings" / "global-settings.json"
    settings.parent.mkdir(parents=True)
    settings.write_text('{"telemetryOptOut": fal')
    body = bodies_of(otlp_copies(1))[0]
    with Bridge(home) as bridge:
        status, retry_after_seconds = export(bridge.endpoint_grpc, body)
        assert (status, (retry_after_seconds or 0) > 0) == (UNAVAILABLE, True)
        settings.write_text('{"telemetryOptOut": true}')
        bridge.wait_for_line("telemetry is off")
        for sent in (body, b"not OTLP at all"):
            assert export(bridge.endpoint_grpc, sent) == (OK, None)
        wait_until(lambda: home.counted("switched_off", "otlp") == 2, lambda: bridge.said)
        assert home.counted("received", "otlp") == 0
        settings.write_text("{}")
        bridge.wait_for_line("telemetry is on again")
        assert export(bridge.endpoint_grpc, body) == (OK, None)
        assert home.counted("received", "otlp") == 1
        assert bridge.stop() == 0


def test_a_full_journal_asks_to_come_again(tmp_path: Path) -> None:
    home = Home(
        tmp_path,
        {**ANY_PORT, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
        | {"CLINE_OTEL_BRIDGE_JOURNAL_LIMIT_BYTES": str(SMALLEST_JOURNAL_BYTES)},
    )
    home.spool.mkdir(parents=True)
    with WritingProcess() as cline:
        (home.spool / cline.spool_name()).write_bytes(joined(plugin_copies(260).spool))
        with Bridge(home) as bridge:
            bridge.wait_for_line("the journal is full")
            status, retry_after_seconds = export(bridge.endpoint_grpc, bodies_of(otlp_copies(1))[0])
            assert (status, (retry_after_seconds or 0) > 0) == (RESOURCE_EXHAUSTED, True)
            assert home.counted("received", "otlp") == 0


@pytest.mark.parametrize("variable", ["CLINE_OTEL_BRIDGE_LISTEN", GRPC])
def test_a_port_that_is_taken_is_a_warning_and_the_rest_goes_on(tmp_path: Path, variable: str) -> None:
    body = otlp_copies(1).otlp_logs[0]
    with taken_port() as port:
        home = Home(tmp_path, {"CLINE_OTEL_BRIDGE_LISTEN": "127.0.0.1:0", **ANY_PORT, variable: f"127.0.0.1:{port}"})
        with Bridge(home, listen=None) as bridge:
            (warning,) = [line for line in bridge.lines if " warning: " in line]
            for part in (f"cannot listen on 127.0.0.1:{port}", "is in use", "stop the program", f"with {variable},"):
                assert part in warning
            if variable == GRPC:
                assert post(bridge.endpoint, body)[0] == 200
                assert home.status()["bridge"]["listening_on_grpc"] is None
            else:
                assert export(bridge.endpoint_grpc, from_json_line("logs", body))[0] is OK
                assert home.status()["bridge"]["listening_on"] is None
            (problem,) = home.status()["bridge"]["not_listening"]
            assert problem in warning
            assert f"cannot listen on 127.0.0.1:{port}" in " ".join(home.run("status").stdout.split())
            places = next(each["places"] for each in home.status()["sources"] if each["source"] == "otlp")
            assert (len(places), str(port) in places[0]) == (1, False)
            assert bridge.stop() == 0
    assert home.counted("received", "otlp") == 1


def test_status_says_where_both_listen(tmp_path: Path) -> None:
    home = Home(tmp_path, ANY_PORT)
    with Bridge(home) as bridge:
        document = home.status()
        assert document["bridge"]["listening_on_grpc"] == bridge.endpoint_grpc
        assert document["bridge"]["not_listening"] == []
        places = next(each["places"] for each in document["sources"] if each["source"] == "otlp")
        assert places == [f"{bridge.endpoint}/v1/logs", f"{bridge.endpoint_grpc} (gRPC)"]
        assert bridge.endpoint_grpc in home.run("status").stdout
        assert bridge.stop() == 0


@pytest.mark.parametrize(
    ("listen", "grpc_at", "listens"),
    [("off", None, False), ("off", "127.0.0.1:0", True), ("127.0.0.1:0", "off", False), ("127.0.0.1:0", "none", False)],
)
def test_off_for_http_is_off_for_both_unless_grpc_is_asked_for(
    tmp_path: Path, listen: str, grpc_at: str | None, listens: bool
) -> None:
    home = Home(tmp_path, {"CLINE_OTEL_BRIDGE_LISTEN": listen, GRPC: grpc_at or ""})
    with Bridge(home, listen=None) as bridge:
        assert ("(gRPC)" in bridge.said) == listens
        assert bridge.stop() == 0


def test_no_listen_is_off_for_both_and_options_go_before_variables(tmp_path: Path) -> None:
    home = Home(tmp_path, ANY_PORT)
    with Bridge(home, "--no-listen", listen=None) as bridge:
        assert "OTLP logs on" not in bridge.said
        assert bridge.stop() == 0
    home = Home(tmp_path, {GRPC: "off"})
    with Bridge(home, "--listen-grpc", "127.0.0.1:0") as bridge:
        assert export(bridge.endpoint_grpc, b"") == (OK, None)
        assert bridge.stop() == 0


@pytest.mark.parametrize("protocol", ["grpc", "http/protobuf"])
def test_where_telemetry_is_sent_to_nothing_listens(tmp_path: Path, protocol: str) -> None:
    with taken_port() as port:
        pass
    home = Home(
        tmp_path,
        {
            GRPC: f"127.0.0.1:{port}",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://localhost:{port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        },
    )
    with Bridge(home) as bridge:
        assert f"{GRPC}: telemetry is sent to 127.0.0.1:{port}, so nothing listens there" in bridge.said
        assert "(gRPC)" not in bridge.said
        with socket.socket() as collector:
            collector.bind(("127.0.0.1", port))
        assert bridge.stop() == 0


def test_a_bridge_that_comes_back_listens_on_the_same_port_whatever_is_connected(tmp_path: Path) -> None:
    with taken_port() as port:
        pass
    home = Home(tmp_path, {GRPC: f"127.0.0.1:{port}"})
    bodies = bodies_of(otlp_copies(1))
    with Bridge(home) as bridge:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")
            for number, body in enumerate(bodies):
                call(body, timeout=30, wait_for_ready=True)
                if number % 2:
                    bridge.kill()
                else:
                    assert bridge.stop() == 0
                bridge.start()
        assert " warning: " not in bridge.said
        assert "Traceback" not in bridge.said
        assert bridge.stop() == 0
    assert home.counted("received", "otlp") == len(bodies)


def test_nothing_of_a_request_is_kept_or_said_but_what_the_catalogue_lists(tmp_path: Path) -> None:
    canary = "a-canary-in-a-request"
    request = json.loads(otlp_copies(1).otlp_logs[0])
    records = [
        record
        for resource in request["resourceLogs"]
        for scope in resource["scopeLogs"]
        for record in scope["logRecords"]
    ]
    for record in records:
        record["attributes"].append({"key": f"{canary} key", "value": {"stringValue": canary}})
    records.append({"body": {"stringValue": canary}})
    body = from_json_line("logs", json.dumps(request).encode())
    home = Home(tmp_path, ANY_PORT)
    metadata = (("x-name", canary), ("authorization", f"Bearer {canary}"), (canary, "value"))
    with Bridge(home) as bridge:
        for sent, expected in (
            (body, OK),
            (canary.encode(), INVALID_ARGUMENT),
            (b"\x1f\x8b" + canary.encode(), INVALID_ARGUMENT),
        ):
            assert export(bridge.endpoint_grpc, sent, metadata=metadata)[0] is expected
        assert (
            export(bridge.endpoint_grpc, body, metadata=(("origin", canary),))[0] is grpc.StatusCode.PERMISSION_DENIED
        )
        shown = home.run("status").stdout
        assert bridge.stop() == 0
    assert home.counted("received", "otlp") == 1
    assert canary not in bridge.said
    assert canary not in shown
    assert canary.encode() not in home.written_bytes()


@pytest.mark.parametrize("address", ["0.0.0.0:4320", "[::]:4320", "192.0.2.1:4320"])
def test_listening_to_others_without_a_token_is_refused_with_the_variables_that_help(
    tmp_path: Path, address: str
) -> None:
    home = Home(tmp_path)
    for answer in (home.run("run", "--listen-grpc", address), home.run("run", environment={GRPC: address})):
        assert answer.returncode == 2
        assert f"{GRPC}: " in answer.stderr
        assert "CLINE_OTEL_BRIDGE_LISTEN_TOKEN" in answer.stderr
