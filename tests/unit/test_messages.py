"""Conversations are read one message at a time, whatever is in them and however much."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.sources.conversations import messages as reading
from cline_otel.sources.conversations.messages import TornFile, first_message, messages_in, size_of, word

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
AT_ONCE = st.just(1 << 20)
MESSAGES = st.lists(st.dictionaries(st.text(max_size=5), VALUES, max_size=4), max_size=5)


class InPieces(io.BytesIO):
    """A file that gives as few bytes at a time as is allowed."""

    def __init__(self, content: bytes, size_bytes: int) -> None:
        super().__init__(content)
        self._size_bytes = size_bytes

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self._size_bytes)


def whole_and_torn(content: bytes, size_bytes: int = 1 << 20) -> tuple[list[Any], bool]:
    found: list[Any] = []
    try:
        found.extend(messages_in(InPieces(content, size_bytes)))
    except TornFile:
        return found, True
    return found, False


@given(MESSAGES, VALUES, st.integers(1, 40) | AT_ONCE, st.sampled_from([None, 2]), st.booleans())
def test_every_message_is_read_as_it_was_written_however_the_file_comes(
    messages: list[dict[str, Any]], beside: Any, size_bytes: int, indent: int | None, is_ascii: bool
) -> None:
    content = json.dumps(
        {"before": beside, "messages": messages, "after": beside}, indent=indent, ensure_ascii=is_ascii
    ).encode("utf-8", "surrogatepass")
    assert whole_and_torn(content, size_bytes) == (messages, False)


@given(MESSAGES, st.data())
def test_of_a_file_that_is_cut_off_every_whole_message_is_read(
    messages: list[dict[str, Any]], data: st.DataObject
) -> None:
    parts = [json.dumps(message) for message in messages]
    content = ('{"messages": [' + ", ".join(parts) + "]}").encode()
    at = data.draw(st.integers(0, len(content) - 1))
    ends = [len('{"messages": [' + ", ".join(parts[: number + 1])) for number in range(len(parts))]
    assert whole_and_torn(content[:at]) == (messages[: sum(end <= at for end in ends)], True)


@pytest.mark.parametrize(
    "content",
    [b"", b"  ", b"[]", b'{"messages": [{}]} x', b'{"messages": [{},]}', b"{1: 2}"],
)
def test_what_is_no_json_object_is_torn(content: bytes) -> None:
    assert whole_and_torn(content)[1]


@pytest.mark.parametrize(
    "unusual",
    [
        rb'{"a": "\ud83d", "b": 1}',
        b'{"a": "\xc3(", "b": 1}',
        b'{"a": 1e999}',
        b'{"a": 123456789012345678901234567890}',
        b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'["no message"]',
        b'{"a": 1, "a": 2}',
    ],
    ids=["half a character", "no UTF-8", "too large", "a long number", "deep", "no object", "twice"],
)
def test_what_is_unusual_is_read_alike_at_once_and_piece_by_piece(unusual: bytes) -> None:
    content = b'{"messages": [{"id": "before"}, %b, {"id": "after"}]}' % unusual
    at_once, is_torn = whole_and_torn(content)
    assert (at_once, is_torn) == whole_and_torn(content, 7)
    assert not is_torn
    assert [each["id"] for each in (at_once[0], at_once[-1])] == ["before", "after"]


def test_the_first_message_is_read_without_what_follows_it() -> None:
    assert first_message(io.BytesIO(b'{"messages": [{"id": "a"}, {"torn')) == {"id": "a"}
    assert first_message(io.BytesIO(b'{"messages": []}')) is None
    assert first_message(io.BytesIO(b'{"mess')) is None


@pytest.mark.parametrize("size_bytes", [1 << 20, 30_000])
def test_what_is_nested_without_end_is_left_out_of_its_message(size_bytes: int) -> None:
    deep = b"[" * 50_000 + b'"]{"' + b"]" * 50_000
    content = b'{"messages": [{"a": 1}, {"a": ' + deep + b', "b": "]"}, {"c": 3}]}'
    (first, second, third), is_torn = whole_and_torn(content, size_bytes)
    assert (first, second["b"], third, is_torn) == ({"a": 1}, "]", {"c": 3}, False)
    assert whole_and_torn(content[:75_000], size_bytes) == ([{"a": 1}], True)


@given(st.integers(1, 60))
def test_of_a_text_that_is_too_long_the_beginning_is_read_and_all_that_follows_it(size_bytes: int) -> None:
    text = '"\\ä\n' * 30
    content = json.dumps({"messages": [{"id": "a", "text": text, "more": [1]}, {"id": "b"}]}).encode()
    before, reading.LONGEST_TEXT = reading.LONGEST_TEXT, 25
    try:
        (first, second), is_torn = whole_and_torn(content, size_bytes)
    finally:
        reading.LONGEST_TEXT = before
    assert (second, is_torn) == ({"id": "b"}, False)
    assert text.startswith(first.pop("text"))
    assert first == {"id": "a", "more": [1]}


def test_what_a_message_takes_of_memory_is_bounded_however_long_its_text_is() -> None:
    class Endless(io.RawIOBase):
        """64 MB in one message."""

        def __init__(self) -> None:
            self._pieces: Iterator[bytes] = iter(
                [b'{"messages": [{"text": "', *[b'line \\"of\\" text\\n' * 65_536] * 60, b'"}, {"id": "b"}]}']
            )

        def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
            return 64_000_000

        def read(self, size: int = -1) -> bytes:
            return next(self._pieces, b"")

    tracemalloc.start()
    try:
        first, second = messages_in(Endless())  # type: ignore[arg-type]
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert second == {"id": "b"}
    assert len(str(first["text"])) >= 3_000_000
    assert peak_bytes < 40_000_000


def test_half_a_character_is_harmless() -> None:
    ((message,), is_torn) = whole_and_torn(b'{"messages": [{"id": "x\\ud83d", "given": ["\\ud83d", 1]}]}')
    assert not is_torn
    assert word(message["id"]) == "x?"
    assert size_of(message["given"]) == len('["?",1]')


@given(VALUES)
def test_a_size_is_that_of_the_compact_json(value: Any) -> None:
    if isinstance(value, list | dict):
        written = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        floats = [each for each in json.dumps(value) if each in ".eE"]
        assert floats or size_of(value) == len(written)
