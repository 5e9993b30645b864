"""The two streaming dialects of the model server, as server-sent events.

Each function returns the events of one answer in order. The last element holds all that ends the
answer (finish reason, usage, end mark), so that who has written all but the last has not ended it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .model_server import ModelRequest
    from .scripts import Turn


def openai_events(turn: Turn, asked: ModelRequest) -> list[str]:
    """An OpenAI ``chat.completion.chunk`` stream; ``prompt_tokens`` includes the cached ones."""

    def chunk(**fields: Any) -> str:
        common = {"id": asked.response_id, "object": "chat.completion.chunk", "created": 0, "model": asked.model}
        return f"data: {json.dumps(common | fields)}\n\n"

    def delta(**content: Any) -> str:
        return chunk(choices=[{"index": 0, "delta": content, "finish_reason": None}])

    events = [delta(role="assistant", content="")]
    events += [delta(reasoning_content=word) for word in _words(turn.reasoning)]
    events += [delta(content=word) for word in _words(turn.text)]
    for ordinal, (tool, call) in enumerate(zip(turn.tools, asked.tools, strict=True)):
        head = {"index": ordinal, "id": call.call_id, "type": "function"}
        events.append(delta(tool_calls=[head | {"function": {"name": tool.name, "arguments": ""}}]))
        tail = {"index": ordinal, "function": {"arguments": json.dumps(tool.arguments)}}
        events.append(delta(tool_calls=[tail]))
    usage = {
        "prompt_tokens": asked.input_tokens,
        "completion_tokens": asked.output_tokens,
        "total_tokens": asked.input_tokens + asked.output_tokens,
        "prompt_tokens_details": {"cached_tokens": asked.cache_read_tokens},
    }
    reason = "tool_calls" if turn.tools else "stop"
    end = chunk(choices=[{"index": 0, "delta": {}, "finish_reason": reason}])
    return [*events, f"{end}{chunk(choices=[], usage=usage)}data: [DONE]\n\n"]


def anthropic_events(turn: Turn, asked: ModelRequest) -> list[str]:
    """An Anthropic messages stream; ``input_tokens`` leaves out what was read from or written to a cache."""

    def event(kind: str, **fields: Any) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind} | fields)}\n\n"

    def block(index: int, start: dict[str, Any], deltas: list[dict[str, Any]]) -> list[str]:
        return [
            event("content_block_start", index=index, content_block=start),
            *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
            event("content_block_stop", index=index),
        ]

    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if turn.reasoning:
        thoughts = [{"type": "thinking_delta", "thinking": word} for word in _words(turn.reasoning)]
        signature = {"type": "signature_delta", "signature": "c2lnbmVk"}
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, [*thoughts, signature]))
    if turn.text:
        words = [{"type": "text_delta", "text": word} for word in _words(turn.text)]
        blocks.append(({"type": "text", "text": ""}, words))
    for tool, call in zip(turn.tools, asked.tools, strict=True):
        arguments = {"type": "input_json_delta", "partial_json": json.dumps(tool.arguments)}
        blocks.append(({"type": "tool_use", "id": call.call_id, "name": tool.name, "input": {}}, [arguments]))

    usage = {
        "input_tokens": asked.input_tokens - asked.cache_read_tokens - asked.cache_write_tokens,
        "cache_read_input_tokens": asked.cache_read_tokens,
        "cache_creation_input_tokens": asked.cache_write_tokens,
        "output_tokens": 1,
    }
    message: dict[str, Any] = {
        "id": asked.response_id,
        "type": "message",
        "role": "assistant",
        "model": asked.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    events = [event("message_start", message=message)]
    for index, (start, deltas) in enumerate(blocks):
        events += block(index, start, deltas)
    ending = {"stop_reason": "tool_use" if turn.tools else "end_turn", "stop_sequence": None}
    end = event("message_delta", delta=ending, usage={"output_tokens": asked.output_tokens})
    return [*events, end + event("message_stop")]


def _words(text: str) -> list[str]:
    return [f"{word} " for word in text.split()]
