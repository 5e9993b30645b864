"""What a user lets leave and holds back: four lists of words, and one clear line for a word that is none."""

from __future__ import annotations

from itertools import chain, combinations
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cline_otel.catalogue.load import load
from cline_otel.privacy.policy import (
    ALWAYS_INCLUDED,
    CONTENT_VARIABLE,
    EXCLUDE_VARIABLE,
    INCLUDE_VARIABLE,
    PLAIN_VARIABLE,
    Group,
    Policy,
)
from cline_otel.settings import Settings, SettingsError, load_settings
from cline_otel.settings.privacy import opt_ins, policy_of
from cline_otel.settings.values import words

GROUPS: tuple[Group, ...] = get_args(Group)
ATTRIBUTES = load().attributes
CONTENT = sorted(name for name, attribute in ATTRIBUTES.items() if attribute.privacy == "content")
PLAIN_GROUPS = tuple(
    group for group in GROUPS if any(each.group == group and each.pattern is not None for each in ATTRIBUTES.values())
)
"""Those that have a plain form."""
SUBSETS = list(chain.from_iterable(combinations(GROUPS, count) for count in range(len(GROUPS) + 1)))
PLAIN_SUBSETS = [subset for subset in SUBSETS if {*subset} <= {*PLAIN_GROUPS}]


@pytest.fixture
def settings_with(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    """Settings of an environment that has nothing but what is given."""
    monkeypatch.setenv("HOME", str(tmp_path))

    def read(**environment: str) -> Settings:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return load_settings()

    return read


def refused(*lists: tuple[str, ...]) -> str:
    """The text of the error that the four lists make."""
    with pytest.raises(SettingsError) as raised:
        policy_of(*lists)
    return str(raised.value)


def test_without_any_word_only_pseudonyms_of_names_leave() -> None:
    policy = policy_of((), (), (), ())
    assert policy == Policy()
    assert policy.included == ALWAYS_INCLUDED == {"names"}
    assert opt_ins(policy) == ()


@pytest.mark.parametrize("included", SUBSETS, ids=",".join)
def test_what_is_plain_has_to_be_included_first(included: tuple[Group, ...]) -> None:
    for plain in PLAIN_SUBSETS:
        missing = [group for group in plain if group not in {*included, *ALWAYS_INCLUDED}]
        if missing:
            text = refused(included, plain, (), ())
            assert text.startswith(f"{PLAIN_VARIABLE}: ")
            assert missing[0] in text
            assert INCLUDE_VARIABLE in text
        else:
            policy = policy_of(included, plain, (), ())
            assert policy.included == {*included, *ALWAYS_INCLUDED}
            assert {group for group in GROUPS if policy.is_plain(group)} == policy.plain == set(plain)


@pytest.mark.parametrize("variable", [INCLUDE_VARIABLE, PLAIN_VARIABLE, CONTENT_VARIABLE, EXCLUDE_VARIABLE])
@pytest.mark.parametrize(
    "word", ["User", "users", "all", "*", "cline.nothing", "user organization", "user;device", "'"]
)
def test_an_unknown_word_is_one_line_with_the_variable_and_what_can_be_given(variable: str, word: str) -> None:
    place = [INCLUDE_VARIABLE, PLAIN_VARIABLE, CONTENT_VARIABLE, EXCLUDE_VARIABLE].index(variable)
    text = refused(*(((word,) if number == place else ()) for number in range(4)))  # type: ignore[arg-type]
    assert text.startswith(f"{variable}: ")
    assert "\n" not in text
    assert repr(word) in text
    if variable == CONTENT_VARIABLE:
        assert all(name in text for name in CONTENT)
    elif variable == EXCLUDE_VARIABLE:
        assert "`cline-otel explain --privacy`" in text
    else:
        assert all(group in text for group in (PLAIN_GROUPS if variable == PLAIN_VARIABLE else GROUPS))


@given(st.text(max_size=40).filter(lambda word: word not in GROUPS))
def test_no_word_breaks_the_line(word: str) -> None:
    assert "\n" not in refused((word,), (), (), ())


def test_an_attribute_that_is_no_content_cannot_be_asked_for_as_content() -> None:
    for name in ("cline.mode", "user.hash", "gen_ai.tool.name"):
        assert refused((), (), (name,), ()).startswith(f"{CONTENT_VARIABLE}: ")


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_every_attribute_can_be_excluded(name: str) -> None:
    policy = policy_of(GROUPS, PLAIN_GROUPS, tuple(CONTENT), (name,))
    assert policy.excluded == {name}
    assert policy.effective(name, ATTRIBUTES[name].privacy) == "secret"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        (" , ,", ()),
        ("user", ("user",)),
        (" user ,\torganization\n", ("user", "organization")),
        ("user,device,user", ("user", "device")),
    ],
)
def test_words_are_separated_by_commas_and_count_once(text: str, found: tuple[str, ...]) -> None:
    assert words(text) == found


