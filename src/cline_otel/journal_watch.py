"""Looks after the journal while a bridge runs: says once what keeps it from being used, ends what goes on in vain."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from cline_otel.journal.records import JournalUnavailableError
from cline_otel.journal.store import Journal

_logger = logging.getLogger(__name__)

_WELL_AFTER_SECONDS: Final = 5.0
"""On a full disk small transactions may work between larger ones that do not."""


async def watch(
    journal: Journal, interval_seconds: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Looks at every interval, until cancelled.

    Raises:
        JournalDamagedError: what was committed is not there any more, as where the file was deleted or cut off.
    """
    failed_at: float | None = None
    while True:
        await sleep(interval_seconds)
        # Whether it is there may be unknown for a moment.
        with suppress(JournalUnavailableError):
            journal.verify()
        if (trouble := journal.trouble) is not None:
            if failed_at is None:
                _logger.warning("%s; what is in it is kept, and the bridge goes on when that works again", trouble)
            failed_at = time.monotonic()
        elif failed_at is not None and time.monotonic() - failed_at >= _WELL_AFTER_SECONDS:
            failed_at = None
            _logger.warning("the journal can be used again")
