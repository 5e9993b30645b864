"""JSON that Cline wrote, of which damage costs at most the value that is damaged. Pure.

JavaScript cuts texts between the halves of a character, a full disk and a killed process leave NUL bytes and broken
UTF-8, and programs on the way write numbers that JSON has not. What is whole is decoded at once; anything else is
mended (``mended``), and what is of another type than expected is left out where it stands. A text keeps what can be
read of it, with U+FFFD for the rest.
"""

from __future__ import annotations

import re
import types
import typing
from typing import Any, Final, Generic, TypeVar, get_args, get_origin

import msgspec

from cline_otel.signals import Diagnostics, count

T = TypeVar("T")

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What the decoder raises for what is no JSON, or not of the type."""

_UNKNOWN: Final = "\ufffd"
_DEEPEST: Final = 64
"""Objects and arrays within one another that are read; a tool's arguments have some ten."""

_TEXT: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:(?P<end>")|\\?\Z)'
"""To its end, or to the end of all where it is cut: else each quotation mark in it would be tried as a beginning."""

_STRUCTURE: Final = re.compile(rf"{_TEXT}|[\[\]{{}}]", re.DOTALL)
_TOKEN: Final = re.compile(
    rf"{_TEXT}|-?(?:NaN|Infinity)|(?<![0-9])-?[0-9]++(?:\.[0-9]++)?[eE][-+]?[0-9]{{3,}}|[\x00\ufeff]+", re.DOTALL
)
_BROKEN_IN_TEXT: Final = re.compile(
    r"""(?P<whole>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}
                 |\\u(?![dD][89abABc-fC-F])[0-9a-fA-F]{4}
                 |\\["\\/bfnrt])
       |\\u[0-9a-fA-F]{0,4}
       |\\
       |\x00
       |(?P<control>[\x01-\x1f])""",
    re.VERBOSE,
)


class JsonDecoder(Generic[T]):
    """Decodes values of one type."""

    def __init__(self, decoder: msgspec.json.Decoder[T]) -> None:
        self._decoder = decoder
        self._decode = decoder.decode

    def decode(self, raw: bytes | msgspec.Raw, diagnostics: Diagnostics | None = None, source: str = "") -> T:
        """The value, without what is damaged in it; that there was such is counted, where it is said in what.

        Raises:
            msgspec.DecodeError: it is no JSON, or nothing of it is of the type.
        """
        try:
            return self._decode(raw)
        except UNREADABLE:
            value = self._mended(bytes(raw))
            if diagnostics is not None:
                count(diagnostics, "malformed", source, "value")
            return value

    def _mended(self, raw: bytes) -> T:
        text = mended(raw.decode("utf-8", "replace")).strip()
        try:
            value = msgspec.json.decode(text.encode())
        except RecursionError:
            short, end = cut_short(text, 0)
            text = short + text[end:]
            value = msgspec.json.decode(text.encode())
        try:
            return self._decode(text.encode())
        except msgspec.ValidationError:
            fit: T = _fit(value, self._decoder.type)
            if isinstance(fit, msgspec.Struct) and fit == type(fit)():
                raise
            return fit


json_value: Final = JsonDecoder(msgspec.json.Decoder())
"""Any value as Python has it."""


def mended(text: str) -> str:
    """JSON as JSON should be: texts of whole characters and escapes, and finite numbers; ended texts alone."""
    return _TOKEN.sub(_mend_token, text)


def cut_short(text: str, at: int) -> tuple[str, int]:
    """The value that begins there with nothing in the place of what is nested too deeply, and where it ends."""
    depth, began = 0, at
    kept: list[str] = []
    for found in _STRUCTURE.finditer(text, at):
        if found[0] in ("[", "{"):
            depth += 1
            if depth == _DEEPEST + 1:
                kept.append(text[began : found.start()])
        elif found[0] in ("]", "}"):
            if depth == _DEEPEST + 1:
                kept.append("null")
                began = found.end()
            depth -= 1
            if not depth:
                return "".join([*kept, text[began : found.end()]]), found.end()
    return "", len(text)


def _mend_token(found: re.Match[str]) -> str:
    token = found[0]
    if token.startswith('"'):
        return token if found["end"] is None else _BROKEN_IN_TEXT.sub(_mend_escape, token)
    if token[0] in "\0\ufeff":
        return " "
    return token if token[-1].isdigit() and float(token) not in (float("inf"), float("-inf")) else "null"


def _mend_escape(found: re.Match[str]) -> str:
    if found["control"]:
        return f"\\u{ord(found[0]):04x}"
    return found["whole"] or _UNKNOWN


def _fit(value: object, kind: Any) -> Any:
    """As much of a decoded value as is of the type.

    Raises:
        msgspec.ValidationError: nothing is.
    """
    if kind is msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(value))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and isinstance(value, dict):
        given = {
            field.name: fit
            for field in msgspec.structs.fields(kind)
            if field.encode_name in value and (fit := _fit_or_none(value[field.encode_name], field.type)) is not None
        }
        return kind(**given)
    if get_origin(kind) in (types.UnionType, typing.Union):
        for each in get_args(kind):
            if (fit := _fit_or_none(value, each)) is not None:
                return fit
    if get_origin(kind) is list and isinstance(value, list):
        (each,) = get_args(kind)
        return [fit for member in value if (fit := _fit_or_none(member, each)) is not None]
    if get_origin(kind) is dict and isinstance(value, dict):
        _, each = get_args(kind)
        return {key: fit for key, member in value.items() if (fit := _fit_or_none(member, each)) is not None}
    return msgspec.convert(value, kind)


def _fit_or_none(value: object, kind: Any) -> Any:
    try:
        return _fit(value, kind)
    except msgspec.ValidationError:
        return None
