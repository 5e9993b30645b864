"""What the kinds of diagnostics mean, in the same words wherever they are shown."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from cline_otel.signals import DiagnosticKind


class Meaning(NamedTuple):
    """What a kind of diagnostics means.

    Attributes:
        label: in the fewest words.
        text: the same, for who reads it for the first time.
        style: red for what is lost and should not be, yellow for what is worth a look, else empty.
    """

    label: str
    text: str
    style: Literal["red", "yellow", ""] = ""


MEANINGS: Final[dict[DiagnosticKind | Literal["switched_off"], Meaning]] = {
    "malformed": Meaning("could not be decoded", "could not be decoded", "red"),
    "defect": Meaning("failed, please report", "a source or the translator failed on it: please report", "red"),
    "missing": Meaning("never written, no room", "never written, because there was no room left for it", "red"),
    "unreadable": Meaning("stored, not readable", "stored, but damaged or of another release: discarded", "red"),
    "unmapped_event": Meaning("unknown events", "events that the catalogue does not know", "yellow"),
    "late": Meaning("late", "came after their run was closed", "yellow"),
    "dropped_field": Meaning("not in the catalogue", "fields that the catalogue does not list"),
    "replaced_value": Meaning("outside the known values", "values outside the known ones, sent as _OTHER"),
    "redacted_value": Meaning("looked like a secret", "values that look like a secret, sent as _REDACTED"),
    "superseded": Meaning("duplicates of the primary source", "duplicates of the primary source"),
    "duplicate": Meaning("seen before", "seen before"),
    "rewritten": Meaning("changed afterwards", "changed or removed by Cline after it was told; what was sent stays"),
    "unsupported_signal": Meaning("Cline's own, not read", "Cline's own metrics and traces, not read"),
    "switched_off": Meaning("came while it was off", "came while telemetry was off, dropped unread"),
}
"""In the order in which they are shown. What comes while telemetry is off is counted by the journal alone."""
