"""Work that can be stopped in its middle and taken up again later."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class PausableWork:
    """Runs one piece of work at a time. A pause cancels it, and keeps further work from beginning."""

    def __init__(self) -> None:
        """Not paused."""
        self.is_paused = False
        self._work: asyncio.Task[Any] | None = None
        # By itself: a pause may be over before the work has ended.
        self._is_broken_off = False

    def pause(self) -> None:
        """Cancels what is under way; in effect at once."""
        self.is_paused = True
        if self._work is not None:
            self._is_broken_off = True
            self._work.cancel()

    def resume(self) -> None:
        """Lets work begin again."""
        self.is_paused = False

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """What ``work`` returns; None if a pause kept it from beginning or ended it."""
        if self.is_paused:
            work.close()
            return None
        task = asyncio.create_task(work)
        self._work, self._is_broken_off = task, False
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._is_broken_off and (caller is None or not caller.cancelling()):
                return None
            raise
        finally:
            self._work = None
