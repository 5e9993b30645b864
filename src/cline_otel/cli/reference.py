"""``docs/cli.md``: every command, argument and option, as click knows them.

``python -m cline_otel.cli.reference`` writes the page to standard output.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Final

import click

from cline_otel import markdown
from cline_otel.cli.main import main

PROGRAM: Final = "cline-otel"
_WIDTH: Final = 10_000
"""So that click breaks no line; a page is wrapped where it is read."""

_INTRODUCTION: Final = """\
# Commands

This page is made from the commands themselves by `make docs`; `cline-otel COMMAND --help` prints the same.

Every command takes `-h` and `--help`. An error is one line on stderr. The exit code is 0 for success, 1 for a failure,
2 for a command line or a setting that cannot be used, 130 after Ctrl-C."""


def commands() -> Iterator[click.Context]:
    """The program and every command of it, in the order of their names, each group before its commands."""
    program = click.Context(main, info_name=PROGRAM, terminal_width=_WIDTH, max_content_width=_WIDTH)
    yield from _with_its_commands(program)


def _with_its_commands(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from _with_its_commands(click.Context(command, info_name=name, parent=context))


def cli_document() -> str:
    """The page, as Markdown."""
    return "\n\n".join([_INTRODUCTION, *map(_section, commands())]) + "\n"


def _section(context: click.Context) -> str:
    usage = " ".join(context.command.get_usage(context).split()).removeprefix("Usage: ")
    parts = [f"## {context.command_path}", f"    {usage}", inspect.cleandoc(context.command.help or "")]
    rows = [row for parameter in context.command.params if (row := _row(parameter, context)) is not None]
    if rows:
        parts.append(markdown.table(("argument or option", "what it does"), rows))
    return "\n\n".join(parts)


def _row(parameter: click.Parameter, context: click.Context) -> tuple[str, str] | None:
    if isinstance(parameter, click.Argument):
        metavar = (parameter.metavar or parameter.human_readable_name).strip("[]")
        return f"`{metavar}`", "required" if parameter.required else "optional"
    record = parameter.get_help_record(context)
    if record is None:
        return None
    names, text = record
    text = " ".join(text.replace("  [", " [").split())
    if isinstance(parameter.envvar, str):
        text += f" Also set by `{parameter.envvar}`."
    return f"`{names}`", text


if __name__ == "__main__":
    sys.stdout.buffer.write(cli_document().encode())
