"""How an asyncio program is asked to stop: by Ctrl-C, and by whoever runs it as a service."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

if sys.platform == "win32":
    from types import FrameType

    def on_stop_signal(loop: asyncio.AbstractEventLoop, called: Callable[[], None]) -> None:
        """As elsewhere, at Ctrl-C and Ctrl-Break: the loops of Windows take no handlers of their own.

        A closed console window or an end by the task manager is no signal.
        """

        def handle(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(called)

        for number in (signal.SIGINT, signal.SIGBREAK):
            signal.signal(number, handle)

else:

    def on_stop_signal(loop: asyncio.AbstractEventLoop, called: Callable[[], None]) -> None:
        """Has ``loop`` call ``called`` whenever this process is asked to stop: at SIGINT and SIGTERM.

        To be called in the main thread.
        """
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, called)
