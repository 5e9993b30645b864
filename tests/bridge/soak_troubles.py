"""What goes wrong with a bridge in the soak, and how it is mended."""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from google.protobuf.message import Message

from . import settable_clock
from .endpoint import Answer, Endpoint
from .feeding import Growing
from .process import Bridge, Home
from .test_journal_trouble import FailingDisk
from .workload import WritingProcess

HOUR_NS: Final = 3_600 * 10**9
MOST_HOURS_OFF: Final = 10
"""Two clocks that are off by so much differ by less than the day after which a silent run is given up."""


def _slow(signal: str, request: Message) -> Answer:
    threading.Event().wait(0.4)
    return 200, b""


ANSWERS: Final[dict[str, Callable[[str, Message], Answer | None]]] = {
    "well": lambda signal, request: (200, b""),
    "down": lambda signal, request: (503, b""),
    "ill": lambda signal, request: (500, b"no"),
    "busy": lambda signal, request: (429, b"", {"Retry-After": "1"}),
    "refusing": lambda signal, request: (401, b""),
    "cut off": lambda signal, request: None,
    "slow": _slow,
}


class Troubles:
    """Those of one bridge.

    Args:
        home: the bridge's.
        bridge: whom they befall.
        endpoint: where it sends to.
        clock: the file that says what time it is.

    Attributes:
        happened: what went wrong, in order.
    """

    def __init__(self, home: Home, bridge: Bridge, endpoint: Endpoint, clock: Path) -> None:
        self._home = home
        self._bridge = bridge
        self._endpoint = endpoint
        self._clock = clock
        self._disk = FailingDisk()
        self._is_disk_failing = False
        self._lines_rotated = 0
        # What was written before a bridge began to follow files is history, so none of its clocks may be behind.
        self._ahead_ns = -MOST_HOURS_OFF * HOUR_NS
        settable_clock.set_ahead(clock, self._ahead_ns)
        self.happened: list[str] = []

    def now_ns(self) -> int:
        """What time the bridge takes it for, nanoseconds since the Unix epoch."""
        return time.time_ns() + self._ahead_ns

    def in_order(
        self, chance: random.Random, count: int, growing: Growing, cline: WritingProcess
    ) -> list[tuple[str, Callable[[], None]]]:
        """So many troubles, by name, one after the other; each kind at least once where there are enough."""
        spools = iter(range(1, sys.maxsize))
        spool = [self._home.spool / cline.spool_name()]

        def kill() -> None:
            self._bridge.kill()
            growing.grow(chance.randint(0, 4))
            self._is_disk_failing = False
            self._bridge.start()

        def break_disk() -> None:
            self._disk.fail(self._bridge.pid)
            self._is_disk_failing = True

        def roll() -> None:
            growing.end_line(spool[0])
            to = self._home.spool / cline.spool_name(next(spools))
            growing.move_on(spool[0], to)
            spool[0] = to

        def rotate() -> None:
            growing.end_line(self._home.cline_log)
            self._rotate()

        def set_clock() -> None:
            self._ahead_ns = chance.randint(-MOST_HOURS_OFF, MOST_HOURS_OFF) * HOUR_NS
            settable_clock.set_ahead(self._clock, self._ahead_ns)

        kinds: list[tuple[str, Callable[[], None]]] = [
            ("kill", kill),
            ("disk", break_disk),
            ("disk mended", self._mend_disk),
            *((f"endpoint: {name}", lambda name=name: self._turn_endpoint(name)) for name in ANSWERS),
            ("clock", set_clock),
            ("spool rolled", roll),
            ("log rotated", rotate),
        ]
        order = [*chance.sample(kinds, len(kinds)), *chance.choices(kinds, k=max(count - len(kinds), 0))]
        return order[:count]

    def mend(self) -> None:
        """All is well again."""
        self._mend_disk()
        self._listen()
        self._endpoint.answer = ANSWERS["well"]

    def _turn_endpoint(self, name: str) -> None:
        if name == "down":
            self._endpoint.go_down()
            return
        self._listen()
        self._endpoint.answer = ANSWERS[name]

    def _listen(self) -> None:
        if not self._endpoint.is_listening:
            self._endpoint.listen()

    def _mend_disk(self) -> None:
        if self._is_disk_failing:
            self._disk.mend(self._bridge.pid)
        self._is_disk_failing = False

    def _rotate(self) -> None:
        """Unless the log is one that was never read: renamed before that, nobody knows whether it was."""
        log = self._home.cline_log
        if not log.exists() or self._home.counted("received", "cline-log") <= self._lines_rotated:
            return
        self._lines_rotated += log.read_bytes().count(b"\n")
        for generation in range(8, 0, -1):
            older = log.with_name(f"{log.name}.{generation}")
            if older.exists():
                older.rename(log.with_name(f"{log.name}.{generation + 1}"))
        log.rename(log.with_name(f"{log.name}.1"))
