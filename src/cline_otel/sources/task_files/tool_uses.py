"""Tool calls in a model's answer, and what became of them in the message after it. No word of either is kept.

A model calls a tool by an element in its text, or natively; results are texts that begin with the tool's name, or
native ones. What they say of failures are the program's own fixed phrases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from cline_otel.sources.conversations.edits import Change, change_of
from cline_otel.sources.conversations.messages import Message, blocks_of, size_of, table, text_of, word
from cline_otel.sources.conversations.outcome import Outcome

INTERRUPTED: Final = "[Response interrupted by "
"""How an answer ends that was cut off."""

_MCP_USE: Final = frozenset({"use_mcp_tool", "access_mcp_resource"})
_NATIVE_MCP: Final = ("0mcp0", "mcp--")
"""In the name of a native tool that is an MCP server's."""

_CALLED_OTHERWISE: Final = {"subagents": "use_subagents"}
"""What results call a tool, where that is not its name."""

_HEAD: Final = 600
_LONGEST_LABEL: Final = 20_000
_LABEL: Final = re.compile(r"\[(\w{2,60})\b")
_END_OF_LABEL: Final = "] Result:"

_SEARCH: Final = re.compile(r"(?:-{3,9}|<{3,9}) SEARCH>?\s*")
_DIVIDER: Final = re.compile(r"={3,9}\s*")
_REPLACE: Final = re.compile(r"(?:\+{3,9}|>{3,9}) REPLACE>?\s*")
_LINE_MARK: Final = re.compile(r":(?:start|end)_line:|-{3,9}\s*\Z")
"""What may stand before the lines that are searched for: where they are."""

_WRAPPING: Final = re.compile(r"The tool execution failed.{0,60}?<error>\s*", re.DOTALL)
_DENIED: Final = re.compile(
    r'The user denied this operation|\{"status":\s?"denied",\s?"message":\s?"The user denied'
    r"|(?:This tool|Tool '\w{2,60}') (?:cannot be used|is not (?:available|allowed)) in PLAN MODE"
    r"|Access to .{0,300}? is blocked by the \.\w{3,10}ignore|PreToolUse hook requested cancel",
    re.DOTALL,
)
_NOT_RUN: Final = re.compile(
    r"Tool \[?.{0,300}?(?:was not executed|was interrupted and not executed)|Skipping tool \[", re.DOTALL
)
_REFUSED: Final = re.compile(r"Missing value for required parameter|Invalid JSON argument used")
_UNKNOWN: Final = re.compile(r"(?:\[ERROR\] )?Unknown tool")
_FAILED: Final = re.compile(
    r'The tool execution failed|\{"status":\s?"error",\s?"message":\s?"The tool execution failed'
)
_MCP_FAILED: Final = "Error:\n"
_EXIT_CODE: Final = re.compile(
    r"(?:Command failed with exit code |Command executed.{0,300}?Exit code: )(-?[0-9]{1,9})\b", re.DOTALL
)
_CANCELLED: Final = re.compile(r"Command was (?:cancelled|interrupted)")
_TIMED_OUT: Final = re.compile(r"\btimed out\b|\btimeout\b")


class ToolUse(NamedTuple):
    """A tool that an answer asks for.

    Attributes:
        name: of the tool.
        call_id: the model's id of the call, empty where the tool is called by text.
        input_bytes: how long its arguments are.
        is_mcp: whether it is an MCP server's.
        server: that server's name, empty where it is not known.
        change: what it changes if it succeeds, as far as the call says it.
    """

    name: str
    call_id: str
    input_bytes: int
    is_mcp: bool
    server: str
    change: Change


class Result(NamedTuple):
    """What a tool gave: ``tool`` is what the result calls it, ``call_id`` the call that it names; each may be empty."""

    tool: str
    call_id: str
    outcome: Outcome
    output_bytes: int


def tool_uses(message: Message, tools: frozenset[str]) -> list[ToolUse]:
    """The tools that an answer asks for, in their order."""
    blocks = blocks_of(message)
    found = [_native(block) for block in blocks if block.get("type") == "tool_use"]
    return found or [use for block in blocks for use in _in_text(text_of(block), tools)]


def is_interrupted(message: Message) -> bool:
    """Whether an answer was cut off."""
    return any(INTERRUPTED in text_of(block)[-200:] for block in blocks_of(message))


def results(message: Message) -> Iterator[Result]:
    """The results in a message to the model, in their order."""
    blocks = blocks_of(message)
    for number, block in enumerate(blocks):
        if block.get("type") == "tool_result":
            texts = [text_of(part) for part in blocks_of(block)]
            label, text = _without_label("".join(texts))
            outcome = _outcome(label, text, is_error=block.get("is_error") is True)
            yield Result(label, word(block.get("tool_use_id")), outcome, _size(text))
            continue
        label, text = _without_label(text_of(block))
        if label:
            # Older versions have the label alone, and what it is of in the next part.
            following = text_of(blocks[number + 1]) if not text.strip() and number + 1 < len(blocks) else ""
            text = text or following
            yield Result(label, "", _outcome(label, text), _size(text))


