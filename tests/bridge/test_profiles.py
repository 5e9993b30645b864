"""A running bridge exports under the names of its profile, and another profile goes on with the same totals."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.fixed_key import KEY
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from cline_otel.catalogue.load import load
from cline_otel.prices.library import LIBRARY
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import Pseudonyms
from cline_otel.replay import replay
from cline_otel.sources.recording import read_recording
from integration.otlp_json import requests_from_lines
from waiting import wait_until

from .feeding import post
from .process import Bridge, Home
from .received import Received
from .workload import WritingProcess, example_copies, otlp_copies

VARIABLE = "CLINE_OTEL_BRIDGE_PROFILE"
POLICY = Policy(pseudonyms=Pseudonyms(KEY))


@pytest.mark.parametrize("profile", ["claude_code", "genai-main"])
def test_what_a_bridge_exports_is_what_a_replay_under_its_profile_makes(profile: str, tmp_path: Path) -> None:
    recording = example_copies(2)
    recording.replayed(tmp_path / "recording")
    of_replay = replay(read_recording([tmp_path / "recording"]), load(POLICY, prices=LIBRARY, profile=profile)).requests
    expected = Received.in_requests(of_replay)
    home = Home(tmp_path / "home")
    home.cline_log.parent.mkdir(parents=True)
    home.cline_log.write_bytes((tmp_path / "recording" / "cline.log").read_bytes())
    home.spool.mkdir(parents=True)
    with WritingProcess() as cline:
        (home.spool / cline.spool_name()).write_bytes(b"".join(line + b"\n" for line in recording.spool))
        with Bridge(home, environment={VARIABLE: profile}) as bridge:
            wait_until(lambda: Received.in_files(home.telemetry).logs.keys() >= expected.logs.keys(), "logs")
            assert bridge.stop() == 0
    received = Received.in_files(home.telemetry)
    assert received.spans.keys() == expected.spans.keys()
    assert received.logs.keys() == expected.logs.keys()
    assert received.totals == expected.totals


def test_another_profile_goes_on_with_the_totals_that_there_are(tmp_path: Path) -> None:
    home = Home(tmp_path)
    newest: list[dict[str, float]] = []
    for number, profile in enumerate(("semconv-1.41", "claude_code", "semconv-1.41")):
        with Bridge(home, environment={VARIABLE: profile}) as bridge:
            before = len(Received.in_files(home.telemetry).spans)
            for body in otlp_copies(1, number).otlp_logs:
                post(bridge.endpoint, body)
            wait_until(lambda before=before: len(Received.in_files(home.telemetry).spans) > before, "its spans")
            assert bridge.stop() == 0
        request = [*requests_from_lines(home.telemetry / "metrics.jsonl", ExportMetricsServiceRequest)][-1]
        newest.append(
            {
                metric.name: sum(point.as_int for point in metric.sum.data_points if point.as_int)
                for metric in request.resource_metrics[0].scope_metrics[0].metrics
                if metric.name in ("cline.sessions", "claude_code.session.count")
            }
        )
    names = ["cline.sessions", "claude_code.session.count", "cline.sessions"]
    assert [list(totals) for totals in newest] == [[name] for name in names]
    (first, second, third) = [next(iter(totals.values())) for totals in newest]
    assert 0 < first < second < third
