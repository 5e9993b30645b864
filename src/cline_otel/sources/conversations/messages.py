"""Messages of a conversation, read from a file of JSON one at a time: a file may be larger than memory.

What is read may be anything: a torn file, another program's, one that is written while it is read.
"""

from __future__ import annotations

import codecs
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from cline_otel.decode.json_text import UNREADABLE, cut_short, json_value, mended
from cline_otel.sources.compressed import Unpacked, is_cut_off, opened

Message = Mapping[str, object]
"""One message as it is written. Nothing of it is known but that it is an object."""

LONGEST_TEXT: Final = 4 * 1024 * 1024
"""Characters that are read of a text at least. Of one that is longer the rest may be left out, as it would not fit into
memory."""

WHOLE_BYTES: Final = 8 * 1024 * 1024
"""A file that is no larger is read at once, in half the time."""

_LARGEST_OBJECT_BYTES: Final = 64 * 1024 * 1024
"""Of a compressed file that is read at once."""

_READ_BYTES: Final = 1024 * 1024
_AHEAD: Final = 64 * 1024
"""Characters that are there where a value begins, so that few are found to be cut off."""

_INFINITE: Final = float("inf")
_LONGEST_TOKEN: Final = 16
"""Characters of an escape, or of a word, that is cut off."""

_SPACE: Final = re.compile(r"[ \t\r\n]*")
_IN_TEXT: Final = re.compile(r'[^"\\]*+(?:\\(?:u[0-9a-fA-F]{4}|[^u])[^"\\]*+)*+')

_CUT_OFF_TEXT: Final = "Unterminated string"
"""How the decoder calls it."""


class TornFile(Exception):  # noqa: N818 - named for the file's state
    """The rest of a file is no JSON: it is torn, or being written. What came before it was read."""


def messages_of(path: Path, within: str = "messages") -> Iterator[Message]:
    """The objects of an array, one at a time.

    Args:
        path: the file; it may be compressed, and be called so.
        within: as of ``messages_in``.

    Raises:
        OSError: the file cannot be read.
        TornFile: after the last whole message.
    """
    with opened(path) as file:
        yield from messages_in(file, within)
        if is_cut_off(file):
            raise TornFile


def messages_in(file: IO[bytes] | Unpacked, within: str = "messages") -> Iterator[Message]:
    """The objects of an array, one at a time.

    Args:
        file: where to read.
        within: ``messages``, under which the array stands in the file's object; empty for a file that is an array.

    Raises:
        TornFile: after the last whole message.
    """
    # Memory of a file's own size is used again for the next one; more comes from the system, and goes back, each time.
    size_bytes = WHOLE_BYTES
    if file.seekable():
        size_bytes = file.seek(0, os.SEEK_END)
        file.seek(0)
    head = file.read(min(size_bytes, WHOLE_BYTES) + 1)
    whole = _whole(head, within) if len(head) <= WHOLE_BYTES else None
    if whole is None:
        yield from _one_by_one(_Values(file, head), within)
        return
    for message in whole:
        if isinstance(message, dict):
            yield message


def first_message(file: IO[bytes] | Unpacked) -> Message | None:
    """The first of a file's ``messages``, of which little more is read; None if there is none."""
    try:
        return next(_one_by_one(_Values(file), "messages"), None)
    except TornFile:
        return None


class _File(msgspec.Struct):
    messages: list[Any] = []


class _FileInParts(msgspec.Struct):
    messages: list[msgspec.Raw] = []


_array: Final = msgspec.json.Decoder(list[Any])
_object: Final = msgspec.json.Decoder(_File)
_array_in_parts: Final = msgspec.json.Decoder(list[msgspec.Raw])
_object_in_parts: Final = msgspec.json.Decoder(_FileInParts)
_value: Final = msgspec.json.Decoder()


def _whole(content: bytes, within: str) -> Iterable[Any] | None:
    """The values of the array; None for a file that is torn, or JSON of an unusual kind."""
    try:
        return _object.decode(content).messages if within else _array.decode(content)
    except UNREADABLE:
        return _whole_in_parts(content, within)


def _whole_in_parts(content: bytes, within: str) -> Iterable[Any] | None:
    """The values of the array, each decoded by itself: what one has that cannot be read costs no other."""
    try:
        parts = _object_in_parts.decode(content).messages if within else _array_in_parts.decode(content)
    except UNREADABLE:
        return None
    return map(_mended, parts)


def _mended(raw: msgspec.Raw) -> Any:
    try:
        return _value.decode(raw)
    except UNREADABLE:
        return _Values(io.BytesIO(bytes(raw))).next()


def _one_by_one(values: _Values, within: str) -> Iterator[Message]:
    if not within:
        values.expect("[")
        yield from _objects(values)
    else:
        values.expect("{")
        is_first = True
        while not values.has("}"):
            if not is_first:
                values.expect(",")
            is_first = False
            key = values.next()
            if not isinstance(key, str):
                raise TornFile
            values.expect(":")
            if key == within and values.has("["):
                yield from _objects(values)
            else:
                values.next()
    values.expect_end()


def _objects(values: _Values) -> Iterator[Message]:
    """The objects of an array that has been entered."""
    is_first = True
    while not values.has("]"):
        if not is_first:
            values.expect(",")
        is_first = False
        value = values.next()
        if isinstance(value, dict):
            yield value


def _refuse(word: str) -> object:
    """JSON has no such number."""
    raise ValueError(word)


_as_json: Final = msgspec.json.Encoder()
_decode: Final = json.JSONDecoder(parse_constant=_refuse, strict=False).raw_decode


