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


class ToldFailure(msgspec.Struct, array_like=True):
    """A failed call or run that a span tells. Times are nanoseconds since the Unix epoch.

    Attributes:
        kind: ``run``, ``run_with_call``, which failed with a call that is told itself, ``model_call``, ``call`` of a
            tool, or ``edit``, which is such a call too.
        occurred_at_ns: when it failed.
        seen_at_ns: when the bridge learnt of it.
        session_id: empty where it is not known, as are ``model`` and ``call``.
        call: what stands for the model's id of a tool call.
        repeated_by: the reports that tell it once more, each by its name and operation.
    """

    kind: str
    occurred_at_ns: int
    seen_at_ns: int
    session_id: str = ""
    model: str = ""
    call: bytes = b""
    repeated_by: list[str] = msgspec.field(default_factory=list)


class ReportedFailure(msgspec.Struct, array_like=True):
    """A report of a failure that counts unless a span tells the same one; what both have is as in ``ToldFailure``.

    Attributes:
        of: whose failure it is, as ``model.Repeat`` has it.
        name: what reports it: the log record and the operation in it.
        error_kind: the count's ``cline.error.kind``.
        error_type: the count's ``error.type``.
        owner: the source whose service it counts for.
    """

    of: str
    occurred_at_ns: int
    seen_at_ns: int
    session_id: str
    model: str
    call: bytes
    name: str
    error_kind: str
    error_type: str
    owner: str


class Heard(msgspec.Struct, array_like=True):
    """Times are nanoseconds since the Unix epoch, 0 where it did not happen.

    Attributes:
        since_ns: a session that began earlier is not to be told.
        claimed_at_ns: when the plugin last said that it was loaded.
        not_loaded_at_ns: when Cline last said that it could not load its plugins.
        not_loaded: how often it said so since the plugin was last loaded.
        session_at_ns: when a program that loads plugins last said that a session was registered.
        told_failures: what failed lately, as spans tell it (``failures``).
        reported_failures: reports of failures that wait for a span that tells them.
    """

    since_ns: int = 0
    claimed_at_ns: int = 0
    not_loaded_at_ns: int = 0
    not_loaded: int = 0
    session_at_ns: int = 0
    told_failures: list[ToldFailure] = msgspec.field(default_factory=list)
    reported_failures: list[ReportedFailure] = msgspec.field(default_factory=list)

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
