"""What a user adds to the resource of all that is exported, as far as it may leave."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from cline_otel.privacy.policy import EXCLUDE_VARIABLE
from cline_otel.privacy.secret_detectors import secret_kind_of
from cline_otel.settings.variables import STANDARD_PREFIX
from cline_otel.signals import SERVICE_NAME

LONGEST_VALUE: Final = 256
"""Characters; no name of a service, a team or a host is longer."""

_ATTRIBUTES: Final = f"{STANDARD_PREFIX}RESOURCE_ATTRIBUTES"
_NAME: Final = f"{STANDARD_PREFIX}SERVICE_NAME"


class ChosenResource(NamedTuple):
    """What is left of it.

    Attributes:
        service_name: empty where there is none.
        attributes: the others, in their order.
        notices: a line for each that is left out, without its value.
    """

    service_name: str
    attributes: tuple[tuple[str, str], ...]
    notices: tuple[str, ...]


def chosen_resource(
    service_name: str | None, attributes: Iterable[tuple[str, str]], excluded: Collection[str]
) -> ChosenResource:
    """The service's name and the other attributes, without what is excluded or looks like a secret.

    Args:
        service_name: ``OTEL_SERVICE_NAME``; it goes before one among the attributes.
        attributes: ``OTEL_RESOURCE_ATTRIBUTES``.
        excluded: names of attributes that do not leave.
    """
    notices: list[str] = []
    passed: dict[str, str] = {}
    for number, (name, value) in enumerate(attributes, 1):
        # A name that looks like a secret is not repeated either.
        shown = name if _problem(name) is None else f"attribute {number}"
        if _may_leave(_ATTRIBUTES, shown, (name, value), excluded, notices):
            passed[name] = value
    of_attributes = passed.pop(SERVICE_NAME, "")
    if not service_name or not _may_leave(_NAME, SERVICE_NAME, (service_name,), excluded, notices):
        service_name = of_attributes
    return ChosenResource(service_name, tuple(passed.items()), tuple(notices))


def _may_leave(
    variable: str, shown: str, texts: tuple[str, ...], excluded: Collection[str], notices: list[str]
) -> bool:
    if shown in excluded:
        notices.append(f"{variable}: {shown} is not sent, because {EXCLUDE_VARIABLE} names it")
        return False
    problem = next((problem for text in texts if (problem := _problem(text)) is not None), None)
    if problem is not None:
        notices.append(f"{variable}: {shown} is not sent, because it {problem}: change it, or take it out")
    return problem is None


def _problem(text: str) -> str | None:
    if len(text) > LONGEST_VALUE:
        return f"is longer than {LONGEST_VALUE} characters"
    kind = secret_kind_of(text)
    return None if kind is None else f"looks like a secret ({kind})"
