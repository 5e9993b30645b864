"""Base-2 exponential histograms (OpenTelemetry metrics data model, ExponentialHistogram).

At scale ``s``, bucket ``i`` holds what is above ``2 ** (i / 2**s)`` and at most ``2 ** ((i + 1) / 2**s)``. So lowering
the scale by one joins each two neighbours, and a histogram follows whatever range of values it meets by that alone.
"""

from __future__ import annotations

import math
import sys
from typing import Final

from cline_otel.signals import ExponentialBuckets

MAX_SCALE: Final = 20
MAX_BUCKETS: Final = 160
"""The specification's defaults for its Base2 Exponential Bucket Histogram Aggregation."""


def bucket_index(value: float, scale: int) -> int:
    """The bucket of a finite value above 0."""
    fraction, exponent = math.frexp(value)
    if fraction == 0.5:
        # A power of two is the upper edge of its bucket, which no rounding of a logarithm may move.
        power = exponent - 1
        return (power << scale) - 1 if scale > 0 else (power - 1) >> -scale
    if scale <= 0:
        return (exponent - 1) >> -scale
    return (exponent << scale) + math.ceil(math.ldexp(math.log2(fraction), scale)) - 1


def record(buckets: ExponentialBuckets, value: float) -> None:
    """One more value; what is not above 0 counts as 0."""
    if not value > 0:
        buckets.zero_count += 1
        return
    index = bucket_index(min(value, sys.float_info.max), buckets.scale)
    if not buckets.counts:
        buckets.offset, buckets.counts = index, [1]
        return
    first, last = min(buckets.offset, index), max(buckets.offset + len(buckets.counts) - 1, index)
    steps = 0
    while (last >> steps) - (first >> steps) >= MAX_BUCKETS:
        steps += 1
    if steps:
        lower_scale(buckets, steps)
        index >>= steps
    if index < buckets.offset:
        buckets.counts[:0] = [0] * (buckets.offset - index)
        buckets.offset = index
    beyond = index - buckets.offset - len(buckets.counts) + 1
    buckets.counts += [0] * beyond
    buckets.counts[index - buckets.offset] += 1


def lower_scale(buckets: ExponentialBuckets, steps: int) -> None:
    """Joins each ``2 ** steps`` neighbours."""
    if buckets.counts:
        first = buckets.offset >> steps
        joined = [0] * (((buckets.offset + len(buckets.counts) - 1) >> steps) - first + 1)
        for index, count in enumerate(buckets.counts, buckets.offset):
            joined[(index >> steps) - first] += count
        buckets.offset, buckets.counts = first, joined
    buckets.scale -= steps


def grown(now: ExponentialBuckets, then: ExponentialBuckets) -> ExponentialBuckets:
    """What came between an earlier state of a histogram and a later one; its scale can only have become lower."""
    former = ExponentialBuckets(then.scale, then.zero_count, then.offset, list(then.counts))
    lower_scale(former, former.scale - now.scale)
    counts = list(now.counts)
    for index, count in enumerate(former.counts, former.offset - now.offset):
        counts[index] -= count
    return ExponentialBuckets(now.scale, now.zero_count - former.zero_count, now.offset, counts)
