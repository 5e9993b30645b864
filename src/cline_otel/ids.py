"""Deterministic ids: hashes of upstream keys, never of times.

The same event, live or from history, reported by one source or another, gets the same id, because its
keys are the same while its time differs by some milliseconds between sources. Parts are
length-prefixed, so (1, 23) never equals (12, 3).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b

_CACHE_SIZE = 8_192
_RECENT = 4_096
_INVALID = {8: bytes(8), 16: bytes(16)}
"""All-zero ids are invalid (W3C Trace Context)."""


def _digest(size: int, parts: tuple[str, ...]) -> bytes:
    framed = "".join([f"{len(part)}:{part}" for part in parts])
    value = blake2b(framed.encode("utf-8", "surrogatepass"), digest_size=size).digest()
    return value if value != _INVALID[size] else b"\x01" * size


@lru_cache(_CACHE_SIZE)
def trace_id(root_agent_id: str, root_run_id: str) -> bytes:
    """16 bytes for the trace of one root run."""
    return _digest(16, ("trace", root_agent_id, root_run_id))


@lru_cache(_CACHE_SIZE)
def run_span_id(agent_id: str, run_id: str) -> bytes:
    """8 bytes for an agent's run."""
    return _digest(8, ("run", agent_id, run_id))


def mark_of_call(call_id: str) -> bytes:
    """8 bytes that stand for the model's id of a tool call, which is not kept; empty for none."""
    return _digest(8, ("call", call_id)) if call_id else b""


def mark_of_reporter(names: Sequence[str]) -> str:
    """16 hex digits that stand for who reports something, by what names user and machine, which is not kept; empty
    where nothing does."""
    return _digest(8, ("reporter", *names)).hex() if any(names) else ""


@lru_cache(_RECENT)
def model_call_span_id(agent_id: str, run_id: str, iteration: int, attempt: int = 1) -> bytes:
    """8 bytes for the model call ``iteration`` (from 1) of a run; after a context overflow Cline asks again."""
    again = (str(attempt),) if attempt > 1 else ()
    return _digest(8, ("model_call", agent_id, run_id, str(iteration), *again))


@lru_cache(_RECENT)
def tool_call_span_id(agent_id: str, run_id: str, iteration: int, ordinal: int | str) -> bytes:
    """8 bytes for the ``ordinal``-th tool (from 0) that started in that iteration, or what else tells which it was."""
    return _digest(8, ("tool_call", agent_id, run_id, str(iteration), str(ordinal)))


def answer_span_id(agent_id: str, run_id: str, message_id: str) -> bytes:
    """8 bytes for the model call whose answer has this id, where positions are not known for sure."""
    return _digest(8, ("answer", agent_id, run_id, message_id))


def asked_call_span_id(agent_id: str, run_id: str, message_id: str, call_id: str) -> bytes:
    """8 bytes for the tool call that an answer asked for; some models count their calls anew in each answer."""
    return _digest(8, ("asked_call", agent_id, run_id, message_id, call_id))


def approval_span_id(tool_call: bytes) -> bytes:
    """8 bytes for the wait until it was decided whether a tool call may run; ``tool_call`` is the id of its span."""
    return _digest(8, ("approval", tool_call.hex()))


def log_record_uid(*keys: str) -> str:
    """32 hex digits for a log record, from the keys of the event it reports."""
    return _digest(16, ("log", *keys)).hex()


def digest_of_lost(row: bytes) -> str:
    """32 hex digits of a stored row that could not be read, to tell what comes after it from what came before."""
    return _digest(16, ("lost", repr(row))).hex()
