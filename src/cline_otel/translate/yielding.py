"""Whether a prompt that a yielding source tells is told by another, too.

Such a source (``catalogue.toml``, ``yields``) knows no session. Its agent is the same for all that know Cline's agents;
for files, which know none, a prompt is the same that began at the same time with the same first tool call.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

EARLIEST_NS: Final = -200_000_000
LATEST_NS: Final = 500_000_000
"""When an agent begins after its prompt's message was written: 2 to 27 ms (44 streams of the captures)."""


class Told(NamedTuple):
    """A root run, as a source tells it.

    Attributes:
        agent_id: the agent, as the source names it.
        began_at_ns: nanoseconds since the Unix epoch.
        first_call: what stands for its first tool call; empty where that is not known.
        owner: whose it is; empty while that is not decided.
    """

    agent_id: str
    began_at_ns: int
    first_call: bytes
    owner: str


def same_prompt(told: Told, others: Iterable[Told]) -> Told | None:
    """That of the others which is the same prompt; one of the same agent before one of the same time."""
    candidates = [other for other in others if _is_same(told, other)]
    return max(candidates, key=lambda other: (other.agent_id == told.agent_id, bool(other.owner)), default=None)


def _is_same(told: Told, other: Told) -> bool:
    if told.agent_id == other.agent_id:
        return True
    if told.first_call and other.first_call and told.first_call != other.first_call:
        return False
    return EARLIEST_NS <= told.began_at_ns - other.began_at_ns <= LATEST_NS
