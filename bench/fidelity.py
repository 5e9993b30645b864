"""How true the telemetry is: what the bridge made of recorded runs, against the model server's and Cline's own clocks.

    python -m bench.fidelity [--captures FOLDER] [--write]

For each recording and source: model calls and tool calls found and expected (``fidelity_expectations.toml``),
whether each chat span contains the server's interval and by how much, tool times against Cline's own clock,
tokens and cost against Cline's session files. Exits with 1 if a limit is not met.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import msgspec

from bench.fixed_key import AS_INSTALLED, CATALOGUE, recording_of, replay_of
from bench.tables import as_markdown, as_text
from bench.truth import ModelCallTruth, ToolCallTruth, Truth, UsageTruth, read_truth
from cline_otel.events import AttributeValue
from cline_otel.signals import SpanRecord
from cline_otel.sources.registry import SOURCES

ROOT: Final = Path(__file__).resolve().parents[1]
BUNDLED: Final = ROOT / "tests" / "data" / "captures"
PAGE: Final = ROOT / "docs" / "fidelity.md"
EXPECTATIONS: Final = Path(__file__).with_name("fidelity_expectations.toml")

STREAMS: Final = BUNDLED.parent / "streams"
"""What ``cline --json`` wrote in those of the bundled recordings that have a stream; others have it in their folder."""

KNOWING_AGENTS: Final = frozenset({"plugin", "session-files", "json-stream"})
"""Sources that know the calls of subagents or teammates."""

MOST_MEDIAN_SLACK_MS: Final = 20.0
MOST_MEDIAN_SLACK_OF_FILES_MS: Final = {
    "session-files": (45.0, 20.0),
    "classic-tasks": (80.0, 40.0),
    "json-stream": (25.0, 20.0),
}
"""By source, at the start and at the end, where times are inferred from messages, or written for somebody else."""

MOST_OUTSIDE_MS: Final = 15.0
MOST_OUTSIDE: Final = 0.005
"""Of the session files' spans so many, or one, may not contain the server's interval, and miss it by less than that."""

EXACT_COST_USD: Final = 1e-9
MOST_RECORD_DELAY_MS: Final = 5.0
"""Cline notes a tool's ``startedAt`` and writes the record that a log or OTLP has of it up to some ms apart."""

MOST_STREAM_DELAY_MS: Final = 25.0
"""The same of the stream's lines, which a hub sends to the Cline that writes them."""


_MOST_TOOL_DELAY_MS: Final = {"plugin": 0.0, "json-stream": MOST_STREAM_DELAY_MS}


class CallCost(NamedTuple):
    """What a model call cost, US dollars, as Cline reports it and by the price list; None where either does not say."""

    reported_usd: float | None
    computed_usd: float | None


class Measured(msgspec.Struct, frozen=True):
    """One recording as one source tells it. Slack and differences are milliseconds; positive slack is outside."""

    recording: str
    source: str
    model_calls: int
    expected_model_calls: int
    tool_calls: int
    expected_tool_calls: int
    unmatched: int
    start_slack_ms: tuple[float, ...]
    end_slack_ms: tuple[float, ...]
    tool_start_ms: tuple[float, ...]
    tool_end_ms: tuple[float, ...]
    misnamed_tools: int
    usage_differences: int
    cost_difference_usd: float
    costs: tuple[CallCost, ...] = ()

    @property
    def containing(self) -> int:
        """How many chat spans contain the server's interval."""
        pairs = zip(self.start_slack_ms, self.end_slack_ms, strict=True)
        return sum(start >= 0 and end >= 0 for start, end in pairs)


def expectations() -> dict[str, dict[str, list[int]]]:
    """Model calls and tool calls by recording and source."""
    table: dict[str, dict[str, list[int]]] = tomllib.loads(EXPECTATIONS.read_text(encoding="utf-8"))["recordings"]
    return table


