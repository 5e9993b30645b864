"""Exporters that are down, refuse or hang; a full journal; exporters that try again; files that are rotated."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from waiting import wait_until

from .endpoint import Answer, Endpoint
from .feeding import post
from .process import Bridge, Home
from .received import Received, assert_tells
from .test_lifecycle import give_log
from .workload import Recording, WritingProcess, example_copies, log_copies, otlp_copies, plugin_copies

SMALLEST_JOURNAL_BYTES = 8 * 1024 * 1024


def joined(lines: tuple[bytes, ...]) -> bytes:
    """Lines as a file has them."""
    return b"".join(line + b"\n" for line in lines)


def expected_of(recording: Recording, folder: Path) -> Received:
    """What replay makes of it."""
    return Received.in_requests(recording.replayed(folder).requests)


def received_by(endpoint: Endpoint) -> Received:
    """What an endpoint took."""
    return Received(endpoint.traces(), endpoint.metrics(), endpoint.logs())


def test_what_waited_for_an_endpoint_that_was_down_is_delivered(tmp_path: Path) -> None:
    recording = log_copies(2)
    with Endpoint() as endpoint:
        home = Home(tmp_path / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url})
        give_log(home, recording)
        with Bridge(home) as bridge:
            said = bridge.wait_for_line("traces: not delivered, kept and will be retried: cannot reach")
            assert endpoint.url in said
            endpoint.listen()
            bridge.wait_for_line("traces: delivery resumed")
            wait_until(lambda: home.pending() == 0, lambda: bridge.said)
            assert bridge.stop() == 0
        received, expected = received_by(endpoint), expected_of(recording, tmp_path / "recording")
    assert_tells(received, expected)


def test_an_endpoint_that_does_not_know_us_holds_the_queue_and_status_says_what_to_do(tmp_path: Path) -> None:
    recording = log_copies(1)
    with Endpoint(lambda signal, request: (401, b"")) as endpoint:
        home = Home(
            tmp_path / "home",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url,
                "OTEL_EXPORTER_OTLP_HEADERS": "api-key=planted-7d1f0c",
            },
        )
        give_log(home, recording)
        with Bridge(home) as bridge:
            bridge.wait_for_line("traces: not delivered, kept and will be retried: 401 Unauthorized")
            bridge.wait_for_line("logs: not delivered, kept and will be retried: 401 Unauthorized")
            assert bridge.stop() == 0
            shown = home.run("status")
            assert shown.returncode == 0
            for signal in ("traces", "logs", "metrics"):
                assert f"{signal}: 401 Unauthorized from {endpoint.url}/v1/{signal}" in shown.stdout
            assert "OTEL_EXPORTER_OTLP_HEADERS" in shown.stdout
            assert home.pending() > 0
            endpoint.answer = lambda signal, request: (200, b"")
            bridge.start()
            wait_until(lambda: home.pending() == 0, lambda: bridge.said)
            assert bridge.stop() == 0
        assert "planted-7d1f0c" not in bridge.said + shown.stdout
        assert received_by(endpoint).spans.keys() == expected_of(recording, tmp_path / "recording").spans.keys()
        assert b"planted-7d1f0c" not in home.written_bytes()


def test_a_row_that_is_refused_for_good_becomes_a_dead_letter_and_the_others_are_delivered(tmp_path: Path) -> None:
    bad, good = otlp_copies(1, first=700), otlp_copies(1, first=701)
    with Endpoint() as endpoint:

        def refuse_bad(signal: str, request: object) -> Answer:
            is_bad = signal == "traces" and b"c700" in request.SerializeToString()  # type: ignore[attr-defined]
            return (400, b"") if is_bad else (200, b"")

        endpoint.answer = refuse_bad
        home = Home(tmp_path / "home", {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url})
        expected = expected_of(good, tmp_path / "good")
        with Bridge(home) as bridge:
            for recording, folder in ((bad, "first"), (good, "second")):
                for body in recording.otlp_logs:
                    assert post(bridge.endpoint, body)[0] == 200
                told = len(expected_of(recording, tmp_path / folder).spans) * (1 if recording is bad else 2)
                wait_until(lambda told=told: home.pending("traces") == told, lambda: bridge.said)
            # Only now, so that the rows of both travel together and have to be told apart.
            endpoint.listen()
            wait_until(lambda: received_by(endpoint).spans.keys() >= expected.spans.keys(), lambda: bridge.said)
            wait_until(lambda: home.pending() == 0, lambda: bridge.said)
            assert bridge.stop() == 0
        assert received_by(endpoint).spans.keys() == expected.spans.keys()
        signals = home.status()["signals"]
        spans_refused = len(expected_of(bad, tmp_path / "bad").spans)
        assert signals["traces"]["refused_items"] == spans_refused
        assert signals["traces"]["refusals"] == {f"400 Bad Request from {endpoint.url}/v1/traces": spans_refused}
        assert signals["logs"]["refused_items"] == 0
        assert f"traces: {spans_refused} refused for good: 400 Bad Request" in home.run("status").stdout


def test_a_full_journal_answers_429_and_leaves_files_alone_until_there_is_room(tmp_path: Path) -> None:
    from_files, from_otlp = plugin_copies(260), otlp_copies(1, first=900)
    with Endpoint() as endpoint, WritingProcess() as cline:
        home = Home(
            tmp_path / "home",
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url,
                "CLINE_OTEL_BRIDGE_JOURNAL_LIMIT_BYTES": str(SMALLEST_JOURNAL_BYTES),
            },
        )
        home.spool.mkdir(parents=True)
        spool = home.spool / cline.spool_name()
        spool.write_bytes(joined(from_files.spool))
        with Bridge(home) as bridge:
            bridge.wait_for_line("the journal is full")
            status, headers = post(bridge.endpoint, from_otlp.otlp_logs[0])
            assert status == 429
            assert int(headers["Retry-After"]) > 0
            sources = {source["source"]: source for source in home.status()["sources"]}
            plugin, otlp = sources["plugin"], sources["otlp"]
            assert plugin["unread_lines"] > 0
            assert otlp["received"] == 0
            assert home.journal.stat().st_size <= SMALLEST_JOURNAL_BYTES
            bridge.kill()
            assert spool.read_bytes() == joined(from_files.spool)
            endpoint.listen()
            bridge.start()

            def is_acknowledged(body: bytes) -> bool:
                return post(bridge.endpoint, body)[0] == 200

            for body in from_otlp.otlp_logs:
                wait_until(lambda body=body: is_acknowledged(body), lambda: bridge.said, interval_seconds=0.1)
            expected = expected_of(from_files + from_otlp, tmp_path / "recording")
            wait_until(
                lambda: (
                    endpoint.span_count() >= len(expected.spans)
                    and received_by(endpoint).spans.keys() >= expected.spans.keys()
                ),
                lambda: bridge.said,
            )
            assert bridge.stop() == 0
        received = received_by(endpoint)
    assert received.bare_spans == expected.bare_spans
    assert received.logs.keys() == expected.logs.keys()
    assert received.totals == {
        series: (pytest.approx(total), count, buckets) for series, (total, count, buckets) in expected.totals.items()
    }


def test_a_request_that_is_sent_again_is_acknowledged_and_counted_once(tmp_path: Path) -> None:
    recording = otlp_copies(1)
    home = Home(tmp_path / "home")
    with Bridge(home) as bridge:
        exporters = [
            threading.Thread(target=lambda: [post(bridge.endpoint, body) for body in recording.otlp_logs])
            for _ in range(3)
        ]
        for exporter in exporters:
            exporter.start()
        for exporter in exporters:
            exporter.join()
        bridge.kill()
        bridge.start()
        for body in recording.otlp_logs:
            assert post(bridge.endpoint, body)[0] == 200
        expected = expected_of(recording, tmp_path / "recording")
        wait_until(lambda: Received.in_files(home.telemetry).spans.keys() >= expected.spans.keys(), lambda: bridge.said)
        assert bridge.stop() == 0
    received = Received.in_files(home.telemetry)
    assert_tells(received, expected)
    counts = {(count["kind"], count["source"]): count["count"] for count in home.status()["counts"]}
    assert counts["received", "otlp"] == len(recording.otlp_logs)
    assert counts["duplicate", "otlp"] >= 3 * len(recording.otlp_logs)


def test_metrics_and_traces_that_cline_sends_are_taken_counted_and_dropped(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with Bridge(home) as bridge:
        body = b'{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m"},{"name":"n"}]}]}]}'
        assert post(bridge.endpoint, body, signal="metrics")[0] == 200
        body = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"s"}]}]}]}'
        assert post(bridge.endpoint, body, signal="traces")[0] == 200
        assert bridge.stop() == 0
    shown = home.run("status").stdout
    assert "Cline's own metrics and traces, not read" in shown
    counts = {count["name"]: count["count"] for count in home.status()["counts"]}
    # Requests, because nothing of them is decoded.
    assert counts == {"metrics": 1, "traces": 1}
    assert not (home.telemetry / "traces.jsonl").exists()


@pytest.mark.parametrize("is_running", [True, False], ids=["while it runs", "while it is stopped"])
def test_a_log_that_is_rotated_is_read_to_its_end_and_on(tmp_path: Path, is_running: bool) -> None:
    recording = log_copies(2)
    middle = len(recording.cline_log) // 2 - 7
    home = Home(tmp_path / "home")
    give_log(home, Recording((), recording.cline_log[: middle - 5], ()))
    with Bridge(home) as bridge:
        wait_until(lambda: home.counted("received", "cline-log") == middle - 5, lambda: bridge.said)
        if not is_running:
            assert bridge.stop() == 0
        with home.cline_log.open("ab") as log:
            log.write(joined(recording.cline_log[middle - 5 : middle]))
        home.cline_log.rename(home.cline_log.with_name("cline.log.1"))
        home.cline_log.write_bytes(joined(recording.cline_log[middle:]))
        if not is_running:
            bridge.start()
        expected = expected_of(recording, tmp_path / "recording")
        wait_until(lambda: Received.in_files(home.telemetry).logs.keys() >= expected.logs.keys(), lambda: bridge.said)
        assert bridge.stop() == 0
    received = Received.in_files(home.telemetry)
    assert_tells(received, expected)
    (log_status,) = [source for source in home.status()["sources"] if source["source"] == "cline-log"]
    assert (log_status["received"], log_status["unread_bytes"]) == (len(recording.cline_log), 0)


def test_the_spool_of_a_process_that_is_gone_is_deleted_once_it_is_read(tmp_path: Path) -> None:
    recording = example_copies(1)
    home = Home(tmp_path / "home")
    home.spool.mkdir(parents=True)
    with WritingProcess() as cline:
        spool = home.spool / cline.spool_name()
        spool.write_bytes(joined(recording.spool[:-1]))
        with Bridge(home) as bridge:
            wait_until(lambda: len(Received.in_files(home.telemetry).spans) > 0, lambda: bridge.said)
            assert spool.exists()
            with spool.open("ab") as file:
                file.write(joined(recording.spool[-1:]))
            cline.end()
            wait_until(lambda: not spool.exists(), lambda: bridge.said)
            expected = expected_of(Recording(recording.spool), tmp_path / "recording")
            wait_until(lambda: len(Received.in_files(home.telemetry).spans) == len(expected.spans), lambda: bridge.said)
            assert bridge.stop() == 0
    assert Received.in_files(home.telemetry).bare_spans == expected.bare_spans


def test_a_file_that_cannot_be_read_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    give_log(home, log_copies(1))
    home.spool.parent.mkdir()
    home.spool.write_text("in the way")
    with Bridge(home) as bridge:
        said = bridge.wait_for_line("warning: cannot read")
        assert str(home.spool) in said
        wait_until(lambda: len(Received.in_files(home.telemetry).spans) > 0, lambda: bridge.said)
        home.spool.unlink()
        assert bridge.stop() == 0
    assert sum("cannot read" in line for line in bridge.lines) == 1
