"""Waiting for events, on a machine of any speed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

PATIENCE_SECONDS: Final = 300.0
"""After so long nothing is slow any more: what did not come by then does not come."""

POLL_INTERVAL_SECONDS: Final = 0.02


class NotWithinTimeError(AssertionError):
    """Something that a test waits for did not come."""


def wait_until(
    true: Callable[[], object], what: Callable[[], str] | str, interval_seconds: float = POLL_INTERVAL_SECONDS
) -> None:
    """Polls ``true`` until it holds.

    Raises:
        NotWithinTimeError: it did not within PATIENCE_SECONDS; ``what`` says what was waited for.
    """
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not true():
        if time.monotonic() > give_up_at:
            raise NotWithinTimeError(f"not within {PATIENCE_SECONDS:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(interval_seconds)


async def eventually(true: Callable[[], object]) -> None:
    """Lets the event loop run until ``true`` holds.

    Raises:
        TimeoutError: it did not within PATIENCE_SECONDS.
    """
    async with patience():
        while not true():  # noqa: ASYNC110 - whatever the condition looks at has no event of its own
            await asyncio.sleep(0.001)


def patience() -> asyncio.Timeout:
    """Bounds the waits in an ``async with`` block by PATIENCE_SECONDS."""
    return asyncio.timeout(PATIENCE_SECONDS)
