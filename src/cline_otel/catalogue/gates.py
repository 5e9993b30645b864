"""The gate of each attribute, for the class that counts: the catalogue's word, an event's, and the user's."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from cline_otel.catalogue import model, values
from cline_otel.privacy.client_names import known_client
from cline_otel.privacy.model_names import public_model_name
from cline_otel.privacy.policy import ALWAYS_INCLUDED, Policy, PrivacyClass
from cline_otel.privacy.pseudonyms import PseudonymKind

IDENTIFIER: Final = "identifier"
"""The pattern that is none: ids are let through by who made them (privacy/pseudonyms.py)."""

MODEL: Final = "model"
"""The pattern that is none: names of models are let through by what is public (privacy/model_names.py)."""


class Gates:
    """Makes gates, one for each attribute and class.

    Args:
        table: the attributes.
        policy: the user's decisions.
    """

    def __init__(self, table: model.AttributesFile, policy: Policy) -> None:
        self._table = table
        self._policy = policy
        self._made: dict[tuple[str, PrivacyClass], values.Gate] = {}
        self.identifier = values.identifier(policy.pseudonyms, by_providers=True)
        self.key_identifier = values.identifier(policy.pseudonyms, by_providers=False)

    def of(self, name: str, *said: PrivacyClass) -> values.Gate:
        """The gate of an attribute, or of a field that only steers; ``said``: the classes that an event adds."""
        attribute = self._table.attributes.get(name)
        if attribute is None:
            withheld = "content" in said or "secret" in said
            return values.nothing if withheld else _internal_gate(self._table.internal[name], self)
        privacy = self._policy.effective(name, attribute.privacy, *said)
        key = (name, privacy)
        if key not in self._made:
            self._made[key] = self._gate(name, attribute, privacy)
        return self._made[key]

    def of_made(self, name: str, *said: PrivacyClass) -> values.Gate:
        """The gate of an attribute whose pseudonyms the plugin has made; it had no plain name where it made one."""
        attribute = self._table.attributes[name]
        privacy = self._policy.effective(name, attribute.privacy, *said)
        is_included = attribute.group in self._policy.included
        return values.made_pseudonym if privacy == "pseudonym" and is_included else values.nothing

    def of_free_text(self, name: str, *said: PrivacyClass) -> values.Gate:
        """The gate that finds an attribute's class in free text, which is content, whatever its event says."""
        if "secret" in (*said, self._policy.effective(name, self._table.attributes[name].privacy)):
            return values.nothing
        return values.classified(self._table.classes[name].items())

    def pattern(self, name: str, *, may_be_random: bool = False) -> values.Gate:
        """The gate for strings of an open set."""
        if name == MODEL:
            return self._known_or_custom(public_model_name, "model")
        return (
            self.identifier
            if name == IDENTIFIER
            else values.matching(self._table.patterns[name], may_be_random=may_be_random)
        )

    def _known_or_custom(self, known: Callable[[str], str | None], kind: PseudonymKind) -> values.Gate:
        names_may_leave = "names" in self._policy.included
        plain = (
            values.matching(self._table.patterns["one_word_name"]) if self._policy.is_plain("names") else values.nothing
        )
        return values.known_or_custom(known, kind, self._policy.pseudonyms if names_may_leave else None, plain)

    def _gate(self, name: str, attribute: model.Attribute, privacy: PrivacyClass) -> values.Gate:
        match privacy:
            case "safe" | "bounded":
                return self._open_gate(name, attribute)
            case "pseudonym":
                return self._pseudonym_gate(attribute)
            case "content" if attribute.privacy == "content" and name in self._policy.content:
                return values.text
            case _:
                return values.nothing

    def _pseudonym_gate(self, attribute: model.Attribute) -> values.Gate:
        """Hashed or plain, as the user wants it; an attribute that is only here a pseudonym has no such form."""
        group, pseudonyms = attribute.group, self._policy.pseudonyms
        if attribute.privacy != "pseudonym" or group not in self._policy.included:
            return values.nothing
        if attribute.pattern is not None:
            if not self._policy.is_plain(group):
                return values.nothing
            # Who it was is an id, or a hash of Cline's own; a name that is random is none.
            return values.matching(self._table.patterns[attribute.pattern], may_be_random=group not in ALWAYS_INCLUDED)
        if attribute.hashes is None or pseudonyms is None or self._policy.is_plain(group):
            return values.nothing
        return values.hashed(pseudonyms, attribute.hashes, self._known_values(attribute))

    def _open_gate(self, name: str, attribute: model.Attribute) -> values.Gate:
        if name == "cline.client.name":
            return self._known_or_custom(partial(known_client, values=self._known_values(attribute)), "client")
        if name == "gen_ai.provider.name":
            return values.renamed(self._table.providers, self._known_values(attribute))
        if attribute.type in ("string", "strings"):
            gate = self._string_gate(attribute)
            return values.each(gate) if attribute.type == "strings" else gate
        if attribute.type == "int":
            return values.integer if attribute.signed else values.amount
        return {"double": values.double, "bool": values.boolean}[attribute.type]

    def _string_gate(self, attribute: model.Attribute) -> values.Gate:
        if attribute.privacy == "safe" and attribute.pattern is not None:
            return self.pattern(attribute.pattern)
        known = self._known_values(attribute)
        if attribute.pattern is not None and self._policy.is_plain(attribute.group):
            return values.one_of_or_matching(known, self._table.patterns[attribute.pattern])
        return values.renamed(attribute.renames, known) if attribute.renames else values.one_of(known)

    def _known_values(self, attribute: model.Attribute) -> frozenset[str]:
        return attribute.values or frozenset(self._table.values.get(attribute.values_from or "", ()))


def _internal_gate(field: model.InternalField, gates: Gates) -> values.Gate:
    if field.type == "string":
        if field.pattern is None:
            return gates.key_identifier
        return gates.pattern(field.pattern, may_be_random=field.random)
    return {"int": values.amount, "bool": values.boolean, "milliseconds": values.milliseconds}[field.type]
