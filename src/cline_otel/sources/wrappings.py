"""What recordings come in: compressed files, lines with something of other programs around them, JSON over many lines.

Pure: bytes to bytes. Nothing of what is inside is looked at.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from cline_otel.decode.json_text import UNREADABLE
from cline_otel.sources.compressed import DAMAGED, LARGEST_UNPACKED_BYTES, Compression, compression_of

LARGEST_RECORDING_BYTES: Final = LARGEST_UNPACKED_BYTES
"""Of one file, unpacked: a replay holds all of it in memory."""

_PIECE_BYTES: Final = 1024 * 1024
_MOST_LAYERS: Final = 3
_ANY_LINE: Final = b"{"
"""A line that no source can read, and that each counts as malformed: in place of one whose text was left out."""

_CRI: Final = re.compile(rb"\S+ (stdout|stderr) ([FP])(?::\S*)? (.*)", re.DOTALL)
"""A line as Kubernetes' container runtimes write it: time, stream, whether the line goes on, text."""


class Damaged(Exception):  # noqa: N818 - named for the file's state
    """A compressed file cannot be unpacked. The text says what it is compressed with."""


class TooLarge(Exception):  # noqa: N818 - named for the file's state
    """A file is larger than what is read."""


def unpacked(content: bytes, limit_bytes: int = LARGEST_RECORDING_BYTES) -> bytes:
    """What a file holds that may be compressed, by gzip or zstd; a file that is not, as it is.

    Raises:
        Damaged: it is cut off, or not what it begins as.
        TooLarge: there are more bytes in it than ``limit_bytes``; no more than these were held.
    """
    for _ in range(_MOST_LAYERS):
        if (compression := compression_of(content)) is None:
            break
        content = _all_of(content, compression, limit_bytes)
    if len(content) > limit_bytes:
        raise TooLarge
    return content


def _all_of(content: bytes, compression: Compression, limit_bytes: int) -> bytes:
    file = compression.reader(io.BytesIO(content))
    pieces = bytearray()
    try:
        while piece := file.read(_PIECE_BYTES):
            pieces += piece
            if len(pieces) > limit_bytes:
                raise TooLarge
    except DAMAGED:
        raise Damaged(compression.name) from None
    return bytes(pieces)


def lines_within(content: bytes) -> bytes:
    """The text that a program wrote, line by line, out of what another one wrote around it.

    Docker's json-file, the lines of Kubernetes' container runtimes, systemd's journal as JSON and as its export format,
    and whatever puts a prefix before each line (``docker compose logs``, ``journalctl``, ``kubectl logs``).
    A line that is none of these stays as it is.
    """
    if content.startswith((b"__CURSOR=", b"__REALTIME_TIMESTAMP=")):
        return b"".join(message + b"\n" for message in _exported_messages(content))
    texts: dict[bytes, bytearray] = {}
    for line in content.split(b"\n"):
        stream, text = _text_within(line)
        texts.setdefault(stream, bytearray()).extend(text)
    return b"\n".join(bytes(text) for text in texts.values())


def _text_within(line: bytes) -> tuple[bytes, bytes]:
    """Which stream a line is of, and its text, with the end of the line if it has one."""
    keys = _object(line)
    if keys is None:
        if (cri := _CRI.fullmatch(line)) is not None:
            return cri[1], cri[3] + (b"" if cri[2] == b"P" else b"\n")
        begin = line.find(b"{")
        has_prefix = begin > 0 and _object(line[begin:]) is not None
        return b"", (line[begin:] if has_prefix else line) + b"\n"
    if "log" in keys and {"stream", "time"} & keys.keys():
        return bytes(keys.get("stream", b"")), _decoded(keys["log"])
    if "MESSAGE" in keys and any(key.startswith("__") for key in keys):
        # A line that was too long for the journal goes on in the next entry.
        goes_on = b"line-max" in bytes(keys.get("_LINE_BREAK", b""))
        return bytes(keys.get("_PID", b"")), _decoded(keys["MESSAGE"]) + (b"" if goes_on else b"\n")
    return b"", line + b"\n"


def _object(line: bytes) -> dict[str, msgspec.Raw] | None:
    try:
        return msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except UNREADABLE:
        return None


def _decoded(value: msgspec.Raw) -> bytes:
    """A text, or bytes as a list of numbers, which is how the journal writes what is not printable."""
    try:
        match msgspec.json.decode(value):
            case str(text):
                return text.encode("utf-8", "surrogatepass")
            case list(numbers):
                return bytes(numbers)
    except (*UNREADABLE, TypeError, ValueError):
        pass
    return _ANY_LINE


def leaves_messages_out(content: bytes) -> bool:
    """Whether it is a journal's JSON without the long messages, which ``journalctl`` writes so unless it is told."""
    return b'"MESSAGE":null' in content.replace(b" ", b"") and b"__REALTIME_TIMESTAMP" in content


def _exported_messages(content: bytes) -> Iterator[bytes]:
    """systemd's Journal Export Format: ``NAME=text`` a line, or NAME, then a 64 bit size and so many bytes."""
    place = 0
    while 0 <= place < len(content):
        end = content.find(b"\n", place)
        line = content[place:] if end < 0 else content[place:end]
        place = len(content) if end < 0 else end + 1
        name, is_text, value = line.partition(b"=")
        if not is_text and name:
            size = int.from_bytes(content[place : place + 8], "little")
            value = content[place + 8 : place + 8 + size]
            place += 8 + size + 1
        if name == b"MESSAGE":
            yield value


def values_as_lines(content: bytes) -> bytes:
    """JSON values that stand over several lines, one a line; members of an array by themselves. Empty if it is none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return b""
    if text.lstrip()[:1] not in {"{", "["}:
        return b""
    decoder, place, values = json.JSONDecoder(), 0, list[object]()
    try:
        while (found := re.compile(r"\S").search(text, place)) is not None:
            value, place = decoder.raw_decode(text, found.start())
            values += value if isinstance(value, list) else [value]
    except (ValueError, RecursionError):
        # What stands before a torn end is whole.
        pass
    return b"".join(json.dumps(value, separators=(",", ":")).encode() + b"\n" for value in values)


def from_first(content: bytes, recognises: Callable[[bytes], bool], lines: int = 1_000) -> bytes:
    """A log from the first of its lines that is recognised; empty if none of so many is."""
    begin = 0
    for _ in range(lines):
        end = content.find(b"\n", begin)
        line = content[begin:] if end < 0 else content[begin:end]
        if line.lstrip().startswith(b"{") and recognises(line):
            return content[begin:]
        if end < 0:
            break
        begin = end + 1
    return b""
