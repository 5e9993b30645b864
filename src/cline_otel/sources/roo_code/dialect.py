"""Roo Code's own: its tools, how it counts the cache, notes an approval and says the model."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from cline_otel.sources.conversations.messages import Message
from cline_otel.sources.task_files.dialect import Dialect, Usage, disjoint_usage, inclusive_usage

TOOLS: Final = frozenset(
    {
        "access_mcp_resource",
        "apply_diff",
        "apply_patch",
        "ask_followup_question",
        "attempt_completion",
        "browser_action",
        "codebase_search",
        "edit_file",
        "execute_command",
        "fetch_instructions",
        "generate_image",
        "insert_content",
        "list_code_definition_names",
        "list_files",
        "new_task",
        "read_command_output",
        "read_file",
        "run_slash_command",
        "search_and_replace",
        "search_files",
        "search_replace",
        "skill",
        "switch_mode",
        "update_todo_list",
        "use_mcp_tool",
        "write_to_file",
    }
)
CLIENT: Final = "roo-code"

_MODEL: Final = re.compile(r"# Current Mode\n(?:.{0,300}\n){0,4}?<model>([^<\n]{1,200})</model>")


def usage(given: Mapping[str, object]) -> Usage:
    """What a request used: by Anthropic's protocol the cache is counted apart, else it is in the input."""
    return disjoint_usage(given) if given.get("apiProtocol", "anthropic") == "anthropic" else inclusive_usage(given)


def was_asked(message: Message) -> bool | None:
    """A tool is always a question here; newer versions note how it was answered."""
    if message.get("type") != "ask":
        return False
    decision = message.get("autoApprovalDecision")
    return None if decision is None else decision != "approve"


def model(around: str) -> tuple[str, str]:
    """The text around a prompt names the model, and not who provides it."""
    found = _MODEL.search(around)
    return (found[1] if found is not None else ""), ""


DIALECT: Final = Dialect(TOOLS, usage, was_asked, model, CLIENT)
