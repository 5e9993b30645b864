"""No pattern sees a text of any length: what is too long is no name, and of a text only the head is read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Final

import pytest
from bench.fixed_key import KEY

from adversaries import ENDLESS
from cline_otel.catalogue import values
from cline_otel.catalogue.gates import Gates
from cline_otel.catalogue.load import read_tables
from cline_otel.privacy import secret_detectors
from cline_otel.privacy.policy import Policy
from cline_otel.privacy.pseudonyms import Pseudonyms

LONGEST: Final = 2 * values.LONGEST_TEXT
MODULES: Final = ("cline_otel.privacy.", "cline_otel.catalogue.")


class Seen:
    """Patterns in place of the modules' own, and the longest text that they were given."""

    def __init__(self) -> None:
        self.longest = 0

    def compile(self, pattern: str, flags: int = 0) -> Any:
        return self.watched(re.compile(pattern, flags))

    def search(self, pattern: str, text: str, flags: int = 0) -> Any:
        return self.compile(pattern, flags).search(text)

    def watched(self, pattern: re.Pattern[str]) -> Any:
        def measured(method: str) -> Any:
            def call(*arguments: Any, **options: Any) -> Any:
                text = arguments[1 if method.startswith("sub") else 0]
                self.longest = max(self.longest, len(text))
                assert len(text) <= LONGEST, f"{pattern.pattern[:60]} was given {len(text)} characters"
                return getattr(pattern, method)(*arguments, **options)

            return call

        methods = ("fullmatch", "match", "search", "findall", "finditer", "sub", "subn", "split")
        return SimpleNamespace(**{method: measured(method) for method in methods})


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """Watches every pattern that a module of privacy or the catalogue has or makes."""
    watcher = Seen()
    for name, module in list(sys.modules.items()):
        if not name.startswith(MODULES):
            continue
        for attribute, value in list(vars(module).items()):
            if isinstance(value, re.Pattern):
                monkeypatch.setattr(module, attribute, watcher.watched(value))
            elif isinstance(value, dict) and any(isinstance(entry, re.Pattern) for entry in value.values()):
                monkeypatch.setattr(module, attribute, {key: watcher.watched(entry) for key, entry in value.items()})
    flags = {"IGNORECASE": re.IGNORECASE, "VERBOSE": re.VERBOSE}
    for module in (values, secret_detectors):
        monkeypatch.setattr(module, "re", SimpleNamespace(compile=watcher.compile, search=watcher.search, **flags))
    of_detectors = (secret_detectors._detectors, secret_detectors._pieces)
    for made in of_detectors:
        made.cache_clear()
    yield watcher
    for made in of_detectors:
        made.cache_clear()


def every_gate(policy: Policy) -> Iterator[tuple[str, values.Gate]]:
    tables = read_tables()
    gates = Gates(tables.attributes, policy)
    for name, attribute in tables.attributes.attributes.items():
        yield name, gates.of(name)
        if attribute.privacy == "pseudonym":
            yield name, gates.of_made(name)
    for name in tables.attributes.classes:
        yield name, gates.of_free_text(name)
    yield from ((name, gates.of(name)) for name in tables.attributes.internal)


EVERYTHING: Final = Policy(
    pseudonyms=Pseudonyms(KEY),
    included=frozenset({"names", "user", "device", "organization"}),
    plain=frozenset({"names", "user", "device", "organization"}),
    content=frozenset({"exception.message"}),
)


@pytest.mark.parametrize("policy", [Policy(pseudonyms=Pseudonyms(KEY)), EVERYTHING], ids=["default", "everything"])
def test_no_pattern_sees_a_text_of_any_length(seen: Seen, policy: Policy) -> None:
    for name, gate in every_gate(policy):
        for text in ENDLESS:
            answer = gate(text)
            assert answer is None or len(str(answer)) <= LONGEST, name
    assert seen.longest > values.LONGEST_TEXT / 2
