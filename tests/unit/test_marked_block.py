"""A line of ours in a file of somebody else's: whatever the file is, taking it out restores it to the byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.plugin.marked_block import Undo, line_in, with_block, without_block

NAME = b"SOME_PATH"
LINE = b"export SOME_PATH=/a/b"
OTHER_LINE = b"export SOME_PATH='/c d'"

LINES = st.sampled_from(
    [b"", b"a=1", b"# >>> conda >>>", b"# <<< conda <<<", LINE, b"\xff\xfe", b"\r", b"export SOME_PATHS=1"]
)
CONTENTS = st.builds(
    lambda lines, end: b"\n".join(lines) + end, st.lists(LINES, max_size=5), st.sampled_from([b"", b"\n"])
)


@given(CONTENTS)
def test_what_was_put_in_is_taken_out_to_the_byte(content: bytes) -> None:
    assert without_block(with_block(content, LINE, NAME), NAME) == Undo(content, 0)


@given(st.integers(0, 5))
def test_a_file_that_was_made_goes_with_the_folders_that_were(new_folders: int) -> None:
    assert without_block(with_block(None, LINE, NAME, new_folders), NAME) == Undo(None, new_folders)


@given(CONTENTS | st.none())
def test_putting_it_in_twice_changes_nothing(content: bytes | None) -> None:
    once = with_block(content, LINE, NAME)
    assert with_block(once, LINE, NAME) == once
    assert line_in(once, NAME) == LINE


@given(CONTENTS | st.none())
def test_another_line_takes_the_place_of_the_first_and_is_taken_out_as_well(content: bytes | None) -> None:
    changed = with_block(with_block(content, LINE, NAME), OTHER_LINE, NAME)
    assert changed == with_block(content, OTHER_LINE, NAME)
    undo = without_block(changed, NAME)
    assert undo is not None
    assert undo.content == content


@given(CONTENTS | st.none(), CONTENTS, CONTENTS)
def test_what_the_user_writes_around_it_stays(content: bytes | None, before: bytes, after: bytes) -> None:
    # The user's editor adds whole lines above, and whatever below.
    before = before and before.rstrip(b"\n") + b"\n"
    written = before + with_block(content, LINE, NAME) + after
    undo = without_block(written, NAME)
    assert undo is not None
    kept = before + (content or b"")
    if after and content and not content.endswith(b"\n"):
        kept += b"\n"
    assert undo.content == (kept + after or (None if content is None else b""))


@given(CONTENTS)
def test_a_file_without_a_block_has_none(content: bytes) -> None:
    assert without_block(content, NAME) is None
    assert line_in(content, NAME) is None


@pytest.mark.parametrize("lost", [1, 2])
def test_a_block_whose_end_was_deleted_takes_no_line_of_others_with_it(lost: int) -> None:
    block = with_block(b"a=1\n", LINE, NAME).splitlines(keepends=True)
    assert without_block(b"".join(block[:-lost]) + b"b=2\n", NAME) == Undo(b"a=1\nb=2\n", 0)


def test_a_block_that_was_copied_is_taken_out_everywhere() -> None:
    block = with_block(b"", LINE, NAME)
    assert without_block(b"a=1\n" + block + b"b=2\n" + block, NAME) == Undo(b"a=1\nb=2\n", 0)
    assert with_block(b"a=1\n" + block + b"b=2\n" + block, LINE, NAME) == b"a=1\n" + block + b"b=2\n"
