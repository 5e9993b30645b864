"""What programs may call: recordings of Cline read as telemetry, and a bridge for other agents."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec

from cline_otel.catalogue.load import load
from cline_otel.emitting.bridge import Bridge, BridgeError
from cline_otel.emitting.events import (
    AgentEvent,
    AgentModelCallFinished,
    AgentModelCallStarted,
    AgentRun,
    AgentRunFinished,
    AgentRunStarted,
    AgentToolCallFinished,
    AgentToolCallStarted,
    InvalidEvent,
)
from cline_otel.events import AttributeValue
from cline_otel.prices.library import LIBRARY
from cline_otel.replay import replay
from cline_otel.signals import (
    Attributes,
    DiagnosticKind,
    Diagnostics,
    ExponentialBuckets,
    LogRecord,
    MetricTotal,
    Severity,
    SpanEvent,
    SpanKind,
    SpanLink,
    SpanRecord,
    StatusCode,
)
from cline_otel.sources.recording import UnreadableRecording, read_recording
from cline_otel.terminal.span_tree import Tree, tree_of

__all__ = [
    "AgentEvent",
    "AgentModelCallFinished",
    "AgentModelCallStarted",
    "AgentRun",
    "AgentRunFinished",
    "AgentRunStarted",
    "AgentToolCallFinished",
    "AgentToolCallStarted",
    "AttributeValue",
    "Attributes",
    "Bridge",
    "BridgeError",
    "DiagnosticKind",
    "Diagnostics",
    "ExponentialBuckets",
    "InvalidEvent",
    "LogRecord",
    "MetricTotal",
    "Row",
    "Severity",
    "SpanEvent",
    "SpanKind",
    "SpanLink",
    "SpanRecord",
    "StatusCode",
    "Telemetry",
    "Trace",
    "UnreadableRecording",
    "read",
]


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TOKENS: Final = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
_COST: Final = "cline.cost_usd"

Row = dict[str, AttributeValue | datetime | None]
"""A span as one row of a table: what all spans have, and its attributes by their names."""


class Trace(msgspec.Struct, frozen=True, dict=True):
    """One prompt, and all that came of it. As a text it is the tree of its spans.

    Attributes:
        trace_id: 32 hex digits.
        spans: in the order in which they began.
    """

    trace_id: str
    spans: tuple[SpanRecord, ...]

    @property
    def root(self) -> SpanRecord:
        """The span that is part of no other here: the prompt's."""
        return self.spans[self._tree.roots[0]]

    def children(self, span: SpanRecord) -> tuple[SpanRecord, ...]:
        """The spans that are part of one, in the order in which they began."""
        places = self._places.get(span.span_id, [])
        place = next((place for place in places if self.spans[place] == span), next(iter(places), -1))
        return tuple(self.spans[below] for below in self._tree.below(place))

    @cached_property
    def _tree(self) -> Tree:
        return tree_of(self.spans)

    @cached_property
    def _places(self) -> dict[bytes, list[int]]:
        places: dict[bytes, list[int]] = {}
        for place, span in enumerate(self.spans):
            places.setdefault(span.span_id, []).append(place)
        return places

    @property
    def started_at(self) -> datetime:
        """When its first span began."""
        return _time(min(span.started_at_ns for span in self.spans))

    @property
    def duration_seconds(self) -> float:
        """From the beginning of its first span to the end of its last."""
        return (max(span.ended_at_ns for span in self.spans) - min(span.started_at_ns for span in self.spans)) / 1e9

    @property
    def tokens(self) -> int:
        """What its model calls read and wrote."""
        return sum(int(number) for name in _TOKENS for number in self._of_calls(name))

    @property
    def cost_usd(self) -> float:
        """What its model calls cost, as far as that is known."""
        return float(sum(self._of_calls(_COST)))

    def _of_calls(self, name: str) -> Iterator[float]:
        for span in self.spans:
            value = dict(span.attributes).get(name)
            if span.kind is SpanKind.CLIENT and isinstance(value, int | float):
                yield value

    def __repr__(self) -> str:
        return (
            f"<Trace {self.trace_id[:8]}: {self.root.name}, {self.started_at:%Y-%m-%d %H:%M:%S}, "
            f"{self.duration_seconds:.1f} s, {len(self.spans)} spans, {self.tokens:,} tokens, ${self.cost_usd:.4f}>"
        )

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        pending = [(place, "") for place in reversed(self._tree.roots)]
        while pending:
            place, indent = pending.pop()
            span = self.spans[place]
            failed = f" {span.status_message or 'error'}" if span.status is StatusCode.ERROR else ""
            yield f"{indent}{span.name} {(span.ended_at_ns - span.started_at_ns) / 1e9:.3f} s{failed}"
            pending += [(below, f"{indent}  ") for below in reversed(self._tree.below(place))]


