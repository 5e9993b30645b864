"""The task that polls the inputs of all sources and hands what they hold to the pipeline, a committed batch at a time.

In every round the inputs of the lowest rank are read first and handed over last, after those above were drained:
whatever the log reports was then written before the spool was looked at, so the plugin's claim of a session always
precedes what the log says of it.

An input that raises something is a defect of its source: that is reported, and the other inputs are read on.

While telemetry is switched off what comes is skipped instead: cursors move to the ends and finished files are
deleted, without a line being read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from cline_otel.defects import described
from cline_otel.operating_system.clocks import since_boot_ns
from cline_otel.sources.files.tailing import READ_LIMIT_BYTES, Position, encode_position
from cline_otel.sources.intake import Batch, Busy, Submit, Unavailable
from cline_otel.sources.interface import Finished, Input, Payload, Reading

POLL_INTERVAL_SECONDS = 0.5
MAX_BATCHES = 256
"""Batches read in one poll, so that a poll ends however fast others write: 256 MiB, four times a full spool."""

CLOCK_SET_NS = 1_000_000_000
"""What the wall clock moves by against the other between two polls where somebody sets it: less is its drift."""

_NO_TIME = Batch()

SKIPPING_KEY = "passing-over"
"""The cursor key that is there while inputs are skipped, so that a bridge that starts later knows they were.

