"""What follows from the opt-out sources: a pure function, and the strictest wins.

Any opt-out source can switch telemetry off and none can switch it on against another, so neither an
organization nor a setting of Cline overrules a user, and a user does not overrule an organization's
off. While an opt-out source has never been readable the state is unknown: nothing is read, dropped or
sent until it is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Literal

import msgspec

State = Literal["on", "off", "unknown"]


class Answer(Enum):
    """What one opt-out source says. ``ON`` is an explicit permission, and changes no more than ``SILENT`` does."""

    SILENT = "silent"
    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"


class OptOutSource(Enum):
    """In order, the user's own first. The value says in words what its off means; without any path."""

    DO_NOT_TRACK = "DO_NOT_TRACK is set"
    SDK_DISABLED = "OTEL_SDK_DISABLED is true"
    OFF_FILE = "switched off with `cline-otel off`"
    CLINE_OPT_OUT = "telemetryOptOut is true in Cline's global-settings.json"
    CLINE_TELEMETRY_SETTING = "telemetrySetting is disabled in Cline's globalState.json"
    ORGANIZATION = "telemetryEnabled is false in the organization's remote config"


_UNREADABLE = {
    OptOutSource.OFF_FILE: "the state directory or ~/.cline-otel cannot be searched, so it is not known if there "
    "is a file `off`: check who owns it",
    OptOutSource.CLINE_OPT_OUT: "Cline's global-settings.json cannot be read, so its telemetryOptOut is not known: "
    "correct the file, or remove it",
    OptOutSource.CLINE_TELEMETRY_SETTING: "Cline's globalState.json cannot be read, so its telemetrySetting is not "
    "known: correct the file, or remove it",
    OptOutSource.ORGANIZATION: "the organization's remote config cannot be read, so its telemetryEnabled is not known: "
    "correct the file, or remove it",
}


class Consent(msgspec.Struct, frozen=True):
    """Whether telemetry is on, and why if it is not.

    Attributes:
        state: ``on``; ``off``: what comes is dropped unread; ``unknown``: everything stays where it is.
        reasons: one line for each source that keeps it from being on, the user's own first.
    """

    state: State
    reasons: tuple[str, ...] = ()

    @property
    def is_on(self) -> bool:
        """Whether anything may be read, stored or sent."""
        return self.state == "on"

    def describe(self) -> str:
        """One line for people."""
        return f"{self.state}: {'; '.join(self.reasons)}" if self.reasons else self.state


def decide(answers: Mapping[OptOutSource, Answer]) -> Consent:
    """The consent that follows from the answers; a source without one is silent."""
    off = [source for source in OptOutSource if answers.get(source) is Answer.OFF]
    if off:
        return Consent("off", tuple(source.value for source in off))
    unknown = [source for source in OptOutSource if answers.get(source) is Answer.UNKNOWN]
    if unknown:
        return Consent("unknown", tuple(_UNREADABLE.get(source, source.value) for source in unknown))
    return Consent("on")
