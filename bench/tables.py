"""Tables of measurements, for a terminal and for a page."""

from __future__ import annotations

from collections.abc import Sequence

Cells = tuple[str, ...]
"""A row; its texts may be Markdown."""


def as_text(header: Cells, rows: Sequence[Cells]) -> str:
    """The table in columns, without emphasis."""
    lines = [header, *[tuple(cell.strip("*") for cell in row) for row in rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def as_markdown(header: Cells, rows: Sequence[Cells]) -> str:
    """The table as lines of a page."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
