"""While telemetry is off nothing is sent, and what was being sent stays queued."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from bench.fixed_key import CATALOGUE

from cline_otel.destinations import Destination, ExportSettings, FileDestination, OtlpDestination, SdkDestination
from cline_otel.encode.resource_and_scope import ResourceAndScope
from cline_otel.export.delivery import Delivery
from cline_otel.export.delivery_loop import DeliveryLoop
from cline_otel.export.exporters import Exporters
from cline_otel.export.interface import Batch, Delivered, EncodedRequest, ExporterError, ExportResult, MetricSnapshot
from cline_otel.export.metric_reader import PeriodicMetricReader
from cline_otel.journal import Commit, Journal, OutboxItem
from cline_otel.journal.metric_marks import MetricMarks
from cline_otel.metric_producer import MetricProducer
from cline_otel.pipeline import Pipeline
from cline_otel.signals import SignalName
from waiting import PATIENCE_SECONDS, eventually, patience

ORIGIN = ResourceAndScope((), "cline-otel", "", "")


class Gate:
    """An exporter whose sends end when the test says so."""

    description = "a gate"

    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.taken: list[bytes] = []
        self.broken_off = 0
        self.began = asyncio.Event()
        self.open = asyncio.Event()

    async def export(self, batch: Batch) -> ExportResult:
        self.asked.append(batch.payload)
        self.began.set()
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.broken_off += 1
            raise
        self.taken.append(batch.payload)
        return Delivered()

    async def close(self) -> None:
        pass


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as journal:
        yield journal


def put(journal: Journal, *payloads: bytes) -> None:
    journal.commit(Commit(outbox=[OutboxItem("traces", payload, 1) for payload in payloads]))


async def turns(count: int = 50) -> None:
    """Lets everything that can run without waiting run."""
    for _ in range(count):
        await asyncio.sleep(0)


def loop_of(journal: Journal, exporter: Gate) -> DeliveryLoop:
    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0)

    return DeliveryLoop("traces", journal, exporter, sleep=sleep)


async def test_a_send_under_way_is_broken_off_and_its_rows_stay_queued(journal: Journal) -> None:
    put(journal, b"a")
    gate = Gate()
    loop = loop_of(journal, gate)
    loop.start()
    await gate.began.wait()
    loop.pause()
    await turns()
    assert (gate.broken_off, gate.taken) == (1, [])
    gate.open.set()
    put(journal, b"b")
    loop.notify()
    await turns()
    assert gate.asked == [b"a"]
    assert len(journal.pending("traces", limit_bytes=100, limit_rows=10)) == 2
    loop.resume()
    await eventually(lambda: gate.taken == [b"ab"])
    assert await loop.drain(PATIENCE_SECONDS)


async def test_what_was_erased_while_off_is_not_sent_when_it_goes_on(journal: Journal) -> None:
    put(journal, b"erased")
    gate = Gate()
    loop = loop_of(journal, gate)
    loop.start()
    await gate.began.wait()
    loop.pause()
    assert journal.erase_pending() == 1
    gate.open.set()
    loop.resume()
    put(journal, b"new")
    loop.notify()
    await eventually(lambda: gate.taken)
    assert gate.taken == [b"new"]
    assert await loop.drain(PATIENCE_SECONDS)


async def test_stopping_while_off_sends_nothing_and_does_not_wait(journal: Journal) -> None:
    put(journal, b"a")
    gate = Gate()
    gate.open.set()
    for started in (False, True):
        loop = loop_of(journal, gate)
        loop.pause()
        if started:
            loop.start()
            await turns()
        assert not await loop.drain(1_000)
    assert gate.asked == []


async def test_going_off_during_the_last_sending_ends_it(journal: Journal) -> None:
    put(journal, b"a")
    gate = Gate()
    loop = loop_of(journal, gate)
    draining = asyncio.create_task(loop.drain(1_000))
    await gate.began.wait()
    loop.pause()
    async with patience():
        assert not await draining
    assert gate.taken == []


async def test_a_cancelled_loop_stays_cancelled_even_while_off(journal: Journal) -> None:
    put(journal, b"a")
    gate = Gate()
    loop = loop_of(journal, gate)
    task = loop.start()
    await gate.began.wait()
    loop.pause()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_metric_totals_are_neither_made_nor_sent_while_off(journal: Journal) -> None:
    gate = Gate()
    intervals: asyncio.Queue[None] = asyncio.Queue()
    made = 0

    def newest() -> MetricSnapshot:
        nonlocal made
        made += 1
        return MetricSnapshot([EncodedRequest(b"totals", 1)], 1, {})

    async def sleep(seconds: float) -> None:
        await intervals.get()

    reader = PeriodicMetricReader(newest, lambda at_ns, totals: None, gate, journal, interval_seconds=60, sleep=sleep)
    reader.start()
    intervals.put_nowait(None)
    await gate.began.wait()
    reader.pause()
    await turns()
    assert (gate.broken_off, gate.taken, made) == (1, [], 1)
    gate.open.set()
    intervals.put_nowait(None)
    await turns()
    assert made == 1
    assert journal.status().signals["metrics"].last_error == ""
    reader.resume()
    intervals.put_nowait(None)
    await eventually(lambda: gate.taken)
    reader.pause()
    assert not await reader.drain(1_000)
    assert gate.taken == [b"totals"]


class Endpoint:
    """An OTLP/HTTP endpoint that keeps what it takes; it answers nothing while ``is_silent``."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, bytes]] = []
        self.asked = 0
        self.is_silent = False
        self.port = 0
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)

    async def start(self) -> None:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        await self._runner.cleanup()

    def destinations(self, *signals: SignalName) -> dict[SignalName, tuple[Destination, ...]]:
        return {
            signal: (
                OtlpDestination(signal=signal, protocol="http/protobuf", endpoint=f"http://127.0.0.1:{self.port}/v1/x"),
            )
            for signal in signals
        }

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.asked += 1
        if self.is_silent:
            await asyncio.Event().wait()
        self.taken.append((request.headers.get("authorization", ""), body))
        return web.Response()


