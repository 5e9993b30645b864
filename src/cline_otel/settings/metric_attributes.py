"""Attributes of the resource that are on every data point of a metric too, because the user said so."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from cline_otel.privacy.secret_detectors import secret_kind_of
from cline_otel.settings.values import SettingsError
from cline_otel.settings.variables import BRIDGE_PREFIX
from cline_otel.signals import Attributes

MOST_METRIC_ATTRIBUTES: Final = 8
LONGEST_VALUE: Final = 128

_VARIABLE: Final = f"{BRIDGE_PREFIX}METRIC_ATTRIBUTES"


def metric_attributes(names: Collection[str], resource: Mapping[str, str], taken: Collection[str]) -> Attributes:
    """The attributes with these names, in their order; what the resource does not have is left out.

    Args:
        names: which attributes of the resource.
        resource: its attributes.
        taken: names that telemetry has already, with a meaning of their own.

    Raises:
        SettingsError: there are too many, a name is taken, or a value is too long or looks like a secret. It is not
            in the message.
    """
    if len(names) > MOST_METRIC_ATTRIBUTES:
        raise SettingsError(
            f"{_VARIABLE}: {len(names)} attributes are more than {MOST_METRIC_ATTRIBUTES}: "
            "each multiplies the series of every metric; name fewer"
        )
    for name in names:
        if name in taken:
            raise SettingsError(f"{_VARIABLE}: {name} is an attribute of telemetry itself: name another one")
        value = resource.get(name, "")
        if len(value) > LONGEST_VALUE:
            raise SettingsError(f"{_VARIABLE}: the value of {name} is longer than {LONGEST_VALUE} characters")
        if (kind := secret_kind_of(value)) is not None:
            raise SettingsError(
                f"{_VARIABLE}: the value of {name} looks like a secret ({kind}): change it, or leave {name} out"
            )
    return tuple((name, resource[name]) for name in names if resource.get(name))


def notices_of_metric_attributes(names: Collection[str], attributes: Attributes) -> list[str]:
    """A line for each name that has no value."""
    known = dict(attributes)
    return [
        f"{_VARIABLE}: {name} is not in OTEL_RESOURCE_ATTRIBUTES, so no metric has it"
        for name in names
        if name not in known
    ]
