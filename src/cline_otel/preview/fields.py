"""What became of each field of a record: taken as which attribute, or not taken and why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from cline_otel.catalogue.compiled import TEXT, Catalogue, FieldHandler, SourceEvent
from cline_otel.catalogue.values import OTHER, REDACTED
from cline_otel.decode.fields import nameable
from cline_otel.decode.json_text import UNREADABLE
from cline_otel.events import KEYS, AttributeValue, Event
from cline_otel.preview.records import DecodedRecord
from cline_otel.privacy.policy import Policy, PrivacyClass, strictest
from cline_otel.signals import DiagnosticKind, Diagnostics

KEY_ATTRIBUTES: Final[dict[str, str]] = {
    "session_id": "gen_ai.conversation.id",
    "agent_id": "cline.agent.id",
    "run_id": "cline.run.id",
    "iteration": "cline.iteration",
    "call_id": "gen_ai.tool.call.id",
}
"""Where the parts of an event's key are seen; the ids of spans and traces are hashes of them."""

Reason = Literal[
    "unlisted",
    "never_read",
    "condition",
    "used_internally",
    "replaced",
    "redacted",
    "excluded",
    "not_included",
    "no_key",
    "not_plain",
    "not_opted_in",
    "stricter",
    "unusable",
    "in_another_field",
    "not_passed_on",
]
"""Why a field, or a part of it, does not leave.

unlisted: the catalogue does not list it for that event. never_read: it lists it as something that is not read.
condition: it only decides whether the event counts. used_internally: it is read by the translator and does not leave.
replaced: outside the known values. redacted: it looks like a key, an address, a path or a random run.
excluded: the user excludes the attribute. not_included: the user does not include whose it is.
no_key: its pseudonym would leave, and the installation has no key yet. not_plain: it leaves in the clear only,
and the user does not let it. not_opted_in: content that the user does not let leave. stricter: this event makes
it more private than the attribute. unusable: empty, or not of its type. in_another_field: another field has it.
not_passed_on: it was read, and nothing became of the event.
"""

_COUNTED_AS: Final[dict[DiagnosticKind, Reason]] = {"replaced_value": "replaced", "redacted_value": "redacted"}


class ExportedField(msgspec.Struct, frozen=True):
    """A field that is read, as which attribute, and the value that the catalogue lets leave.

    ``is_key``: spans are keyed by it. ``is_masked``: pieces of it were masked.
    """

    field: str
    attribute: str
    value: AttributeValue
    is_key: bool = False
    is_masked: bool = False


class WithheldField(msgspec.Struct, frozen=True):
    """A field that does not leave, or not as an attribute that it could have become.

    Attributes:
        field: its name, ``_OTHER`` for what looks like no name.
        size: of its value, in ``unit``.
        attribute: what it would have become; empty if nothing.
        replacement: what leaves instead of the value; empty if nothing.
        privacy: the class that the catalogue gives it; empty if none.
    """

    field: str
    size: int
    unit: Literal["characters", "bytes"]
    reason: Reason
    attribute: str = ""
    replacement: str = ""
    privacy: str = ""


def judged(
    record: DecodedRecord, event: Event, entry: SourceEvent, catalogue: Catalogue, policy: Policy, *, passed_on: bool
) -> tuple[list[ExportedField], list[WithheldField]]:
    """What became of every field of a record that was decoded to an event.

    Without ``passed_on``, nothing became of the event itself, and so nothing of it is taken.
    """
    taken: list[ExportedField] = []
    withheld: list[WithheldField] = []
    for key in record.fields:
        outcomes = list(_outcomes(key, record, event, entry, catalogue, policy))
        fit = [outcome for outcome in outcomes if isinstance(outcome, ExportedField)]
        if passed_on:
            taken += fit
        elif fit:
            withheld.append(_withheld(key, record, "not_passed_on"))
        withheld += [outcome for outcome in outcomes if isinstance(outcome, WithheldField)]
    return taken, withheld


def size_of(raw: bytes) -> tuple[int, Literal["characters", "bytes"]]:
    """The size of a value that is still encoded: the characters of a string, or the bytes of what else it is."""
    try:
        value = msgspec.json.decode(raw)
    except UNREADABLE:
        return len(raw), "bytes"
    if isinstance(value, dict) and len(value) == 1 and (name := next(iter(value))).endswith("Value"):
        # OTLP says with each value what it is.
        value = value[name]
        raw = msgspec.json.encode(value)
    return (len(value), "characters") if isinstance(value, str) else (len(raw), "bytes")