class _Values:
    """JSON values of a file, one after the other. As much of it is in memory as the next value needs."""

    def __init__(self, file: IO[bytes] | Unpacked, head: bytes = b"") -> None:
        """``head`` is what was read of the file before."""
        self._file = file
        self._to_text = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._text = self._to_text(head)
        self._at = 0
        self._is_whole = False

    def has(self, mark: str) -> bool:
        """Whether a mark comes next, which is then passed."""
        if self._next_mark() != mark:
            return False
        self._at += 1
        return True

    def expect(self, mark: str) -> None:
        """Passes a mark.

        Raises:
            TornFile: another one comes next, or none.
        """
        if not self.has(mark):
            raise TornFile

    def expect_end(self) -> None:
        """Sees that nothing comes next.

        Raises:
            TornFile: something does.
        """
        if self._next_mark():
            raise TornFile

    def _next_mark(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found is not None else self._at
            if self._at < len(self._text) or not self._read_on():
                return self._text[self._at : self._at + 1]

    def next(self) -> Any:
        """The value that comes next.

        Raises:
            TornFile: there is none, or it is cut off.
        """
        self._next_mark()
        if len(self._text) - self._at < _AHEAD:
            self._read_on()
        while True:
            try:
                value, end = _decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._goes_on(error) and not self._mends():
                    raise TornFile from None
            except RecursionError:
                return self._next_cut_short()
            except ValueError:
                if not self._mends():
                    raise TornFile from None
            else:
                # A number may go on, after a point or an exponent's sign too.
                is_number = isinstance(value, int | float)
                if not is_number or end + _LONGEST_TOKEN <= len(self._text) or not self._read_on():
                    self._at = end
                    return value

    def _next_cut_short(self) -> Any:
        """The value that comes next, without what is nested too deeply in it.

        Raises:
            TornFile: it is cut off.
        """
        while True:
            short, end = cut_short(self._text, self._at)
            try:
                value, _ = _decode(short)
            except ValueError:
                if not self._read_on():
                    raise TornFile from None
            else:
                self._at = end
                return value

    def _goes_on(self, error: json.JSONDecodeError) -> bool:
        """Whether the value is only cut off, and there is more of it now."""
        if error.msg.startswith(_CUT_OFF_TEXT):
            if len(self._text) - error.pos > LONGEST_TEXT:
                self._leave_out(error.pos + 1)
                return True
        elif error.pos + _LONGEST_TOKEN < len(self._text):
            return False
        return self._read_on()

    def _mends(self) -> bool:
        """Whether something of what is there was damaged, and is mended now."""
        text = self._text[self._at :]
        self._text, self._at = mended(text), 0
        return self._text != text

    def _leave_out(self, began: int) -> None:
        """The rest of a text that began there, is too long, and is not over yet."""
        found = _IN_TEXT.match(self._text, began, began + LONGEST_TEXT)
        end = found.end() if found is not None else began
        kept, rest = self._text[self._at : end], self._text[end:]
        while True:
            found = _IN_TEXT.match(rest)
            rest = rest[found.end() :] if found is not None else rest
            if len(rest) > _LONGEST_TOKEN or rest.startswith('"') or not (more := self._read()):
                self._text, self._at = kept + rest, 0
                return
            rest += more

    def _read_on(self) -> bool:
        """Reads at least as much again as the next value has so far; whether there was more."""
        more = self._read(len(self._text) - self._at)
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(more)

    def _read(self, size_bytes: int = 0) -> str:
        """What comes next; empty at the end."""
        text = ""
        while not text and not self._is_whole:
            read = self._file.read(max(size_bytes, _READ_BYTES))
            self._is_whole = not read
            text = self._to_text(read, final=self._is_whole)
        return text


def blocks_of(message: Message) -> list[Mapping[str, object]]:
    """The parts of a message's content; a text alone is one part."""
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def text_of(block: Mapping[str, object]) -> str:
    """The text of a part of text; empty for another."""
    return word(block.get("text")) if block.get("type") == "text" else ""


def word(value: object) -> str:
    """A name, an id or a text; empty for anything else. Halves of characters, as JavaScript cuts them, are replaced."""
    if not isinstance(value, str):
        return ""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()


def milliseconds(value: object) -> int | None:
    """A time, ms since the Unix epoch; None for what is no such."""
    if (type(value) is int or type(value) is float) and 0 < value < 1e14:
        return int(value)
    return None


def instant_ms(value: object) -> int | None:
    """A time in ISO 8601, as ms since the Unix epoch; None for what is no such."""
    if not isinstance(value, str):
        return None
    try:
        return int(datetime.fromisoformat(value).timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def amount(value: object) -> int | float | None:
    """A number that is not negative; None for anything else."""
    if (type(value) is int or type(value) is float) and 0 <= value < _INFINITE:
        return value
    return None


def size_of(value: object) -> int | None:
    """Bytes of a value as JSON, of a text its own; None for none, and for what is nested too deeply."""
    if value is None:
        return None
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    try:
        return len(_as_json.encode(value))
    except UnicodeEncodeError:
        return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace"))
    except RecursionError:
        return None


def table(value: object) -> Mapping[str, object]:
    """An object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def table_of(path: Path) -> Mapping[str, object]:
    """The object that a file of JSON is, which may be compressed; an empty one for anything else.

    Raises:
        OSError: the file cannot be read.
    """
    with opened(path, _LARGEST_OBJECT_BYTES) as file:
        return table_in(file.read())


def table_in(content: bytes | str) -> Mapping[str, object]:
    """The object that a text of JSON is; an empty one for anything else."""
    try:
        return table(json_value.decode(content.encode("utf-8", "replace") if isinstance(content, str) else content))
    except msgspec.DecodeError:
        return {}
