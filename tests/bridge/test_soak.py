"""Every trouble at once, on all sources: ``make soak`` for long, this for a round."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from cline_otel.sources.registry import SOURCES

from .soak_costs import ROUNDS_TO_COMPARE, Cost, growth
from .soak_work import Work
from .soaking import Soak

MINUTES = float(os.environ.get("CLINE_OTEL_SOAK_MINUTES", "0"))
SEED = int(os.environ.get("CLINE_OTEL_SOAK_SEED", "14"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of another process")
def test_nothing_is_lost_doubled_or_left_open_whatever_goes_wrong_and_what_it_costs_stays_the_same(
    tmp_path: Path,
) -> None:
    until = time.monotonic() + MINUTES * 60
    soak = Soak(tmp_path, SEED, copies=4 if MINUTES else 2, troubles=24 if MINUTES else 10)
    with soak.running():
        number = 0
        while number == 0 or time.monotonic() < until:
            number += 1
            soak.round(number)
            cost = soak.costs[-1]
            print(
                f"round {number}, {soak.troubles} troubles so far: {cost.cpu_us_per_record:.0f} µs a record, "
                f"{cost.idle_us_per_second:.0f} µs in an idle second, {cost.rss_bytes / 1e6:.0f} MB",
                flush=True,
            )
    assert growth(soak.costs) == []


def test_of_every_source_there_is_a_round_has_runs_that_this_source_owns(tmp_path: Path) -> None:
    work = Work.of_round(1, 1, int(time.time() * 1_000), tmp_path, tmp_path / "home")
    assert work.expected(tmp_path).owners == set(SOURCES)


def test_another_round_has_other_spans_of_the_same_series(tmp_path: Path) -> None:
    """Else what a round costs would rise with the number of series, and say nothing of what is past."""
    began_ms = int(time.time() * 1_000)
    first, second = (
        Work.of_round(number, 1, began_ms, tmp_path / f"{number}", tmp_path / "home").expected(tmp_path / f"{number}")
        for number in (1, 2)
    )
    assert first.totals == second.totals
    assert len(first.spans) == len(second.spans)
    assert not first.spans.keys() & second.spans.keys()


def costs(*cpu_us_per_record: float, rss_bytes: int = 90_000_000, idle_us: float = 9_000) -> list[Cost]:
    """A round for each."""
    return [Cost(rss_bytes, cpu_us, idle_us) for cpu_us in cpu_us_per_record]


def test_costs_that_rise_with_what_is_past_are_seen_and_those_that_only_vary_are_not() -> None:
    assert growth(costs(900, 950, 1_100, 1_200, 1_300, 1_400, 1_500, 1_600, 1_700)) != []
    assert growth(costs(900, 700, 1_100, 800, 2_400, 900, 1_000, 700, 1_150)) == []
    assert growth([*costs(*[900] * 4), *costs(*[900] * 4, rss_bytes=140_000_000)]) != []
    assert growth([*costs(*[900] * 4), *costs(*[900] * 4, idle_us=20_000)]) != []
    assert growth([*costs(*[900] * 4), *costs(*[900] * 4, idle_us=13_000)]) == []
    assert growth(costs(*[100, 1_000] * (ROUNDS_TO_COMPARE // 2))[: ROUNDS_TO_COMPARE - 1]) == []
