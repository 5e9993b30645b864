"""Every trouble at once, on all sources: ``make soak`` for long, this for a round."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from statistics import median

import pytest

from .soaking import Soak

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of another process")

MINUTES = float(os.environ.get("CLINE_OTEL_SOAK_MINUTES", "0"))
SEED = int(os.environ.get("CLINE_OTEL_SOAK_SEED", "14"))
ROUNDS_TO_COMPARE = 6


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
            print(f"round {number}: {soak.costs[-1]}", flush=True)
    if number >= ROUNDS_TO_COMPARE:
        third = number // 3
        first, last = soak.costs[:third], soak.costs[-third:]
        assert median(cost.rss_bytes for cost in last) < 1.25 * median(cost.rss_bytes for cost in first) + 8_000_000
        assert median(cost.cpu_us_per_record for cost in last) < 2 * median(cost.cpu_us_per_record for cost in first)
