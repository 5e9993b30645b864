"""How a replay looks: its traces, its metrics and a summary."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from cline_otel.replay import ReplayResult
from cline_otel.signals import MetricDefinition
from cline_otel.terminal.metrics import render_metrics
from cline_otel.terminal.summary import render_summary
from cline_otel.terminal.traces import render_traces


def print_replayed(replayed: ReplayResult, definitions: Mapping[str, MetricDefinition]) -> None:
    """Prints to standard output, as wide as a terminal is; ``definitions`` of the metrics by name."""
    console = Console()
    console.print(render_traces(replayed.spans, console.width))
    console.print(render_metrics(replayed.totals, definitions))
    console.print(render_summary(replayed.spans, replayed.logs, replayed.totals, replayed.diagnostics))
    for finding in replayed.findings:
        console.print(Text.assemble(("Missed: ", "yellow"), finding.describe()))
