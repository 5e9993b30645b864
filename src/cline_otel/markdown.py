"""Tables of the pages that are made from the code."""

from __future__ import annotations

from collections.abc import Iterable

Cell = str | tuple[str, ...]
"""Prose, or names to be shown as they are written."""


def table(head: Iterable[str], rows: Iterable[Iterable[Cell]]) -> str:
    """A Markdown table, without a newline at its end."""
    head = list(head)
    lines = [head, ["---"] * len(head), *([_text(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def names(each: Iterable[str]) -> str:
    """Names as they are written, in one cell or sentence."""
    return ", ".join(f"`{name}`" for name in each)


def _text(cell: Cell) -> str:
    """A bar within a cell is escaped, in code too: GitHub's tables are cut at bars before code is looked at."""
    return (cell if isinstance(cell, str) else names(cell)).replace("|", "\\|").replace("\n", " ")
