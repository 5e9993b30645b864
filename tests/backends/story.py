"""Bridges that are told things while they, and what they send to, come and go."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Self

import msgspec

from bridge.workload import Recording
from waiting import wait_until

from .bridges import BridgeAndCline
from .destinations import Destination, Sources


class Story:
    """Bridges with a Cline each, which send to one destination.

    Attributes:
        bridges: they run from the beginning of the block.
    """

    def __init__(self, destination: Destination, folder: Path, bridges: int = 2) -> None:
        """``folder`` is for homes and replays."""
        self._folder = folder
        self._ends = ExitStack()
        self.bridges = [
            BridgeAndCline(folder / f"home-{number}", 1_000 * number, destination.environment)
            for number in range(1, bridges + 1)
        ]

    def __enter__(self) -> Self:
        for each in self.bridges:
            self._ends.enter_context(each)
            each.bridge.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ends.close()

    def export(self, *told: tuple[BridgeAndCline, Recording]) -> None:
        """Tells each bridge something and waits until an export of it was taken."""
        before = [each.exported_points() for each, _ in told]
        for each, recording in told:
            each.tell(recording)
        wait_until(
            lambda: all(each.exported_points() > points for (each, _), points in zip(told, before, strict=True)),
            lambda: "exports\n" + "\n".join(each.bridge.said for each in self.bridges),
        )

    def end(self) -> Sources:
        """Waits until everything is read, ends the bridges, and returns what they should have counted."""
        sources = {}
        for number, each in enumerate(self.bridges):
            each.wait_until_all_is_read(self._folder / f"read-{number}")
            assert each.bridge.stop() == 0, each.bridge.said
            sources[each.instance_id] = each.source(self._folder / f"source-{number}")
        return sources


def with_model(recording: Recording, model: str) -> Recording:
    """The same run with another model, as the plugin tells it."""
    named = f'"model":"{model}"'.encode()
    lines = tuple(line.replace(b'"model":"claude-opus-4-5"', named) for line in recording.spool)
    return msgspec.structs.replace(recording, spool=lines)
