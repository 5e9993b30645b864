"""What a live scenario left behind: what really happened, what was sent, and what lay on the disk at each moment."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from .evidence import Evidence
from .live_stage import LiveScenario
from .matching import Matching
from .planted import files_below
from .telemetry import Span, Telemetry


class Stock:
    """What there was at one moment; times in nanoseconds since the Unix epoch.

    Attributes:
        folder: copies, to search.
        state: the copy of the state directory.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"

    @cached_property
    def log_events(self) -> dict[str, Any]:
        """``at_ns``, ``requests`` that the endpoint had, ``spool_changed_at_ns``, ``spool_sizes``, ``modes``."""
        return self._json("facts.json")

    @cached_property
    def status(self) -> dict[str, Any]:
        """What ``cline-otel status --json`` said."""
        return self._json("status.json")

    @cached_property
    def status_text(self) -> str:
        """What ``cline-otel status`` said."""
        return (self.folder / "status.txt").read_text()

    @cached_property
    def stored(self) -> dict[str, Any]:
        """The journal's rows by table, but for places in files and the count of what was dropped."""
        rows = self._json("rows.json")
        rows["counts"] = [row for row in rows["counts"] if row[0] != "switched_off"]
        return {table: content for table, content in rows.items() if table != "cursors"}

    def pending_items(self) -> int:
        """How many spans and log records wait."""
        return sum(signal["pending_items"] for signal in self.status["signals"].values())

    def _json(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.folder / name).read_text())
        return content


class LiveEvidence(Evidence):
    """The witnesses of one live scenario's results folder."""

    def __init__(self, folder: Path, scenario: LiveScenario) -> None:
        super().__init__(folder, scenario)
        self.telemetry = Telemetry(folder / "endpoint")
        self.matching = Matching(self, self.telemetry)

    def stock(self, moment: str) -> Stock:
        """What there was at ``moment``, as the play calls it."""
        return Stock(self.folder / "stock" / moment)

    def spans_of(self, play: str) -> list[Span]:
        """The spans that the endpoint took of a play's session."""
        session_id = self.sessions[play].session_id
        return [span for span in self.telemetry.spans if span.attributes["gen_ai.conversation.id"] == session_id]

    def assert_is_told_once_and_wholly(self, play: str) -> None:
        """One trace with a span for each model call, tool call and agent of a play, and nothing else."""
        spans = self.spans_of(play)
        assert len({span.trace_id for span in spans}) == 1
        assert len({span.span_id for span in spans}) == len(spans)
        (root,) = (span for span in spans if not span.parent_span_id)
        assert root.attributes["cline.outcome"] == "completed"
        assert {span.parent_span_id for span in spans if span is not root} <= {span.span_id for span in spans}
        assert not any(span.attributes.get("cline.incomplete") for span in spans)
        calls = [call for call in self.model_calls if call.agent[0] == play]
        tools = [tool for tool in self.tool_calls if tool.agent[0] == play]
        told = [*(self.matching.chat_spans(call) for call in calls)]
        told += [*(self.matching.tool_spans(tool.call_id) for tool in tools)]
        assert [len(each) for each in told] == [1] * len(told)
        assert len(spans) == len(calls) + len(tools) + len({call.agent for call in calls})

    def ids_of(self, play: str) -> dict[str, bytes]:
        """By what a run can be recognised: its session, its agents, and how its answers and tool calls begin."""
        agents = {self.hooks[tool.call_id].agent_id for tool in self.tool_calls if self._has_hook(tool.call_id, play)}
        ids = {"session": self.sessions[play].session_id, "answers": f"answer-{play}-", "tool calls": f"call_{play}_"}
        ids |= {f"agent {number}": agent_id for number, agent_id in enumerate(sorted(agents))}
        return {name: value.encode() for name, value in ids.items()}

    def traces_of(self, play: str, *roots: Path) -> list[str]:
        """One line for each id of a play's run in a file below ``roots``."""
        return [
            f"{name} of {play} is in {path}"
            for path in files_below(roots)
            for name, value in self.ids_of(play).items()
            if value in path.read_bytes()
        ]

    def _has_hook(self, call_id: str, play: str) -> bool:
        return call_id in self.hooks and call_id.startswith(f"call_{play}_")
