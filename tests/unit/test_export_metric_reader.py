"""The newest metric totals go out, at every interval and once more at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from cline_otel.export.interface import (
    Batch,
    Delivered,
    EncodedRequest,
    ExportResult,
    MetricSnapshot,
    Paused,
    Refused,
    Retry,
)
from cline_otel.export.metric_reader import PeriodicMetricReader
from cline_otel.signals import MetricTotal
from scripted_exporter import ScriptedExporter
from waiting import PATIENCE_SECONDS, eventually, patience

TOTAL, NOTHING = MetricTotal("calls", (), 3), MetricTotal("calls", (), 0)


class StuckExporter(ScriptedExporter):
    """Never answers."""

    async def export(self, batch: Batch) -> ExportResult:
        self.requests.append(batch.payload)
        await asyncio.Event().wait()
        raise AssertionError


class Waits:
    """A clock that does not wait, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def snapshot(*payloads: bytes, points: int = 2) -> MetricSnapshot:
    return MetricSnapshot([EncodedRequest(payload, points) for payload in payloads], 1, {})


def reader(
    exporter: ScriptedExporter,
    record: Record,
    waits: Waits,
    confirm: Callable[[int, Mapping[str, MetricTotal]], None] = lambda at_ns, totals: None,
    **more: float,
) -> PeriodicMetricReader:
    numbers = iter(range(100_000))
    return PeriodicMetricReader(
        lambda: snapshot(b"%d" % next(numbers)),
        confirm,
        exporter,
        record,
        interval_seconds=60,
        sleep=waits.sleep,
        **more,
    )


class Record:
    """Keeps what is noted of deliveries and failures."""

    def __init__(self) -> None:
        self.delivered = 0
        self.rejected = 0
        self.messages: list[str] = []
        self.failures: list[tuple[str, str]] = []

    def record_delivered(self, signal: str, *, delivered: int, rejected: int = 0, message: str = "") -> None:
        assert signal == "metrics"
        self.delivered += delivered
        self.rejected += rejected
        self.messages.append(message)

    def record_failure(self, signal: str, *, reason: str, remedy: str = "") -> None:
        assert signal == "metrics"
        self.failures.append((reason, remedy))


async def test_the_newest_totals_go_out_at_every_interval_and_lost_ones_are_not_repeated() -> None:
    waits, record = Waits(), Record()
    exporter = ScriptedExporter(Retry("503"), Paused("401", "key"), Delivered())
    task = reader(exporter, record, waits).start()
    await eventually(lambda: len(exporter.taken) >= 2)
    task.cancel()
    assert exporter.requests[:4] == [b"0", b"1", b"2", b"3"]
    assert waits.seconds[:4] == [60] * 4
    assert record.failures == [("503", ""), ("401", "key")]
    assert record.delivered == 2 * len(exporter.taken)


async def test_draining_sends_the_newest_totals_once_more_and_insists() -> None:
    exporter = ScriptedExporter(Retry("503"), Retry("503", 0), Retry("503", 9), Delivered())
    waiting, waits = asyncio.Event(), list[float]()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        if seconds == 60:
            waiting.set()
            await asyncio.Event().wait()

    newest = snapshot(b"x", points=1)
    loop = PeriodicMetricReader(
        lambda: newest,
        lambda at_ns, totals: None,
        exporter,
        Record(),
        interval_seconds=60,
        sleep=sleep,
        random=lambda: 0.5,
    )
    task = loop.start()
    async with patience():
        await waiting.wait()
    assert await loop.drain(PATIENCE_SECONDS)
    assert exporter.taken == [b"x"]
    assert waits == [60, 1, 2, 9], "a wait of 0 is none of ours, a longer one is kept to"
    assert task.cancelled()


async def test_a_wait_that_is_longer_than_the_interval_is_kept_to_and_over_with_the_next_answer() -> None:
    waits, exporter = Waits(), ScriptedExporter(Retry("429", 300), Retry("429", 0), Delivered())
    task = reader(exporter, Record(), waits).start()
    await eventually(lambda: exporter.taken)
    task.cancel()
    assert waits.seconds[:3] == [60, 300, 60]


async def test_draining_tells_whether_the_destination_has_the_totals() -> None:
    held = ScriptedExporter(Paused("401", "key"))
    assert not await reader(held, Record(), Waits()).drain(PATIENCE_SECONDS)
    assert await reader(ScriptedExporter(Delivered()), Record(), Waits()).drain(PATIENCE_SECONDS)
    assert not await reader(StuckExporter(Delivered()), Record(), Waits()).drain(0.01)
    nothing = PeriodicMetricReader(lambda: None, lambda at_ns, totals: None, held, Record(), interval_seconds=60)
    assert await nothing.drain(PATIENCE_SECONDS), "where there are no totals there is nothing to send"


async def test_a_snapshot_is_confirmed_when_all_of_its_requests_are_taken_and_only_then() -> None:
    newest, confirmed = MetricSnapshot([EncodedRequest(b"a", 1), EncodedRequest(b"b", 1)], 7, {"s": TOTAL}), []
    exporter = ScriptedExporter(Delivered(), Paused("401", "key"), Delivered())
    loop = PeriodicMetricReader(
        lambda: newest, lambda *told: confirmed.append(told), exporter, Record(), interval_seconds=60
    )
    assert not await loop.drain(PATIENCE_SECONDS)
    assert (exporter.requests, confirmed) == ([b"a", b"b"], [])
    assert await loop.drain(PATIENCE_SECONDS)
    assert confirmed == [(7, {"s": TOTAL})]


async def test_what_is_refused_with_points_zero_goes_out_without_them() -> None:
    snapshots = [
        MetricSnapshot([EncodedRequest(b"with zero", 2)], 7, {"s": TOTAL}, {"s": NOTHING}),
        MetricSnapshot([EncodedRequest(b"without", 1)], 8, {"s": TOTAL}),
    ]
    exporter, confirmed = ScriptedExporter(Refused("out of order"), Delivered()), []
    loop = PeriodicMetricReader(
        lambda: snapshots.pop(0), lambda *told: confirmed.append(told), exporter, Record(), interval_seconds=60
    )
    assert await loop.drain(PATIENCE_SECONDS)
    assert exporter.requests == [b"with zero", b"without"]
    assert confirmed == [(7, {"s": NOTHING}), (8, {"s": TOTAL})]


async def test_a_stuck_destination_does_not_stop_the_interval_for_good() -> None:
    stuck, record = StuckExporter(Delivered()), Record()
    task = reader(stuck, record, Waits(), timeout_seconds=0.01).start()
    await eventually(lambda: len(stuck.requests) >= 2)
    task.cancel()
    assert "not accepted within" in record.failures[0][0]


async def test_a_partial_success_is_counted_with_its_rejections() -> None:
    record = Record()
    assert await reader(ScriptedExporter(Delivered(1, "unit unknown")), record, Waits()).drain(PATIENCE_SECONDS)
    assert (record.delivered, record.rejected, record.messages) == (1, 1, ["unit unknown"])
