"""Classic Cline's own: the extension 3.x, its bundle ``legacy``, and the command line 2.x."""

from __future__ import annotations

from typing import Final

from cline_otel.sources.conversations.messages import Message
from cline_otel.sources.task_files.dialect import Dialect, disjoint_usage

TOOLS: Final = frozenset(
    {
        "access_mcp_resource",
        "act_mode_respond",
        "apply_patch",
        "ask_followup_question",
        "attempt_completion",
        "browser_action",
        "condense",
        "execute_command",
        "focus_chain",
        "generate_explanation",
        "list_code_definition_names",
        "list_files",
        "load_mcp_documentation",
        "new_rule",
        "new_task",
        "plan_mode_respond",
        "read_file",
        "replace_in_file",
        "report_bug",
        "search_files",
        "summarize_task",
        "use_mcp_tool",
        "use_skill",
        "use_subagents",
        "web_fetch",
        "web_search",
        "write_to_file",
    }
)


def _was_asked(message: Message) -> bool:
    """A tool that settings approve is said, one that the user is asked about stays a question."""
    return message.get("type") == "ask"


def _no_model(_: str) -> tuple[str, str]:
    return "", ""


DIALECT: Final = Dialect(TOOLS, disjoint_usage, _was_asked, _no_model, "vscode")