# --- what is told at the start and in `status` ----------------------------------------------------------


@pytest.mark.parametrize("included", SUBSETS, ids=",".join)
def test_every_group_that_leaves_beyond_the_default_is_told_once(included: tuple[Group, ...]) -> None:
    for plain in PLAIN_SUBSETS:
        if not {*plain} <= {*included, *ALWAYS_INCLUDED}:
            continue
        policy = policy_of(included, plain, (), ())
        told = opt_ins(policy)
        assert len(told) == len({*included, *plain} - (ALWAYS_INCLUDED - {*plain}))
        assert sum(opt_in.is_content for opt_in in told) == len(plain)
        for group in GROUPS:
            assert any(opt_in.text == f"pseudonyms: {group}" for opt_in in told) == (
                group in included and group not in plain and group not in ALWAYS_INCLUDED
            )


def test_content_is_told_by_the_name_of_each_attribute() -> None:
    told = opt_ins(policy_of((), (), tuple(CONTENT), ()))
    assert [opt_in.text for opt_in in told] == [f"content: {name}" for name in CONTENT]
    assert all(opt_in.is_content for opt_in in told)


def test_content_that_is_excluded_anyway_is_not_told() -> None:
    assert opt_ins(policy_of((), (), tuple(CONTENT), tuple(CONTENT))) == ()


# --- from the environment -------------------------------------------------------------------------------


def test_the_four_variables_are_read(settings_with) -> None:  # type: ignore[no-untyped-def]
    settings = settings_with(
        CLINE_OTEL_BRIDGE_INCLUDE="user, organization",
        CLINE_OTEL_BRIDGE_INCLUDE_PLAIN="names,user",
        CLINE_OTEL_BRIDGE_INCLUDE_CONTENT="exception.message",
        CLINE_OTEL_BRIDGE_EXCLUDE="gen_ai.request.model,cline.version",
    )
    assert settings.policy == Policy(
        included=frozenset({"names", "user", "organization"}),
        plain=frozenset({"names", "user"}),
        content=frozenset({"exception.message"}),
        excluded=frozenset({"gen_ai.request.model", "cline.version"}),
    )
    assert settings.policy.pseudonyms is None


@pytest.mark.parametrize("variable", [INCLUDE_VARIABLE, PLAIN_VARIABLE, CONTENT_VARIABLE, EXCLUDE_VARIABLE])
def test_a_variable_that_is_empty_says_nothing(settings_with, variable: str) -> None:  # type: ignore[no-untyped-def]
    assert settings_with(**{variable: ""}).policy == Policy()


@pytest.mark.parametrize("variable", [INCLUDE_VARIABLE, PLAIN_VARIABLE, CONTENT_VARIABLE, EXCLUDE_VARIABLE])
def test_a_mistake_in_the_environment_is_one_line(settings_with, variable: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(SettingsError) as raised:
        settings_with(**{variable: "no-such-word"})
    assert str(raised.value).startswith(f"{variable}: ")
    assert "\n" not in str(raised.value)
