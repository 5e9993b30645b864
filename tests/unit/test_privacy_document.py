"""``docs/privacy.md``: current, complete, and a function of the catalogue alone."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from cline_otel.catalogue import model
from cline_otel.catalogue.document import catalogued_privacy, privacy_document, privacy_sections, withheld_fields
from cline_otel.privacy.policy import CONTENT_VARIABLE, EXCLUDE_VARIABLE, INCLUDE_VARIABLE, PLAIN_VARIABLE, Group
from cline_otel.settings import SettingsError, load_settings

PAGE = Path(__file__).parents[2] / "docs" / "privacy.md"
ATTRIBUTES, SOURCES = catalogued_privacy()
SECTIONS = {section.key: section for section in privacy_sections(ATTRIBUTES, SOURCES)}


def rows(title: str) -> list[list[str]]:
    """The cells of the table under a heading of the page, code marks taken off."""
    text = privacy_document(ATTRIBUTES, SOURCES)
    part = text.split(f"## {title}")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    return [[cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[1:]]


def changed(**attributes: dict[str, Any]) -> model.AttributesFile:
    """The attributes with some of them changed or added; dots in their names are written as two underscores."""
    table = msgspec.to_builtins(ATTRIBUTES)
    for name, changes in attributes.items():
        table["attributes"].setdefault(name.replace("__", "."), {}).update(changes)
    return model.AttributesFile.from_table(table)


def test_the_page_is_what_the_catalogue_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == privacy_document(ATTRIBUTES, SOURCES), (
        "docs/privacy.md is not current: run `make docs` and commit it"
    )


def test_the_same_catalogue_makes_the_same_page_in_whatever_order_it_is_written() -> None:
    turned = msgspec.to_builtins(ATTRIBUTES)
    turned["attributes"] = dict(reversed(turned["attributes"].items()))
    turned["values"] = {name: values[::-1] for name, values in reversed(turned["values"].items())}
    turned["patterns"] = dict(reversed(turned["patterns"].items()))
    sources = {
        name: replace(table, events=dict(reversed(table.events.items()))) for name, table in reversed(SOURCES.items())
    }
    again = privacy_document(model.AttributesFile.from_table(turned), sources)
    assert again == privacy_document(ATTRIBUTES, SOURCES)


@pytest.mark.parametrize("name", sorted(ATTRIBUTES.attributes))
def test_every_attribute_stands_once_in_the_table_of_its_class(name: str) -> None:
    attribute = ATTRIBUTES.attributes[name]
    holding = [
        key
        for key in ("safe", "bounded", "pseudonym", "content")
        for row in SECTIONS[key].rows
        if row[0] == (name,) and attribute.description in row
    ]
    assert holding == ([attribute.privacy] if attribute.privacy != "secret" else [])


def test_every_table_has_as_many_cells_in_a_row_as_its_head() -> None:
    for section in SECTIONS.values():
        for row in rows(section.title):
            assert len(row) == len(section.head), section.title


def test_a_bounded_attribute_says_where_its_values_come_from() -> None:
    said = {row[0]: row[1] for row in rows(SECTIONS["bounded"].title)}
    listed = {row[0]: [value.split(" → ")[0] for value in row[1].split(", ")] for row in rows("Lists")}
    for name, attribute in ATTRIBUTES.attributes.items():
        if attribute.privacy != "bounded":
            continue
        if attribute.values is not None:
            assert set(said[name].split(", ")) == attribute.values
        else:
            assert f"the list {attribute.values_from}" in said[name]
            assert set(listed[attribute.values_from or ""]) == set(ATTRIBUTES.values[attribute.values_from or ""])


@pytest.mark.parametrize("group", ["names", "user", "device", "organization"])
def test_a_pseudonym_says_its_group_its_kind_and_what_it_has_to_be_asked_for_with(group: Group) -> None:
    said = {row[0]: row[1:4] for row in rows(SECTIONS["pseudonym"].title)}
    include = [] if group == "names" else [f"{INCLUDE_VARIABLE}={group}"]
    for name, attribute in ATTRIBUTES.attributes.items():
        if attribute.privacy == "pseudonym" and attribute.group == group:
            if attribute.hashes:
                wanted = [f"hash of kind {attribute.hashes}", ", ".join(include) or "nothing"]
            else:
                asked = ", ".join([*include, f"{PLAIN_VARIABLE}={group}"])
                wanted = [f"itself, if it matches {attribute.pattern}", asked]
            assert said[name] == [group, *wanted]


def test_content_says_its_opt_in_and_every_field_it_comes_from() -> None:
    said = {row[0]: row[1:3] for row in rows(SECTIONS["content"].title)}
    assert said.keys() == {name for name, each in ATTRIBUTES.attributes.items() if each.privacy == "content"}
    for name, (asked, origins) in said.items():
        assert asked == f"{CONTENT_VARIABLE}={name}"
        assert set(origins.split(", ")) == {
            f"{event_name}: {field}"
            for table in SOURCES.values()
            for event_name, event in table.events.items()
            for field, targets in event.fields.items()
            if name in targets
        }


def test_every_class_of_free_text_has_its_pattern_and_is_a_value_of_its_attribute() -> None:
    said = {(row[0], row[1]): row[2].replace("\\|", "|") for row in rows(SECTIONS["classes"].title)}
    assert said == {
        (target, name): pattern for target, classes in ATTRIBUTES.classes.items() for name, pattern in classes.items()
    }
    for target, name in said:
        attribute = ATTRIBUTES.attributes[target]
        assert name in (attribute.values or ATTRIBUTES.values[attribute.values_from or ""])


def test_every_field_that_is_called_private_and_has_no_attribute_is_among_those_that_never_leave() -> None:
    never = {(row[0], row[1], field) for row in rows(SECTIONS["never"].title) for field in row[2].split(", ")}
    for table in SOURCES.values():
        for name, event in (table.events | table.prefixes).items():
            for said in ("pseudonym", "content", "secret"):
                for field in event.private.get(said, ()):
                    assert ((name, said, field) in never) == (field not in event.fields)


def event_with(said: str, target: str) -> model.EventEntry:
    return model.EventEntry.from_table(
        {"kind": "log_event", "meaning": "", "fields": {"field": target}, "private": {said: ["field"]}}
    )


@pytest.mark.parametrize(
    ("said", "target", "withheld"),
    [
        ("pseudonym", "cline.skill.hash", False),
        ("pseudonym", "exception.message", False),
        ("pseudonym", "cline.mode", True),
        ("pseudonym", "cline.iteration", True),
        ("content", "exception.message", False),
        ("content", "cline.skill.hash", True),
        ("secret", "exception.message", True),
        ("secret", "cline.skill.hash", True),
        ("safe", "cline.mode", False),
    ],
)
def test_a_field_never_leaves_where_its_event_is_stricter_than_any_form_of_the_attribute(
    said: str, target: str, withheld: bool
) -> None:
    assert ("field" in withheld_fields(event_with(said, target), ATTRIBUTES)) == withheld


def test_a_secret_attribute_stands_in_no_table_of_what_leaves() -> None:
    table = changed(exception__message={"privacy": "secret"})
    keys = {section.key: section for section in privacy_sections(table, SOURCES)}
    shown = [row[0] for key in ("safe", "bounded", "pseudonym", "content") for row in keys[key].rows]
    assert ("exception.message",) not in shown


def test_the_variables_are_those_that_the_settings_read(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = SECTIONS["choices"].rows
    shown = [row[0][0] for row in rows]
    assert shown == [INCLUDE_VARIABLE, PLAIN_VARIABLE, CONTENT_VARIABLE, EXCLUDE_VARIABLE]
    for variable in shown:
        monkeypatch.setenv(variable, "no such word")
        with pytest.raises(SettingsError, match=variable):
            load_settings()
        monkeypatch.delenv(variable)


def test_every_page_and_heading_that_is_linked_is_there() -> None:
    text = PAGE.read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^a-z -]", "", line[3:].lower()).replace(" ", "-") for line in text.splitlines() if "## " in line
    }
    for target in re.findall(r"\]\(([^)]*)\)", re.sub(r"`[^`]*`", "", text)):
        page, _, heading = target.partition("#")
        assert not page or (PAGE.parent / page).is_file(), target
        assert not heading or heading in headings, target
