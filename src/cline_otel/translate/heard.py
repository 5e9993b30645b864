"""What was heard of Cline as a whole, beside its runs: of that it is found out what nobody tells (``findings``)."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from cline_otel.state_format import Format, unchanged

SESSION_STARTED: Final = "cline.session.started"
"""The log record that says that a session was registered."""

LOOK_BACK_NS: Final = 3_600 * 10**9
"""What began so long before the first look is history, and missed by nobody."""

_BEGAN: Final = re.compile(r"([0-9]{13})_")
"""Cline names a session by when it began, ms since the Unix epoch."""


class Heard(msgspec.Struct, array_like=True):
    """Times are nanoseconds since the Unix epoch, 0 where it did not happen.

    Attributes:
        since_ns: a session that began earlier is not to be told.
        claimed_at_ns: when the plugin last said that it was loaded.
        not_loaded_at_ns: when Cline last said that it could not load its plugins.
        not_loaded: how often it said so since the plugin was last loaded.
        session_at_ns: when a program that loads plugins last said that a session was registered.
    """

    since_ns: int = 0
    claimed_at_ns: int = 0
    not_loaded_at_ns: int = 0
    not_loaded: int = 0
    session_at_ns: int = 0

    def is_to_be_told(self, session_id: str, reported_at_ns: int) -> bool:
        """Whether a session did not begin too early, as its name says, or else as it was reported."""
        began = _BEGAN.match(session_id)
        return (int(began[1]) * 1_000_000 if began is not None else reported_at_ns) >= self.since_ns

    def claimed(self, at_ns: int) -> None:
        """The plugin was loaded."""
        self.claimed_at_ns = max(self.claimed_at_ns, at_ns)
        if self.not_loaded_at_ns <= self.claimed_at_ns:
            self.not_loaded = 0

    def failed(self, at_ns: int) -> None:
        """Cline went on without its plugins."""
        self.not_loaded_at_ns = max(self.not_loaded_at_ns, at_ns)
        if at_ns > self.claimed_at_ns:
            self.not_loaded += 1


HEARD: Final = Format("heard", Heard, unchanged)
