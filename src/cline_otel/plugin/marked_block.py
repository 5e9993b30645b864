"""A line of ours in a file that is somebody else's: put in between two marks, and taken out again to the byte.

What has to be known for that stands in the first mark: whether a line of the file had to be ended before it,
and whether the file was made for it. So a file alone says what is to be undone, whatever became of the rest.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_ENDED_A_LINE: Final = b", ended the line before"
_MADE_THE_FILE: Final = re.compile(rb", made the file(?: in (\d+) new folders)?")
_BEGIN: Final = b"# >>> cline-otel: `cline-otel uninstall` takes this out"
_END: Final = b"# <<< cline-otel <<<"


class Undo(NamedTuple):
    """What a file was before a block was put into it.

    Attributes:
        content: all of it but the block; None if there is to be no file.
        new_folders: how many folders were made for the file, which stand above it.
    """

    content: bytes | None
    new_folders: int


def _blocks(name: bytes) -> re.Pattern[bytes]:
    """A block, even if its last lines were taken away; a line in it is only ours if it has the variable's name."""
    line = rb"[^\n]*\b" + re.escape(name) + rb"\b[^\n]*(?:\n|\Z)"
    return re.compile(
        rb"^" + re.escape(_BEGIN) + rb"([^\n]*)>>>(?:\n|\Z)(" + line + rb")?(?:" + re.escape(_END) + rb"(?:\n|\Z))?",
        re.MULTILINE,
    )


def with_block(content: bytes | None, line: bytes, name: bytes, new_folders: int = 0) -> bytes:
    """What a file is to hold.

    Args:
        content: what it holds; None if there is no file.
        line: the line, without its end; it has ``name`` in it.
        name: of the variable that the line is about.
        new_folders: how many folders are made for a file that there is none of.
    """
    notes = b""
    if content is None:
        notes = b", made the file" + (b" in %d new folders" % new_folders if new_folders else b"")
    elif (found := _blocks(name).search(content)) is not None:
        before, after = content[: found.start()], content[found.end() :]
        return before + _block(found[1].rstrip(), line) + _blocks(name).sub(b"", after)
    elif content and not content.endswith(b"\n"):
        notes = _ENDED_A_LINE
        content += b"\n"
    return (content or b"") + _block(notes, line)


def line_in(content: bytes, name: bytes) -> bytes | None:
    """The line that a block in a file has, without its end; None if there is none.

    Args:
        content: what the file holds.
        name: of the variable that the block is about.
    """
    found = _blocks(name).search(content)
    return None if found is None else (found[2] or b"").rstrip(b"\n")


def without_block(content: bytes, name: bytes) -> Undo | None:
    """What a file was, or None if no block is in it.

    Args:
        content: what it holds.
        name: of the variable that the block is about.
    """
    found = _blocks(name).search(content)
    if found is None:
        return None
    before, after = content[: found.start()], _blocks(name).sub(b"", content[found.end() :])
    if _ENDED_A_LINE in found[1] and not after:
        # Whoever wrote after the block began a line there: then the line before stays ended.
        before = before.removesuffix(b"\n")
    made = _MADE_THE_FILE.search(found[1])
    if made is None or before or after:
        return Undo(before + after, 0)
    return Undo(None, int(made[1] or 0))


def _block(notes: bytes, line: bytes) -> bytes:
    return _BEGIN + notes + b" >>>\n" + line + b"\n" + _END + b"\n"
