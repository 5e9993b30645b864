"""What the delivery loop does with each result, over a real journal and without waiting."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from cline_otel.export.backoff import Backoff
from cline_otel.export.delivery_loop import BatchLimits, DeliveryLoop
from cline_otel.export.fanout import FanoutExporter
from cline_otel.export.interface import Batch, Delivered, ExportResult, Paused, Refused, Retry
from cline_otel.journal import Commit, Journal, OutboxItem
from virtual_time import VirtualTime
from waiting import PATIENCE_SECONDS, eventually, patience

Answer = Callable[[list[bytes]], ExportResult]


class ScriptedExporter:
    """Answers by a function of the payloads of the batch's rows, and keeps what it was sent."""

    description = "a scripted exporter"

    def __init__(self, answer: Answer, time: VirtualTime | None = None) -> None:
        self.answer = answer
        self.time = time or VirtualTime()
        self.asked_at: list[float] = []
        self.requests: list[list[bytes]] = []
        self.taken: list[bytes] = []

    async def export(self, batch: Batch) -> ExportResult:
        payloads = [row.payload for row in batch.rows]
        assert batch.payload == b"".join(payloads)
        self.requests.append(payloads)
        self.asked_at.append(self.time.now)
        await asyncio.sleep(0)
        result = self.answer(payloads)
        if isinstance(result, Delivered):
            self.taken += payloads
        return result

    async def close(self) -> None:
        pass

    @property
    def waits(self) -> list[float]:
        """How long it was not asked, each time."""
        return [after - before for before, after in pairwise(self.asked_at)]


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
    journal: Journal, exporter: ScriptedExporter | FanoutExporter, time: VirtualTime | None = None, **limits: int
) -> DeliveryLoop:
    time = time or VirtualTime()
    loop = DeliveryLoop(
        "traces",
        journal,
        exporter,
        limits=BatchLimits(**limits),
        sleep=time.sleep,
        clock=time.clock,
        random=lambda: 0.5,
    )
    if isinstance(exporter, FanoutExporter):
        loop.on_replaced = exporter.on_replaced
    return loop


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
    time = VirtualTime()
    exporter = ScriptedExporter(first_then([Retry("503")] * 8), time)
    loop = loop_of(journal, exporter, time)
    task = loop.start()
    await eventually(lambda: exporter.taken)
    assert exporter.waits == [1, 2, 4, 8, 16, 32, 60, 60]
    await loop.drain(PATIENCE_SECONDS)
    await task


@pytest.mark.parametrize("random", [0.0, 0.25, 0.999])
def test_backoff_jitters_around_its_step(random: float) -> None:
    wait = Backoff().after(3, random)
    assert 3.2 <= wait <= 4.8
    assert Backoff().after(10_000, random) <= 72


async def test_a_destinations_wait_is_honoured_but_never_for_good_and_never_below_our_own(journal: Journal) -> None:
    put(journal, b"a")
    time = VirtualTime()
    exporter = ScriptedExporter(
        first_then([Retry("429", 17), Retry("429", 1e9), Retry("429", 0), Retry("429", 3)]), time
    )
    loop = loop_of(journal, exporter, time)
    loop.start()
    await eventually(lambda: exporter.taken)
    assert exporter.waits == [17, 3600, 4, 8]
    await loop.drain(PATIENCE_SECONDS)


