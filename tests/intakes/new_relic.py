"""A stand-in for New Relic's OTLP endpoint, on loopback.

Where a rule comes from (docs.newrelic.com, as of 2026):

- ``/docs/opentelemetry/best-practices/opentelemetry-otlp/``: the header ``api-key``; payloads of less than 10^6 bytes;
  names of attributes of at most 255 characters, their values of at most 4,095; delta preferred; key, size and rate are
  looked at before the answer, the content after it, so what is dropped then was answered by success (an
  ``NrIntegrationError`` event tells of it).
- ``/docs/opentelemetry/best-practices/opentelemetry-best-practices-metrics/``: a monotonic delta sum becomes a
  ``count``; a monotonic cumulative one becomes a ``cumulativeCount``, which is taken, and whose delta is computed there
  from one point to the next, so that what a series begins with is in no sum; sums that go up and down are gauges, as
  deltas unsupported; both kinds of histograms become distributions; a point's start is its ``timestamp``.
- ``/docs/data-apis/ingest-apis/metric-api/metric-api-limits-restricted-attributes/``: what is older than 48 hours or
  more than 24 hours in the future by its ``timestamp`` is dropped.

That nothing is counted twice by a series' times is the stand-in's own: New Relic documents no such thing.
"""

from __future__ import annotations

from typing import Final

from .intake import SECOND_NS, Intake
from .points import Labels, Point

LIMIT_BYTES: Final = 1_000_000
LONGEST_NAME: Final = 255
LONGEST_VALUE: Final = 4_095
OLDEST_SECONDS: Final = 48 * 3_600
NEWEST_SECONDS: Final = 24 * 3_600


class NewRelicIntake(Intake):
    """Takes both temporalities with the header ``api-key``; only deltas can be summed."""

    api_key_header = "api-key"
    too_old = "a point is older than 48 hours"

    def check_size(self, packed_bytes: int, unpacked_bytes: int, *, is_packed: bool) -> str | None:
        return "10^6 bytes or more" if packed_bytes >= LIMIT_BYTES else None

    def check_request(self, points: list[Point], now_ns: int) -> str | None:
        return None

    def check_point(self, point: Point, now_ns: int) -> str | None:
        stamped_at_ns = point.starts_at_ns or point.ends_at_ns
        if stamped_at_ns < now_ns - OLDEST_SECONDS * SECOND_NS:
            return self.too_old
        if stamped_at_ns > now_ns + NEWEST_SECONDS * SECOND_NS:
            return "a point is more than 24 hours in the future"
        if point.kind == "sum" and point.is_delta and not point.is_monotonic:
            return "a delta that goes up and down"
        return _too_long(point.labels) or _too_long(point.resource)

    def cumulative_counts(self) -> list[Point]:
        """The monotonic totals that were taken, none of which is in ``sums``."""
        return [point for point in self.points if point.is_monotonic and not point.is_delta]


def _too_long(labels: Labels) -> str | None:
    if any(len(name) > LONGEST_NAME for name, _ in labels):
        return "a name of more than 255 characters"
    if any(len(value) > LONGEST_VALUE for _, value in labels):
        return "a value of more than 4,095 characters"
    return None
