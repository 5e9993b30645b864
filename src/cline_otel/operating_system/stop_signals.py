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

        SIGINT stays ignored where the process was started to ignore it: a shell without job control does so to what
        it starts in the background (POSIX, 2.11 "Signals and Error Handling"), so that Ctrl-C ends only what runs in
        front. To be called in the main thread.
        """
        loop.add_signal_handler(signal.SIGTERM, called)
        if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:
            loop.add_signal_handler(signal.SIGINT, called)
