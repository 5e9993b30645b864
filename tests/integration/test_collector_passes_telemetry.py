"""What is sent to the collector is what it writes."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable

import pytest

from waiting import PATIENCE_SECONDS

from .collector import BASE_CONFIGURATION, FILES_CONFIGURATION, QUICK_FLUSH, Collector
from .comparison import told_by
from .official_telemetry import official_requests
from .transport import SIGNALS, TRANSPORTS, Transport, carry

pytestmark = pytest.mark.collector


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_what_the_official_encoder_serialises_comes_out_the_same(collector: Collector, transport: Transport) -> None:
    requests = official_requests()
    for signal, request in requests.items():
        carry(transport, collector.http_endpoint, collector.grpc_target, signal, request.SerializeToString())
    collector.stop()
    for signal, request in requests.items():
        assert told_by([request])
        assert collector.told(signal) == told_by([request])


def test_a_collector_started_again_adds_to_what_it_wrote_before(collector: Collector) -> None:
    sent = []
    for _ in range(2):
        request = official_requests()["traces"]
        sent.append(request)
        carry("http", collector.http_endpoint, collector.grpc_target, "traces", request.SerializeToString())
        collector.stop()
        collector.start()
    assert told_by(collector.traces()) == told_by(sent)


def test_a_collector_started_again_keeps_its_addresses(collector: Collector) -> None:
    before = (collector.http_endpoint, collector.grpc_endpoint, collector.health_endpoint)
    collector.kill()
    assert (collector.start().http_endpoint, collector.grpc_endpoint, collector.health_endpoint) == before


def test_the_health_check_says_that_the_collector_is_available(collector: Collector) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(collector.health_endpoint, timeout=PATIENCE_SECONDS) as response:
        assert json.load(response)["status"] == "Server available"


def test_the_files_it_writes_are_read_back_by_the_file_receiver(
    collector: Collector, make_collector: Callable[..., Collector]
) -> None:
    requests = official_requests()
    for signal, request in requests.items():
        carry("http", collector.http_endpoint, collector.grpc_target, signal, request.SerializeToString())
    collector.stop()
    reader = make_collector(
        configurations=[BASE_CONFIGURATION, FILES_CONFIGURATION],
        overrides=QUICK_FLUSH,
        environment={"CLINE_OTEL_COLLECTOR_INPUT_DIR": str(collector.output)},
    ).start()
    for signal in SIGNALS:
        reader.wait_for(signal, len(collector.told(signal)))
        assert reader.told(signal) == collector.told(signal)
