"""What Cline did while a command ran, in numbers: for the step summary of a CI job, and in one line for its log."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from cline_otel.signals import SpanRecord, StatusCode
from cline_otel.terminal.formatting import dollars, duration

TRACE_ID_FIELD: Final = "{trace_id}"
"""Where the id stands in the template of a trace's URL."""


class Work:
    """Adds up the spans of what began after a time.

    Args:
        since_ns: what began earlier is not of it; nanoseconds since the Unix epoch.
    """

    def __init__(self, since_ns: int) -> None:
        self._since_ns = since_ns
        self._traces: dict[str, None] = {}
        self._outcomes: list[str] = []
        self._model_calls = self._failed_model_calls = 0
        self._tool_calls = self._failed_tool_calls = 0
        self._input_tokens = self._output_tokens = 0
        self._cost_usd = 0.0
        self._calls_without_cost = 0

    @property
    def trace_ids(self) -> list[str]:
        """Those of its traces, 32 hex digits each, in the order in which they were first seen."""
        return list(self._traces)

    def add(self, spans: Iterable[SpanRecord]) -> None:
        """Takes spans in, in any order."""
        for span in spans:
            if span.started_at_ns >= self._since_ns:
                self._add(span)

    def _add(self, span: SpanRecord) -> None:
        values = dict(span.attributes)
        is_error = span.status is StatusCode.ERROR
        self._traces.setdefault(span.trace_id.hex())
        match span.name.partition(" ")[0]:
            case "chat":
                self._model_calls += 1
                self._failed_model_calls += is_error
                self._input_tokens += _integer(values.get("gen_ai.usage.input_tokens"))
                self._output_tokens += _integer(values.get("gen_ai.usage.output_tokens"))
                cost = values.get("cline.cost_usd")
                if isinstance(cost, float):
                    self._cost_usd += cost
                elif "gen_ai.usage.output_tokens" in values:
                    self._calls_without_cost += 1
            case "execute_tool":
                self._tool_calls += 1
                self._failed_tool_calls += is_error
            case "invoke_agent" if "cline.prompt.model_calls" in values:
                reason = f" ({values['error.type']})" if "error.type" in values else ""
                self._outcomes.append(f"{values.get('cline.outcome')}{reason}")

    def markdown(self, exit_code: int, duration_ns: int, trace_url: str | None) -> str:
        """A table for people; no text of anybody's, only numbers and words of ours.

        Args:
            exit_code: the command's.
            duration_ns: how long it ran, nanoseconds.
            trace_url: a URL with ``{trace_id}`` for each trace; None for none.
        """
        rows = [
            ("Command", f"exit code {exit_code}, {duration(duration_ns)}"),
            ("Prompts", ", ".join(self._outcomes) or "none was reported to its end"),
            ("Model calls", _with_failed(self._model_calls, self._failed_model_calls)),
            ("Tool calls", _with_failed(self._tool_calls, self._failed_tool_calls)),
            ("Tokens", f"{self._input_tokens:,} in, {self._output_tokens:,} out"),
            ("Cost", self._cost()),
            *(("Trace", _linked(trace_id, trace_url)) for trace_id in self.trace_ids),
        ]
        return "\n".join(["### Cline", "", "| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows), ""])

    def _cost(self) -> str:
        if not self._calls_without_cost:
            return dollars(self._cost_usd) if self._cost_usd else "$0"
        calls = "call" if self._calls_without_cost == 1 else "calls"
        unknown = f"{self._calls_without_cost:,} {calls} without a price"
        return f"{dollars(self._cost_usd)} and {unknown}" if self._cost_usd else f"unknown: {unknown}"


def url_of(trace_id: str, trace_url: str) -> str:
    """Where a trace is to be seen, by the template of its URL."""
    return trace_url.replace(TRACE_ID_FIELD, trace_id)


def _linked(trace_id: str, trace_url: str | None) -> str:
    return f"`{trace_id}`" if trace_url is None else f"[{trace_id}]({url_of(trace_id, trace_url)})"


def _with_failed(calls: int, failed: int) -> str:
    return f"{calls:,}, {failed:,} of them failed" if failed else f"{calls:,}"


def _integer(value: object) -> int:
    return value if isinstance(value, int) else 0
