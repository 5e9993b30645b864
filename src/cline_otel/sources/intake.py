"""What pollers hand over, and what they and receivers may be answered: the seam between them and the bridge.

Readers know nothing of meaning. What is polled comes in a :class:`Batch`, whose reader waits until it is
committed; a receiver hands over one payload and answers its sender only after that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec

from cline_otel.sources.interface import Payload


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


class Batch(msgspec.Struct, frozen=True):
    """What must be committed in one transaction.

    Attributes:
        payloads: what was read, in the order in which it has to be taken.
        cursors: the places after it, opaque bytes by key; None forgets the key.
        tick_at_ns: what time it is (Unix epoch, nanoseconds), to be taken after the payloads; None
            while there is more to read, because time must not overtake what happened before it.
        is_behind: whether reading is paused and there may be more: time goes on, and nobody is silent for that.
        moved_ns: how far the wall clock was set forward since the last tick that was taken, or back.
    """

    payloads: tuple[Payload, ...] = ()
    cursors: dict[str, bytes | None] = msgspec.field(default_factory=dict)
    tick_at_ns: int | None = None
    is_behind: bool = False
    moved_ns: int = 0


Submit = Callable[[Batch], Awaitable[None]]
"""Takes a batch and returns after its commit; raises :class:`Busy` or :class:`Unavailable` if it took nothing."""
