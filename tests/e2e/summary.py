"""A table of what was compared: how many calls each scenario made, and how closely the spans fit them."""

from __future__ import annotations

from statistics import median

from .matching import Matching

HEADER = f"{'scenario':<20}{'model calls':>12}{'tool calls':>12}{'slack at start, ms':>24}{'slack at end, ms':>24}"
"""Slack is how much longer a chat span is than the server's interval, its median and its maximum."""


def summarise(matching: Matching) -> str:
    """One line of the table."""
    starts, ends = [], []
    for call in matching.evidence.model_calls:
        for span in matching.chat_spans(call):
            starts.append((call.started_at_ns - span.started_at_ns) / 1e6)
            ends.append((span.ended_at_ns - call.ended_at_ns) / 1e6)
    evidence = matching.evidence
    counts = f"{len(evidence.model_calls):>12}{len(evidence.tool_calls):>12}"
    return f"{evidence.scenario.name:<20}{counts}{_spread(starts):>24}{_spread(ends):>24}"


def _spread(values: list[float]) -> str:
    return f"{median(values):.1f}, at most {max(values):.1f}" if values else "no spans"
