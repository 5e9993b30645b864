"""What the delivery loop does with each result, over a real journal and without waiting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from cline_otel.export.backoff import Backoff
from cline_otel.export.delivery_loop import BatchLimits, DeliveryLoop
from cline_otel.export.fanout import FanoutExporter
from cline_otel.export.interface import Batch, Delivered, ExportResult, Paused, Refused, Retry
from cline_otel.journal import Commit, Journal, OutboxItem
from waiting import PATIENCE_SECONDS, eventually, patience

Answer = Callable[[list[bytes]], ExportResult]


class ScriptedExporter:
    """Answers by a function of the payloads of the batch's rows, and keeps what it was sent."""

    description = "a scripted exporter"

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[list[bytes]] = []
        self.taken: list[bytes] = []

    async def export(self, batch: Batch) -> ExportResult:
        payloads = [row.payload for row in batch.rows]
        assert batch.payload == b"".join(payloads)
        self.requests.append(payloads)
        await asyncio.sleep(0)
        result = self.answer(payloads)
        if isinstance(result, Delivered):
            self.taken += payloads
        return result

    async def close(self) -> None:
        pass


class Waits:
    """A clock that does not wait, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await asyncio.sleep(0)


def take(_: list[bytes]) -> ExportResult:
    return Delivered()


def first_then(first: Sequence[ExportResult], then: Answer = take) -> Answer:
    answers: Iterator[ExportResult] = iter(first)

    def answer(payloads: list[bytes]) -> ExportResult:
        return next(answers, None) or then(payloads)

    return answer


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as journal:
        yield journal


def put(journal: Journal, *payloads: bytes, items: int = 1) -> None:
    journal.commit(Commit(outbox=[OutboxItem("traces", payload, items) for payload in payloads]))


def loop_of(
    journal: Journal, exporter: ScriptedExporter | FanoutExporter, waits: Waits | None = None, **limits: int
) -> DeliveryLoop:
    return DeliveryLoop(
        "traces",
        journal,
        exporter,
        limits=BatchLimits(**limits),
        sleep=(waits or Waits()).sleep,
        random=lambda: 0.5,
    )


async def test_queued_rows_travel_together_in_order_and_leave_the_queue(journal: Journal) -> None:
    put(journal, b"a", b"b")
    put(journal, b"c", items=3)
    exporter = ScriptedExporter(take)
    assert await loop_of(journal, exporter).drain(PATIENCE_SECONDS)
    assert exporter.requests == [[b"a", b"b", b"c"]]
    assert journal.status().signals["traces"].delivered_items == 5


async def test_a_request_stays_within_the_limits(journal: Journal) -> None:
    put(journal, *[bytes([i]) * 10 for i in range(5)], b"x" * 100)
    exporter = ScriptedExporter(take)
    assert await loop_of(journal, exporter, size_bytes=25).drain(PATIENCE_SECONDS)
    assert [len(request) for request in exporter.requests] == [2, 2, 1, 1]
    put(journal, b"a", b"b", b"c")
    assert await loop_of(journal, exporter, rows=2).drain(PATIENCE_SECONDS)
    assert exporter.requests[4:] == [[b"a", b"b"], [b"c"]]


async def test_a_notified_loop_delivers_without_being_drained(journal: Journal) -> None:
    done = asyncio.Event()

    def answer(_: list[bytes]) -> ExportResult:
        done.set()
        return Delivered()

    loop = loop_of(journal, ScriptedExporter(answer))
    task = loop.start()
    await asyncio.sleep(0)
    put(journal, b"a")
    loop.notify()
    async with patience():
        await done.wait()
    assert await loop.drain(PATIENCE_SECONDS)
    assert task.done()


async def test_failures_are_retried_with_exponential_backoff(journal: Journal) -> None:
    put(journal, b"a")
    waits = Waits()
    exporter = ScriptedExporter(first_then([Retry("503")] * 8))
    loop = loop_of(journal, exporter, waits)
    task = loop.start()
    await eventually(lambda: exporter.taken)
    assert waits.seconds == [1, 2, 4, 8, 16, 32, 60, 60]
    await loop.drain(PATIENCE_SECONDS)
    await task


@pytest.mark.parametrize("random", [0.0, 0.25, 0.999])
def test_backoff_jitters_around_its_step(random: float) -> None:
    wait = Backoff().after(3, random)
    assert 3.2 <= wait <= 4.8
    assert Backoff().after(10_000, random) <= 72


async def test_a_destinations_wait_is_honoured_but_never_for_good_and_never_below_our_own(journal: Journal) -> None:
    put(journal, b"a")
    waits = Waits()
    exporter = ScriptedExporter(first_then([Retry("429", 17), Retry("429", 1e9), Retry("429", 0), Retry("429", 3)]))
    loop = loop_of(journal, exporter, waits)
    loop.start()
    await eventually(lambda: exporter.taken)
    assert waits.seconds == [17, 3600, 4, 8]
    await loop.drain(PATIENCE_SECONDS)


async def test_a_held_queue_keeps_everything_and_names_the_remedy(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    put(journal, b"a", b"b")
    waits = Waits()
    exporter = ScriptedExporter(lambda _: Paused("401 Unauthorized", "check the credentials"))
    loop = loop_of(journal, exporter, waits)
    task = loop.start()
    with caplog.at_level(logging.WARNING):
        await eventually(lambda: len(exporter.requests) >= 4)
    task.cancel()
    status = journal.status().signals["traces"]
    assert status.pending_rows == 2
    assert (status.last_error, status.last_remedy) == ("401 Unauthorized", "check the credentials")
    assert set(waits.seconds) == {60}
    assert len(caplog.records) == 1, "the same trouble is told once"
    assert "check the credentials" in caplog.text


async def test_only_the_row_that_is_refused_alone_is_put_aside(journal: Journal) -> None:
    put(journal, *[b"%d" % i for i in range(9)])

    def answer(payloads: list[bytes]) -> ExportResult:
        return Refused("400 Bad Request") if b"5" in payloads else Delivered()

    exporter = ScriptedExporter(answer)
    assert await loop_of(journal, exporter).drain(PATIENCE_SECONDS)
    assert exporter.taken == [b"0", b"1", b"2", b"3", b"4", b"6", b"7", b"8"]
    status = journal.status().signals["traces"]
    assert (status.delivered_items, status.refused_items) == (8, 1)
    assert status.refusals == {"400 Bad Request": 1}
    assert len(exporter.requests) <= 9, "a bisection, not a walk"


async def test_a_refusal_that_no_splitting_helps_puts_the_whole_request_aside(journal: Journal) -> None:
    put(journal, b"a", b"b")
    exporter = ScriptedExporter(lambda _: Refused("never", splittable=False))
    assert await loop_of(journal, exporter).drain(PATIENCE_SECONDS)
    assert exporter.requests == [[b"a", b"b"]]
    assert journal.status().signals["traces"].dead_letter_rows == 2


async def test_a_refused_row_does_not_block_what_follows(journal: Journal) -> None:
    put(journal, b"bad")
    exporter = ScriptedExporter(lambda payloads: Refused("400") if b"bad" in payloads else Delivered())
    loop = loop_of(journal, exporter)
    task = loop.start()
    await eventually(lambda: len(exporter.requests) >= 1)
    put(journal, b"good")
    loop.notify()
    await eventually(lambda: exporter.taken)
    assert exporter.taken == [b"good"]
    task.cancel()


async def test_a_destination_that_refuses_everything_gets_ever_less_to_refuse(journal: Journal) -> None:
    put(journal, *[b"%d" % i for i in range(10)])
    waits = Waits()
    answers: list[ExportResult] = []

    def answer(payloads: list[bytes]) -> ExportResult:
        answers.append(Refused("500") if len(answers) < 20 else Delivered())
        return answers[-1]

    exporter = ScriptedExporter(answer)
    loop = loop_of(journal, exporter, waits)
    loop.start()
    await eventually(lambda: journal.status().signals["traces"].pending_rows == 0)
    await loop.drain(PATIENCE_SECONDS)
    assert waits.seconds[:5] == [1, 2, 4, 8, 16]


async def test_retries_between_halves_resend_only_the_open_half(journal: Journal) -> None:
    put(journal, b"a", b"b", b"c", b"d")
    exporter = ScriptedExporter(first_then([Refused("413"), Delivered(), Retry("503")]))
    assert await loop_of(journal, exporter).drain(PATIENCE_SECONDS)
    assert exporter.requests == [[b"a", b"b", b"c", b"d"], [b"a", b"b"], [b"c", b"d"], [b"c", b"d"]]


async def test_a_partial_success_is_never_sent_again_and_is_counted(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    put(journal, b"a", b"b", items=5)
    exporter = ScriptedExporter(lambda _: Delivered(rejected=3, message="too old"))
    with caplog.at_level(logging.WARNING):
        assert await loop_of(journal, exporter).drain(PATIENCE_SECONDS)
    status = journal.status().signals["traces"]
    assert len(exporter.requests) == 1
    assert (status.delivered_items, status.rejected_items, status.last_message) == (7, 3, "too old")
    assert "3 rejected" in caplog.text


async def test_a_warning_without_rejections_counts_as_delivered(journal: Journal) -> None:
    put(journal, b"a")
    assert await loop_of(journal, ScriptedExporter(lambda _: Delivered(message="please batch"))).drain(PATIENCE_SECONDS)
    status = journal.status().signals["traces"]
    assert (status.delivered_items, status.rejected_items, status.last_message) == (1, 0, "please batch")


async def test_a_destination_that_rejects_more_than_it_was_sent_cannot_make_counts_negative(journal: Journal) -> None:
    put(journal, b"a")
    assert await loop_of(journal, ScriptedExporter(lambda _: Delivered(rejected=99))).drain(PATIENCE_SECONDS)
    status = journal.status().signals["traces"]
    assert (status.delivered_items, status.rejected_items) == (0, 1)


async def test_a_defect_in_an_exporter_loses_nothing(journal: Journal) -> None:
    put(journal, b"a")
    calls: list[int] = []

    def answer(_: list[bytes]) -> ExportResult:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError("with a secret in it")
        return Delivered()

    assert await loop_of(journal, ScriptedExporter(answer)).drain(PATIENCE_SECONDS)
    status = journal.status().signals["traces"]
    assert status.delivered_items == 1


async def test_a_cancelled_send_leaves_its_rows_in_the_queue(journal: Journal) -> None:
    put(journal, b"a")
    exporting = asyncio.Event()

    class Stuck(ScriptedExporter):
        async def export(self, batch: Batch) -> ExportResult:
            exporting.set()
            await asyncio.Event().wait()
            raise AssertionError

    loop = loop_of(journal, Stuck(take))
    task = loop.start()
    async with patience():
        await exporting.wait()
    task.cancel()
    await asyncio.wait({task})
    assert journal.status().signals["traces"].pending_rows == 1


async def test_draining_gives_up_at_its_deadline_and_keeps_the_rest(journal: Journal) -> None:
    put(journal, b"a")

    class Stuck(ScriptedExporter):
        async def export(self, batch: Batch) -> ExportResult:
            await asyncio.Event().wait()
            raise AssertionError

    assert not await loop_of(journal, Stuck(take)).drain(0.01)
    assert journal.status().signals["traces"].pending_rows == 1


async def test_draining_cuts_a_wait_short_and_tries_once_more(journal: Journal) -> None:
    put(journal, b"a")
    exporter = ScriptedExporter(first_then([Retry("503", 3000)]))
    slept = asyncio.Event()

    async def sleep(_: float) -> None:
        slept.set()
        await asyncio.Event().wait()

    loop = DeliveryLoop("traces", journal, exporter, sleep=sleep)
    loop.start()
    async with patience():
        await slept.wait()
    assert await loop.drain(PATIENCE_SECONDS)
    assert exporter.taken == [b"a"]


@pytest.mark.parametrize("result", [Paused("401", "fix it"), Retry("429", 3000)])
async def test_draining_does_not_wait_for_what_cannot_come_in_time(journal: Journal, result: ExportResult) -> None:
    put(journal, b"a")
    exporter = ScriptedExporter(lambda _: result)
    assert not await loop_of(journal, exporter).drain(60)
    assert len(exporter.requests) == 1
    assert journal.status().signals["traces"].pending_rows == 1


async def test_a_broken_journal_ends_the_loop_with_its_error(journal: Journal) -> None:
    loop = loop_of(journal, ScriptedExporter(take))
    journal.close()
    with pytest.raises(Exception, match="journal"):
        await loop.start()


async def test_every_destination_of_a_list_gets_every_row_once(journal: Journal) -> None:
    put(journal, *[b"%d" % i for i in range(6)])
    picky = ScriptedExporter(lambda payloads: Refused("400") if b"3" in payloads else Delivered())
    slow = ScriptedExporter(first_then([Retry("503"), Retry("503")]))
    easy = ScriptedExporter(take)
    assert await loop_of(journal, FanoutExporter([picky, slow, easy])).drain(PATIENCE_SECONDS)
    assert sorted(picky.taken) == [b"0", b"1", b"2", b"4", b"5"]
    assert sorted(slow.taken) == sorted(easy.taken) == [b"%d" % i for i in range(6)]
    status = journal.status().signals["traces"]
    assert (status.delivered_items, status.refused_items, status.pending_items) == (5, 1, 0)


async def test_a_list_of_destinations_forgets_the_rows_it_has_settled(journal: Journal) -> None:
    fanout = FanoutExporter([ScriptedExporter(take), ScriptedExporter(lambda payloads: Refused("400"))])
    put(journal, b"a", b"b", b"c")
    assert await loop_of(journal, fanout).drain(PATIENCE_SECONDS)
    assert [dict(settled) for settled in fanout._settled] == [{}, {}]
