"""Privacy classes, and what the user decided about them."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

from cline_otel.privacy.pseudonyms import Pseudonyms

PrivacyClass = Literal["safe", "bounded", "pseudonym", "content", "secret"]
"""From what anybody may see to what nobody may; the order is that of strictness."""

Group = Literal["names", "user", "device", "organization", "repository"]
"""What belongs together when a user decides: the names that people choose for tools, skills and teams, whose run it
was, and for which repository."""

INCLUDE_VARIABLE: Final = "CLINE_OTEL_BRIDGE_INCLUDE"
PLAIN_VARIABLE: Final = "CLINE_OTEL_BRIDGE_INCLUDE_PLAIN"
CONTENT_VARIABLE: Final = "CLINE_OTEL_BRIDGE_INCLUDE_CONTENT"
EXCLUDE_VARIABLE: Final = "CLINE_OTEL_BRIDGE_EXCLUDE"

ALWAYS_INCLUDED: Final[frozenset[Group]] = frozenset({"names"})
"""Groups whose pseudonyms leave unless they are excluded; the others have to be asked for."""

_STRICTNESS: Final[tuple[PrivacyClass, ...]] = get_args(PrivacyClass)


def strictest(*classes: PrivacyClass) -> PrivacyClass:
    """The strictest of some classes: what is said of an attribute can be tightened anywhere, loosened nowhere."""
    return max(classes, key=_STRICTNESS.index)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The user's decisions. As it is made without any, nothing leaves but what is safe or bounded.

    Attributes:
        pseudonyms: makes them; None where there is no key, and then there are none.
        included: groups that leave as pseudonyms, ``ALWAYS_INCLUDED`` among them.
        plain: groups that leave in the clear; those that are not included do not leave even so.
        content: attributes of class content that leave, by name.
        excluded: attributes that do not leave whatever their class, by name.
    """

    pseudonyms: Pseudonyms | None = None
    included: frozenset[Group] = ALWAYS_INCLUDED
    plain: frozenset[Group] = frozenset()
    content: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()

    def allows_less_than(self, other: Policy) -> bool:
        """Whether something may not leave that another policy lets leave, or not in that form."""
        return bool(
            other.included - self.included
            or other.plain - self.plain
            or other.content - self.content
            or self.excluded - other.excluded
        )

    def is_plain(self, group: Group | None) -> bool:
        """Whether the names of a group leave in the clear."""
        return group in self.plain and group in self.included

    def effective(self, name: str, *classes: PrivacyClass) -> PrivacyClass:
        """The class that counts for an attribute, of all that were said of it."""
        return strictest(*classes, "secret") if name in self.excluded else strictest(*classes)