async def test_a_held_queue_keeps_everything_and_names_the_remedy(
    journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    put(journal, b"a", b"b")
    time = VirtualTime()
    exporter = ScriptedExporter(lambda _: Paused("401 Unauthorized", "check the credentials"))
    loop = loop_of(journal, exporter, time)
    task = loop.start()
    with caplog.at_level(logging.WARNING):
        await eventually(lambda: len(exporter.requests) >= 4)
    task.cancel()
    status = journal.status().signals["traces"]
    assert status.pending_rows == 2
    assert (status.last_error, status.last_remedy) == ("401 Unauthorized", "check the credentials")
    assert set(time.waits) == {60}
    assert len(caplog.records) == 1, "the same trouble is told once"
    assert "check the credentials" in caplog.text


async def test_only_the_row_that_is_refused_alone_is_put_aside(journal: Journal) -> None:
    put(journal, *[b"%d" % i for i in range(9)])

    def answer(payloads: list[bytes]) -> ExportResult:
        return Refused("400 Bad Request") if b"5" in payloads else Delivered()

    exporter = ScriptedExporter(answer)
    assert await loop_of(journal, exporter).drain(PATIENCE_SECONDS)
    assert sorted(exporter.taken) == [b"0", b"1", b"2", b"3", b"4", b"6", b"7", b"8"]
    status = journal.status().signals["traces"]
    assert (status.delivered_items, status.refused_items) == (8, 1)
    assert status.refusals == {"400 Bad Request": 1}
    assert len(exporter.requests) <= 14, "a search, not a walk through all of them again and again"


async def test_what_cannot_even_be_sent_is_put_aside_although_nothing_was_taken(journal: Journal) -> None:
    put(journal, b"a", b"b")
    exporter = ScriptedExporter(lambda _: Refused("never", "unsendable"))
    assert await loop_of(journal, exporter).drain(PATIENCE_SECONDS)
    assert sorted(exporter.requests[1:]) == [[b"a"], [b"b"]]
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


@pytest.mark.parametrize("refusal", [Refused("400"), Refused("500", "unclear"), Retry("503"), Retry("429", 0)])
async def test_a_destination_that_refuses_everything_is_ill_and_loses_nothing(
    journal: Journal, refusal: ExportResult
) -> None:
    put(journal, *[b"%d" % i for i in range(10)])
    time = VirtualTime()
    ill_until = time.now + 6 * 3600

    def answer(_: list[bytes]) -> ExportResult:
        return refusal if time.now < ill_until else Delivered()

    exporter = ScriptedExporter(answer, time)
    assert await loop_of(journal, exporter, time).drain(86_400)
    assert sorted(exporter.taken) == [b"%d" % i for i in range(10)]
    assert len(exporter.requests) < 2 * 6 * 60 + 40, "two a minute, of which one is of what was not asked for before"
    assert journal.status().signals["traces"].refused_items == 0


@pytest.mark.parametrize("refusal", [Refused("500", "unclear"), Retry("503"), Retry("429", 0)])
async def test_one_answer_loses_nothing(journal: Journal, refusal: ExportResult) -> None:
    put(journal, *[b"%d" % i for i in range(16)])
    exporter = ScriptedExporter(first_then([refusal]))
    assert await loop_of(journal, exporter).drain(PATIENCE_SECONDS)
    assert len(exporter.requests) == 2
    assert journal.status().signals["traces"].delivered_items == 16


@pytest.mark.parametrize("size", [1, 3, 40])
@pytest.mark.parametrize("refusal", [Refused("500", "unclear"), Retry("429", 7), Retry("503")])
async def test_what_is_never_taken_keeps_nothing_else_and_is_given_up_after_minutes(
    journal: Journal, refusal: ExportResult, size: int
) -> None:
    time = VirtualTime()
    exporter = ScriptedExporter(lambda rows: refusal if any(b"bad" in row for row in rows) else Delivered(), time)
    loop = loop_of(journal, exporter, time)
    put(journal, *[b"bad %d" % i for i in range(size)], b"first", b"second")
    task = loop.start()
    await eventually(lambda: {b"first", b"second"} <= set(exporter.taken))
    # 7 s to be sure that it is the content, and some tries to tell which.
    assert time.now - exporter.asked_at[0] < 150
    assert journal.status().signals["traces"].refused_items == 0
    number = 0
    while journal.status().signals["traces"].pending_rows:
        number += 1
        put(journal, b"later %d" % number)
        loop.notify()
        await eventually(lambda: b"later %d" % number in exporter.taken)  # noqa: B023 - awaited at once
        await eventually(lambda: len(exporter.requests) > number)  # noqa: B023 - awaited at once
    status = journal.status().signals["traces"]
    assert (status.refused_items, status.delivered_items) == (size, 2 + number)
    assert time.now - exporter.asked_at[0] > 60
    task.cancel()


async def test_a_row_alone_in_the_queue_is_never_given_up_because_nothing_says_that_others_would_be_taken(
    journal: Journal,
) -> None:
    put(journal, b"a")
    time = VirtualTime()
    exporter = ScriptedExporter(lambda _: Refused("400"), time)
    assert not await loop_of(journal, exporter, time).drain(3600)
    assert len(exporter.requests) > 50
    assert journal.status().signals["traces"].pending_rows == 1


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
    picky = ScriptedExporter(lambda payloads: Refused("400") if b"b" in payloads else Delivered())
    fanout = FanoutExporter([ScriptedExporter(take), picky])
    put(journal, b"a", b"b", b"c")
    assert await loop_of(journal, fanout).drain(PATIENCE_SECONDS)
    assert [set(settled) for settled in fanout._settled] == [set(), set()]
