"""``demo``: a bundled run, drawn and written; sent only where an endpoint says so."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bridge.endpoint import Endpoint
from bridge.process import Home
from bridge.received import Received
from integration.otlp_json import requests_from_lines


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_the_demo_draws_the_trace_and_says_where_the_files_lie(home: Home) -> None:
    answer = home.run("demo")
    assert answer.returncode == 0, answer.stderr
    output = home.state / "demo"
    for part in (
        "invoke_agent cline",
        "execute_tool spawn_agent",
        "command_failed",
        "gen_ai.client.token.usage",
        "cline.cost",
        *(str(output / f"{signal}.jsonl") for signal in ("traces", "metrics", "logs")),
        "Nothing left this machine",
    ):
        assert part in answer.stdout, part
    received = Received.in_files(output)
    assert len(received.spans) == 23
    assert received.logs
    assert received.totals


def test_the_demo_happened_just_now(home: Home) -> None:
    before_ns = time.time_ns()
    assert home.run("demo").returncode == 0
    (request,) = requests_from_lines(home.state / "demo" / "traces.jsonl", ExportTraceServiceRequest)
    ends = [span.end_time_unix_nano for span in request.resource_spans[0].scope_spans[0].spans]
    assert before_ns - 60 * 10**9 < max(ends) <= time.time_ns()


def test_with_an_endpoint_it_sends_traces_and_logs_there_and_no_metrics(home: Home) -> None:
    with Endpoint() as endpoint:
        answer = home.run("demo", environment={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url})
        assert answer.returncode == 0, answer.stderr
        assert endpoint.asked == {"traces": 1, "metrics": 0, "logs": 1}
        sent, files = Received(endpoint.traces(), [], endpoint.logs()), Received.in_files(home.state / "demo")
        assert (sent.spans, sent.logs) == (files.spans, files.logs)
        assert f"Sent 23 spans: OTLP http/protobuf to {endpoint.url}/v1/traces" in answer.stdout
        assert "Nothing left this machine" not in answer.stdout


def test_an_endpoint_that_fails_leaves_the_trace_drawn_and_the_files_written(home: Home) -> None:
    with Endpoint() as endpoint:
        answer = home.run("demo", environment={"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.url})
    assert answer.returncode == 1
    assert "invoke_agent cline" in answer.stdout
    assert len(Received.in_files(home.state / "demo").spans) == 23
