"""The unit of refusal is the record: over real sockets, one of many is found, and the rest arrives once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from cline_otel.destinations import OtlpDestination
from cline_otel.export.delivery_loop import DeliveryLoop, Outbox
from cline_otel.export.exporters import Exporters
from cline_otel.export.patience import PatientOutbox
from cline_otel.journal import Commit, Journal, JournalUnavailableError, OutboxItem
from loopback_server import Answer, HttpRequest, LoopbackServer
from virtual_time import VirtualTime
from waiting import eventually


class Collector:
    """Takes spans, but for requests that its rule refuses."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.requests = 0
        self.refuse = lambda names: 0

    def answer(self, request: HttpRequest) -> Answer:
        message = ExportTraceServiceRequest.FromString(request.body)
        names = [span.name for entry in message.resource_spans for span in entry.scope_spans[0].spans]
        self.requests += 1
        if status := self.refuse(names):
            return status, b""
        self.names += names
        return 200, b""


def transaction(*names: str, trace: int = 1) -> OutboxItem:
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    for name in names:
        spans.add(trace_id=bytes([trace]) * 16, name=name)
    return OutboxItem("traces", message.SerializeToString(), len(names))


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open(tmp_path / "journal.db") as journal:
        yield journal


def loop_to(server: LoopbackServer, outbox: Outbox, time: VirtualTime) -> tuple[DeliveryLoop, Exporters]:
    exporters = Exporters(
        {"traces": [OtlpDestination(signal="traces", protocol="http/protobuf", endpoint=f"{server.url}/v1/traces")]}
    )
    exporter = exporters.of_outbox("traces")
    assert exporter is not None
    loop = DeliveryLoop("traces", outbox, exporter, sleep=time.sleep, clock=time.clock, random=lambda: 0.5)
    return loop, exporters


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_one_span_of_a_transaction_is_put_aside_and_the_rest_arrives_once(journal: Journal, status: int) -> None:
    names, collector, time = [f"{number:02}" for number in range(16)], Collector(), VirtualTime()
    collector.refuse = lambda names: status if "05" in names else 0
    journal.commit(Commit(outbox=[transaction(*names)]))
    with LoopbackServer(collector.answer).listen() as server:
        loop, exporters = loop_to(server, journal, time)
        assert await loop.drain(86_400)
        await exporters.close()
    assert sorted(collector.names) == [name for name in names if name != "05"]
    said = journal.status().signals["traces"]
    assert (said.delivered_items, said.refused_items, said.dead_letter_rows) == (15, 1, 1)
    assert collector.requests <= 1 + 2 * 4 + 1


