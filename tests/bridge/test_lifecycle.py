"""Starting, stopping, and starting again."""

from __future__ import annotations

import signal
import socket
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cline_otel.aggregation.totals import EARLIEST_START_NS
from waiting import PATIENCE_SECONDS, wait_until

from .endpoint import Answer, Endpoint
from .feeding import post
from .process import Bridge, Home, is_one_clear_line
from .received import Received, assert_tells, start_times
from .workload import Recording, log_copies, otlp_copies


def give_log(home: Home, recording: Recording) -> None:
    """Puts a whole ``cline.log`` there."""
    home.cline_log.parent.mkdir(parents=True)
    home.cline_log.write_bytes(b"".join(line + b"\n" for line in recording.cline_log))


def refuses_connections(endpoint: str) -> bool:
    """Whether nobody listens there any more."""
    parts = urlsplit(endpoint)
    with socket.socket() as probe:
        return probe.connect_ex((parts.hostname or "", parts.port or 0)) != 0


def test_on_start_it_says_what_it_reads_where_it_sends_and_what_it_never_sends(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with Bridge(home) as bridge:
        banner = bridge.said
        assert f"reads            plugin spool {home.spool}" in banner
        assert f"reads            Cline's log {home.cline_log}" in banner
        assert f"reads            OTLP logs on {bridge.endpoint}/v1/logs" in banner
        for name in ("traces", "metrics", "logs"):
            assert f"sends            {name}: OTLP JSON lines in {home.telemetry / name}.jsonl" in banner
        never = "prompts, code, file contents, paths, arguments, error texts, personal data, keys"
        assert f"never sent       {never}" in banner
        assert "nothing leaves this machine" in banner
        assert "the plugin is not installed: with `cline-otel install`" in banner


def test_with_an_endpoint_and_the_plugin_it_does_not_say_that_they_are_missing(tmp_path: Path) -> None:
    home = Home(
        tmp_path,
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3",
        },
    )
    assert home.run("install").returncode == 0
    with Bridge(home, "--no-listen", listen=None) as bridge:
        assert "sends            traces: OTLP http/protobuf to http://127.0.0.1:9/v1/traces (1 header)" in bridge.said
        assert "OTLP logs on" not in bridge.said
        assert "nothing leaves this machine" not in bridge.said
        assert "not installed" not in bridge.said
        assert "s3" not in bridge.said


def test_a_second_bridge_on_the_same_state_directory_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with Bridge(home) as first:
        second = home.run("run", "--listen", "127.0.0.1:0")
        assert second.returncode == 1
        assert is_one_clear_line(second.stderr, f"(pid {first.pid})", str(home.state), "CLINE_OTEL_BRIDGE_STATE_DIR")
        assert first.is_running()
        assert first.stop() == 0
    with Bridge(home) as third:
        assert third.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_ends_it_with_0_when_all_is_sent(tmp_path: Path, number: signal.Signals) -> None:
    recording = log_copies(2)
    with Endpoint() as endpoint:
        asked, go = threading.Event(), threading.Event()

        def answer(name: str, request: object) -> Answer:
            asked.set()
            assert go.wait(PATIENCE_SECONDS)
            return 200, b""

        endpoint.answer = answer
        home = Home(tmp_path / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url})
        give_log(home, recording)
        with Bridge(home) as bridge:
            assert asked.wait(PATIENCE_SECONDS)
            bridge.signal(number)
            bridge.wait_for_line("stopping: sends what waits, 5 s at most")
            # A terminal that closes sends another, which is nobody's impatience.
            bridge.signal(signal.SIGHUP)
            go.set()
            assert bridge.wait() == 0
            assert "Traceback" not in bridge.said
            assert bridge.lines[-1].endswith(" stopped")
        received = Received(endpoint.traces(), endpoint.metrics(), endpoint.logs())
        assert len(received.spans) == len(recording.replayed(tmp_path / "recording").spans)
        assert received.totals
        assert home.pending() == 0


@pytest.mark.parametrize("ignored", [signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM])
def test_started_to_ignore_a_signal_a_bridge_ignores_it_and_still_ends_by_sigterm(
    tmp_path: Path, ignored: signal.Signals
) -> None:
    home = Home(tmp_path)
    with Bridge(home, before_exec=lambda: signal.signal(ignored, signal.SIG_IGN)) as bridge:
        if ignored != signal.SIGTERM:
            bridge.signal(ignored)
        # If it had heeded the first signal, this would be the second, which ends it with 130.
        assert bridge.stop() == 0


def test_what_cannot_be_sent_within_5_s_waits_for_the_next_start(tmp_path: Path) -> None:
    recording = log_copies(2)
    with Endpoint() as endpoint:
        asked, end = endpoint.hold()
        home = Home(tmp_path / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url})
        give_log(home, recording)
        with Bridge(home) as bridge:
            assert asked.wait(PATIENCE_SECONDS)
            assert bridge.stop() == 0
            waiting = home.pending()
            assert waiting > 0
            assert bridge.lines[-1].endswith(
                f"stopped; {waiting} spans and log records wait in the journal for the next start"
            )
            end.set()
            endpoint.answer = lambda name, request: (200, b"")
            bridge.start()
            wait_until(lambda: home.pending() == 0, lambda: bridge.said)
            assert bridge.stop() == 0
        received = Received(endpoint.traces(), endpoint.metrics(), endpoint.logs())
        assert len(received.spans) == len(recording.replayed(tmp_path / "recording").spans)