def measure(folder: Path, source: str, expected: Sequence[int]) -> Measured:
    """What comes of a recording when only ``source`` is heard."""
    spans = replay_of(_paths_of(folder), source, AS_INSTALLED).spans
    truth = read_truth(folder)
    chats = [span for span in spans if span.name.startswith("chat ")]
    tools = [span for span in spans if span.name.startswith("execute_tool ")]
    matched = _match_model_calls(chats, truth.model_calls)
    tool_pairs = list(_match_tool_calls(tools, truth.tool_calls))
    differences, cost = _usage_differences(chats, _known_usage(truth, source))
    whole = [(tool, call) for tool, call in tool_pairs if "cline.incomplete" not in dict(tool.attributes)]
    return Measured(
        recording=folder.name,
        source=source,
        model_calls=len(chats),
        expected_model_calls=expected[0],
        tool_calls=len(tools),
        expected_tool_calls=expected[1],
        unmatched=sum(_ended_normally(chat) for chat in chats) - len(matched),
        start_slack_ms=tuple((call.started_at_ns - chat.started_at_ns) / 1e6 for chat, call in matched),
        end_slack_ms=tuple((chat.ended_at_ns - call.ended_at_ns) / 1e6 for chat, call in matched),
        tool_start_ms=tuple((tool.started_at_ns - call.started_at_ns) / 1e6 for tool, call in tool_pairs),
        tool_end_ms=tuple((tool.ended_at_ns - call.ended_at_ns) / 1e6 for tool, call in whole),
        misnamed_tools=sum(not _has_its_name(tool, call) for tool, call in whole),
        usage_differences=differences,
        cost_difference_usd=cost,
        costs=tuple(map(_cost_of, chats)),
    )


def _paths_of(folder: Path) -> list[Path]:
    stream = STREAMS / f"{folder.name}.jsonl"
    return [folder, stream] if folder.parent == BUNDLED and stream.exists() else [folder]


def _cost_of(chat: SpanRecord) -> CallCost:
    attributes = dict(chat.attributes)
    cost, computed = attributes.get("cline.cost_usd"), attributes.get("cline.cost.computed_usd")
    if attributes.get("cline.cost.basis") == "computed":
        cost, computed = None, cost
    return CallCost(cost if isinstance(cost, float) else None, computed if isinstance(computed, float) else None)


def _ended_normally(span: SpanRecord) -> bool:
    return "cline.incomplete" not in dict(span.attributes)


def _match_model_calls(
    chats: Iterable[SpanRecord], calls: Iterable[ModelCallTruth]
) -> list[tuple[SpanRecord, ModelCallTruth]]:
    """Each finished chat span with the server's call of the same response id, else with the one nearest in time."""
    waiting = list(calls)
    by_id = {call.response_id: call for call in waiting}
    pairs: list[tuple[SpanRecord, ModelCallTruth]] = []
    others: list[SpanRecord] = []
    for chat in chats:
        call = by_id.get(str(dict(chat.attributes).get("gen_ai.response.id")))
        if call is not None and call in waiting:
            waiting.remove(call)
            pairs.append((chat, call))
        elif _ended_normally(chat):
            others.append(chat)
    for chat in sorted(others, key=lambda span: span.started_at_ns):
        nearest = min(waiting, key=lambda call: _distance_ns(chat, call), default=None)
        if nearest is not None:
            waiting.remove(nearest)
            pairs.append((chat, nearest))
    return pairs


def _distance_ns(chat: SpanRecord, call: ModelCallTruth) -> int:
    return abs(chat.started_at_ns - call.started_at_ns) + abs(chat.ended_at_ns - call.ended_at_ns)


def _match_tool_calls(
    tools: Iterable[SpanRecord], calls: Iterable[ToolCallTruth]
) -> Iterator[tuple[SpanRecord, ToolCallTruth]]:
    """Each call on Cline's clock with the tool span of the same agent and iteration, by call id or nearest start."""
    waiting = list(tools)
    for call in calls:
        same = [tool for tool in waiting if _is_of(dict(tool.attributes), call)]
        nearest = min(same, key=lambda tool: abs(tool.started_at_ns - call.started_at_ns), default=None)
        if nearest is not None:
            waiting.remove(nearest)
            yield nearest, call


