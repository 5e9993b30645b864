"""When a run of letters and digits counts as random: it says much per character, and its characters change kind often.

Twenty random letters and digits have 4.0 bits per character and change their kind between 0.6 of all neighbours; words
joined in a name change it at 0.3 of them. The limits are 3.7 bits and 0.45.
"""

from __future__ import annotations

import string
from math import log2

import pytest

from cline_otel.privacy.secret_detectors import MASKED, masked, secret_kind_of

KINDS = (string.ascii_lowercase[:10], string.ascii_uppercase[10:20], string.digits)
BITS = 3.7


def alternating(distinct: int) -> str:
    """So many different characters, each of another kind than its neighbours."""
    return "".join(KINDS[index % 3][index // 3] for index in range(distinct))


def with_changes(changes: int) -> str:
    """21 characters of at least 16 different ones, whose kind changes so often among the 20 pairs of neighbours."""
    letters = (iter("abcdefghijkmnopqrstuv"), iter("ABCDEFGHIJKLMNOPQRSTUV"), iter("0123456789" * 3))
    turns = [min(index, changes) for index in range(21)]
    return "".join(next(letters[turn % 3]) for turn in turns)


@pytest.mark.parametrize(
    "run",
    [
        alternating(distinct) * times
        for distinct in range(3, 27)
        for times in range(1, 11)
        if 20 <= distinct * times < 32
    ],
)
def test_equally_frequent_characters_have_the_bits_of_one_of_them(run: str) -> None:
    assert secret_kind_of(run) == ("random" if log2(len(set(run))) >= BITS else None)


@pytest.mark.parametrize("changes", range(3, 21))
def test_a_run_is_random_from_nine_changes_among_twenty_neighbours_on(changes: int) -> None:
    expected = "random" if changes >= 9 else None
    assert secret_kind_of(with_changes(changes)) == expected
    assert secret_kind_of(f"name-{with_changes(changes)}-name") == expected


@pytest.mark.parametrize("changes", range(21))
def test_in_free_text_a_run_of_letters_alone_is_masked_from_nine_changes_among_twenty_neighbours_on(
    changes: int,
) -> None:
    run = "".join("aE"[min(index, changes) % 2] for index in range(21))
    assert masked(f"so {run} it") == f"so {MASKED if changes >= 9 else run} it"


def test_in_free_text_a_run_has_sixteen_characters_or_more() -> None:
    assert masked("so a1a1a1a1a1a1a1a it") == "so a1a1a1a1a1a1a1a it"
    assert masked("so a1a1a1a1a1a1a1a1 it") == f"so {MASKED} it"
