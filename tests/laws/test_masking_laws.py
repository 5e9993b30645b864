"""Masking takes what may be a secret and leaves the words: a masked text still says what happened."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cline_otel.privacy.secret_detectors import MASKED, masked

LETTERS = "aeioulmnrst"
"""Of these no word is made that announces a secret, such as "key" or "password"."""

plain_words = st.text(LETTERS, min_size=1, max_size=40)
names_of_errors = st.lists(st.text(LETTERS, min_size=5, max_size=9).map(str.capitalize), min_size=2, max_size=6).map(
    "".join
)
ordinary_words = st.one_of(plain_words, plain_words.map(str.capitalize), plain_words.map(str.upper), names_of_errors)
random_runs = st.lists(st.sampled_from(["a7", "Q3", "x9", "0Z"]), min_size=8, max_size=20).map("".join)


@given(st.lists(ordinary_words, min_size=1, max_size=12).map(" ".join))
def test_ordinary_words_stay_however_long_they_are(text: str) -> None:
    assert masked(text) == text


@given(st.lists(ordinary_words, max_size=6), random_runs, st.lists(ordinary_words, max_size=6))
def test_a_random_run_among_words_is_all_that_is_masked(before: list[str], run: str, after: list[str]) -> None:
    assert masked(" ".join([*before, run, *after])) == " ".join([*before, MASKED, *after])
