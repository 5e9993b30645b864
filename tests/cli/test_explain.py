"""``explain``: what an event becomes and what of it never leaves; with ``--privacy``, what leaves at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.process import Home
from cline_otel.catalogue import model
from cline_otel.catalogue.compiled import SourceEvent
from cline_otel.catalogue.document import withheld_fields
from cline_otel.catalogue.load import load, read_tables
from cline_otel.cli.explain import explain_privacy
from cline_otel.cli.main import main

CATALOGUE = load()
TABLES = read_tables()
ATTRIBUTES = TABLES.attributes
ENTRIES = [
    (source, entry, TABLES.vocabularies[vocabulary])
    for source, vocabulary in (("plugin", "plugin"), ("cline.log, OTLP", "cline"))
    for entry in CATALOGUE.vocabularies[vocabulary].events.values()
]
IDS = [f"{source}: {entry.name}" for source, entry, _ in ENTRIES]


def explained(*arguments: str, columns: int = 400) -> str:
    """What ``explain`` prints into a pipe of that width."""
    result = CliRunner(env={"COLUMNS": str(columns)}).invoke(main, ["explain", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def cells(shown: str) -> list[list[str]]:
    """The table of the event's own fields, row by row; a field's further targets have its name too."""
    lines = shown.splitlines()
    head = next((number for number, line in enumerate(lines) if line.split()[:1] == ["Field"]), len(lines))
    rows: list[list[str]] = []
    for line in lines[head + 1 :]:
        row = line.split()
        if len(row) not in (2, 3) or row[0].endswith(":") or line.startswith("  Also, as"):
            break
        rows.append(row if len(row) == 3 else [rows[-1][0], *row])
    return rows


@pytest.mark.parametrize("columns", [80, 400])
@pytest.mark.parametrize(("source", "entry", "table"), ENTRIES, ids=IDS)
def test_every_field_of_an_event_is_told_with_what_it_leaves_as_and_its_privacy_class(
    source: str, entry: SourceEvent, table: model.SourceFile, columns: int
) -> None:
    shown = explained(entry.name, columns=columns)
    assert f"{entry.name}  reported by {source}" in shown
    event = table.events[entry.name]
    wanted = [[field, "dropped", privacy] for field, privacy in withheld_fields(event, ATTRIBUTES).items()]
    if event.kind != "ignored":
        for field, targets in event.fields.items():
            for target in targets:
                attribute = ATTRIBUTES.attributes.get(target)
                wanted.append([field, target, attribute.privacy] if attribute else [field, "-", "internal"])
        wanted += [[field, target, "class"] for field, target in event.classified.items()]
    assert sorted(cells(shown)) == sorted(wanted)


@pytest.mark.parametrize("columns", [80, 400])
@pytest.mark.parametrize(("source", "entry", "table"), ENTRIES, ids=IDS)
def test_fields_of_every_event_are_named_after_its_own_and_never_twice(
    source: str, entry: SourceEvent, table: model.SourceFile, columns: int
) -> None:
    of_this_source = explained(entry.name, columns=columns).split(f"\n{entry.name}  reported by")[0]
    own, _, shared = of_this_source.partition("Also, as any event of this source:")
    if entry.kind == "ignored":
        assert shared == ""
        return
    told = [word.strip(",") for word in shared.split()]
    of_its_own = {row[0] for row in cells(own)}
    for field in {*entry.handlers, *table.common.fields, *table.common.fallbacks} - of_its_own:
        assert told.count(field) == 1, field
    assert not of_its_own & set(told)


def test_the_list_names_every_event_and_what_it_becomes() -> None:
    lines = [line.split() for line in explained().splitlines()]
    for _, entry, _ in ENTRIES:
        becomes = {"ignored": "-", "log_event": entry.log_event}.get(entry.kind, entry.kind)
        assert any(line[0] == entry.name and line[-1] == becomes for line in lines), entry.name


def test_an_event_is_explained_in_a_terminal_of_80_columns(tmp_path: Path) -> None:
    answer = Home(tmp_path).run("explain", "task.tokens", environment={"COLUMNS": "80"})
    assert answer.returncode == 0
    assert "tokensOut" in answer.stdout
    assert max(map(len, answer.stdout.splitlines())) <= 80


def test_in_a_terminal_of_80_columns_no_name_of_an_attribute_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    explain_privacy()
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    first_words = [line.split()[0] for line in lines if line.strip()]
    assert ATTRIBUTES.attributes.keys() <= set(first_words)


def test_the_catalogue_by_class_has_every_attribute_once_under_its_class(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    explain_privacy()
    sections = capsys.readouterr().out.split("\n\n")
    for name, attribute in ATTRIBUTES.attributes.items():
        holding = [part for part in sections if any(line.split()[:1] == [name] for line in part.splitlines())]
        assert len(holding) == 1, name
        assert holding[0].lower().startswith(attribute.privacy), name


def test_the_catalogue_by_class_can_be_asked_for() -> None:
    shown = explained("--privacy")
    assert "Safe: leaves always" in shown
    assert "Never exported" in shown
    assert "CLINE_OTEL_BRIDGE_INCLUDE_CONTENT=exception.message" in shown


def test_an_event_and_the_catalogue_by_class_are_not_asked_for_together() -> None:
    result = CliRunner().invoke(main, ["explain", "task.tokens", "--privacy"])
    assert result.exit_code == 2
    assert "--privacy" in result.stderr
