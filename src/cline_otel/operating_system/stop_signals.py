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
        """Has ``loop`` call ``called`` whenever this process is asked to stop: at SIGINT, SIGQUIT, SIGTERM and SIGHUP.

        All but SIGTERM stay ignored where the process was started to ignore them: a shell without job control does so
        with SIGINT and SIGQUIT to what it starts in the background (POSIX, 2.11 "Signals and Error Handling"), so that
        Ctrl-C ends only what runs in front, and ``nohup`` with SIGHUP. A SIGHUP asks only if nothing asked before it:
        a terminal that is closed sends it more than once, as may a service manager after SIGTERM, and nobody presses
        for the end by that. To be called in the main thread.
        """
        was_asked = False

        def asked() -> None:
            nonlocal was_asked
            was_asked = True
            called()

        def hung_up() -> None:
            if not was_asked:
                asked()

        loop.add_signal_handler(signal.SIGTERM, asked)
        for number, handle in ((signal.SIGINT, asked), (signal.SIGQUIT, asked), (signal.SIGHUP, hung_up)):
            if signal.getsignal(number) != signal.SIG_IGN:
                loop.add_signal_handler(number, handle)
