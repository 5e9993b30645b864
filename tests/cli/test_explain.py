"""``explain``: what an event becomes and what of it never leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.process import Home
from cline_otel.catalogue.load import SourceEvent, load
from cline_otel.cli.main import main

CATALOGUE = load()
ENTRIES = [
    *(("plugin", entry) for entry in CATALOGUE.plugin.events.values()),
    *(("cline.log, otlp", entry) for entry in CATALOGUE.cline.events.values()),
]


def explained(*arguments: str) -> str:
    """What ``explain`` prints into a pipe that is wide enough."""
    result = CliRunner(env={"COLUMNS": "400"}).invoke(main, ["explain", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize(("source", "entry"), ENTRIES, ids=[f"{source}: {entry.name}" for source, entry in ENTRIES])
def test_every_field_of_every_event_is_told_with_its_privacy_class(source: str, entry: SourceEvent) -> None:
    shown = explained(entry.name)
    assert f"{entry.name}  told by {source}" in shown
    rows = [line.split() for line in shown.splitlines()]
    for field, target in entry.fields.items():
        attribute = CATALOGUE.attributes.get(target)
        privacy = attribute.privacy if attribute is not None else "internal"
        assert any(row and row[0] == field and privacy in row for row in rows), field
    for field, privacy in entry.private.items():
        assert [field, "dropped", privacy] in rows, field


def test_the_list_names_every_event_and_what_it_becomes() -> None:
    lines = [line.split() for line in explained().splitlines()]
    for _, entry in ENTRIES:
        becomes = {"ignored": "-", "fact": entry.fact}.get(entry.kind, entry.kind)
        assert any(line[0] == entry.name and line[-1] == becomes for line in lines), entry.name


def test_an_event_is_explained_in_a_terminal_of_80_columns(tmp_path: Path) -> None:
    answer = Home(tmp_path).run("explain", "task.tokens", environment={"COLUMNS": "80"})
    assert answer.returncode == 0
    assert "tokensOut" in answer.stdout
    assert max(map(len, answer.stdout.splitlines())) <= 80
