"""Spans of a recorded run against the model server's and Cline's own clocks, call by call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from bench.fixed_key import CATALOGUE
from bench.truth import ModelCallTruth, ToolCallTruth, Truth, UsageTruth
from cline_otel.events import AttributeValue
from cline_otel.signals import SpanRecord

ROOT: Final = Path(__file__).resolve().parents[1]
BUNDLED: Final = ROOT / "tests" / "data" / "captures"

STREAMS: Final = BUNDLED.parent / "streams"
"""What ``cline --json`` wrote in those of the bundled recordings that have a stream; others have it in their folder."""

KNOWING_AGENTS: Final = frozenset({"plugin", "session-files", "json-stream"})
"""Sources that know the calls of subagents or teammates."""


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
    def times_ms(self) -> tuple[list[float], ...]:
        """How far calls are from the truth, in no order of theirs."""
        return tuple(
            sorted(values) for values in (self.start_slack_ms, self.end_slack_ms, self.tool_start_ms, self.tool_end_ms)
        )

    @property
    def containing(self) -> int:
        """How many chat spans contain the server's interval."""
        pairs = zip(self.start_slack_ms, self.end_slack_ms, strict=True)
        return sum(start >= 0 and end >= 0 for start, end in pairs)


def judge(
    recording: str, source: str, spans: Sequence[SpanRecord], truth: Truth, expected: Sequence[int], knows_agents: bool
) -> Measured:
    """Spans against the truth.

    Args:
        recording: the name.
        source: who tells, for the table.
        spans: what was made of what is told.
        truth: what really happened.
        expected: how many model calls and tool calls there are to be told.
        knows_agents: whether calls of subagents and teammates are told.
    """
    chats = [span for span in spans if span.name.startswith("chat ")]
    tools = [span for span in spans if span.name.startswith("execute_tool ")]
    matched = match_model_calls(chats, truth.model_calls)
    tool_pairs = list(_match_tool_calls(tools, truth.tool_calls))
    known = [usage for usage in truth.usage if knows_agents or usage.is_root]
    differences, cost = _usage_differences(chats, known)
    whole = [(tool, call) for tool, call in tool_pairs if "cline.incomplete" not in dict(tool.attributes)]
    return Measured(
        recording=recording,
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


def paths_of(folder: Path) -> list[Path]:
    """All that is recorded of a run."""
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


def match_model_calls(
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
