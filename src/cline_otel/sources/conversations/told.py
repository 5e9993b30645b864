"""What of a session or task was told already: the cursor of its folder.

Cline rewrites its files whole, compacts them and goes back to earlier messages, so a position in a file means nothing.
Messages of an agent have ascending times; what is later than the last that was told is new.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final
from zlib import crc32

import msgspec

Record = dict[str, str | int | float | bool]
"""What becomes a line of a payload: ``event``, ``time_unix_ms`` and flat fields, as in the spool."""

ANNOUNCED: Final = "session.announced"
UNTOLD: Final = "session.untold"
REWRITTEN: Final = "records.rewritten"
RUNNING: Final = "running"
_KEY: Final = ("event", "run_id", "message_id", "call_id")


_MAY_MOVE: Final = frozenset({ANNOUNCED, UNTOLD, "run.finished"})
_encoder: Final = msgspec.json.Encoder()

_Sum = tuple[int, int]
"""How many records, and the sum of their checksums."""


class ToldAgent(msgspec.Struct, array_like=True):
    """How far an agent's conversation was told: up to a time, ms since the Unix epoch, and which records of that one.

    ``ended`` is the run whose end was told last: of a run that is over the end may move afterwards. ``count`` is how
    many of the records that were told were in the files when those were read last, and ``checksum`` the sum of theirs;
    0 where that is not known.
    """

    until_ms: int = 0
    keys: list[str] = []
    ended: str = ""
    count: int = 0
    checksum: int = 0


class Told(msgspec.Struct, array_like=True):
    """A session's cursor.

    Attributes:
        signature: what the files looked like: their sizes and times.
        is_over: whether it was told that nothing more comes.
        since_ms: what is older is not told, ms since the Unix epoch.
        agents: by agent.
        status: the session's, as the manifest had it.
    """

    signature: str = ""
    is_over: bool = False
    since_ms: int = 0
    agents: dict[str, ToldAgent] = {}
    status: str = ""

    def next(
        self,
        records: Sequence[Record],
        signature: str,
        status: str,
        *,
        at_ms: int,
        is_over: bool,
        unsettled: Sequence[Record] = (),
    ) -> tuple[list[Record], Told]:
        """What of a session's records is new, and the cursor after that was told.

        Before the new ones stands how many were changed or removed since they were told, if any were: one of those that
        were changed, and all that were removed. They are not told again.

        Args:
            records: all of them, in the order of time.
            signature: what the files look like.
            status: the session's.
            at_ms: when the files were changed, ms since the Unix epoch.
            is_over: whether nothing more comes of what was begun.
            unsettled: what the files say besides, and may still change; some of it may have been told.
        """
        new = self.new(records)
        after = self.after(new, signature, status, is_over=is_over)
        found = self._found([*records, *unsettled], set(map(id, new)))
        rewritten = 0
        for agent_id, told in after.agents.items():
            (count, checksum), (new_count, new_checksum) = found.get(agent_id, ((0, 0), (0, 0)))
            known = self.agents.get(agent_id)
            if known is not None and known.count:
                rewritten += max(known.count - count, int(checksum != known.checksum))
            told.count, told.checksum = count + new_count, checksum + new_checksum
        said: list[Record] = [{"event": REWRITTEN, "time_unix_ms": at_ms, "count": rewritten}] if rewritten else []
        return [*said, *new], after

    def _found(self, records: Iterable[Record], new: set[int]) -> dict[str, tuple[_Sum, _Sum]]:
        """By agent, the records that were told before, and those that are now; without ends of runs, which may move."""
        found: dict[str, tuple[_Sum, _Sum]] = {}
        for record in records:
            is_now = id(record) in new
            if record["event"] in _MAY_MOVE or not (is_now or self._was_told(record)):
                continue
            checksum = crc32(_encoder.encode(record))
            before, now = found.get(str(record["agent_id"]), ((0, 0), (0, 0)))
            if is_now:
                now = (now[0] + 1, now[1] + checksum)
            else:
                before = (before[0] + 1, before[1] + checksum)
            found[str(record["agent_id"])] = (before, now)
        return found

    def _was_told(self, record: Record) -> bool:
        return int(record["time_unix_ms"]) >= self.since_ms and not self._is_new(record)

    def new(self, records: Iterable[Record]) -> list[Record]:
        """Those of a session's records that were not told."""
        return [record for record in records if self._is_new(record)]

    def _is_new(self, record: Record) -> bool:
        at_ms = int(record["time_unix_ms"])
        if record["event"] == ANNOUNCED:
            return self.status != RUNNING
        if record["event"] == UNTOLD:
            return not self.is_over
        if at_ms < self.since_ms:
            return False
        told = self.agents.get(str(record["agent_id"]))
        if told is None:
            return True
        if record["event"] == "run.finished" and record["run_id"] == told.ended:
            return False
        return at_ms > told.until_ms or (at_ms == told.until_ms and _key(record) not in told.keys)

    def after(self, records: Iterable[Record], signature: str, status: str, *, is_over: bool) -> Told:
        """The cursor after these records, in the order of time, were told too."""
        agents = {
            agent_id: ToldAgent(each.until_ms, [*each.keys], each.ended) for agent_id, each in self.agents.items()
        }
        newest: dict[str, list[Record]] = {}
        for record in records:
            if record["event"] in (ANNOUNCED, UNTOLD):
                continue
            agent_id, at_ms = str(record["agent_id"]), int(record["time_unix_ms"])
            told = agents.setdefault(agent_id, ToldAgent())
            if at_ms > told.until_ms:
                told.until_ms, told.keys, newest[agent_id] = at_ms, [], []
            if at_ms == told.until_ms:
                newest.setdefault(agent_id, []).append(record)
            if record["event"] == "run.finished":
                told.ended = str(record["run_id"])
        for agent_id, last in newest.items():
            agents[agent_id].keys += [_key(record) for record in last]
        return Told(signature, is_over, self.since_ms, agents, status)


def _key(record: Record) -> str:
    """What stands for a record: the model's ids of calls are not kept."""
    said = " ".join(str(record.get(name, "")) for name in _KEY)
    return blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


_decoder = msgspec.json.Decoder(Told)


def encode_told(told: Told) -> bytes:
    """A cursor as it is stored."""
    return msgspec.json.encode(told)


def decode_told(cursor: bytes) -> Told | None:
    """A stored cursor; None for what is none."""
    try:
        return _decoder.decode(cursor)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