def _is_of(attributes: dict[str, AttributeValue], call: ToolCallTruth) -> bool:
    """Cline's files know neither the root agent's id nor, for sure, the iteration; what they have is the call's id."""
    known_id = attributes.get("gen_ai.tool.call.id", call.call_id) == call.call_id
    if attributes.get("cline.timing") == "inferred":
        return known_id
    same_place = (attributes["cline.agent.id"], attributes["cline.iteration"]) == (call.agent_id, call.iteration)
    return known_id and same_place


def _has_its_name(tool: SpanRecord, call: ToolCallTruth) -> bool:
    """Names that users choose are ``_OTHER``."""
    known = CATALOGUE.vocabularies["cline"].events["task.tool_used"].handlers["tool"][0].gate(call.tool_name)
    return dict(tool.attributes)["gen_ai.tool.name"] == known


def _known_usage(truth: Truth, source: str) -> list[UsageTruth]:
    return [usage for usage in truth.usage if source in KNOWING_AGENTS or usage.is_root]


def _usage_differences(chats: Iterable[SpanRecord], usage: Sequence[UsageTruth]) -> tuple[int, float]:
    """Chat spans whose tokens no message of the session files has, and by how much the cost of the others differs."""
    known = Counter((item.input_tokens, item.output_tokens) for item in usage)
    costs = Counter((item.input_tokens, item.output_tokens, round(item.cost_usd, 12)) for item in usage)
    differences, cost_difference = 0, 0.0
    for chat in chats:
        attributes = dict(chat.attributes)
        tokens = (attributes.get("gen_ai.usage.input_tokens"), attributes.get("gen_ai.usage.output_tokens"))
        if tokens == (None, None):
            continue
        cost = _cost_of(chat).reported_usd or 0.0
        if known[tokens] <= 0:  # type: ignore[index]
            differences += 1
            continue
        known[tokens] -= 1  # type: ignore[index]
        if costs[*tokens, round(cost, 12)] > 0:  # type: ignore[index]
            costs[*tokens, round(cost, 12)] -= 1  # type: ignore[index]
        else:
            nearest = min((abs(cost - price) for i, o, price in costs if (i, o) == tokens), default=cost)
            cost_difference = max(cost_difference, nearest)
    return differences, cost_difference


# --- limits -----------------------------------------------------------------------------------------------


def failures(measured: Sequence[Measured]) -> list[str]:
    """Every limit that is not met, as a sentence."""
    return [*_failures_of_each(measured), *_failures_of_all(measured)]


def _failures_of_each(measured: Sequence[Measured]) -> Iterator[str]:
    for m in measured:
        where = f"{m.recording} ({m.source})"
        if m.model_calls != m.expected_model_calls:
            yield f"{where}: {m.model_calls} model calls, expected {m.expected_model_calls}"
        if m.tool_calls != m.expected_tool_calls:
            yield f"{where}: {m.tool_calls} tool calls, expected {m.expected_tool_calls}"
        if m.unmatched:
            yield f"{where}: {m.unmatched} chat spans have no call of the server"
        if m.source == "plugin" and m.containing != len(m.start_slack_ms):
            yield f"{where}: {len(m.start_slack_ms) - m.containing} chat spans do not contain the server's interval"
        if m.misnamed_tools:
            yield f"{where}: {m.misnamed_tools} tool spans have another tool's name"
        if m.source == "session-files":
            if min((*m.start_slack_ms, *m.end_slack_ms), default=0) < -MOST_OUTSIDE_MS:
                yield f"{where}: a chat span misses the server's interval by more than {MOST_OUTSIDE_MS:.0f} ms"
            if max(m.tool_start_ms, default=0) > MOST_RECORD_DELAY_MS or min(m.tool_end_ms, default=0) < 0:
                yield f"{where}: a tool span does not contain the tool's time by Cline's clock"
        elif abs(_largest(m.tool_start_ms)) > _MOST_TOOL_DELAY_MS.get(m.source, MOST_RECORD_DELAY_MS):
            yield f"{where}: tool starts differ from Cline's clock by up to {_largest(m.tool_start_ms):.0f} ms"
        if m.source == "plugin" and any(m.tool_end_ms):
            yield f"{where}: tool ends differ from Cline's clock by up to {_largest(m.tool_end_ms):.0f} ms"
        if m.usage_differences:
            yield f"{where}: {m.usage_differences} chat spans have other tokens than the session files"
        if m.cost_difference_usd > EXACT_COST_USD:
            yield f"{where}: cost differs by {m.cost_difference_usd:.9f} USD"