class Telemetry(msgspec.Struct, frozen=True):
    """What recordings become.

    Attributes:
        spans: runs, model calls and tool calls, in the order in which they ended.
        logs: log records, in the order in which they were made.
        metrics: the total of every series, each metric by its name (docs/telemetry.md).
        diagnostics: how often something did not become telemetry, or not as it was reported, by kind, source and name.
    """

    spans: tuple[SpanRecord, ...]
    logs: tuple[LogRecord, ...]
    metrics: tuple[MetricTotal, ...]
    diagnostics: Diagnostics

    @property
    def traces(self) -> tuple[Trace, ...]:
        """The spans by prompt, in the order in which the prompts began."""
        by_trace: dict[bytes, list[SpanRecord]] = {}
        for span in sorted(self.spans, key=lambda span: (span.started_at_ns, -span.ended_at_ns)):
            by_trace.setdefault(span.trace_id, []).append(span)
        return tuple(Trace(trace_id.hex(), tuple(spans)) for trace_id, spans in by_trace.items())

    def rows(self) -> list[Row]:
        """A row for each span, for a table such as ``pandas.DataFrame(telemetry.rows())``."""
        return [
            {
                "trace_id": span.trace_id.hex(),
                "span_id": span.span_id.hex(),
                "parent_span_id": span.parent_span_id.hex() or None,
                "name": span.name,
                "kind": span.kind.name,
                "started_at": _time(span.started_at_ns),
                "ended_at": _time(span.ended_at_ns),
                "duration_seconds": (span.ended_at_ns - span.started_at_ns) / 1e9,
                "status": span.status.name,
                **dict(span.attributes),
            }
            for span in self.spans
        ]

    def __repr__(self) -> str:
        traces = self.traces
        tokens, cost_usd = sum(each.tokens for each in traces), sum(each.cost_usd for each in traces)
        return (
            f"<Telemetry: {len(traces)} traces, {len(self.spans)} spans, {len(self.logs)} log records, "
            f"{len(self.metrics)} metric series, {tokens:,} tokens, ${cost_usd:.4f}>"
        )


def _time(at_ns: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_ns // 1000)


def read(path: str | os.PathLike[str]) -> Telemetry:
    """What a recording of Cline becomes: the same spans, log records and metrics as a bridge would have exported.

    The environment and the installation change nothing of it: only what leaves by default is in it (docs/privacy.md),
    and names that somebody chose are not, for want of a key. The same recording gives the same result, except that
    what Cline reports no cost of has the price that the installed release of genai-prices has (docs/costs.md).

    Args:
        path: a recording of any known source (docs/sources.md): a log, a spool, OTLP as Cline sent it, the folder of a
            session or task; or a folder with such files, or with ``sessions``, ``legacy`` or ``tasks`` in it.

    Raises:
        UnreadableRecording: there is no such file, it cannot be read, or it is no recording of a known source.
    """
    replayed = replay(read_recording([Path(path)]), load(prices=LIBRARY))
    return Telemetry(tuple(replayed.spans), tuple(replayed.logs), tuple(replayed.totals), replayed.diagnostics)
