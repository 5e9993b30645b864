"""What of a session or task was told already: the cursor of its folder.

Cline rewrites its files whole, compacts them and goes back to earlier messages, so a position in a file means nothing.
Messages of an agent have ascending times; what is later than the last that was told is new.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

Record = dict[str, str | int | float | bool]
"""What becomes a line of a payload: ``event``, ``time_unix_ms`` and flat fields, as in the spool."""

ANNOUNCED: Final = "session.announced"
UNTOLD: Final = "session.untold"
RUNNING: Final = "running"
_KEY: Final = ("event", "run_id", "message_id", "call_id")


class ToldAgent(msgspec.Struct, array_like=True):
    """How far an agent's conversation was told: up to a time, ms since the Unix epoch, and which records of that one.

    ``ended`` is the run whose end was told last: of a run that is over the end may move afterwards.
    """

    until_ms: int = 0
    keys: list[str] = []
    ended: str = ""


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
        for record in records:
            if record["event"] in (ANNOUNCED, UNTOLD):
                continue
            told = agents.setdefault(str(record["agent_id"]), ToldAgent())
            at_ms = int(record["time_unix_ms"])
            if at_ms > told.until_ms:
                told.until_ms, told.keys = at_ms, []
            told.keys.append(_key(record))
            if record["event"] == "run.finished":
                told.ended = str(record["run_id"])
        return Told(signature, is_over, self.since_ms, agents, status)


def _key(record: Record) -> str:
    return " ".join(str(record.get(name, "")) for name in _KEY)


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