def _failures_of_all(measured: Sequence[Measured]) -> Iterator[str]:
    for source in SOURCES:
        limits = MOST_MEDIAN_SLACK_OF_FILES_MS.get(source, (MOST_MEDIAN_SLACK_MS, MOST_MEDIAN_SLACK_MS))
        for side, limit in zip(("start", "end"), limits, strict=True):
            slack = _all(measured, source, side)
            if slack and median(slack) > limit:
                yield f"{source}: the median slack at the {side} is {median(slack):.1f} ms"

    of_files = [m for m in measured if m.source == "session-files"]
    matched = sum(len(m.start_slack_ms) for m in of_files)
    if matched - sum(m.containing for m in of_files) > max(MOST_OUTSIDE * matched, 1):
        yield f"session-files: more than {MOST_OUTSIDE:.1%} of the chat spans do not contain the server's interval"


def _all(measured: Iterable[Measured], source: str, side: str) -> list[float]:
    of_source = [m for m in measured if m.source == source]
    return [slack for m in of_source for slack in (m.start_slack_ms if side == "start" else m.end_slack_ms)]


def _largest(values: Iterable[float]) -> float:
    return max(values, key=abs, default=0.0)


# --- output -----------------------------------------------------------------------------------------------

HEADER: Final = (
    "Recording", "Source", "Model calls", "Tool calls", "Contain the server's",
    "Slack at start, ms", "Slack at end, ms", "Tool start, ms", "Tool end, ms", "Tokens", "Cost",
    "Reported, USD", "Computed, USD", "Difference, USD",
)  # fmt: skip


def rows(measured: Sequence[Measured]) -> list[tuple[str, ...]]:
    """The table's rows, then one for each source as a whole."""
    made = [_row(m.recording, m.source, [m]) for m in measured]
    by_source = {source: [m for m in measured if m.source == source] for source in SOURCES}
    return made + [_row("**all**", source, group) for source, group in by_source.items() if group]


def _row(name: str, source: str, group: Sequence[Measured]) -> tuple[str, ...]:
    starts = [slack for m in group for slack in m.start_slack_ms]
    ends = [slack for m in group for slack in m.end_slack_ms]
    differences = sum(m.usage_differences for m in group)
    cost = max((m.cost_difference_usd for m in group), default=0.0)
    return (
        name,
        source,
        f"{sum(m.model_calls for m in group)} of {sum(m.expected_model_calls for m in group)}",
        f"{sum(m.tool_calls for m in group)} of {sum(m.expected_tool_calls for m in group)}",
        f"{sum(m.containing for m in group)} of {len(starts)}",
        _median_and_most(starts),
        _median_and_most(ends),
        _median_and_most([difference for m in group for difference in m.tool_start_ms]),
        _median_and_most([difference for m in group for difference in m.tool_end_ms]),
        "exact" if not differences else f"{differences} differ",
        "exact" if cost <= EXACT_COST_USD else f"{cost:.6f}",
        *_money([call for m in group for call in m.costs]),
    )


