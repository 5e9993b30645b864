"""Makes a stream of ``cline --json`` without any content: texts become others, as in session files.

    python tests/data/scrub_streams.py CAPTURE... --output tests/data/streams

Kept are types, ids, times, models, usage, the names of Cline's tools and the classes of errors. Of an answer's text its
first pieces are kept, each as another. A capture's last stream is taken, which is that of a hub where there is one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, Final

from scrub_sessions import Masks

_KEPT: Final = frozenset(
    {
        *(
            "ts",
            "type",
            "hookEventName",
            "agentId",
            "parentAgentId",
            "contentType",
            "toolCallId",
            "reason",
            "noticeType",
        ),
        *(
            "finishReason",
            "errorClass",
            "runtimeAgentId",
            "modelId",
            "provider",
            "status",
            "kind",
            "phase",
            "displayRole",
        ),
    }
)
_SHOWN_PIECES: Final = 2


class Scrubber:
    """Scrubs one stream."""

    def __init__(self) -> None:
        self.masks = Masks()
        self.members: dict[str, str] = {}
        self.pieces = 0

    def line(self, record: dict[str, Any]) -> dict[str, Any] | None:
        """A line; None for a piece of text after the first ones."""
        event = record.get("event", {})
        inner = event.get("event", event)
        if inner.get("type") == "iteration_start":
            self.pieces = 0
        if inner.get("type") == "content_start" and inner.get("contentType") != "tool":
            self.pieces += 1
            if self.pieces > _SHOWN_PIECES:
                return None
        if inner.get("type") == "content_update" or event.get("type") in (
            "run_progress",
            "team_mission_log",
            "task_end",
        ):
            return None
        return self.table(record)

    def table(self, values: dict[str, Any]) -> dict[str, Any]:
        """The fields of an object."""
        return {
            name: self.field(name, value) for name, value in values.items() if name not in ("info", "stack", "messages")
        }

    def field(self, name: str, value: Any) -> Any:
        """One of them."""
        if name == "agentId" and isinstance(value, str) and not value.startswith("agent_"):
            return self.members.setdefault(value, f"member-{len(self.members) + 1}")
        if name == "toolName":
            return "server__tool" if "__" in value else value
        if name == "model" and isinstance(value, dict):
            return {key: value[key] for key in ("id", "provider") if key in value}
        if name in ("input", "output", "error") and not (isinstance(value, dict) and "stack" in value):
            return self.masks.value(value, name)
        if isinstance(value, dict):
            return self.table(value)
        if isinstance(value, list):
            return [self.field(name, each) for each in value]
        return value if name in _KEPT or not isinstance(value, str) else self.masks.text(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for capture in arguments.captures:
        scrubber = Scrubber()
        content = sorted(capture.glob("stdout_*.jsonl"))[-1].read_text(encoding="utf-8")
        lines = [scrubber.line(json.loads(line)) for line in content.splitlines() if line.strip()]
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines if line is not None)
        (arguments.output / f"{capture.name}.jsonl").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
