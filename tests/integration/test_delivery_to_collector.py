"""What the bridge encodes and sends is what a real collector writes, whatever happens to the collector."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from cline_otel.destinations import Compression, FileDestination, OtlpDestination, OtlpProtocol
from cline_otel.export.backoff import Backoff
from cline_otel.export.delivery import QueuedSignal
from cline_otel.export.delivery_loop import BatchLimits, DeliveryLoop
from cline_otel.export.interface import Batch, Delivered, EncodedRequest, Exporter, ExportResult, MetricSnapshot
from cline_otel.export.metric_reader import PeriodicMetricReader
from cline_otel.export.otlp_file import OtlpFileExporter
from cline_otel.export.otlp_grpc import OtlpGrpcExporter
from cline_otel.export.otlp_http import OtlpHttpExporter
from cline_otel.journal import Commit, Journal, OutboxItem
from waiting import PATIENCE_SECONDS

from .bridge_telemetry import encoded_run, parsed
from .collector import BASE_CONFIGURATION, FILES_CONFIGURATION, QUICK_FLUSH, Collector
from .comparison import Told, told_by
from .transport import SIGNALS, Signal

pytestmark = pytest.mark.collector

MANNERS: Final[list[tuple[OtlpProtocol, Compression]]] = [
    ("http/protobuf", "none"),
    ("http/protobuf", "gzip"),
    ("http/protobuf", "deflate"),
    ("http/json", "none"),
    ("http/json", "gzip"),
    ("grpc", "none"),
    ("grpc", "gzip"),
]

# A collector that acknowledges only what it has written: no batch in memory, no buffer before the file.
SYNCHRONOUS: Final = [
    override
    for signal in SIGNALS
    for override in (
        f"service::pipelines::{signal}::processors: [memory_limiter, redaction]",
        f"exporters::file/{signal}::append: false",
        f"exporters::file/{signal}::rotation::max_megabytes: 1000",
    )
]

QUICK_BACKOFF: Final = Backoff(initial_seconds=0.01, maximum_seconds=0.05)


def exporter_to(
    collector: Collector, signal: Signal, protocol: OtlpProtocol, compression: Compression = "none"
) -> OtlpHttpExporter | OtlpGrpcExporter:
    if protocol == "grpc":
        return OtlpGrpcExporter(
            OtlpDestination(
                signal=signal, protocol=protocol, endpoint=collector.grpc_target, insecure=True, compression=compression
            )
        )
    endpoint = f"{collector.http_endpoint}/v1/{signal}"
    return OtlpHttpExporter(
        OtlpDestination(signal=signal, protocol=protocol, endpoint=endpoint, compression=compression)
    )


def rows(payloads: list[bytes]) -> list[EncodedRequest]:
    return [EncodedRequest(payload, 1, id=number) for number, payload in enumerate(payloads, start=1)]


@pytest.mark.parametrize(("protocol", "compression"), MANNERS)
async def test_what_is_sent_comes_out_the_same(
    collector: Collector, protocol: OtlpProtocol, compression: Compression
) -> None:
    for signal in SIGNALS:
        exporter = exporter_to(collector, signal, protocol, compression)
        assert await exporter.export(Batch(rows([encoded_run(signal, 1)]))) == Delivered()
        await exporter.close()
    collector.stop()
    for signal in SIGNALS:
        assert collector.told(signal) == told_by(parsed(signal, [encoded_run(signal, 1)])) != []


@pytest.mark.parametrize("protocol", ["http/protobuf", "http/json", "grpc"])
@pytest.mark.parametrize("signal", ["traces", "logs"])
async def test_rows_that_travel_together_tell_what_they_tell_alone(
    collector: Collector, protocol: OtlpProtocol, signal: Signal
) -> None:
    payloads = [encoded_run(signal, number) for number in range(1, 20)]
    exporter = exporter_to(collector, signal, protocol)
    assert await exporter.export(Batch(rows(payloads))) == Delivered()
    await exporter.close()
    collector.stop()
    assert collector.told(signal) == told_by(parsed(signal, payloads))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "state" / "journal.db") as opened:
        yield opened


class Interrupted:
    """An exporter whose collector ends while a request is under way, and is back two attempts later."""

    def __init__(self, exporter: Exporter, collector: Collector, end: Callable[[], None], every: int) -> None:
        self._exporter = exporter
        self._collector = collector
        self._end = end
        self._every = every
        self._calls = 0
        self._back_at = 0
        self.interruptions = 0
        self.failed: set[int] = set()

    @property
    def description(self) -> str:
        return self._exporter.description

    async def export(self, batch: Batch) -> ExportResult:
        self._calls += 1
        if self._back_at and self._calls >= self._back_at:
            self._back_at = 0
            await asyncio.to_thread(self._collector.start)
        if not self._back_at and self._calls % self._every == 0:
            self._back_at = self._calls + 2
            self.interruptions += 1
            result, _ = await asyncio.gather(self._exporter.export(batch), asyncio.to_thread(self._end))
        else:
            result = await self._exporter.export(batch)
        if not isinstance(result, Delivered):
            self.failed |= set(batch.row_ids)
        return result

    def abort(self) -> None:
        self._exporter.abort()

    async def close(self) -> None:
        await self._exporter.close()


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("signal", ["traces", "logs"])
@pytest.mark.parametrize("ending", ["stop", "kill"])
async def test_a_collector_that_ends_in_mid_stream_loses_nothing_and_doubles_only_what_it_had_not_acknowledged(
    make_collector: Callable[..., Collector],
    journal: Journal,
    protocol: OtlpProtocol,
    signal: QueuedSignal,
    ending: str,
) -> None:
    collector = make_collector(overrides=SYNCHRONOUS if ending == "kill" else QUICK_FLUSH).start()
    payloads = [encoded_run(signal, number) for number in range(1, 61)]
    # One transaction, so that the ids are those of the payloads' order.
    journal.commit(Commit(outbox=[OutboxItem(signal, payload, 1) for payload in payloads]))
    exporter = Interrupted(exporter_to(collector, signal, protocol), collector, getattr(collector, ending), every=10)
    delivery = DeliveryLoop(signal, journal, exporter, limits=BatchLimits(rows=2), backoff=QUICK_BACKOFF)
    assert await delivery.drain(PATIENCE_SECONDS)
    await exporter.close()
    collector.stop()
    assert exporter.interruptions >= 3

    told = Counter(collector.told(signal))
    assert set(told) == set(told_by(parsed(signal, payloads)))
    doubled = {item for item, count in told.items() if count > 1}
    unacknowledged = [payloads[row_id - 1] for row_id in exporter.failed]
    assert doubled <= set(told_by(parsed(signal, unacknowledged)))
    status = journal.status().signals[signal]
    assert (status.delivered_items, status.pending_items, status.refused_items) == (len(payloads), 0, 0)


async def test_what_was_queued_while_no_collector_was_there_arrives_once_one_is(
    collector: Collector, journal: Journal
) -> None:
    collector.kill()
    payloads = [encoded_run("traces", number) for number in range(1, 4)]
    journal.commit(Commit(outbox=[OutboxItem("traces", payload, 1) for payload in payloads]))
    exporter = exporter_to(collector, "traces", "http/protobuf")
    before = DeliveryLoop("traces", journal, exporter, backoff=Backoff(initial_seconds=3600))
    assert not await before.drain(0.5)
    collector.start()
    assert await DeliveryLoop("traces", journal, exporter, backoff=QUICK_BACKOFF).drain(PATIENCE_SECONDS)
    await exporter.close()
    collector.stop()
    assert collector.told("traces") == told_by(parsed("traces", payloads))


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
async def test_lost_totals_are_healed_by_the_next(
    collector: Collector, journal: Journal, protocol: OtlpProtocol
) -> None:
    exporter = exporter_to(collector, "metrics", protocol)

    async def flush(runs: int, deadline_seconds: float) -> bool:
        newest = MetricSnapshot([EncodedRequest(encoded_run("metrics", runs), 1)], runs, {})
        reader = PeriodicMetricReader(
            lambda: newest,
            lambda at_ns, totals: None,
            exporter,
            journal,
            interval_seconds=3600,
            backoff=QUICK_BACKOFF,
        )
        return await reader.drain(deadline_seconds)

    assert await flush(1, PATIENCE_SECONDS)
    collector.stop()
    assert not await flush(2, 0.2)
    collector.start()
    assert await flush(3, PATIENCE_SECONDS)
    await exporter.close()
    collector.stop()
    sent = [encoded_run("metrics", runs) for runs in (1, 3)]
    assert collector.told("metrics") == told_by(parsed("metrics", sent))


def read_by_file_receiver(
    make_collector: Callable[..., Collector], directory: Path, signal: Signal, count: int
) -> list[Told]:
    reader = make_collector(
        configurations=[BASE_CONFIGURATION, FILES_CONFIGURATION],
        overrides=QUICK_FLUSH,
        environment={"CLINE_OTEL_COLLECTOR_INPUT_DIR": str(directory)},
    ).start()
    reader.wait_for(signal, count)
    reader.stop()
    return reader.told(signal)


@pytest.mark.parametrize("signal", SIGNALS)
async def test_our_json_lines_are_read_back_by_the_collectors_file_receiver(
    make_collector: Callable[..., Collector], tmp_path: Path, signal: Signal
) -> None:
    payloads = [encoded_run(signal, number) for number in range(1, 4)]
    exporter = OtlpFileExporter(FileDestination(signal, tmp_path / "files"))
    for payload in payloads:
        assert await exporter.export(Batch(rows([payload]))) == Delivered()
    await exporter.close()
    expected = told_by(parsed(signal, payloads))
    assert read_by_file_receiver(make_collector, tmp_path / "files", signal, len(expected)) == expected


async def test_the_longest_line_we_write_is_read_back_by_the_collectors_file_receiver(
    make_collector: Callable[..., Collector], tmp_path: Path
) -> None:
    payloads: list[bytes] = []
    while sum(map(len, payloads)) < BatchLimits().size_bytes:
        payloads.append(encoded_run("traces", len(payloads)))
    exporter = OtlpFileExporter(FileDestination("traces", tmp_path / "files"))
    assert await exporter.export(Batch(rows(payloads))) == Delivered()
    await exporter.close()
    expected = told_by(parsed("traces", payloads))
    assert read_by_file_receiver(make_collector, tmp_path / "files", "traces", len(expected)) == expected
