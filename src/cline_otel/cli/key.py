"""``cline-otel key rotate``: a new key for the installation's pseudonyms."""

from __future__ import annotations

import click

from cline_otel.cli.errors import fail
from cline_otel.settings import SettingsError, load_settings
from cline_otel.settings.pseudonyms_file import PseudonymsFileError, rotate_key


def rotate() -> None:
    """Makes a new key; a bridge that runs and the plugin follow within a second."""
    try:
        rotate_key(load_settings().state_directory)
    except SettingsError as error:
        fail(str(error), 2)
    except PseudonymsFileError as error:
        fail(str(error))
    click.echo(
        "The key is new: names get other pseudonyms, from a running bridge within a second. "
        "What waits to be sent keeps the old ones."
    )
