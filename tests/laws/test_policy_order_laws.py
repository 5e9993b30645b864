"""Which of two policies lets less leave, which class of several counts, and when pseudonyms are the same."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.privacy.policy import Group, Policy, PrivacyClass, strictest
from cline_otel.privacy.pseudonyms import GENERATED_ID, KEY_BYTES, PSEUDONYM, Pseudonyms

GROUPS = st.frozensets(st.sampled_from(get_args(Group)))
NAMES = st.frozensets(st.sampled_from(["gen_ai.tool.name", "user.id", "exception.message"]))
POLICIES = st.builds(Policy, included=GROUPS, plain=GROUPS, content=NAMES, excluded=NAMES)
CLASSES: tuple[PrivacyClass, ...] = ("safe", "bounded", "pseudonym", "content", "secret")
KEYS = st.binary(min_size=KEY_BYTES, max_size=KEY_BYTES)


@given(POLICIES)
def test_no_policy_allows_less_than_itself(policy: Policy) -> None:
    assert not policy.allows_less_than(policy)


@given(POLICIES, POLICIES)
def test_of_two_policies_that_differ_one_allows_less_than_the_other(one: Policy, other: Policy) -> None:
    assert (one.allows_less_than(other) or other.allows_less_than(one)) == (one != other)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (Policy(included=frozenset()), Policy(included=frozenset({"user"}))),
        (Policy(plain=frozenset()), Policy(plain=frozenset({"user"}))),
        (Policy(content=frozenset()), Policy(content=frozenset({"a"}))),
        (Policy(excluded=frozenset({"a"})), Policy(excluded=frozenset())),
    ],
)
def test_each_decision_alone_can_be_what_allows_less(less: Policy, more: Policy) -> None:
    assert less.allows_less_than(more)
    assert not more.allows_less_than(less)


@given(POLICIES, st.sampled_from([*get_args(Group), None]))
def test_names_leave_in_the_clear_only_of_a_group_that_is_included(policy: Policy, group: Group | None) -> None:
    assert policy.is_plain(group) == (group in policy.plain & policy.included)


@given(st.lists(st.sampled_from(CLASSES), min_size=1))
def test_of_several_classes_the_strictest_counts(classes: list[PrivacyClass]) -> None:
    expected = CLASSES[max(map(CLASSES.index, classes))]
    assert strictest(*classes) == expected
    assert Policy().effective("a", *classes) == expected
    assert Policy(excluded=frozenset({"a"})).effective("a", *classes) == "secret"
    assert Policy(excluded=frozenset({"b"})).effective("a", *classes) == expected


@given(KEYS, KEYS)
def test_pseudonyms_are_equal_if_and_only_if_their_keys_are(one: bytes, other: bytes) -> None:
    assert Pseudonyms(one) == Pseudonyms(bytes(one))
    assert hash(Pseudonyms(one)) == hash(Pseudonyms(bytes(one)))
    assert (Pseudonyms(one) == Pseudonyms(other)) == (one == other)
    assert Pseudonyms(one) != one


@pytest.mark.parametrize("length", [0, KEY_BYTES - 1, KEY_BYTES + 1])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Pseudonyms(bytes(length))


@given(KEYS, st.text())
def test_a_pseudonym_is_thirty_two_hex_digits_as_a_generated_id_may_be(key: bytes, name: str) -> None:
    pseudonym = Pseudonyms(key).of("tool", name)
    assert len(pseudonym) == 32
    assert PSEUDONYM.fullmatch(pseudonym)
    assert GENERATED_ID.fullmatch(pseudonym)