def test_a_second_signal_ends_it_at_once_and_loses_nothing(tmp_path: Path) -> None:
    recording = otlp_copies(1)
    with Endpoint() as endpoint:
        asked, end = endpoint.hold()
        home = Home(tmp_path / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url})
        with Bridge(home) as bridge:
            for body in recording.otlp_logs:
                assert post(bridge.endpoint, body)[0] == 200
            assert asked.wait(PATIENCE_SECONDS)
            bridge.signal(signal.SIGINT)
            bridge.wait_for_line("stopping:")
            bridge.signal(signal.SIGINT)
            assert bridge.wait() == 130
            assert home.pending() > 0
            end.set()
            endpoint.answer = lambda name, request: (200, b"")
            bridge.start()
            wait_until(lambda: home.pending() == 0, lambda: bridge.said)
            assert bridge.stop() == 0
        received = Received(endpoint.traces(), endpoint.metrics(), endpoint.logs())
        expected = Received.in_requests(recording.replayed(tmp_path / "recording").requests)
        assert_tells(received, expected)


def test_everything_acknowledged_before_a_signal_is_journalled(tmp_path: Path) -> None:
    recording = otlp_copies(1)
    home = Home(tmp_path / "home", {"CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS": "3600"})
    with Bridge(home) as bridge:
        for body in recording.otlp_logs:
            assert post(bridge.endpoint, body)[0] == 200
        assert bridge.stop() == 0
        assert refuses_connections(bridge.endpoint)
    # It was waiting for a better source all the time, so all of it is memory.
    with Bridge(home, environment={"CLINE_OTEL_BRIDGE_CLAIM_WAIT_SECONDS": "0"}) as bridge:
        expected = Received.in_requests(recording.replayed(tmp_path / "recording").requests)
        wait_until(lambda: Received.in_files(home.telemetry).spans.keys() >= expected.spans.keys(), lambda: bridge.said)
        assert bridge.stop() == 0
    received = Received.in_files(home.telemetry)
    assert_tells(received, expected)


def test_a_restart_resets_no_counter_and_keeps_the_instance_id(tmp_path: Path) -> None:
    first, second = otlp_copies(1), otlp_copies(1, first=600)
    home = Home(tmp_path / "home")
    for part in (first, second):
        with Bridge(home) as bridge:
            expected = part.replayed(tmp_path / f"recording-{bridge.pid}")
            span_ids = {span.span_id for span in expected.spans}
            for body in part.otlp_logs:
                assert post(bridge.endpoint, body)[0] == 200
            wait_until(lambda ids=span_ids: Received.in_files(home.telemetry).spans.keys() >= ids, lambda: bridge.said)
            assert bridge.stop() == 0
    received = Received.in_files(home.telemetry)
    both = Received.in_requests((first + second).replayed(tmp_path / "both").requests)
    assert received.totals == both.totals
    for before, after in zip(received.snapshots, received.snapshots[1:], strict=False):
        assert all(after[series][:2] >= total[:2] for series, total in before.items())
    (resource,) = received.resources["traces"]
    assert received.resources == {"traces": [resource], "metrics": [resource], "logs": [resource]}
    assert resource == {"service.name": "cline", "service.instance.id": home.status()["instance_id"]}


def test_a_restart_begins_no_series_anew(tmp_path: Path) -> None:
    with Endpoint() as endpoint:
        home = Home(tmp_path / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url})
        give_log(home, log_copies(1))
        for _ in range(2):
            with Bridge(home) as bridge:
                wait_until(lambda: len(endpoint.taken["traces"]) > 0, lambda: bridge.said)
                assert bridge.stop() == 0
        assert len(endpoint.metrics()) >= 2
        began: dict[str, int] = {}
        for request in endpoint.metrics():
            for series, started_at_ns in start_times(request).items():
                assert began.setdefault(series, started_at_ns) == started_at_ns
        assert began
        assert min(began.values()) >= home.status()["started_at_ns"] - 2 * EARLIEST_START_NS


def test_the_standard_variables_name_the_service(tmp_path: Path) -> None:
    home = Home(
        tmp_path,
        {
            "OTEL_SERVICE_NAME": "coding",
            "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,deployment.environment.name=test%2C2,service.version=7",
        },
    )
    give_log(home, log_copies(1))
    with Bridge(home) as bridge:
        wait_until(lambda: len(Received.in_files(home.telemetry).logs) > 0, lambda: bridge.said)
        assert bridge.stop() == 0
    received = Received.in_files(home.telemetry)
    expected = {
        "service.name": "coding",
        "service.instance.id": home.status()["instance_id"],
        "deployment.environment.name": "test,2",
    }
    assert received.resources["traces"] == [{**expected, "service.version": "7"}]
    assert received.resources["logs"] == [{**expected, "service.version": "7"}]
    assert received.resources["metrics"] == [expected]


def test_a_signal_that_is_not_exported_does_not_fill_the_journal(tmp_path: Path) -> None:
    home = Home(tmp_path, dict.fromkeys(("OTEL_TRACES_EXPORTER", "OTEL_LOGS_EXPORTER"), "none"))
    give_log(home, log_copies(2))
    with Bridge(home) as bridge:
        assert "sends            traces: not exported" in bridge.said
        wait_until(lambda: home.counted("events", "cline-log") > 0, lambda: bridge.said)
        assert bridge.stop() == 0
    assert home.pending() == 0
    assert not (home.telemetry / "traces.jsonl").exists()
    assert (home.telemetry / "metrics.jsonl").exists()
