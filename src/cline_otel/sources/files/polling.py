"""The task that polls the file sources and hands what they hold to the pipeline, a committed batch at a time.

In every round the log is read first and handed over last, after the spool was drained: whatever the
log tells was then written before the spool was looked at, so the plugin's claim of a session always
precedes what the log says of it.

While telemetry is switched off the files are passed over instead: positions move to their ends and
finished files are deleted, without a line being read.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from hashlib import blake2b
from pathlib import Path

import msgspec

from cline_otel.sources.files.tailing import (
    READ_LIMIT_BYTES,
    Chunk,
    Position,
    Tail,
    UnreadableFile,
    end_position,
    unread_bytes,
)
from cline_otel.sources.intake import (
    Batch,
    Busy,
    ClineLogLines,
    FileInput,
    PluginLines,
    ProcessGone,
    ProcessKey,
    Submit,
    Unavailable,
)
from cline_otel.sources.plugin.spool import KEY_PREFIX, FinishedFile, SpoolChunk, SpoolReader, UndeletableFile

POLL_INTERVAL_SECONDS = 0.5
MAX_BATCHES = 256
"""Batches read in one poll, so that a poll ends however fast others write: 256 MiB, four times a full spool."""

PASSING_OVER_KEY = "passing-over"
"""The cursor key that is there while files are passed over, so that a bridge that starts anew knows they were."""

INTERRUPTED_KEY = "interrupted"
"""The cursor key that is there from then on until the runs that were open are closed."""

_logger = logging.getLogger(__name__)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Position)


def cline_log_key(path: Path) -> str:
    """The cursor key of a log: a digest stands for its path, which would tell the user's name."""
    return "cline-log/" + blake2b(str(path.absolute()).encode("utf-8", "surrogateescape"), digest_size=4).hexdigest()


def encode_position(position: Position) -> bytes:
    """A position as it is kept in the journal."""
    return _encoder.encode(position)


def decode_position(cursor: bytes) -> Position:
    """Read a position of the journal.

    Raises:
        ValueError: it is not one; the journal is damaged or was written by another version.
    """
    try:
        return _decoder.decode(cursor)
    except msgspec.MsgspecError:
        raise ValueError(
            "a source cursor in the journal cannot be read; it is damaged or of another version of cline-otel: "
            "use the version that wrote it, or move the state directory away to begin anew"
        ) from None


MARK = encode_position(Position(0, 0, 0, b""))
"""The value of the two keys above, which are no places."""


