"""Totals as the points that a cumulative request has."""

from __future__ import annotations

from collections.abc import Iterable

from cline_otel.signals import MetricPoint, MetricTotal


def points_of(totals: Iterable[MetricTotal], started_at_ns: int = 1, now_ns: int = 2) -> list[MetricPoint]:
    """A point for each total, all of the same start and time."""
    return [MetricPoint(total, started_at_ns, now_ns) for total in totals]