def _money(costs: Sequence[CallCost]) -> tuple[str, str, str]:
    """The sums of what is reported and of what is computed, each with its calls, and how far the latter is off."""
    reported = [call.reported_usd for call in costs if call.reported_usd is not None]
    computed = [call.computed_usd for call in costs if call.computed_usd is not None]
    differences = [
        call.computed_usd - call.reported_usd
        for call in costs
        if call.reported_usd is not None and call.computed_usd is not None
    ]
    difference = sum(differences)
    return (
        f"{sum(reported):.6f} ({len(reported)})" if reported else "-",
        f"{sum(computed):.6f} ({len(computed)})" if computed else "-",
        ("0" if abs(difference) <= EXACT_COST_USD else f"{difference:+.6f}") if differences else "-",
    )


def _median_and_most(values: Sequence[float]) -> str:
    if not values:
        return "-"
    return "0" if not any(values) else f"{median(values):.0f} (most {_largest(values):.0f})"


def as_page(table: Sequence[tuple[str, ...]]) -> str:
    """The table as ``docs/fidelity.md``."""
    return PREFACE + as_markdown(HEADER, table)


PREFACE: Final = """# Fidelity

What the bridge makes of recorded runs of the real Cline, against what really happened: the model server's own record
of each request, Cline's own clock for tools, Cline's session files for tokens and cost. `make fidelity` measures it
over the recordings that the tests bundle (`tests/data/captures`) and fails if a limit below is not met;
`python -m bench.fidelity --write` writes this page.

- **Model calls, tool calls**: spans found, of those that the source can know (`bench/fidelity_expectations.toml`).
  cline.log and OTLP know the calls of root runs only; the stream of `cline --json` knows whose a call is while one
  agent is at work. Limit: all of them.
- **Contain the server's**: chat spans that begin before the server got the request and end after it had answered. A
  chat span covers all attempts of a call. Limit for the plugin: all of them; for the session files 99.5 %, or all but
  one, which misses it by 15 ms at most.
- **Slack**: how much earlier the span begins, how much later it ends; median and most. The first call of a process
  takes longest to be sent, and a call that is retried waits in between. Limit: a median of 20 ms a side; for files,
  where a call begins with the message before it, 45 ms at the start, for classic task files 80 and 40 ms, and for the
  stream 25 ms at the start.
- **Tool start, tool end**: the span against Cline's own `startedAt` and `endedAt`; median and most. cline.log and
  OTLP learn a tool's end only after the hooks that follow it. Limit for the plugin: both exact. For cline.log and
  OTLP: the start as Cline's record of it has it, which Cline writes within 5 ms of `startedAt`, in the stream of
  `cline --json` 25 ms. In the session files
  a tool call lasts from the answer that asked for it to its result, the wait for an approval within. Limit: that it
  contains Cline's own interval.
- **Tokens, cost**: each chat span against the messages of the session files. Limit: exact.
- **Reported, computed, difference**: the sums over the chat spans (how many of them) of the cost that Cline reports and
  of that by the public price list, and over the calls that have both, how much more the list says
  ([costs.md](costs.md)). Cline reckons with the prices that its own settings had when the recording was made. No limit.

"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the table; returns 1 if a limit is not met."""
    parser = argparse.ArgumentParser(prog="python -m bench.fidelity", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--captures", type=Path, default=BUNDLED, help="folder of recording folders")
    parser.add_argument("--write", action="store_true", help="write docs/fidelity.md")
    options = parser.parse_args(arguments)
    measured = measure_all(options.captures)
    table = rows(measured)
    print(as_text(HEADER, table))
    if options.write:
        PAGE.write_text(as_page(table), encoding="utf-8")
    problems = failures(measured)
    for problem in problems:
        print(f"not met: {problem}", file=sys.stderr)
    return 1 if problems else 0


def measure_all(captures: Path) -> list[Measured]:
    """Every recording that has a source that can make spans of it."""
    table = expectations()
    return [
        measure(folder, source, table[folder.name][source])
        for folder in sorted(captures.iterdir())
        for source in SOURCES
        if source in table.get(folder.name, {}) and recording_of(_paths_of(folder), source).read
    ]


if __name__ == "__main__":
    sys.exit(main())
