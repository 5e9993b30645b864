"""A stand-in for Datadog's OTLP metrics intake, on loopback.

Where a rule comes from (docs.datadoghq.com, as of 2026):

- ``/opentelemetry/setup/otlp_ingest/metrics/``: the header ``dd-api-key``; delta metrics only; 413 above 500 KB
  for a request as it is, and above 5 MB for what a compressed one unpacks to; of several points with the same
  dimensions and the same second the last alone counts.
- ``/opentelemetry/guide/otlp_delta_temporality/``: which must be delta: monotonic sums, histograms and exponential
  histograms, which are all taken; gauges and sums that go up and down have no such rule.
- ``/api/latest/metrics/#submit-metrics``: 500 KB are 512,000 bytes and 5 MB are 5,242,880; a time may lie one hour
  in the past and ten minutes in the future. That the OTLP intake has the same limits of time, and that it answers by
  400 what it does not take, is our reading: its own page does not say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .intake import SECOND_NS, Intake
from .points import Point

PACKED_LIMIT_BYTES: Final = 512_000
UNPACKED_LIMIT_BYTES: Final = 5_242_880
OLDEST_SECONDS: Final = 3_600
NEWEST_SECONDS: Final = 600


class DatadogIntake(Intake):
    """Takes deltas with the header ``dd-api-key``."""

    api_key_header = "dd-api-key"
    too_old = "a point is older than one hour"

    def check_size(self, packed_bytes: int, unpacked_bytes: int, *, is_packed: bool) -> str | None:
        if packed_bytes > PACKED_LIMIT_BYTES:
            return "more than 500 KB"
        if is_packed and unpacked_bytes > UNPACKED_LIMIT_BYTES:
            return "unpacks to more than 5 MB"
        return None

    def check_request(self, points: list[Point], now_ns: int) -> str | None:
        if any(point.kind != "gauge" and point.is_monotonic and not point.is_delta for point in points):
            return "cumulative temporality"
        if any(point.ends_at_ns < now_ns - OLDEST_SECONDS * SECOND_NS for point in points):
            return self.too_old
        if any(point.ends_at_ns > now_ns + NEWEST_SECONDS * SECOND_NS for point in points):
            return "a point is more than ten minutes in the future"
        return None

    def check_point(self, point: Point, now_ns: int) -> str | None:
        return None

    def countable(self) -> Iterable[Point]:
        return _last_of_each_second(super().countable())

    def overwritten(self) -> list[Point]:
        """Deltas that were taken and count no more, because another point of their stream and second came later."""
        counted = set(map(id, self.countable()))
        return [point for point in self.points if point.is_delta and id(point) not in counted]


def _last_of_each_second(points: Iterable[Point]) -> list[Point]:
    last: dict[object, Point] = {}
    for point in points:
        last[point.stream, point.ends_at_ns // SECOND_NS] = point
    return list(last.values())
