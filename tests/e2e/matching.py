"""Which span tells of which call that was really made."""

from __future__ import annotations

from collections import defaultdict

from .evidence import AgentKey, Evidence, ModelCall
from .telemetry import Span, Telemetry

OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CALL_ID = "gen_ai.tool.call.id"


class Matching:
    """Joins spans and calls by what only one call of a scenario has.

    Every answer of the model server has a number of output tokens, and every tool call an id, of its
    own. A model call without an answer is found by when it was made.
    """

    def __init__(self, evidence: Evidence, telemetry: Telemetry) -> None:
        self.evidence = evidence
        self.telemetry = telemetry
        self.chats = telemetry.by_operation.get("chat", [])
        self.tools = telemetry.by_operation.get("execute_tool", [])
        self.agent_runs = telemetry.by_operation.get("invoke_agent", [])

    def chat_spans(self, call: ModelCall) -> list[Span]:
        """The chat spans that tell of ``call``; one, if all is well."""
        if call.answer is not None:
            tokens = call.answer.output_tokens
            return [span for span in self.chats if span.attributes.get(OUTPUT_TOKENS) == tokens]
        return [
            span
            for span in self.chats
            if OUTPUT_TOKENS not in span.attributes
            and span.started_at_ns <= call.ended_at_ns
            and span.ended_at_ns >= call.started_at_ns
        ]

    def tool_spans(self, call_id: str) -> list[Span]:
        """The tool spans that tell of the call ``call_id``; one, if all is well."""
        return [span for span in self.tools if span.attributes.get(CALL_ID) == call_id]

    def runs_of_agents(self) -> dict[AgentKey, list[Span]]:
        """The ``invoke_agent`` spans of each agent, in time: the parents of its chat spans."""
        runs: dict[AgentKey, dict[str, Span]] = defaultdict(dict)
        for call in self.evidence.model_calls:
            for chat in self.chat_spans(call):
                parent = self.telemetry.by_id.get(chat.parent_span_id)
                if parent is not None:
                    runs[call.agent][parent.span_id] = parent
        return {agent: sorted(spans.values(), key=lambda span: span.started_at_ns) for agent, spans in runs.items()}
