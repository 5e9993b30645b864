"""What a class of environment variables is: fields that say what they take, what they do, and how they are read.

An empty variable counts as unset, as the specification of OpenTelemetry demands.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

from cline_otel.settings.values import SettingsError

A_FILE: Final = "a path"
A_DIRECTORY: Final = "a directory"
DIRECTORIES: Final = "directories, separated by `:`, on Windows by `;`"
NAMES: Final = "names, separated by commas"
NUMBERS: Final = "numbers, separated by commas"
"""What variables take, in words that several share."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Variables:
    """Variables read from the environment; an empty one counts as unset, as the specification demands."""

    @classmethod
    def read(cls, prefix: str = "") -> Self:
        """The variables whose names begin with ``prefix``.

        Raises:
            SettingsError: one has a value that cannot be used.
        """
        said: dict[str, Any] = {}
        for each in fields(cls):
            name = f"{prefix}{each.name.upper()}"
            if text := os.environ.get(name):
                try:
                    said[each.name] = each.metadata["parse"](text)
                except ValueError as error:
                    # Not "from error", which could carry the value along.
                    raise SettingsError(f"{name}: {error}") from None
        return cls(**said)


def variable(
    default: Any,
    takes: str,
    description: str,
    *,
    unset: str = "",
    parse: Callable[[str], Any] = str,
    secret: bool = False,
) -> Any:
    """A field of a class of variables.

    Args:
        default: what the field is while the variable is not set.
        takes: what values it takes, for people.
        description: what it does: a sentence.
        unset: the value that stands for the default, or in words what holds while it is not set.
        parse: what the field is for a text; raises ValueError, whose text does not repeat what could be a secret.
        secret: it is never shown.
    """
    told = {"takes": takes, "description": description, "unset": unset, "parse": parse}
    return field(default=default, repr=not secret, metadata=told)
