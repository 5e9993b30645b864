"""``docs/cli.md``: current, and with every command, argument and option in it."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from cline_otel.cli.main import main
from cline_otel.cli.reference import cli_document

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"


def every_command(command: click.Command, path: str) -> dict[str, click.Command]:
    found = {path: command}
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            found |= every_command(each, f"{path} {name}")
    return found


COMMANDS = every_command(main, "cline-otel")


def section(path: str) -> str:
    return cli_document().split(f"\n## {path}\n")[1].split("\n## ")[0]


def test_the_page_is_what_the_commands_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == cli_document(), (
        "docs/cli.md is not current: run `make docs` and commit it"
    )


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_and_every_parameter_of_it_is_on_the_page_with_its_help(path: str) -> None:
    command, text = COMMANDS[path], " ".join(section(path).split())
    assert command.help
    assert " ".join(command.help.split()) in text
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert all(f"`{name}" in text for name in parameter.opts), parameter
            assert parameter.help
            assert parameter.help.split("  [")[0] in text
        else:
            assert f"`{(parameter.metavar or parameter.human_readable_name).strip('[]')}`" in text


def test_there_is_no_command_on_the_page_that_is_none() -> None:
    headings = {line.removeprefix("## ") for line in cli_document().splitlines() if line.startswith("## ")}
    assert headings == set(COMMANDS)
