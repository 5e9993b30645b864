"""``cline-otel pipe``: passes a stream on unchanged, with a bridge beside whoever writes it.

The stream is copied in a thread of its own. What has gone through is read beside that: where nothing else of a Cline
reaches this machine, its stream tells what it did.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread
from typing import Any, Final

from cline_otel.cli.command_report import CommandReport, say
from cline_otel.cli.overhearing import Overhearing
from cline_otel.operating_system.child_processes import (
    INTERRUPT,
    NOBODY_READS,
    TERMINATED,
    on_signals,
    take_stdout,
)

_STDIN: Final = 0
_PIECE_BYTES: Final = 65_536
_READ_WITHIN_SECONDS: Final = 5.0
"""How long what went through may be read after the stream's end."""

_LEFT_WITHIN_SECONDS: Final = 1.0
"""How long it may take to leave what was read, and to end, when told to end."""


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
    overhearing = Overhearing(say)
    copying = _start_copying(asyncio.get_running_loop(), take_stdout(), overhearing.hear)
    report = CommandReport()
    beside = report.bridge()
    overheard = overhearing.start(report.stream_readers())
    starting = asyncio.create_task(beside.start()) if beside is not None else None
    told_to_end = asyncio.create_task(at_once.wait())
    await _first_of(copying, told_to_end)
    overhearing.end()
    if not copying.done():
        await _first_of(overheard, seconds=_LEFT_WITHIN_SECONDS)
        _leave(TERMINATED)
    has_ended = True
    exit_code = copying.result()
    # Before the bridge looks for the last time.
    await _first_of(overheard, told_to_end, seconds=_READ_WITHIN_SECONDS)
    if beside is not None and starting is not None:
        await _first_of(starting, told_to_end)
        finishing = asyncio.create_task(beside.finish(began_at_ns, drain_seconds, at_once))
        await _first_of(finishing, told_to_end)
        await _first_of(finishing, seconds=_LEFT_WITHIN_SECONDS)
        report.finish(exit_code, time.time_ns() - began_at_ns)
        if not finishing.done():
            _leave(exit_code)
    told_to_end.cancel()
    return exit_code


async def _first_of(*futures: asyncio.Future[Any], seconds: float | None = None) -> None:
    await asyncio.wait(futures, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


def _leave(exit_code: int) -> None:
    """Ends this process, whatever still goes on in it: what is committed is not lost."""
    with suppress(OSError, ValueError):
        sys.stderr.flush()
    os._exit(exit_code)


def _start_copying(loop: asyncio.AbstractEventLoop, target: int, hear: Callable[[bytes], None]) -> asyncio.Future[int]:
    """In a thread that the end of this process does not wait for: it may be waiting for the writer."""
    copying: asyncio.Future[int] = loop.create_future()

    def end(exit_code: int) -> None:
        if not copying.done():
            copying.set_result(exit_code)

    def copy() -> None:
        exit_code = 1
        try:
            exit_code = _copy(_STDIN, target, hear)
        finally:
            # Who was told to end has closed the loop.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(end, exit_code)

    Thread(target=copy, name="copy", daemon=True).start()
    return copying


def _copy(source: int, target: int, hear: Callable[[bytes], None]) -> int:
    """Without buffers, which would hold back what was written."""
    while piece := _read(source):
        try:
            _write(target, piece)
        except OSError:
            # So that the writer learns it.
            os.close(source)
            return NOBODY_READS
        hear(piece)
    return 0


def _read(source: int) -> bytes:
    """The next piece; empty at the end, or if there is nothing to read from."""
    while True:
        try:
            return os.read(source, _PIECE_BYTES)
        except BlockingIOError:
            _wait_for([source], [])
        except OSError:
            return b""


def _write(target: int, piece: bytes) -> None:
    while piece:
        try:
            piece = piece[os.write(target, piece) :]
        except BlockingIOError:
            _wait_for([], [target])


def _wait_for(sources: Sequence[int], targets: Sequence[int]) -> None:
    """Of those who share a terminal or a pipe any may have made it one that does not block."""
    select.select(sources, targets, [])
