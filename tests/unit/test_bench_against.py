"""Comparing with another commit: what is called slower, and what is too noisy to say."""

from __future__ import annotations

import pytest
from bench.against import Comparison, NotComparableError, compare
from bench.plain_sdk import decode
from bench.stages import Spent
from bench.workload import record_count, requests
from hypothesis import example, given
from hypothesis import strategies as st


def comparison(*ratios: float) -> Comparison:
    return Comparison("decode", tuple((Spent(100, ratio), Spent(100, 1.0)) for ratio in ratios))


def test_what_is_slower_in_every_pair_is_called_slower() -> None:
    slower = comparison(*[1.04] * 8)
    assert slower.is_slower_by(3)
    assert not slower.is_slower_by(5)
    assert slower.line().endswith("SLOWER by 4.0 %")


def test_pairs_that_disagree_are_no_verdict() -> None:
    noisy = comparison(*[0.8] * 4, *[1.3] * 5)
    assert noisy.slower_percent == pytest.approx(30)
    assert not noisy.is_slower_by(3)
    assert "SLOWER" not in noisy.line()
    assert "noisy" in noisy.line()


def test_what_is_as_fast_is_a_line_of_figures_alone() -> None:
    assert comparison(*[1.0] * 8).line().split() == ["decode", "100", "100", "1.000", "1.000", "1.000"]


def test_a_commit_that_does_not_exist_is_said() -> None:
    with pytest.raises(NotComparableError):
        compare("no-such-commit")


IDS = ("agentId", "runId", "conversationId", "ulid")


@given(st.integers(0, 30), st.integers(0, 30))
@example(13, 30)
def test_no_two_runs_of_the_workload_share_an_id(first: int, second: int) -> None:
    def told(number: int) -> set[str]:
        records = [record for body in requests(1, number) for record in decode(body)]
        assert len(records) == record_count(1, number)
        ids = {attributes[name] for _, _, attributes in records for name in IDS if name in attributes}
        # Agents of a team have names, and those of other teams have the same.
        return {each for each in ids if not each.startswith("member-")}

    ours, theirs = told(first), told(second)
    assert ours
    assert (ours == theirs) if first == second else not ours & theirs
