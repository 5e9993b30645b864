"""``cline-otel pipe``: passes a stream on unchanged, with a bridge beside whoever writes it.

The stream is copied in a thread of its own and never read for anything: what Cline did is told by what it and its
plugin write elsewhere.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from threading import Thread
from typing import Any, Final

from cline_otel.cli.command_report import CommandReport
from cline_otel.operating_system.child_processes import (
    INTERRUPT,
    NOBODY_READS,
    TERMINATED,
    on_signals,
    take_stdout,
)

_PIECE_BYTES: Final = 65_536


def pipe(drain_seconds: float) -> int:
    """Copies standard input to standard output; returns 0, or what a shell says if nobody reads that any more.

    Args:
        drain_seconds: how long what Cline did may be read and sent after the end of the stream.
    """
    return asyncio.run(_pipe(drain_seconds))


async def _pipe(drain_seconds: float) -> int:
    began_at_ns = time.time_ns()
    has_ended, at_once = False, asyncio.Event()

    def on_signal(number: int) -> None:
        # Ctrl-C is for whoever writes: it goes on to write how it ended.
        if number == INTERRUPT and not has_ended:
            return
        at_once.set()

    on_signals(asyncio.get_running_loop(), on_signal)
    copying = _start_copying(asyncio.get_running_loop(), take_stdout())
    report = CommandReport()
    beside = report.bridge()
    starting = asyncio.create_task(beside.start()) if beside is not None else None
    told_to_end = asyncio.create_task(at_once.wait())
    waited: list[asyncio.Future[Any]] = [copying, told_to_end]
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    if not copying.done():
        return TERMINATED
    has_ended = True
    exit_code = copying.result()
    if beside is not None and starting is not None:
        await asyncio.wait({starting, told_to_end}, return_when=asyncio.FIRST_COMPLETED)
        await beside.finish(began_at_ns, drain_seconds, at_once)
        report.finish(exit_code, time.time_ns() - began_at_ns)
    told_to_end.cancel()
    return exit_code


def _start_copying(loop: asyncio.AbstractEventLoop, target: int) -> asyncio.Future[int]:
    """In a thread that the end of this process does not wait for: it may be waiting for the writer."""
    copying: asyncio.Future[int] = loop.create_future()

    def end(exit_code: int) -> None:
        if not copying.done():
            copying.set_result(exit_code)

    def copy() -> None:
        exit_code = _copy(sys.stdin.fileno(), target)
        # Who was told to end has closed the loop.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(end, exit_code)

    Thread(target=copy, name="copy", daemon=True).start()
    return copying


def _copy(source: int, target: int) -> int:
    """Without buffers, which would hold back what was written."""
    try:
        while piece := os.read(source, _PIECE_BYTES):
            while piece:
                piece = piece[os.write(target, piece) :]
    except OSError:
        os.close(source)
        return NOBODY_READS
    return 0
