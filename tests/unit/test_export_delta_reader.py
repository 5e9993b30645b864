"""Growth is queued and delivered at least once: as it was while its fate is unknown, as of now once it was refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from cline_otel.export.backoff import Backoff
from cline_otel.export.delta_reader import DeltaMetricReader, DeltaOutbox
from cline_otel.export.interface import Batch, Delivered, ExportResult, Refused, Retry
from cline_otel.journal import Journal
from cline_otel.journal.metric_marks import MetricMarks
from scripted_exporter import ScriptedExporter
from waiting import PATIENCE_SECONDS, eventually

SECOND_NS = 1_000_000_000
QUICK = Backoff(initial_seconds=0.001, maximum_seconds=0.002)


class Formed:
    """A destination's requests, and a clock that stands still unless it is moved."""

    def __init__(self, journal: Journal) -> None:
        self.marks = MetricMarks(journal)
        self.now_ns = 1_000 * SECOND_NS
        self.outbox = DeltaOutbox(self.marks, "d", journal, 60.0, lambda: self.now_ns)
        self.number = 0

    def form(self) -> None:
        if self.marks.waiting("d") is None:
            self.number += 1
            self.marks.tell("d", self.now_ns, {}, [(request(self.number, self.now_ns), 1)])


def request(value: int, at_ns: int) -> bytes:
    message = ExportMetricsServiceRequest()
    metric = message.resource_metrics.add().scope_metrics.add().metrics.add(name="calls")
    metric.sum.data_points.add(start_time_unix_nano=1, time_unix_nano=at_ns, as_int=value)
    return message.SerializeToString(deterministic=True)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as journal:
        yield journal


async def drained(formed: Formed, exporter: ScriptedExporter) -> bool:
    reader = DeltaMetricReader(formed.form, formed.outbox, exporter, interval_seconds=60.0, backoff=QUICK)
    return await reader.drain(PATIENCE_SECONDS)


async def test_an_unanswered_request_goes_out_again_byte_for_byte_however_late(journal: Journal) -> None:
    formed, exporter = Formed(journal), ScriptedExporter(Retry("no answer", 0), Retry("no answer", 0), Delivered())
    formed.form()
    formed.now_ns += 86_400 * SECOND_NS
    assert await drained(formed, exporter)
    assert exporter.requests == [request(1, 1_000 * SECOND_NS)] * 3
    assert journal.status().signals["metrics"].delivered_items == 1


@pytest.mark.parametrize("refusal", [Refused("too old"), Delivered(1, "too old")])
async def test_one_that_waited_and_is_refused_is_formed_again_as_of_now(
    journal: Journal, refusal: ExportResult
) -> None:
    formed, exporter = Formed(journal), ScriptedExporter(refusal, Delivered())
    formed.form()
    formed.now_ns += 61 * SECOND_NS
    assert await drained(formed, exporter)
    assert exporter.requests == [request(1, 1_000 * SECOND_NS), request(1, 1_061 * SECOND_NS)]
    status = journal.status().signals["metrics"]
    assert (status.delivered_items, status.refused_items) == (1, 0)
    assert formed.marks.destinations() == {"d": 1_061 * SECOND_NS}, "the next begins where this one ends now"


async def test_one_point_that_keeps_all_others_waiting_is_put_aside_after_ten_intervals(journal: Journal) -> None:
    formed = Formed(journal)

    class Refusing(ScriptedExporter):
        async def export(self, batch: Batch) -> ExportResult:
            result = await super().export(batch)
            formed.now_ns += 59 * SECOND_NS if isinstance(result, Refused) else 0
            return result

    exporter = Refusing(*[Refused("bad")] * 14, Delivered())
    formed.form()
    assert await drained(formed, exporter)
    assert journal.status().signals["metrics"].refusals == {"bad": 1}
    assert 10 < len(exporter.requests) <= 14
    exporter.answers = [Delivered()]
    assert await drained(formed, exporter)
    status = journal.status().signals["metrics"]
    assert (status.delivered_items, status.refused_items) == (1, 1)


async def test_only_the_point_that_is_refused_is_put_aside(journal: Journal) -> None:
    formed = Formed(journal)
    whole = ExportMetricsServiceRequest()
    for value in range(1, 8):
        whole.MergeFromString(request(value, formed.now_ns))
    formed.marks.tell("d", formed.now_ns, {}, [(whole.SerializeToString(), 7)])

    class Picky(ScriptedExporter):
        async def export(self, batch: Batch) -> ExportResult:
            self.requests.append(batch.payload)
            return Refused("bad") if 5 in values(batch.payload) else Delivered()

    assert await drained(formed, exporter := Picky())
    status = journal.status().signals["metrics"]
    assert (status.delivered_items, status.refusals) == (6, {"bad": 1})
    assert len(exporter.requests) < 10


def values(payload: bytes) -> list[int]:
    metrics = ExportMetricsServiceRequest.FromString(payload)
    return [entry.scope_metrics[0].metrics[0].sum.data_points[0].as_int for entry in metrics.resource_metrics]


async def test_a_series_next_request_leaves_after_the_one_before_it(journal: Journal) -> None:
    formed, exporter = Formed(journal), ScriptedExporter(Delivered())
    formed.marks.tell("d", formed.now_ns, {}, [(request(value, formed.now_ns), 1) for value in (7, 8, 9)])
    assert await drained(formed, exporter)
    assert exporter.requests == [request(value, 1_000 * SECOND_NS) for value in (7, 8, 9)]


async def test_growth_is_formed_and_sent_at_every_interval_but_not_while_off(journal: Journal) -> None:
    formed, exporter = Formed(journal), ScriptedExporter(Delivered())
    intervals: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(seconds: float) -> None:
        await intervals.get()

    reader = DeltaMetricReader(formed.form, formed.outbox, exporter, interval_seconds=60.0, sleep=sleep)
    task = reader.start()
    for number in (1, 2):
        intervals.put_nowait(None)
        await eventually(lambda: len(exporter.requests) >= number)  # noqa: B023 - awaited at once
    reader.pause()
    intervals.put_nowait(None)
    await eventually(intervals.empty)
    assert formed.number == 2
    reader.resume()
    intervals.put_nowait(None)
    await eventually(lambda: len(exporter.requests) >= 3)
    assert await reader.drain(PATIENCE_SECONDS)
    await asyncio.wait({task})
