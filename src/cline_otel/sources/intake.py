"""What the sources hand over, and what they may be answered: the seam between them and the bridge.

Sources know nothing of meaning. A file source hands over a :class:`Batch` and waits until it is
committed; the OTLP receiver hands over a request body and answers its sender only after that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

import msgspec

ContentType = Literal["json", "protobuf"]
"""The two encodings of OTLP/HTTP (OTLP specification 1.x, "OTLP/HTTP Request")."""

UnsupportedSignal = Literal["metrics", "traces"]
"""Signals that Cline may send and that are counted and dropped."""


class ReceiveResult(msgspec.Struct, frozen=True):
    """What became of one request of log records, after its commit.

    ``rejected`` records are lost for good: the sender is told with ``message`` and must not resend
    (OTLP specification, "Partial Success"). ``message`` goes out as it is, so it holds no payload.
    """

    accepted: int
    rejected: int = 0
    message: str = ""


class MalformedPayload(Exception):  # noqa: N818 - named for what is wrong with the payload
    """The body is not a valid request of its signal; sending it again can't help. Its text is never sent back."""


class Busy(Exception):  # noqa: N818 - a state, answered with 429, not a defect
    """Not now: the journal is full or the queue is too long. Nothing was taken; try again later."""

    def __init__(self, retry_after_seconds: float = 5.0) -> None:
        super().__init__(f"busy, try again in {retry_after_seconds:g} s")
        self.retry_after_seconds = retry_after_seconds


class Unavailable(Exception):  # noqa: N818 - a state, answered with 503, not a defect
    """Can't commit at the moment, for example because the disk is full. Nothing was taken; try again later."""

    def __init__(self, retry_after_seconds: float = 5.0) -> None:
        super().__init__(f"unavailable, try again in {retry_after_seconds:g} s")
        self.retry_after_seconds = retry_after_seconds


class LogsReceiver(Protocol):
    """Who takes the requests of the OTLP receiver."""

    async def receive_logs(self, body: bytes, content_type: ContentType) -> ReceiveResult:
        """Take one decompressed export request of log records; returns after its commit.

        Raises:
            MalformedPayload: the body can't be decoded.
            Busy: nothing was taken because there is too much to do.
            Unavailable: nothing was taken because it can't be committed.
        """

    async def count_unsupported(self, signal: UnsupportedSignal) -> None:
        """Count a request that is accepted and dropped."""


class ProcessKey(msgspec.Struct, frozen=True, order=True, array_like=True):
    """A process that writes a spool: its pid, as itself sees it, and when it started (Unix epoch, milliseconds)."""

    started_at_ms: int
    pid: int


class PluginLines(msgspec.Struct, frozen=True):
    """Lines of one process's spool, in the order written, without their newlines.

    ``skipped_lines`` counts the lines that were too long to be handed over.
    """

    key: str
    process: ProcessKey
    lines: list[bytes]
    skipped_lines: int = 0


class ProcessGone(msgspec.Struct, frozen=True):
    """A process that wrote a spool is gone and all it wrote was handed over.

    May be told twice when the bridge stopped in between, so taking it must be idempotent.
    """

    process: ProcessKey


class ClineLogLines(msgspec.Struct, frozen=True):
    """Lines of ``cline.log``, in the order written, without their newlines."""

    key: str
    lines: list[bytes]
    skipped_lines: int = 0


FileInput = PluginLines | ProcessGone | ClineLogLines


class Batch(msgspec.Struct, frozen=True):
    """What must be committed in one transaction.

    Attributes:
        inputs: what was read, in the order in which it has to be taken.
        cursors: the positions after it, opaque bytes by key; None forgets the key.
        tick_at_ns: what time it is (Unix epoch, nanoseconds), to be taken after the inputs; None
            while there is more to read, because time must not overtake what happened before it.
    """

    inputs: tuple[FileInput, ...] = ()
    cursors: dict[str, bytes | None] = msgspec.field(default_factory=dict)
    tick_at_ns: int | None = None


Submit = Callable[[Batch], Awaitable[None]]
"""Takes a batch and returns after its commit; raises :class:`Busy` or :class:`Unavailable` if it took nothing."""