def claim_result(use: ToolUse, waiting: list[Result]) -> Result | None:
    """The first of the results that is of a tool use, taken from them."""
    for result in waiting:
        same = result.call_id == use.call_id if result.call_id else result.tool == use.name or use.is_mcp
        if same:
            waiting.remove(result)
            return result
    return None


def _native(block: Mapping[str, object]) -> ToolUse:
    name, given = word(block.get("name")), table(block.get("input"))
    is_mcp = name in _MCP_USE or any(part in name for part in _NATIVE_MCP)
    server = word(given.get("server_name")) if name in _MCP_USE else ""
    return ToolUse(
        name if not is_mcp or name in _MCP_USE else "use_mcp_tool",
        word(block.get("id")),
        size_of(given) or 0,
        is_mcp,
        server,
        _change(name, {key: value for key, value in given.items() if isinstance(value, str)}),
    )


def _in_text(text: str, tools: frozenset[str]) -> Iterator[ToolUse]:
    at = 0
    cut_off = INTERRUPTED in text[-200:]
    while (opening := _opening(tools).search(text, at)) is not None:
        name = opening[1]
        end = text.find(f"</{name}>", opening.end())
        if end < 0 and cut_off:
            return
        inner = text[opening.end() : end if end >= 0 else len(text)]
        at = end if end >= 0 else len(text)
        yield ToolUse(
            name,
            "",
            _size(inner),
            name in _MCP_USE,
            _element(inner, "server_name").strip(),
            _change(name, {part: _element(inner, part) for part in ("diff", "content", "input")}),
        )


@lru_cache(16)
def _opening(tools: frozenset[str]) -> re.Pattern[str]:
    return re.compile(f"<({'|'.join(sorted(tools))})>")


def _element(text: str, name: str) -> str:
    start, end = text.find(f"<{name}>"), text.rfind(f"</{name}>")
    return text[start + len(name) + 2 : end] if 0 <= start < end else ""


def _change(tool: str, given: Mapping[str, str]) -> Change:
    if tool == "apply_patch":
        return change_of(tool, dict(given), None)
    if tool == "write_to_file" and given.get("content"):
        return {"lines_added": len(given["content"].strip("\n").split("\n"))}
    change: Change = {}
    for texts in _replacements(given.get("diff", "")):
        for field, number in change_of("editor", texts, None).items():
            change[field] = change.get(field, 0) + number
    return {**change, "files_modified": 1} if change else {}


def _replacements(diff: str) -> Iterator[dict[str, str]]:
    """Each text that is searched for, and the one in its place."""
    sides: tuple[list[str], list[str]] = ([], [])
    side: int | None = None
    for line in diff.splitlines():
        if _SEARCH.fullmatch(line):
            sides, side = ([], []), 0
        elif side == 0 and _DIVIDER.fullmatch(line):
            side = 1
        elif side == 1 and _REPLACE.fullmatch(line):
            old_text, new_text = ("".join(f"{each}\n" for each in lines) for lines in sides)
            yield {"old_text": old_text, "new_text": new_text}
            side = None
        elif side == 0 and _LINE_MARK.match(line) and all(map(_LINE_MARK.match, sides[0])):
            continue
        elif side is not None:
            sides[side].append(line)


def _without_label(text: str) -> tuple[str, str]:
    """What a result says that it is of, empty if it does not, and the rest of it."""
    found = _LABEL.match(text)
    end = text.find(_END_OF_LABEL, 0, _LONGEST_LABEL) if found is not None else -1
    if found is None or end < 0:
        return "", text
    rest = text[end + len(_END_OF_LABEL) :]
    return _CALLED_OTHERWISE.get(found[1], found[1]), rest.removeprefix("\n")


def _outcome(tool: str, text: str, *, is_error: bool = False) -> Outcome:
    head = text[:_HEAD]
    wrapping = _WRAPPING.match(head)
    inner = head[wrapping.end() :] if wrapping is not None else head
    exit_code = _EXIT_CODE.match(head)
    if _DENIED.match(inner):
        return Outcome("rejected", "denied")
    if _NOT_RUN.match(head):
        return Outcome("rejected", "rejected")
    if _REFUSED.match(inner):
        return Outcome("rejected", "invalid_input")
    if _UNKNOWN.match(inner):
        return Outcome("rejected", "unknown_tool")
    if exit_code is not None and int(exit_code[1]) != 0:
        return Outcome("error", "command_failed", int(exit_code[1]))
    if _CANCELLED.match(head):
        return Outcome("error", "aborted")
    mcp_failed = head.startswith(_MCP_FAILED) and tool in ("", *_MCP_USE)
    if _FAILED.match(head) or mcp_failed or is_error:
        return Outcome("error", "timeout" if _TIMED_OUT.search(head) else "tool_error")
    return Outcome("success")


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))
