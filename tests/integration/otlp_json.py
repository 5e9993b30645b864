"""Reads OTLP JSON lines back into the official messages.

OTLP JSON is protobuf's JSON with two exceptions (OTLP specification, "JSON Protobuf Encoding"):
trace and span ids are hex where protobuf has base64, and enum values are numbers only.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message

Request = TypeVar("Request", bound=Message)

_HEX_FIELDS = frozenset({"traceId", "spanId", "parentSpanId"})


def requests_from_lines(path: Path, message_type: type[Request]) -> list[Request]:
    """One message per line of ``path``; none where there is no such file. A torn last line is not one yet.

    Raises:
        google.protobuf.json_format.ParseError: a line is not this message, or has unknown fields.
    """
    if not path.exists():
        return []
    *lines, _unfinished = path.read_bytes().split(b"\n")
    return [request_from_json(line, message_type) for line in lines]


def request_from_json(line: str | bytes, message_type: type[Request]) -> Request:
    """The message that one line of OTLP JSON says."""
    message = message_type()
    ParseDict(_with_base64_ids(json.loads(line)), message)
    return message


def _with_base64_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_base64_ids(item) for item in value]
    if isinstance(value, dict):
        return {
            name: base64.b64encode(bytes.fromhex(item)).decode("ascii")
            if name in _HEX_FIELDS
            else _with_base64_ids(item)
            for name, item in value.items()
        }
    return value
