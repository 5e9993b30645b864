"""``kill -9`` at any moment: what was acknowledged or lies in files is told, once by id, and counted once."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from waiting import wait_until

from .endpoint import Endpoint
from .feeding import Growing, Poster
from .process import Bridge, Home
from .received import Received
from .workload import WritingProcess, example_copies, otlp_copies

KILLS = 3


def assert_nothing_is_lost_or_doubled(received: Received, expected: Received) -> None:
    """By id: a request that was sent again may repeat an item, but word for word."""
    assert received.spans.keys() == expected.spans.keys()
    assert received.logs.keys() == expected.logs.keys()
    assert [versions for versions in received.spans.values() if len(versions) > 1] == []
    assert [versions for versions in received.logs.values() if len(versions) > 1] == []
    assert received.totals == {
        series: (pytest.approx(total), count, buckets) for series, (total, count, buckets) in expected.totals.items()
    }


@pytest.mark.parametrize("destination", ["files", "endpoint"])
def test_a_killed_bridge_loses_nothing_and_counts_nothing_twice(tmp_path: Path, destination: str) -> None:
    chance = random.Random(destination)
    from_files, from_otlp = example_copies(18), otlp_copies(12)
    expected = Received.in_requests((from_files + from_otlp).replayed(tmp_path / "recording").requests)
    with Endpoint() as endpoint, WritingProcess() as cline:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint.listen().url} if destination == "endpoint" else {}
        home = Home(tmp_path / "home", environment)
        growing = Growing(
            {
                home.spool / cline.spool_name(): b"".join(line + b"\n" for line in from_files.spool),
                home.cline_log: b"".join(line + b"\n" for line in from_files.cline_log),
            },
            chance,
        )

        def received() -> Received:
            if destination == "files":
                return Received.in_files(home.telemetry)
            return Received(endpoint.traces(), endpoint.metrics(), endpoint.logs())

        with Bridge(home) as bridge, Poster(lambda: bridge.endpoint, from_otlp.otlp_logs) as poster:

            def pace() -> None:
                poster.allowed = growing.share(len(from_otlp.otlp_logs))

            pace()
            for pieces in sorted(chance.sample(range(5, growing.pieces - 5), KILLS)):
                growing.grow_to(pieces, pace)
                poster.allowed += 2
                bridge.kill()
                growing.grow(chance.randint(0, 5))
                bridge.start()
            growing.grow_to(growing.pieces, pace)
            wait_until(lambda: poster.is_done, lambda: f"every request acknowledged\n{bridge.said}")
            wait_until(
                lambda: (
                    (now := received()).spans.keys() >= expected.spans.keys()
                    and now.logs.keys() >= expected.logs.keys()
                ),
                lambda: f"{len(expected.spans)} spans, {len(expected.logs)} log records\n{bridge.said}",
                interval_seconds=0.2,
            )
            assert bridge.stop() == 0
        assert_nothing_is_lost_or_doubled(received(), expected)
