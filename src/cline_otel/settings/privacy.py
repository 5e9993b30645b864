"""What a user lets leave, and holds back, beyond the default."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar, get_args

import msgspec

from cline_otel.catalogue.load import read_tables
from cline_otel.privacy.policy import (
    ALWAYS_INCLUDED,
    CONTENT_VARIABLE,
    EXCLUDE_VARIABLE,
    INCLUDE_VARIABLE,
    PLAIN_VARIABLE,
    Group,
    Policy,
)
from cline_otel.settings.values import SettingsError

_GROUPS: Final[tuple[Group, ...]] = get_args(Group)
_IN_PLAIN: Final[dict[Group, str]] = {
    "names": "names of tools, skills, teams and MCP servers",
    "user": "the user's id",
    "device": "the device's id",
    "organization": "the organization's id and name",
}


_Word = TypeVar("_Word", bound=str)


class OptIn(msgspec.Struct, frozen=True):
    """What leaves only because the user said so; ``is_content`` if it is what somebody wrote or a tool read."""

    text: str
    is_content: bool


def policy_of(
    include: tuple[str, ...], plain: tuple[str, ...], content: tuple[str, ...], exclude: tuple[str, ...]
) -> Policy:
    """The user's decisions, still without the installation's key.

    Raises:
        SettingsError: a word is none of those that can be given.
    """
    if not (include or plain or content or exclude):
        return Policy()
    table = read_tables().attributes
    attributes = table.attributes
    of_jobs = [name for name, attribute in table.resource.items() if attribute.only_in_jobs]
    groups = list(_GROUPS)
    included = frozenset(ALWAYS_INCLUDED | {_known(word, groups, INCLUDE_VARIABLE) for word in include})
    in_plain = frozenset(_known(word, list(_IN_PLAIN), PLAIN_VARIABLE) for word in plain)
    for group in _GROUPS:
        if group in in_plain - included:
            raise SettingsError(f"{PLAIN_VARIABLE}: {group} does not leave at all: add it to {INCLUDE_VARIABLE} too")
    of_content = [name for name, attribute in attributes.items() if attribute.privacy == "content"]
    return Policy(
        included=included,
        plain=in_plain,
        content=frozenset(_known(word, of_content, CONTENT_VARIABLE) for word in content),
        excluded=frozenset(_known(word, [*attributes, *of_jobs], EXCLUDE_VARIABLE) for word in exclude),
    )


def opt_ins(policy: Policy) -> tuple[OptIn, ...]:
    """What leaves beyond the default, a short text each."""
    if not (policy.included - ALWAYS_INCLUDED or policy.plain or policy.content):
        return ()
    leaving = [
        attribute for name, attribute in read_tables().attributes.attributes.items() if name not in policy.excluded
    ]
    hashed = {attribute.group for attribute in leaving if attribute.hashes is not None}
    plain = {attribute.group for attribute in leaving if attribute.group is not None and attribute.pattern is not None}
    asked = [group for group in _GROUPS if group in (policy.included - ALWAYS_INCLUDED - policy.plain) & hashed]
    return (
        *(OptIn(f"content: {name}", is_content=True) for name in sorted(policy.content - policy.excluded)),
        *(
            OptIn(f"in plain: {_IN_PLAIN[group]}", is_content=True)
            for group in _GROUPS
            if group in policy.plain & plain
        ),
        *(OptIn(f"pseudonyms: {group}", is_content=False) for group in asked),
    )


def _known(word: str, among: Sequence[_Word], variable: str) -> _Word:
    for known in among:
        if word == known:
            return known
    many = "the attributes that `cline-otel explain --privacy` lists"
    shown = (
        f"there are {', '.join(among) if len(among) < 10 else many}" if len(among) > 1 else f"there is only {among[0]}"
    )
    raise SettingsError(f"{variable}: {word!r} is not known: {shown}")