def _outcomes(
    key: str, record: DecodedRecord, event: Event, entry: SourceEvent, catalogue: Catalogue, policy: Policy
) -> Iterator[ExportedField | WithheldField]:
    handlers = entry.handlers.get(key)
    if handlers is None:
        yield _withheld(key, record, "unlisted")
        return
    conditions = [name for name, _ in entry.when]
    outcomes: list[ExportedField | WithheldField] = []
    if handlers:
        events, diagnostics = record.with_only([key, *conditions])
        alone = events[0] if events else None
        results = (_handled(key, handler, record, event, alone, diagnostics, catalogue) for handler in handlers)
        outcomes += [outcome for outcome in results if outcome is not None]
        if not outcomes:
            outcomes.append(_withheld(key, record, "unusable", handlers[0].name))
    yield from outcomes
    held_back = list(_held_back(key, record, entry, catalogue, policy))
    if any(isinstance(outcome, ExportedField) for outcome in outcomes):
        # A name that is known to all needs no pseudonym.
        held_back = [each for each in held_back if each.reason != "no_key"]
    if outcomes or len(held_back) > 1:
        # A pseudonym that leaves, or would, stands for the plain one.
        held_back = [each for each in held_back if each.reason != "not_plain"]
    yield from held_back
    if not outcomes and not held_back:
        if key in entry.private:
            yield _withheld(key, record, "never_read", privacy=entry.private[key])
        else:
            yield _withheld(key, record, "condition" if key in conditions else "never_read")


def _handled(
    key: str,
    handler: FieldHandler,
    record: DecodedRecord,
    event: Event,
    alone: Event | None,
    diagnostics: Diagnostics,
    catalogue: Catalogue,
) -> ExportedField | WithheldField | None:
    """What one of a field's readers made of it; None if it had nothing to say."""
    slot, name, _ = handler
    refused = next((why for kind, why in _COUNTED_AS.items() if (kind, record.source, name) in diagnostics), None)
    is_key = 0 <= slot < len(KEYS)
    attribute = KEY_ATTRIBUTES[name] if is_key else name
    value: AttributeValue | None
    if slot >= 0:
        value, final = (getattr(of, name) if of is not None else None for of in (alone, event))
    else:
        value, final = (of.attributes.get(name) if of is not None else None for of in (alone, event))
    if refused is not None and slot != TEXT:
        replacement = str(value) if value in (OTHER, REDACTED) and final == value else ""
        return _withheld(key, record, refused, attribute, replacement)
    if value is None or (is_key and not value):
        return None
    if slot >= len(KEYS):
        return _withheld(key, record, "used_internally")
    if final != value:
        return _withheld(key, record, "in_another_field", attribute)
    return ExportedField(nameable(key), attribute, value, is_key=is_key, is_masked=refused is not None)


def _held_back(
    key: str, record: DecodedRecord, entry: SourceEvent, catalogue: Catalogue, policy: Policy
) -> Iterator[WithheldField]:
    """Attributes that the catalogue has for a field and that are not read from it: each reason once."""
    read = {handler.name for handler in entry.handlers[key]}
    said: set[Reason] = set()
    for target in entry.fields.get(key, ()):
        if target in read:
            continue
        reason, privacy = _why_held_back(target, entry.private.get(key), catalogue, policy)
        if reason not in said:
            said.add(reason)
            yield _withheld(key, record, reason, target, privacy=privacy)


def _why_held_back(
    target: str, said: PrivacyClass | None, catalogue: Catalogue, policy: Policy
) -> tuple[Reason, PrivacyClass]:
    attribute = catalogue.attributes[target]
    if target in policy.excluded:
        return "excluded", attribute.privacy
    if said is not None and strictest(attribute.privacy, said) != attribute.privacy:
        return "stricter", said
    if attribute.privacy == "content":
        return "not_opted_in", "content"
    if attribute.privacy != "pseudonym":
        return "never_read", attribute.privacy
    if attribute.group not in policy.included:
        return "not_included", "pseudonym"
    if attribute.hashes is None:
        return "not_plain", "pseudonym"
    return "in_another_field" if policy.is_plain(attribute.group) else "no_key", "pseudonym"


def _withheld(
    key: str, record: DecodedRecord, reason: Reason, attribute: str = "", replacement: str = "", privacy: str = ""
) -> WithheldField:
    size, unit = size_of(record.fields[key])
    return WithheldField(nameable(key), size, unit, reason, attribute, replacement, privacy)
