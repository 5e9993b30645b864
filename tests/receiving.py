"""What stands behind a receiver in its tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from cline_otel.sources.interface import Payload, ReceiveResult


class Pipeline:
    """Takes what the receiver hands over, and answers as it is told."""

    def __init__(self) -> None:
        self.taken: list[tuple[bytes, str]] = []
        self.unsupported: list[str] = []
        self.answer: Callable[[], ReceiveResult] = lambda: ReceiveResult(1)
        self.reached = asyncio.Event()
        self.commit = asyncio.Event()
        self.commit.set()

    async def receive(self, payload: Payload) -> ReceiveResult:
        (body,) = payload.parts
        self.taken.append((body, payload.encoding))
        self.reached.set()
        await self.commit.wait()
        return self.answer()

    async def count_unsupported(self, source: str, signal: str) -> None:
        self.unsupported.append(signal)
        self.answer()

    def fail_with(self, error: Exception) -> None:
        def fail() -> ReceiveResult:
            raise error

        self.answer = fail