With a source's name behind it: that source failed when it was to be skipped, and is not read before it was.
"""

INTERRUPTED_KEY = "interrupted"
"""The cursor key that is there from then on until the runs that were open are closed."""

MARK = encode_position(Position(0, 0, 0, b""))
"""The value of the keys above, which are no places."""

_logger = logging.getLogger(__name__)


def renewed_cursors(cursors: Mapping[str, bytes], inputs: Sequence[Input]) -> dict[str, bytes | None]:
    """New cursors for those that no input can go on from, by key: the end of what is there now, None for nothing.

    What was not read is passed by. Read again from the beginning, all that was read would be counted twice; so an
    input that fails now is skipped to its end before it is read.
    """
    renewed: dict[str, bytes | None] = {}
    for key, cursor in cursors.items():
        owner = next((each for each in inputs if each.owns(key)), None)
        if owner is not None and not owner.can_go_on_from(cursor):
            try:
                renewed[key] = owner.ends().get(key)
            except Exception as error:
                _logger.warning("%s", _defect(owner, error))
                renewed |= {key: None, _to_skip(owner): MARK}
    return renewed


def _to_skip(each: Input) -> str:
    return f"{SKIPPING_KEY}/{each.source}"


def _defect(each: Input, error: Exception) -> str:
    return f"source {each.source} cannot be read, the others are: {described(error)}, please report this line"


class Poller:
    """Polls inputs until it is stopped.

    Cursors advance only with the commit. A batch that the pipeline refuses with Busy or
    Unavailable is read again later; any other exception of the pipeline ends the task. Cancelling it is
    safe at any point, but ends its life: make a new one from the journal's cursors.

    Args:
        submit: takes a batch and returns after its commit.
        cursors: the journal's cursors at the start, by key; those that no input owns, or can go on from, are left
            alone.
        inputs: what to poll, the highest rank first.
        may_read: False while it is not known whether it may be read; inputs then keep what they hold, and time stands
            still.
        has_room: False while the journal is full; inputs then keep what they hold, and time goes on.
        skips: True while what comes is not to be read, now or ever. Afterwards reading goes on from the
            ends as they are then.
        report: takes one line about a problem, once for as long as it lasts.
        interval_seconds: between polls; None polls only when woken.
        wake: set to poll at once.
        wall_clock_ns: nanoseconds since the Unix epoch.
        boot_clock_ns: nanoseconds of a clock that nobody sets.
        limit_bytes: about how much one batch holds.
    """

    def __init__(
        self,
        submit: Submit,
        cursors: Mapping[str, bytes],
        inputs: Sequence[Input],
        *,
        may_read: Callable[[], bool] = lambda: True,
        has_room: Callable[[], bool] = lambda: True,
        skips: Callable[[], bool] = lambda: False,
        report: Callable[[str], None] = _logger.warning,
        interval_seconds: float | None = POLL_INTERVAL_SECONDS,
        wake: asyncio.Event | None = None,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        boot_clock_ns: Callable[[], int] = since_boot_ns,
        limit_bytes: int = READ_LIMIT_BYTES,
    ) -> None:
        self._submit = submit
        self._inputs = tuple(inputs)
        self._may_read = may_read
        self._has_room = has_room
        self._skips = skips
        self._report = report
        self._interval_seconds = interval_seconds
        self._wake = asyncio.Event() if wake is None else wake
        self._wall_clock_ns = wall_clock_ns
        self._boot_clock_ns = boot_clock_ns
        self._ahead_ns: int | None = None
        self._limit_bytes = limit_bytes
        self._stopping = False
        self._problems: dict[str, str] = {}
        self._reported: dict[str, str] = {}
        self._cursors = {key: cursor for key, cursor in cursors.items() if key.partition("/")[0] == SKIPPING_KEY}
        for each in self._inputs:
            self._cursors |= each.usable(cursors)

    async def run(self) -> None:
        """Poll until stopped; the last poll begins after :meth:`stop` was called."""
        try:
            while not self._stopping:
                if not await self.poll_once():
                    await self._wait()
            await self.poll_once()
        finally:
            self.close()

    def stop(self) -> None:
        """Ask :meth:`run` to drain the inputs once more and return."""
        self._stopping = True
        self._wake.set()

    def close(self) -> None:
        """Let go of open files."""
        for each in self._inputs:
            with self._outliving(each):
                each.close()

    async def poll_once(self) -> bool:
        """Hand over what there is to read, then the time; less if the pipeline refuses.

        Returns:
            Whether to poll again at once, because there was more than one poll may read.
        """
        self._problems = {}
        try:
            if self._skips() or (SKIPPING_KEY in self._cursors and self._reads()):
                await self.skip_to_end()
            elif (failed := [each for each in self._inputs if _to_skip(each) in self._cursors]) and self._reads():
                await self._commit((), self._changed(self._ends(failed)))
            drained = await self._drain()
            if drained:
                await self._finish()
            elif drained is False and not self._skips() and self._may_read():
                await self._tick({}, is_behind=True)
        except (Busy, Unavailable):
            # What was read stays where it is and is read again; the pipeline reports its own state.
            drained = False
        for key, problem in self._problems.items():
            if self._reported.get(key) != problem:
                self._report(problem)
        self._reported = self._problems if drained else self._reported | self._problems
        return drained is None

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._interval_seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _drain(self) -> bool | None:
        """True if all that was there is handed over, False if reading must pause, None if there is more."""
        read: list[list[Reading]] = [[] for _ in self._inputs]
        for _ in range(MAX_BATCHES):
            if self._skips() or not self._reads():
                return False
            for number in reversed(range(len(self._inputs))):
                if not read[number]:
                    read[number] = self._read(self._inputs[number])
            number = next((number for number, readings in enumerate(read) if readings), -1)
            if number < 0:
                return True
            readings, read[number] = read[number], []
            payloads = tuple(reading.payload for reading in readings)
            await self._commit(payloads, {reading.key: reading.cursor for reading in readings})
        return None

    def _reads(self) -> bool:
        return self._may_read() and self._has_room()

    def _read(self, each: Input) -> list[Reading]:
        if _to_skip(each) in self._cursors:
            return []
        with self._outliving(each):
            readings = each.read(self._cursors, self._limit_bytes)
            self._problems.update(each.problems)
            return readings
        return []

    @contextmanager
    def _outliving(self, each: Input) -> Iterator[None]:
        """Within this block an exception of an input is a problem of its source."""
        try:
            yield
        except Exception as error:
            self._problems[each.source] = _defect(each, error)

    async def skip_to_end(self) -> None:
        """Move every cursor to the end, and delete the files that are finished."""
        changed = self._changed(self._ends(self._inputs))
        was_marked = SKIPPING_KEY in self._cursors
        if self._skips() and not was_marked:
            changed |= dict.fromkeys((SKIPPING_KEY, INTERRUPTED_KEY), MARK)
        elif not self._skips() and was_marked:
            # Read on only now: a change is noticed late, so what came before it was noticed is skipped too.
            changed[SKIPPING_KEY] = None
        await self._commit((), changed)
        for each in self._inputs:
            # That a writer is gone is said when it is read on: until then it is not known what it left open.
            with self._outliving(each):
                each.remove(each.finished(self._cursors)._replace(payloads=()), self._cursors)
        await self._commit((), self._missing())

    def _ends(self, inputs: Iterable[Input]) -> dict[str, bytes | None]:
        """Cursors behind all that is there; of a source that fails, that it is still to be skipped."""
        ends: dict[str, bytes | None] = {}
        for each in inputs:
            failed: bytes | None = MARK
            with self._outliving(each):
                ends |= each.ends()
                self._problems.update(each.problems)
                failed = None
            ends[_to_skip(each)] = ends.get(_to_skip(each)) or failed
        return ends

    def _changed(self, ends: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
        return {key: end for key, end in ends.items() if end != self._cursors.get(key)}

    async def _finish(self) -> None:
        """Say who is gone, remove what is finished after that commit, forget its cursors, and say what time it is."""
        for each in self._inputs:
            finished = Finished()
            with self._outliving(each):
                finished = each.finished(self._cursors)
            if finished.payloads:
                await self._commit(finished.payloads, {})
            with self._outliving(each):
                each.remove(finished, self._cursors)
        await self._tick(self._missing(), is_behind=False)

    async def _tick(self, cursors: Mapping[str, bytes | None], *, is_behind: bool) -> None:
        """Say what time it is, and whether the wall clock was set."""
        now_ns = self._wall_clock_ns()
        ahead_ns = now_ns - self._boot_clock_ns()
        moved_ns = 0 if self._ahead_ns is None else ahead_ns - self._ahead_ns
        if abs(moved_ns) < CLOCK_SET_NS:
            moved_ns = 0
        await self._commit((), cursors, Batch(tick_at_ns=now_ns, is_behind=is_behind, moved_ns=moved_ns))
        self._ahead_ns = ahead_ns

    def _missing(self) -> dict[str, bytes | None]:
        missing: dict[str, bytes | None] = {}
        for each in self._inputs:
            with self._outliving(each):
                missing |= dict.fromkeys(each.missing(self._cursors))
                self._problems.update(each.problems)
        return missing

    async def _commit(
        self, payloads: tuple[Payload, ...], cursors: Mapping[str, bytes | None], time: Batch = _NO_TIME
    ) -> None:
        await self._submit(msgspec.structs.replace(time, payloads=payloads, cursors=dict(cursors)))
        for key, cursor in cursors.items():
            if cursor is None:
                self._cursors.pop(key, None)
            else:
                self._cursors[key] = cursor
        # A pipeline that commits without waiting would otherwise keep the receiver from its connections.
        await asyncio.sleep(0)