class FilePoller:
    """Polls the spool and the log until it is stopped.

    Positions advance only with the commit. A batch that the pipeline refuses with Busy or
    Unavailable is read again later; any other exception ends the task. Cancelling it is safe at any
    point, but ends its life: make a new one from the journal's cursors.

    Args:
        submit: takes a batch and returns after its commit.
        cursors: the journal's cursors at the start, by key; keys of other sources are left alone.
        spool: the plugin's spool, or None.
        cline_log: the log to follow, or None.
        may_read: False while the journal is full; files then keep what they hold, and time stands still.
        passes_over: True while what comes is not to be read, now or ever. Afterwards reading goes on from the
            ends of the files as they are then.
        report: takes one line about a problem, once for as long as it lasts.
        interval_seconds: between polls; None polls only when woken.
        wake: set to poll at once.
        wall_clock_ns: nanoseconds since the Unix epoch.
        limit_bytes: about how much one batch holds.
    """

    def __init__(
        self,
        submit: Submit,
        cursors: Mapping[str, bytes],
        *,
        spool: SpoolReader | None = None,
        cline_log: Path | None = None,
        may_read: Callable[[], bool] = lambda: True,
        passes_over: Callable[[], bool] = lambda: False,
        report: Callable[[str], None] = _logger.warning,
        interval_seconds: float | None = POLL_INTERVAL_SECONDS,
        wake: asyncio.Event | None = None,
        wall_clock_ns: Callable[[], int] = time.time_ns,
        limit_bytes: int = READ_LIMIT_BYTES,
    ) -> None:
        self._submit = submit
        self._spool = spool
        self._tail = Tail(cline_log, limit_bytes) if cline_log is not None else None
        self._log_key = cline_log_key(cline_log) if cline_log is not None else ""
        self._may_read = may_read
        self._passes_over = passes_over
        self._report = report
        self._interval_seconds = interval_seconds
        self._wake = asyncio.Event() if wake is None else wake
        self._wall_clock_ns = wall_clock_ns
        self._limit_bytes = limit_bytes
        self._stopping = False
        self._told_gone: set[ProcessKey] = set()
        self._problems: dict[str, str] = {}
        self._reported: dict[str, str] = {}
        self._positions = {
            key: decode_position(cursor)
            for key, cursor in cursors.items()
            if key in (self._log_key, PASSING_OVER_KEY) or (spool is not None and key.startswith(KEY_PREFIX))
        }

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
        """Ask :meth:`run` to drain the files once more and return."""
        self._stopping = True
        self._wake.set()

    def close(self) -> None:
        """Let go of open files."""
        if self._tail is not None:
            self._tail.close()

    async def poll_once(self) -> bool:
        """Hand over what there is to read, then the time; less if the pipeline refuses.

        Returns:
            Whether to poll again at once, because there was more than one poll may read.
        """
        self._problems = {}
        try:
            if self._passes_over() or (PASSING_OVER_KEY in self._positions and self._may_read()):
                await self.pass_over()
            drained = await self._drain()
            if drained:
                await self._tell_gone_and_time()
        except (Busy, Unavailable):
            # What was read stays in the files and is read again; the pipeline reports its own state.
            drained = False
        for key, problem in self._problems.items():
            if self._reported.get(key) != problem:
                self._report(problem)
        self._reported = self._problems if drained else self._reported | self._problems
        return drained is None

    def unread_bytes(self) -> dict[str, int]:
        """How far each source lags behind its files, in bytes: ``spool`` and ``cline-log``."""
        lags: dict[str, int] = {}
        if self._spool is not None:
            lags["spool"] = self._spool.unread_bytes(self._positions)
        if self._tail is not None:
            lags["cline-log"] = unread_bytes(self._tail.path, self._positions.get(self._log_key))
        return lags

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._interval_seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _drain(self) -> bool | None:
        """True if all that was there is handed over, False if reading must pause, None if there is more."""
        log_chunk: Chunk | None = None
        for _ in range(MAX_BATCHES):
            if self._passes_over() or not self._may_read():
                return False
            if log_chunk is None:
                log_chunk = self._read_log()
            chunks = self._read_spool()
            if chunks:
                inputs = tuple(
                    PluginLines(chunk.file.key, chunk.file.process, chunk.lines, chunk.skipped_lines)
                    for chunk in chunks
                )
                await self._commit(inputs, {chunk.file.key: chunk.position for chunk in chunks})
            elif log_chunk is not None:
                lines = ClineLogLines(self._log_key, log_chunk.lines, log_chunk.skipped_lines)
                await self._commit((lines,), {self._log_key: log_chunk.position})
                log_chunk = None
            else:
                return True
        return None

    async def pass_over(self) -> None:
        """Move every position to the end of its file, and delete the files that are finished."""
        ends: dict[str, Position | None] = {}
        if self._tail is not None:
            try:
                ends[self._log_key] = end_position(self._tail.path)
            except UnreadableFile as error:
                self._problems[self._log_key] = str(error)
            # It may hold a file that is renamed or removed by now.
            self._tail.close()
        if self._spool is not None:
            ends |= self._spool.ends()
            self._problems.update(self._spool.problems)
        changed = {key: end for key, end in ends.items() if end != self._positions.get(key)}
        was_marked = PASSING_OVER_KEY in self._positions
        if self._passes_over() and not was_marked:
            changed |= dict.fromkeys((PASSING_OVER_KEY, INTERRUPTED_KEY), decode_position(MARK))
        elif not self._passes_over() and was_marked:
            # Read on only now: a change is noticed late, so what came before it was noticed is passed over too.
            changed[PASSING_OVER_KEY] = None
        await self._commit((), changed)
        if self._spool is not None:
            finished = self._spool.finished(self._positions)
            self._delete(finished, frozenset())
            await self._commit((), dict.fromkeys(self._spool.missing(self._positions)))

    def _read_log(self) -> Chunk | None:
        if self._tail is None:
            return None
        try:
            return self._tail.read(self._positions.get(self._log_key))
        except UnreadableFile as error:
            self._problems[self._log_key] = str(error)
            return None

    def _read_spool(self) -> list[SpoolChunk]:
        if self._spool is None:
            return []
        chunks = self._spool.poll(self._positions, self._limit_bytes)
        self._problems.update(self._spool.problems)
        return chunks

    async def _tell_gone_and_time(self) -> None:
        """Tell who is gone, delete what is finished after that commit, and forget the cursors of deleted files."""
        forgotten: dict[str, Position | None] = {}
        if self._spool is not None:
            finished = self._spool.finished(self._positions)
            gone = {file.file.process for file in finished if file.is_process_gone}
            untold = sorted(gone - self._told_gone)
            if untold:
                await self._commit(tuple(ProcessGone(process) for process in untold), {})
            self._told_gone = set()
            self._delete(finished, gone)
            # Only now: a file that outlived its cursor would be read a second time.
            forgotten = dict.fromkeys(self._spool.missing(self._positions))
            self._problems.update(self._spool.problems)
        await self._commit((), forgotten, tick_at_ns=self._wall_clock_ns())

    def _delete(self, finished: list[FinishedFile], gone: Collection[ProcessKey]) -> None:
        assert self._spool is not None  # noqa: S101 - who calls has found finished files in it
        for file in finished:
            try:
                self._spool.delete(file.file, self._positions.get(file.file.key))
            except UndeletableFile as error:
                self._problems[file.file.key] = str(error)
                # It is found finished again in every poll.
                self._told_gone |= {file.file.process} & set(gone)

    async def _commit(
        self, inputs: tuple[FileInput, ...], positions: Mapping[str, Position | None], tick_at_ns: int | None = None
    ) -> None:
        cursors = {key: None if place is None else encode_position(place) for key, place in positions.items()}
        await self._submit(Batch(inputs, cursors, tick_at_ns))
        for key, position in positions.items():
            if position is None:
                self._positions.pop(key, None)
            else:
                self._positions[key] = position
        # A pipeline that commits without waiting would otherwise keep the receiver from its connections.
        await asyncio.sleep(0)
