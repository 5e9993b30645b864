"""What an editing tool changed, in numbers: lines and files. No line and no path is kept.

The plugin counts in the same way (``src/cline-plugin/mapping/edits.js``); ``tests/plugin/edits.json`` has the one
result of both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

Change = dict[str, int]
"""Fields of a record: ``lines_added``, ``lines_removed``, ``files_created``, ``files_modified`` and so on."""

_CREATED: Final = "File created successfully"
_MOST_CHARACTERS: Final = 512 * 1024
_MOST_LINES: Final = 4_096
"""A text that is larger is not looked at, so its lines are not counted."""

_UPDATED: Final = "files_modified"
_MOVED: Final = "files_moved"
_PATCH_LINES: Final = (
    ("+", "lines_added"),
    ("-", "lines_removed"),
    ("*** Add File: ", "files_created"),
    ("*** Update File: ", _UPDATED),
    ("*** Move to: ", _MOVED),
    ("*** Delete File: ", "files_deleted"),
)
_LINE_BREAK: Final = re.compile(r"\r\n|\n")


def change_of(tool: str, given: object, output: object) -> Change:
    """What a call that succeeded changed; nothing for tools that edit no files themselves.

    Args:
        tool: its name.
        given: its arguments.
        output: what it gave.
    """
    if tool == "editor" and isinstance(given, dict):
        return _editor_change(given, output.get("result") if isinstance(output, dict) else output)
    if tool == "apply_patch":
        patch = given.get("input") if isinstance(given, dict) else given
        return _patch_change(patch) if isinstance(patch, str) else {}
    return {}


def _editor_change(given: Mapping[str, object], answer: object) -> Change:
    """The tool ``editor``: it creates a file, inserts lines, or replaces a text that is there once."""
    new_text, old_text = given.get("new_text"), given.get("old_text")
    if not isinstance(new_text, str):
        return {}
    if given.get("insert_line") is not None:
        return {**_only_added(_lines_of(new_text)), "files_modified": 1}
    if isinstance(answer, str) and answer.startswith(_CREATED):
        # A line break at the end ends the last line and begins none.
        text = (
            new_text.removesuffix("\n").removesuffix("\r") if new_text.endswith("\r\n") else new_text.removesuffix("\n")
        )
        return {**_only_added([] if new_text == "" else _lines_of(text)), "files_created": 1}
    return {**_replaced(old_text, new_text), "files_modified": 1} if isinstance(old_text, str) else {}


def _only_added(lines: Sequence[str] | None) -> Change:
    return {} if lines is None else {"lines_added": len(lines), "lines_removed": 0}


def _patch_change(patch: str) -> Change:
    """The tool ``apply_patch``: its lines say what they do. How many lines a deleted file had it does not say.

    A file that is moved is one that is updated, with a line that says so right behind.
    """
    lines = _lines_of(patch)
    if lines is None:
        return {}
    fields = [next((field for marker, field in _PATCH_LINES if line.startswith(marker)), "") for line in lines]
    change: Change = {"lines_added": 0, "lines_removed": 0}
    for at, field in enumerate(fields):
        is_moved = fields[at + 1 : at + 2] == [_MOVED]
        counts = not is_moved if field == _UPDATED else field != _MOVED or fields[max(at - 1, 0)] == _UPDATED
        if field and counts:
            change[field] = change.get(field, 0) + 1
    return change


def _replaced(old_text: str, new_text: str) -> Change:
    """What replacing a text by another removes and adds, line by line, as the smallest diff counts it."""
    before, after = _lines_of(old_text), _lines_of(new_text)
    if before is None or after is None:
        return {}
    shorter = min(len(before), len(after))
    head = 0
    while head < shorter and before[head] == after[head]:
        head += 1
    tail = 0
    while tail < shorter - head and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    removed, added = before[head : len(before) - tail], after[head : len(after) - tail]
    common = _common_lines(removed, added)
    return {"lines_added": len(added) - common, "lines_removed": len(removed) - common}


def _common_lines(before: Sequence[str], after: Sequence[str]) -> int:
    """How many lines two texts have in common, in the same order: the length of their longest common subsequence.

    A row of the usual table is the bits of one number, which are clear where it ascends (Crochemore et al., "A fast and
    practical bit-vector algorithm for the longest common subsequence problem", 2001).
    """
    places = dict.fromkeys(set(before).intersection(after), 0)
    if not places:
        return 0
    for at, line in enumerate(after):
        if line in places:
            places[line] |= 1 << at
    full = (1 << len(after)) - 1
    row = full
    for line in before:
        if line in places:
            matches = row & places[line]
            row = (row + matches | row - matches) & full
    return len(after) - row.bit_count()


def _lines_of(text: str) -> list[str] | None:
    """The lines of a text; None if it is too large to be taken apart."""
    if len(text) > _MOST_CHARACTERS or text.count("\n") >= _MOST_LINES:
        return None
    return _LINE_BREAK.split(text) if "\r" in text else text.split("\n")
