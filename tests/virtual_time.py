"""A clock that goes on only where somebody waits."""

from __future__ import annotations

import asyncio


class VirtualTime:
    """The clock and the sleep of a delivery loop.

    Attributes:
        now: in seconds.
        waits: what was waited for, in order, in seconds.
    """

    def __init__(self) -> None:
        self.now = 1_000.0
        self.waits: list[float] = []

    def clock(self) -> float:
        """The time, in seconds."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Moves the clock, and lets others work."""
        self.waits.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)
