"""What became of a tool call, read from its result and from the head of its error, of which no word is kept.

The plugin decides in the same way (``src/cline-plugin/mapping/outcome.js``); ``tests/plugin/outcomes.json`` has the one
result of both.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

_ERROR_HEAD_CHARACTERS: Final = 600
_LONGEST_OUTPUT_TEXT: Final = 4 * 1024 * 1024
"""Characters; a text that is longer is looked at as it is, and not for JSON in it."""

_EXIT_CODE: Final = re.compile(r"Command exited with code (-?[0-9]{1,9})\b")
_DENIALS: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r'Tool "?\S{1,200}"? (?:was (?:denied|not approved|blocked by)|requires approval|approval request|is disabled)',
        r"Tool approval (?:request|callback|requires)",
        r"Tool was not executed",
        r"This tool call was rejected by the user",
        r"Tool execution is disabled for provider ",
        r"Desktop tool approval ",
        r"User (?:rejected the tool call|denied the tool execution)",
        r"Permission request (?:was cancelled|failed)",
        r"Unknown permission option: ",
        r"Denied by ",
        r"[A-Z][A-Za-z ]{1,60} before approval was resolved",
        r"No Cline Hub webview is attached",
        r"Command not executed: ",  # plan mode
    )
)
_DENIAL_END: Final = " -- NOT a tool or system failure. Clarify with user before proceeding."
"""What newer SDKs (0.0.86, not 0.0.78) put behind the reason of every denial, which may be the user's own words."""

_UNKNOWN_TOOL: Final = re.compile(
    r"(?:Unknown tool: |Tool call \S{1,200} was rejected before execution: (?:AI_)?NoSuchTool)"
)
_UNREADABLE_INPUT: Final = re.compile(
    r"Tool call \S{1,200} (?:emitted invalid|was rejected before execution: (?:AI_)?(?:Invalid|JSONParse|TypeVal))"
)
_REFUSED_INPUT: Final = "\u2716 "
"""How the message of a tool's own check of its input begins."""

_TIMED_OUT: Final = re.compile(r"\btimed out after [0-9]+ ?(?:ms|s)\b")
_ABORTED: Final = re.compile(r"\bwas aborted\b|\bAbortError\b")
_AGENT_FAILURES: Final = frozenset({"error", "failed", "aborted"})
_REJECTIONS: Final = frozenset({"unknown_tool", "denied", "rejected"})


class Outcome(NamedTuple):
    """What became of a call: ``success``, ``error`` (it ran and failed) or ``rejected`` (it never ran)."""

    outcome: str
    error_type: str | None = None
    exit_code: int | None = None
    is_mcp: bool = False


_SUCCESS: Final = Outcome("success")
_SUCCESS_OF_MCP: Final = Outcome("success", is_mcp=True)


def mcp_server_in(name: str) -> str | None:
    """The server of a tool that is named as Cline names those of MCP servers, ``<server>__<tool>``; None for others."""
    at = name.find("__")
    return name[:at] if at > 0 and at + 2 < len(name) else None


def output_of(content: object) -> object:
    """What a tool gave, as the plugin sees it: the message files have an object as a text of JSON."""
    if isinstance(content, str) and content.startswith("{") and len(content) <= _LONGEST_OUTPUT_TEXT:
        try:
            return msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return content
    return content


def outcome_of(name: str, output: object, *, is_error: bool, ran: bool) -> Outcome:
    """The outcome of a tool's result.

    Args:
        name: of the tool.
        output: what it gave.
        is_error: whether Cline says that the call failed.
        ran: whether Cline ran the tool's code or at least asked whether it may, as far as is known.
    """
    has_content = isinstance(output, dict) and isinstance(output.get("content"), list)
    failed = is_error or _has_failed(output)
    mcp = mcp_server_in(name) is not None and (has_content or (failed and ran))
    if not failed:
        return _SUCCESS_OF_MCP if mcp else _SUCCESS
    parts = [part for part in (output if isinstance(output, list) else [output]) if isinstance(part, dict)]
    texts = [text for part in parts if (text := _head(part.get("error")))]
    text = texts[0] if texts else _head(output)
    if _is_denial(output) or any(_is_denial(part.get("error")) for part in parts):
        return Outcome("rejected", "denied")
    exit_code = next((int(found[1]) for text in texts if (found := _EXIT_CODE.match(text))), None)
    error_type = _error_type_of(text, output, ran=ran, mcp=mcp, has_exit_code=exit_code is not None)
    rejected = error_type in _REJECTIONS or (error_type == "invalid_input" and not text.startswith(_REFUSED_INPUT))
    return Outcome("rejected" if rejected else "error", error_type, exit_code, mcp and not rejected)


def _is_denial(value: object) -> bool:
    return isinstance(value, str) and value.endswith(_DENIAL_END)


def _head(value: object) -> str:
    return value[:_ERROR_HEAD_CHARACTERS] if isinstance(value, str) else ""


def _has_failed(output: object) -> bool:
    if isinstance(output, list):
        return any(part.get("success") is False for part in output if isinstance(part, dict))
    if not isinstance(output, dict):
        return False
    if output.get("isError") is True or output.get("success") is False:
        return True
    if output.get("success") is not True and isinstance(output.get("error"), str) and output["error"]:
        return True
    # An agent tool answers even when its agent failed; then this is all that says so.
    iterations, finish_reason = output.get("iterations"), output.get("finishReason")
    is_agents = (
        isinstance(iterations, int | float) and not isinstance(iterations, bool) and iterations == int(iterations)
    )
    return is_agents and isinstance(finish_reason, str) and finish_reason in _AGENT_FAILURES


def _error_type_of(text: str, output: object, *, ran: bool, mcp: bool, has_exit_code: bool) -> str:
    if _UNKNOWN_TOOL.match(text):
        return "unknown_tool"
    if _UNREADABLE_INPUT.match(text) or (ran and text.startswith(_REFUSED_INPUT)):
        return "invalid_input"
    if any(pattern.match(text) for pattern in _DENIALS):
        return "denied"
    if not ran:
        return "rejected"
    if mcp:
        return "tool_error"
    if has_exit_code:
        return "command_failed"
    if _TIMED_OUT.search(text):
        return "timeout"
    if _ABORTED.search(text) or (isinstance(output, dict) and output.get("finishReason") == "aborted"):
        return "aborted"
    return "command_failed" if text.startswith("Command failed: ") else "tool_error"
