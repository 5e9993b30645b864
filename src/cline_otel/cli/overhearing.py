"""What goes through ``pipe`` is read beside it: never so that it would be slower, and whatever it may be."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Condition, Thread
from typing import Final

from cline_otel.defects import described
from cline_otel.sources.interface import StreamReader

_MOST_WAITING_BYTES: Final = 64 * 1024 * 1024
"""What waits to be read; a stream that comes faster for so long is read no further."""

_LONGEST_LINE_BYTES: Final = 16 * 1024 * 1024
"""A longer line is passed over."""


class Overhearing:
    """Takes what goes through, and hands its lines to readers in a thread of its own.

    Args:
        say: takes a line for people.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._changed = Condition()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._has_ended = False
        self._is_lost = False

    def hear(self, piece: bytes) -> None:
        """What has just gone through."""
        with self._changed:
            if self._is_lost:
                return
            self._waiting.append(piece)
            self._waiting_bytes += len(piece)
            if self._waiting_bytes > _MOST_WAITING_BYTES:
                self._is_lost = True
                self._waiting.clear()
            self._changed.notify()

    def start(self, readers: Sequence[StreamReader]) -> asyncio.Future[None]:
        """Has readers take it from its beginning; the future is done when all was read and left."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle() -> None:
            if not done.done():
                done.set_result(None)

        def read() -> None:
            try:
                self._read(readers)
            except Exception as error:
                self._say(f"the stream is not read: {_reason(error)}")
            finally:
                # Who was told to end has closed the loop.
                with suppress(RuntimeError):
                    loop.call_soon_threadsafe(settle)

        Thread(target=read, name="overhear", daemon=True).start()
        return done

    def end(self) -> None:
        """Nothing more goes through."""
        with self._changed:
            self._has_ended = True
            self._changed.notify()

    def _read(self, readers: Sequence[StreamReader]) -> None:
        rest: list[bytes] = []
        rest_bytes = 0
        while (piece := self._next()) is not None:
            *lines, last = piece.split(b"\n")
            for line in lines:
                whole, rest, is_whole = b"".join([*rest, line]), [], rest_bytes <= _LONGEST_LINE_BYTES
                rest_bytes = 0
                if is_whole:
                    self._hand_over(readers, whole)
            rest_bytes += len(last)
            rest = [*rest, last] if rest_bytes <= _LONGEST_LINE_BYTES else []
        if rest and rest_bytes <= _LONGEST_LINE_BYTES:
            self._hand_over(readers, b"".join(rest))
        if self._is_lost:
            self._say("the stream came faster than it could be read: it is told as far as it was")
        for reader in readers:
            reader.end()

    def _hand_over(self, readers: Sequence[StreamReader], line: bytes) -> None:
        for reader in readers:
            reader.take(line)

    def _next(self) -> bytes | None:
        with self._changed:
            while not self._waiting:
                if self._has_ended or self._is_lost:
                    return None
                self._changed.wait()
            piece = self._waiting.popleft()
            self._waiting_bytes -= len(piece)
            return piece


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"what it tells cannot be written ({error.strerror})"
    return f"a defect in cline-otel, {described(error)}"
