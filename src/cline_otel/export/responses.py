"""What a destination's answer says, as text for people and as counts; none of it repeats a secret of ours."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote, quote_plus
from urllib.request import getproxies

import msgspec
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from cline_otel.destinations import HIDDEN, OtlpDestination, secrets_of_url
from cline_otel.export.interface import Delivered
from cline_otel.signals import SignalName

_TEXT_LIMIT: Final = 200
_SHORTEST_IN_WORDS: Final = 4
"""Characters of a secret from which on it is looked for within words, too."""
_TELLING_LETTERS: Final = 8
"""The beginning of a long secret that already counts as the secret."""

_RESPONSES: Final[dict[SignalName, tuple[type[Message], str]]] = {
    "traces": (ExportTraceServiceResponse, "rejected_spans"),
    "metrics": (ExportMetricsServiceResponse, "rejected_data_points"),
    "logs": (ExportLogsServiceResponse, "rejected_log_records"),
}
_JSON_REJECTED: Final[dict[SignalName, str]] = {
    "traces": "rejectedSpans",
    "metrics": "rejectedDataPoints",
    "logs": "rejectedLogRecords",
}


class Repeater:
    """Repeats what destinations answer, without the secrets that were sent to them."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """``secrets`` are hidden wherever they stand; very short ones only where they stand by themselves."""
        # The longest first: the rest of it would stay where a part of it was hidden before.
        ordered = sorted(secrets, key=lambda secret: (-len(secret), secret))
        patterns = [pattern for secret in ordered for pattern in _patterns(secret)]
        self._secret = re.compile("|".join(patterns), re.IGNORECASE) if patterns else None

    @classmethod
    def of(cls, destination: OtlpDestination) -> Repeater:
        """One that keeps the secrets of the destination, and those of the proxies that may stand before it."""
        proxies = (secret for proxy in getproxies().values() for secret in secrets_of_url(proxy))
        return cls(destination.secrets.union(proxies))

    def __call__(self, text: str) -> str:
        """One line of at most 200 printable characters."""
        printable = "".join(character if character.isprintable() else " " for character in self._hide(text))
        # Once more: a secret may have been torn by what is no letter. Only then may it be cut.
        return self._hide(" ".join(printable.split()))[:_TEXT_LIMIT]

    def _hide(self, text: str) -> str:
        return text if self._secret is None else self._secret.sub(HIDDEN, text)


def _patterns(secret: str) -> Iterator[str]:
    """The spellings in which a text may have ``secret`` in it."""
    secret = " ".join(secret.split())
    if not secret.strip("*"):
        return
    spellings = (
        secret,
        json.dumps(secret)[1:-1],
        quote(secret, errors="replace"),
        quote_plus(secret, errors="replace"),
    )
    for spelling in spellings:
        pattern = re.escape(spelling).replace(r"\ ", r"\s+").replace("/", r"\\?/")
        yield pattern if len(secret) >= _SHORTEST_IN_WORDS else rf"(?<!\w){pattern}(?!\w)"
    if len(secret) >= 2 * _TELLING_LETTERS:
        # Some name a token by its beginning.
        yield re.escape(secret[:_TELLING_LETTERS]) + r"[^\s\"'<>,;)]*"


def delivered_from_protobuf(signal: SignalName, body: bytes, repeat: Repeater) -> Delivered:
    """The result given by an ``Export*ServiceResponse``; an empty body is full success.

    Raises:
        ValueError: the body is no such message.
    """
    response_type, rejected_field = _RESPONSES[signal]
    response = response_type()
    try:
        response.ParseFromString(body)
    except DecodeError:
        raise ValueError("not an OTLP response") from None
    partial: Message = getattr(response, "partial_success")  # noqa: B009
    rejected: int = getattr(partial, rejected_field)
    message: str = getattr(partial, "error_message")  # noqa: B009
    return Delivered(max(rejected, 0), repeat(message))


def delivered_from_json(signal: SignalName, body: bytes, repeat: Repeater) -> Delivered:
    """As :func:`delivered_from_protobuf`, for OTLP's JSON encoding, where 64 bit integers are strings.

    Raises:
        ValueError: the body is no such object.
    """
    try:
        partial = msgspec.json.decode(body)["partialSuccess"] if body.strip() not in {b"", b"{}"} else {}
        return Delivered(
            max(int(partial.get(_JSON_REJECTED[signal], 0)), 0), repeat(str(partial.get("errorMessage", "")))
        )
    except (msgspec.DecodeError, KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError):
        raise ValueError("not an OTLP response") from None


def retry_after_seconds(value: str | None, now: datetime | None = None) -> float | None:
    """What a ``Retry-After`` header asks for: seconds, or a date (RFC 9110, 10.2.3); None if it says nothing usable.

    ``now`` is an aware time, by default the present.
    """
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except (TypeError, ValueError, OverflowError):
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    return max(seconds, 0.0) if math.isfinite(seconds) else None
