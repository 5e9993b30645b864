"""``docs/telemetry.md``: current and complete. What users build on is permanent: names, and how ids are made."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from bench.fixed_key import replay_of

from cline_otel import __version__, ids
from cline_otel.catalogue.gates import Gates
from cline_otel.catalogue.load import read_tables
from cline_otel.catalogue.profiles import profile_names
from cline_otel.catalogue.reference import example_of, telemetry_document
from cline_otel.privacy.policy import Policy
from cline_otel.settings import load_settings

PAGE = Path(__file__).parents[2] / "docs" / "telemetry.md"
PUBLISHED = Path(__file__).parents[1] / "data" / "published_names.json"
EXAMPLE = Path(__file__).parents[2] / "examples" / "delegated-run"
TABLES = read_tables()


def published() -> dict[str, list[str]]:
    """Every name that users build on, by what it names."""
    return {
        "spans": sorted(TABLES.spans.spans),
        "metrics": sorted(TABLES.metrics.metrics),
        "log records": sorted(TABLES.log_events.log_events),
        "attributes": sorted(TABLES.attributes.attributes),
        "resource attributes": sorted(TABLES.attributes.resource),
        "profiles": profile_names(),
    }


def test_the_page_is_what_the_catalogue_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == telemetry_document(TABLES), (
        "docs/telemetry.md is not current: run `make docs` and commit it"
    )


@pytest.mark.parametrize("kind", published())
def test_every_name_is_on_the_page(kind: str) -> None:
    first_cells = set(re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    headings = set(re.findall(r"^### (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(published()[kind]) <= (headings if kind == "spans" else first_cells)


def test_every_event_of_every_source_is_on_the_page() -> None:
    said = set(re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    for vocabulary in TABLES.vocabularies.values():
        assert {*vocabulary.events, *(f"{prefix}*" for prefix in vocabulary.prefixes)} <= said


@pytest.mark.parametrize("name", TABLES.attributes.attributes)
def test_an_example_is_a_value_that_its_attribute_may_have(name: str) -> None:
    attribute, example = TABLES.attributes.attributes[name], example_of(name, TABLES.attributes)
    assert isinstance(example, {"int": int, "double": float, "bool": bool}.get(attribute.type, str))
    if attribute.pattern == "hex":  # made here, so it passes no gate
        assert re.fullmatch(TABLES.attributes.patterns["hex"], str(example))
    elif attribute.privacy in ("safe", "bounded"):
        passed = Gates(TABLES.attributes, Policy()).of(name)(example)
        renamed = TABLES.attributes.providers.get(str(example), example)
        assert passed == ((renamed,) if attribute.type == "strings" else renamed)


def test_the_resource_is_what_the_page_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_RESOURCE_ATTRIBUTES", raising=False)
    always = {name for name, attribute in TABLES.attributes.resource.items() if not attribute.only_in_jobs}
    assert {name for name, _ in load_settings().resource("i")} == always


def test_a_published_name_never_goes_away() -> None:
    """docs/stability.md: it may be deprecated, but stays. New names are added to the list with the change."""
    listed = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    for kind, names in published().items():
        gone = set(listed[kind]) - set(names)
        assert not gone, f"{kind} that users may build on are gone: deprecate them instead"
        added = set(names) - set(listed[kind])
        assert not added, f"new {kind}: add them to {PUBLISHED.name}, and say in CHANGELOG.md which"


def test_nothing_is_newer_than_this_release() -> None:
    def parts(version: str) -> list[int]:
        return [int(part) for part in re.findall(r"\d+", version)[:3]]

    entries = [
        *TABLES.spans.spans.values(),
        *TABLES.metrics.metrics.values(),
        *TABLES.log_events.log_events.values(),
        *TABLES.attributes.attributes.values(),
        *TABLES.attributes.resource.values(),
    ]
    assert all(parts(entry.since) <= parts(__version__) for entry in entries)


def test_ids_are_made_as_they_always_were() -> None:
    """The same run has the same ids in every release, so that what was sent before and after an upgrade joins."""
    agent, run = "agent_1795357897484_pat33nc", "run_Ab3dE6fG"
    assert ids.trace_id(agent, run).hex() == "07d75d6624b8769358fbc0d4e2aa47d3"
    assert ids.run_span_id(agent, run).hex() == "1954f767665109c8"
    assert ids.model_call_span_id(agent, run, 1).hex() == "b361347572b15830"
    assert ids.model_call_span_id(agent, run, 1, attempt=2).hex() == "c5d9cb8ac030eb06"
    assert ids.tool_call_span_id(agent, run, 2, 0).hex() == "8403fe6e5bb985e1"
    assert ids.log_record_uid("cline.run.finished", agent, run) == "f492a3321a415dee943446f051e61644"


def test_a_recorded_run_has_the_ids_it_always_had() -> None:
    replayed = replay_of([EXAMPLE])
    listed = json.loads((PUBLISHED.parent / "published_ids.json").read_text(encoding="utf-8"))
    uids = sorted(str(dict(log.attributes)["log.record.uid"]) for log in replayed.logs)
    spans = sorted([span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex()] for span in replayed.spans)
    assert {"spans": spans, "log records": uids} == listed
