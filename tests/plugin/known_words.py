"""The words that the plugin lets pass, out of the bridge's catalogue: ``python -m plugin.known_words`` writes them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

from cline_otel.catalogue.load import read_tables

MODULE = Path(__file__).parents[2] / "src" / "cline-plugin" / "mapping" / "known_words.js"

HEAD = "// Words that may leave as they are, made from the bridge's catalogue by `make plugin`; all others may not."


def lists() -> Iterator[tuple[str, str, Iterable[str]]]:
    """What each list is called, what it has, and its words."""
    table = read_tables().attributes
    for name, what, attribute in (
        ("PROVIDERS", "Cline's names of those who serve models.", "gen_ai.provider.name"),
        ("FINISH_REASONS", "Why a model stopped.", "gen_ai.response.finish_reasons"),
        ("ERROR_CLASSES", "Classes of errors.", "error.type"),
        ("REASONS", "Cline's words for why it did something.", "cline.reason"),
    ):
        entry = table.attributes[attribute]
        words = entry.values if entry.values is not None else table.values[entry.values_from or ""]
        yield name, what, {*words, *entry.renames}


def module() -> str:
    """The module's text."""
    parts = [HEAD]
    for name, what, words in lists():
        lines = textwrap.wrap(" ".join(sorted(words)), 110, break_long_words=False, break_on_hyphens=False)
        joined = " + ".join(json.dumps(f"{line} ") for line in lines)
        parts.append(f'// {what}\nexport const {name} = new Set(({joined}).trim().split(" "));')
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    MODULE.write_text(module(), encoding="utf-8")