async def test_a_row_that_cannot_be_divided_just_now_is_not_given_up_as_a_whole(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    names, collector, time, divide = (
        [f"{number:02}" for number in range(16)],
        Collector(),
        VirtualTime(),
        journal.divide,
    )
    failures = 3

    def divide_later(*arguments: Any) -> list[int] | None:
        nonlocal failures
        if failures:
            failures -= 1
            raise JournalUnavailableError
        return divide(*arguments)

    monkeypatch.setattr(journal, "divide", divide_later)
    collector.refuse = lambda names: 400 if "05" in names else 0
    journal.commit(Commit(outbox=[transaction(*names), transaction("innocent", trace=2)]))
    with LoopbackServer(collector.answer).listen() as server:
        loop, exporters = loop_to(server, PatientOutbox(journal), time)
        assert await loop.drain(86_400)
        await exporters.close()
    assert not failures
    assert sorted(collector.names) == sorted(["innocent", *(name for name in names if name != "05")])
    assert journal.status().signals["traces"].refused_items == 1


@pytest.mark.parametrize("status", [500, 503])
async def test_one_500_loses_none_of_a_transaction(journal: Journal, status: int) -> None:
    collector, time, first = Collector(), VirtualTime(), [status]
    collector.refuse = lambda names: first.pop() if first else 0
    journal.commit(Commit(outbox=[transaction(*"abcdefghijklmnop")]))
    with LoopbackServer(collector.answer).listen() as server:
        loop, exporters = loop_to(server, journal, time)
        assert await loop.drain(86_400)
        await exporters.close()
    assert collector.names == list("abcdefghijklmnop")
    assert collector.requests == 2


async def test_thirty_seconds_of_500_lose_nothing(journal: Journal) -> None:
    collector, time = Collector(), VirtualTime()
    well_at = time.now + 30
    collector.refuse = lambda names: 500 if time.now < well_at else 0
    expected = [f"{row:03}/{number:02}" for row in range(550) for number in range(16)]
    for row in range(550):
        journal.commit(Commit(outbox=[transaction(*expected[row * 16 : row * 16 + 16])]))
    with LoopbackServer(collector.answer).listen() as server:
        loop, exporters = loop_to(server, journal, time)
        assert await loop.drain(86_400)
        await exporters.close()
    assert sorted(collector.names) == expected
    assert collector.requests < 60


async def test_a_429_that_can_never_be_taken_as_a_whole_is_taken_in_parts(journal: Journal) -> None:
    collector, time = Collector(), VirtualTime()
    collector.refuse = lambda names: 429 if len(names) > 3 else 0
    journal.commit(Commit(outbox=[transaction(*"abcdefghijklmnop")]))
    with LoopbackServer(collector.answer).listen() as server:
        loop, exporters = loop_to(server, journal, time)
        assert await loop.drain(86_400)
        await exporters.close()
    assert sorted(collector.names) == list("abcdefghijklmnop")
    assert journal.status().signals["traces"].refused_items == 0


async def test_a_trace_that_is_never_taken_keeps_no_other_waiting(journal: Journal) -> None:
    collector, time = Collector(), VirtualTime()
    collector.refuse = lambda names: 507 if any(name.startswith("large") for name in names) else 0
    journal.commit(
        Commit(
            outbox=[
                transaction("large 1", "large 2", "large 3"),
                transaction("innocent 1", trace=2),
                transaction("large 4"),
                transaction("innocent 2", trace=3),
            ]
        )
    )
    began_at = time.now
    with LoopbackServer(collector.answer).listen() as server:
        loop, exporters = loop_to(server, journal, time)
        task = loop.start()
        await eventually(lambda: {"innocent 1", "innocent 2"} <= set(collector.names))
        assert time.now - began_at < 60
        for number in range(400):
            journal.commit(Commit(outbox=[transaction(f"later {number}", trace=4)]))
            loop.notify()
            await eventually(lambda: f"later {number}" in collector.names)  # noqa: B023 - awaited at once
            if not journal.status().signals["traces"].pending_rows:
                break
        task.cancel()
        await asyncio.wait({task})
        await exporters.close()
    said = journal.status().signals["traces"]
    assert (said.refused_items, said.pending_items) == (4, 0)
    assert said.delivered_items == len(collector.names) == len(set(collector.names))


async def test_a_transaction_of_nothing_but_bad_spans_is_put_aside_once_its_neighbour_was_taken(
    journal: Journal,
) -> None:
    collector, time = Collector(), VirtualTime()
    collector.refuse = lambda names: 400 if any(name.startswith("bad") for name in names) else 0
    journal.commit(Commit(outbox=[transaction(*[f"bad {number}" for number in range(16)]), transaction("good")]))
    with LoopbackServer(collector.answer).listen() as server:
        loop, exporters = loop_to(server, journal, time)
        assert await loop.drain(600)
        await exporters.close()
    assert collector.names == ["good"]
    assert journal.status().signals["traces"].refused_items == 16


async def test_what_was_taken_of_a_divided_transaction_is_not_sent_again_after_a_restart(journal: Journal) -> None:
    collector = Collector()
    collector.refuse = lambda names: 400 if "c" in names else 0
    journal.commit(Commit(outbox=[transaction(*"abcd")]))
    with LoopbackServer(collector.answer).listen() as server:
        loop, exporters = loop_to(server, journal, VirtualTime())
        task = loop.start()
        await eventually(lambda: journal.status().signals["traces"].delivered_items == len(collector.names) == 3)
        task.cancel()
        await asyncio.wait({task})
        collector.refuse = lambda names: 0
        again, _ = loop_to(server, journal, VirtualTime())
        await again.drain(60)
        await exporters.close()
    assert len(collector.names) == len(set(collector.names))
    said = journal.status().signals["traces"]
    assert said.delivered_items + said.refused_items == 4
