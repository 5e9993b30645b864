"""What the bridges were told, counted by a replay: the source that every backend must equal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction
from itertools import accumulate
from typing import Final

from bench.fixed_key import CATALOGUE

from cline_otel.events import AttributeValue
from cline_otel.signals import MetricTotal
from intakes.points import Amount, Exponential, Series

TOLERANCE: Final = 1e-9
"""Relative. Sums of doubles depend on their order by less; whole numbers must be equal."""

SUMMED: Final = frozenset({"counter", "histogram"})
"""Instruments whose values add up."""

Flat = tuple[str, frozenset[tuple[str, str]]]
"""A series as Prometheus has it: name and labels, those of the resource left out."""

_UNIT_SUFFIXES: Final = {"s": "_seconds"}


def amounts_of(totals: Iterable[MetricTotal]) -> dict[Series, Amount]:
    """What totals that can be summed say, in the form in which the stand-ins for intakes have it."""
    return {
        (total.metric, tuple(sorted((name, _text(value)) for name, value in total.attributes))): _amount(total)
        for total in totals
        if CATALOGUE.metrics[total.metric].instrument in SUMMED
    }


def combined(parts: Iterable[Mapping[Series, Amount]]) -> dict[Series, Amount]:
    """What several sources say together."""
    sums: dict[Series, Amount] = {}
    for part in parts:
        for series, amount in part.items():
            sums[series] = sums[series] + amount if series in sums else amount
    return sums


def flattened(amounts: Mapping[Series, Amount]) -> dict[Flat, float]:
    """The series that Prometheus makes of them: counters by name, histograms as count, sum and buckets."""
    flat: dict[Flat, float] = {}
    for (metric, labels), amount in amounts.items():
        definition = CATALOGUE.metrics[metric]
        name = _flat_name(metric)
        escaped = frozenset((label.replace(".", "_"), value) for label, value in labels)
        if not definition.boundaries:
            flat[f"{name}_total", escaped] = float(amount.sum)
            continue
        flat[f"{name}_count", escaped] = amount.count
        flat[f"{name}_sum", escaped] = float(amount.sum)
        edges = (*definition.boundaries, math.inf)
        for edge, below in zip(edges, accumulate(amount.buckets.get(edge, 0) for edge in edges), strict=True):
            flat[f"{name}_bucket", escaped | {("le", repr(float(edge)))}] = below
    return flat


def is_summed(flat_name: str) -> bool:
    """Whether a name in Prometheus is of a metric whose values add up."""
    return flat_name not in {
        _flat_name(name) for name, metric in CATALOGUE.metrics.items() if metric.instrument not in SUMMED
    }


def differences(expected: Mapping[Series, Amount], found: Mapping[Series, Amount]) -> list[str]:
    """Where sums at an intake are not the source's, a line each. Exponential buckets must bracket explicit ones."""
    lines = []
    for series in sorted(expected.keys() | found.keys()):
        want, got = expected.get(series), found.get(series)
        if want is None or got is None:
            if not (want or got).is_nothing:  # type: ignore[union-attr]
                lines.append(f"{series}: {'not in the source' if want is None else 'missing'}: {want or got}")
            continue
        if not is_equal(want.sum, got.sum):
            lines.append(f"{series}: sum {float(got.sum)!r}, the source has {float(want.sum)!r}")
        if want.count != got.count:
            lines.append(f"{series}: count {got.count}, the source has {want.count}")
        if got.exponential is not None:
            edges = CATALOGUE.metrics[series[0]].boundaries
            lines += [f"{series}: {line}" for line in _bucket_differences(edges, want, got.exponential)]
        elif want.buckets != got.buckets:
            lines.append(f"{series}: buckets {got.buckets}, the source has {want.buckets}")
    return lines


def flat_differences(expected: Mapping[Flat, float], found: Mapping[Flat, float]) -> list[str]:
    """Where what Prometheus says is not what the source does, each said in a line."""
    return [
        f"{name}{sorted(labels)}: {found.get((name, labels))!r}, the source has {expected.get((name, labels))!r}"
        for name, labels in sorted(expected.keys() | found.keys(), key=repr)
        if not is_equal(expected.get((name, labels), 0.0), found.get((name, labels), 0.0))
    ]


def is_equal(one: Fraction | float, two: Fraction | float) -> bool:
    """Whether two numbers are the same: whole ones exactly, others within the tolerance."""
    if one == two:
        return True
    if one == int(one) and two == int(two):
        return False
    return math.isclose(float(one), float(two), rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def _bucket_differences(edges: Iterable[float], want: Amount, got: Exponential) -> Iterator[str]:
    if got.count != want.count:
        yield f"{got.count} in buckets, the source has {want.count}"
    below = 0
    for edge in edges:
        below += want.buckets.get(edge, 0)
        surely, possibly = got.below(edge)
        if not surely <= below <= possibly:
            yield f"from {surely} to {possibly} are at most {edge}, in the source {below}"


def _flat_name(metric: str) -> str:
    return metric.replace(".", "_") + _UNIT_SUFFIXES.get(CATALOGUE.metrics[metric].unit, "")


def _amount(total: MetricTotal) -> Amount:
    edges = (*CATALOGUE.metrics[total.metric].boundaries, math.inf)
    buckets = {edge: count for edge, count in zip(edges, total.bucket_counts, strict=False) if count}
    return Amount(Fraction(total.sum), total.count, buckets)


def _text(value: AttributeValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
