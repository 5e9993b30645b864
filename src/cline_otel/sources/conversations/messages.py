"""Messages of a conversation, read from a file of JSON one at a time: a file may be larger than memory.

What is read may be anything: a torn file, another program's, one that is written while it is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import IO, Any, Final

import ijson

Message = Mapping[str, object]
"""One message as it is written. Nothing of it is known but that it is an object."""

_READ_BYTES: Final = 1024 * 1024
_DEEPEST: Final = 64
"""Objects and arrays within one another, from a message on; a tool's arguments have some ten."""


class TornFile(Exception):  # noqa: N818 - named for the file's state
    """The rest of a file is no JSON: it is torn, or being written. What came before it was read."""


def messages_in(file: IO[bytes], within: str = "messages") -> Iterator[Message]:
    """The objects of an array, one at a time.

    Args:
        file: where to read.
        within: under which key of the file's object the array stands; empty for a file that is an array.

    Raises:
        TornFile: after the last whole message.
    """
    try:
        yield from _objects(ijson.basic_parse(file, buf_size=_READ_BYTES, use_float=True), within)
    except (ijson.JSONError, UnicodeDecodeError, OverflowError) as error:
        raise TornFile from error


def _objects(events: Iterable[tuple[str, Any]], within: str) -> Iterator[Message]:
    """Puts the array's objects together; what is nested too deeply for a conversation is left out of its object."""
    key, depth = "", 0
    stack: list[Any] = []
    keys: list[str] = []
    too_deep = 0
    is_within = False
    for event, value in events:
        if not is_within:
            if event == "map_key":
                key = value if depth == 1 else key
            elif event.startswith("end_"):
                depth -= 1
            elif event.startswith("start_"):
                depth += 1
                is_within = event == "start_array" and (depth == 2 and key == within if within else depth == 1)
        elif event.startswith("start_"):
            if too_deep or len(stack) == _DEEPEST:
                too_deep += 1
                continue
            new: Any = {} if event == "start_map" else []
            _put(stack, keys, new)
            stack.append(new)
            keys.append("")
        elif event.startswith("end_"):
            if too_deep:
                too_deep -= 1
            elif not stack:
                is_within, depth = False, depth - 1
            else:
                keys.pop()
                done = stack.pop()
                if not stack and isinstance(done, dict):
                    yield done
        elif not too_deep:
            if event == "map_key":
                keys[-1] = value
            else:
                _put(stack, keys, value)


def _put(stack: list[Any], keys: list[str], value: Any) -> None:
    if stack:
        if isinstance(stack[-1], dict):
            stack[-1][keys[-1]] = value
        else:
            stack[-1].append(value)


def blocks_of(message: Message) -> list[Mapping[str, object]]:
    """The parts of a message's content; a text alone is one part."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def text_of(block: Mapping[str, object]) -> str:
    """The text of a part of text; empty for another."""
    text = block.get("text") if block.get("type") == "text" else None
    return text if isinstance(text, str) else ""


def word(value: object) -> str:
    """A name, an id or a word; empty for anything else."""
    return value if isinstance(value, str) else ""


def milliseconds(value: object) -> int | None:
    """A time, ms since the Unix epoch; None for what is no such."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e14:
        return None
    return int(value)


def amount(value: object) -> int | float | None:
    """A number that is not negative; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        return None
    return value


def table(value: object) -> Mapping[str, object]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}