@pytest.fixture
async def endpoints() -> AsyncIterator[tuple[Endpoint, Endpoint]]:
    first, second = Endpoint(), Endpoint()
    await first.start()
    await second.start()
    yield first, second
    await first.stop()
    await second.stop()


def delivery_of(journal: Journal, destinations: dict[SignalName, tuple[Destination, ...]]) -> Delivery:
    marks = MetricMarks(journal)
    pipeline = Pipeline(CATALOGUE, ORIGIN, ORIGIN)
    producer = MetricProducer(marks, lambda: pipeline)
    return Delivery(journal, producer, marks, ExportSettings(destinations), Exporters(destinations))


async def test_what_waits_goes_to_the_new_destination(
    journal: Journal, endpoints: tuple[Endpoint, Endpoint], tmp_path: Path
) -> None:
    first, second = endpoints
    first.is_silent = True
    put(journal, b"a")
    delivery = delivery_of(journal, first.destinations("traces", "logs"))
    delivery.start()
    await eventually(lambda: first.asked)
    await delivery.replace(ExportSettings(second.destinations("traces")))
    await eventually(lambda: second.taken)
    assert second.taken == [("", b"a")]
    assert first.taken == []
    assert delivery.queued == {"traces"}
    assert any(str(second.port) in line for line in delivery.describe())
    await delivery.replace(ExportSettings({"logs": (FileDestination("logs", tmp_path),)}))
    assert delivery.queued == {"logs"}
    await delivery.drain(PATIENCE_SECONDS)
    await delivery.close()


async def test_a_destination_that_cannot_be_made_changes_nothing(
    journal: Journal, endpoints: tuple[Endpoint, Endpoint]
) -> None:
    first, _ = endpoints
    delivery = delivery_of(journal, first.destinations("traces"))
    delivery.start()
    with pytest.raises(ExporterError):
        await delivery.replace(ExportSettings({"traces": (SdkDestination("traces", "there-is-no-such-exporter"),)}))
    put(journal, b"a")
    delivery.notify()
    await eventually(lambda: first.taken)
    await delivery.close()


async def test_a_replacement_made_while_off_sends_nothing_until_it_is_on(
    journal: Journal, endpoints: tuple[Endpoint, Endpoint]
) -> None:
    first, second = endpoints
    put(journal, b"a")
    delivery = delivery_of(journal, first.destinations("traces"))
    delivery.pause()
    delivery.start()
    await delivery.replace(ExportSettings(second.destinations("traces")))
    delivery.notify()
    await turns()
    assert (first.asked, second.asked) == (0, 0)
    delivery.resume()
    await eventually(lambda: second.taken)
    assert first.asked == 0
    await delivery.close()


async def test_a_failure_of_the_queue_is_told_by_run(journal: Journal, endpoints: tuple[Endpoint, Endpoint]) -> None:
    delivery = delivery_of(journal, endpoints[0].destinations("traces"))
    delivery.start()
    journal.close()
    with pytest.raises(Exception, match="closed"):
        async with patience():
            await delivery.run()
    await delivery.close()
