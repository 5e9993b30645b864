"""How a command fails: one line on stderr and a non-zero exit."""

from __future__ import annotations

import sys
from typing import NoReturn

import click


def fail(message: str, exit_code: int = 1) -> NoReturn:
    """One clear line on stderr, and out.

    Raises:
        SystemExit: always, with ``exit_code``.
    """
    click.echo(click.style("error: ", fg="red") + message, err=True)
    sys.exit(exit_code)
