"""What a round of the soak costs the bridge, and whether that stays as it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import msgspec
import psutil

from .process import Bridge

ROUNDS_TO_COMPARE: Final = 4
"""Fewer say nothing of what goes on."""

MOST_CPU_GROWTH: Final = 1.4
"""Of CPU time a record, from the first third of the rounds to the last; what is more is not the machine's chance."""

MOST_MEMORY_GROWTH: Final = 1.25
_MEMORY_BYTES: Final = 8_000_000


MOST_RECORD_US: Final = 150
"""Of CPU time a record: less than that is no growth."""

MOST_IDLE_US: Final = 5_000
"""Of CPU time in a second in which nothing happens: less than that is no growth."""

IDLE_SECONDS: Final = 2.0


class Cost(msgspec.Struct, frozen=True):
    """What a round cost.

    Attributes:
        rss_bytes: memory at its end.
        cpu_us_per_record: CPU time, without what the same time costs in which nothing happens.
        idle_us_per_second: CPU time of a second at its end, in which nothing happens.
    """

    rss_bytes: int
    cpu_us_per_record: float
    idle_us_per_second: float


class Meter:
    """CPU time of the thread of a bridge that does the work, while its process stays the same."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._began = (0.0, 0.0)

    def begin(self) -> None:
        """What is to be measured begins."""
        self._began = (self._cpu_us_of_process(), time.monotonic())

    def cost(self, records: int) -> Cost:
        """What that cost, which had so many records, and after which nothing happens."""
        cpu_us, seconds = self._since()
        self.begin()
        threading.Event().wait(IDLE_SECONDS)
        idle_us, idle_seconds = self._since()
        idle_us /= idle_seconds
        rss_bytes = psutil.Process(self._bridge.pid).memory_info().rss
        return Cost(rss_bytes, max(cpu_us - idle_us * seconds, 0) / records, idle_us)

    def _since(self) -> tuple[float, float]:
        """CPU time, and seconds, since it began."""
        cpu_us, at = self._began
        return self._cpu_us_of_process() - cpu_us, time.monotonic() - at

    def _cpu_us_of_process(self) -> float:
        return int(Path(f"/proc/{self._bridge.pid}/schedstat").read_text("ascii").split()[0]) / 1e3


def growth(costs: Sequence[Cost]) -> list[str]:
    """What has grown from the first third of the rounds to the last, a line each; nothing of too few rounds."""
    if len(costs) < ROUNDS_TO_COMPARE:
        return []
    third = len(costs) // 3
    first, last = costs[:third], costs[-third:]
    found: list[str] = []
    cpu_us = [median(cost.cpu_us_per_record for cost in each) for each in (first, last)]
    if cpu_us[1] > MOST_CPU_GROWTH * cpu_us[0] + MOST_RECORD_US:
        found.append(f"CPU time a record: {cpu_us[0]:.0f} µs, then {cpu_us[1]:.0f} µs")
    idle_us = [median(cost.idle_us_per_second for cost in each) for each in (first, last)]
    if idle_us[1] > MOST_CPU_GROWTH * idle_us[0] + MOST_IDLE_US:
        found.append(f"CPU time of an idle second: {idle_us[0]:.0f} µs, then {idle_us[1]:.0f} µs")
    rss_bytes = [median(cost.rss_bytes for cost in each) for each in (first, last)]
    if rss_bytes[1] > MOST_MEMORY_GROWTH * rss_bytes[0] + _MEMORY_BYTES:
        found.append(f"memory: {rss_bytes[0] / 1e6:.0f} MB, then {rss_bytes[1] / 1e6:.0f} MB")
    return found
