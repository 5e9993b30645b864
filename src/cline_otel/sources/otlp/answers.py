"""What the OTLP receivers answer: refusals, and the bodies that the OTLP specification 1.x has for them. Pure.

Texts are fixed sentences of ours; nothing of a payload is ever repeated in an answer.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Literal

import msgspec

from cline_otel.sources.interface import ReceiveResult

ContentType = Literal["json", "protobuf"]
"""The two encodings of OTLP (OTLP specification 1.x, "OTLP/HTTP Request"); over gRPC there is only the second."""


class RpcCode(IntEnum):
    """Those of ``google.rpc.Code`` that are used."""

    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    UNAVAILABLE = 14
    UNAUTHENTICATED = 16


class Refusal(Exception):  # noqa: N818 - an answer, not a defect
    """A request that is answered with an error.

    Attributes:
        status: the HTTP status.
        code: the code of the Status body over HTTP, and the status over gRPC.
        message: its message, a fixed sentence.
        headers: HTTP headers to add.
        retry_after_seconds: after which the sender may try again; None if it had better not.
        is_final: over HTTP the connection is closed, because the rest of the request is not wanted.
    """

    def __init__(
        self,
        status: int,
        code: RpcCode,
        message: str,
        headers: dict[str, str] | None = None,
        retry_after_seconds: float | None = None,
        is_final: bool = False,
    ) -> None:
        super().__init__(f"{status} {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.retry_after_seconds = retry_after_seconds
        self.is_final = is_final


def retry_later(status: int, message: str, retry_after_seconds: float) -> Refusal:
    """429 or 503, and the statuses that go with them over gRPC, with the time after which to try again."""
    code = RpcCode.RESOURCE_EXHAUSTED if status == 429 else RpcCode.UNAVAILABLE
    return Refusal(status, code, message, retry_after_seconds=retry_after_seconds)


def too_large() -> Refusal:
    """413; gRPC itself answers ``RESOURCE_EXHAUSTED``, which asks nobody to try again where no time stands with it."""
    return Refusal(413, RpcCode.RESOURCE_EXHAUSTED, "The request's body is too large.", is_final=True)


def success_body(result: ReceiveResult, content_type: ContentType) -> bytes:
    """An ExportLogsServiceResponse; ``partial_success`` is set only if there is something to report.

    Nothing to report is also the empty response of any other signal.
    """
    is_partial = result.rejected > 0 or result.message != ""
    if content_type == "json":
        # ProtoJSON writes 64 bit integers as strings.
        partial = {"rejectedLogRecords": str(result.rejected), "errorMessage": result.message}
        return msgspec.json.encode({"partialSuccess": partial} if is_partial else {})
    partial_body = _varint_field(1, result.rejected) + _bytes_field(2, result.message.encode())
    return _bytes_field(1, partial_body) if is_partial else b""


def status_body(refusal: Refusal, content_type: ContentType) -> bytes:
    """The refusal as a ``google.rpc.Status``."""
    if content_type == "json":
        return msgspec.json.encode({"code": int(refusal.code), "message": refusal.message})
    return _varint_field(1, refusal.code) + _bytes_field(2, refusal.message.encode())


def _varint_field(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value) if value else b""


def _bytes_field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value if value else b""


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
