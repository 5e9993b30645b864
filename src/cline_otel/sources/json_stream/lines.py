"""Lines of the stream: of each what is read, and nothing of its texts but which tool was asked for what.

A line has ``ts`` and ``type``: ``agent_event`` (of the agent that is at work, without its name), ``hook_event`` (an
agent begins, ends, uses a tool; with its id), ``team_event`` (of a teammate, by the name that it was given), at the end
``run_result`` and, after an abort, ``run_aborted``. Seen in Cline 3.0.65.
"""

from __future__ import annotations

from typing import Final

import msgspec

from cline_otel.decode.json_text import JsonDecoder
from cline_otel.sources.conversations.messages import instant_ms
from cline_otel.sources.files.lines import first_object

_TYPES: Final = frozenset({"agent_event", "hook_event", "team_event", "run_result", "run_aborted"})
_ABSENT: Final = msgspec.Raw(b"")


class Model(msgspec.Struct, gc=False):
    """Which model it was."""

    id: str = ""
    provider: str = ""


class Teammate(msgspec.Struct, gc=False, rename="camel"):
    """A teammate that was made: the agent that it is."""

    runtime_agent_id: str = ""
    model_id: str = ""


class AgentEvent(msgspec.Struct, gc=False, rename="camel"):
    """What happened; of each kind some of the fields."""

    type: str = ""
    agent_id: str = ""
    iteration: int = 0
    content_type: str = ""
    tool_name: str = ""
    tool_call_id: str = ""
    tool_call_count: int | None = None
    input: msgspec.Raw = _ABSENT
    output: msgspec.Raw = _ABSENT
    error: msgspec.Raw = _ABSENT
    error_class: str = ""
    reason: str = ""
    input_tokens: int | float = 0
    output_tokens: int | float = 0
    cache_read_tokens: int | float | None = None
    cache_write_tokens: int | float | None = None
    cost: int | float | None = None
    teammate: Teammate | None = None
    event: AgentEvent | None = None

    @property
    def usage(self) -> tuple[int | float, int | float, int | float | None]:
        """What tells two reports of one usage from those of two."""
        return self.input_tokens, self.output_tokens, self.cost


class Line(msgspec.Struct, gc=False, rename="camel"):
    """One line."""

    ts: str = ""
    type: str = ""
    hook_event_name: str = ""
    agent_id: str = ""
    parent_agent_id: str | None = None
    event: AgentEvent | None = None
    finish_reason: str = ""
    model: Model | None = None

    @property
    def at_ms(self) -> int | None:
        """When it was written, ms since the Unix epoch; None where it does not say."""
        return instant_ms(self.ts)


_line = JsonDecoder(msgspec.json.Decoder(Line))


def read_line(raw: bytes) -> Line | None:
    """A line of the stream; None for anything else."""
    try:
        line = _line.decode(raw)
    except msgspec.DecodeError:
        return None
    return line if line.type in _TYPES else None


def is_stream(content: bytes) -> bool:
    """Whether a file holds a stream."""
    first = first_object(content)
    if not {"ts", "type"} <= first.keys():
        return False
    return bytes(first["type"]).strip(b'"').decode("ascii", "replace") in _TYPES
