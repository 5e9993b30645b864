"""Compares each bounded set of the catalogue with the words in Cline's published package.

``make compare-catalogue`` prints what is missing from the catalogue; ``make e2e`` fails on it. Where the words stand,
and which are left out for what reason, is in ``published_sets.toml``.
"""

from __future__ import annotations

import mmap
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

from cline_otel.catalogue.gates import Gates
from cline_otel.catalogue.load import read_tables
from cline_otel.catalogue.values import OTHER
from cline_otel.privacy.model_names import public_model_name
from cline_otel.privacy.policy import Policy

from .cline_release import install_cline
from .model_catalogue import published_names
from .node_runtime import find_node

EVENTS: Final = "events"
MODELS: Final = "gen_ai.request.model"
"""Not in the table: Cline's own library lists its models."""

TABLE: Final[dict[str, Any]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_LIBRARIES: Final = ("agents", "core", "llms", "shared")
_QUOTED: Final = re.compile(rb'"([^"\n]+)"')


class Comparison(NamedTuple):
    """One bounded set.

    Attributes:
        name: the attribute, or ``EVENTS``.
        published: Cline's words.
        silent: places where none is found any more, so that nobody knows what is missing.
        missing: words that are neither in the catalogue nor left out.
        stale: words that are left out and need not be: they are in the catalogue, or Cline has them no more.
    """

    name: str
    published: frozenset[str]
    silent: tuple[str, ...]
    missing: tuple[str, ...]
    stale: tuple[str, ...]


def bounded_sets() -> set[str]:
    """Every set of the catalogue that may grow with Cline: its attributes of listed values, models and events."""
    attributes = read_tables().attributes.attributes
    listed = {name for name, attribute in attributes.items() if attribute.values or attribute.values_from}
    return {*listed, MODELS, EVENTS}


def compare(node: str, release: Path) -> list[Comparison]:
    """All sets of the catalogue beside those of an installed Cline; ``release``: its ``node_modules``."""
    models = frozenset(published_names(node, release))
    unlisted = tuple(sorted(name for name in models if public_model_name(name) is None))
    compared = [Comparison(MODELS, models, () if models else ("getProviderIds",), unlisted, ())]
    program = next((release / "@cline").glob("cli-*/bin/cline"))
    with program.open("rb") as file, closing(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) as whole:
        texts: dict[str, bytes | mmap.mmap] = {
            "types": _joined(release, "*.d.ts"),
            "bundles": _joined(release, "*.js"),
            "program": whole,
        }
        for name, entry in TABLE["sets"].items():
            compared.append(_compare(name, entry, texts))
    return compared


def _joined(release: Path, pattern: str) -> bytes:
    files = [path for library in _LIBRARIES for path in (release / "@cline" / library / "dist").rglob(pattern)]
    return b"\n".join(path.read_bytes() for path in sorted(files))


def _compare(name: str, entry: dict[str, Any], texts: dict[str, bytes | mmap.mmap]) -> Comparison:
    found = [(place, frozenset(_words(place, texts[place["in"]]))) for place in entry["found"]]
    published = frozenset[str]().union(*(words for _, words in found))
    left_out = {word for reason in entry.get("left_out", ()) for word in reason["words"]}
    known = is_known(name)
    return Comparison(
        name,
        published,
        tuple(place.get("words") or place["within"] for place, words in found if not words),
        tuple(sorted(word for word in published - left_out if not known(word))),
        tuple(sorted(word for word in left_out if word not in published or known(word))),
    )


def _words(place: dict[str, str], text: bytes | mmap.mmap) -> Iterator[str]:
    pattern = re.compile((place.get("words") or place["within"]).encode(), re.DOTALL)
    each = re.compile(place["each"].encode()) if "each" in place else _QUOTED
    for match in pattern.finditer(text):
        for word in each.findall(match[1]) if "within" in place else [match[1]]:
            yield place.get("prefix", "") + word.decode()


def is_known(name: str) -> Callable[[str], bool]:
    """Whether a word leaves as it is, or under the name that it is known by; ``name``: of the set."""
    tables = read_tables()
    if name == EVENTS:
        vocabulary = tables.vocabularies["cline"]
        return lambda word: word in vocabulary.events or word.startswith(tuple(vocabulary.prefixes))
    gate = Gates(tables.attributes, Policy()).of(name)
    return lambda word: gate(word) not in (None, OTHER, (), (OTHER,))


def main() -> int:
    """Prints every set; 1 if anything is missing."""
    node = find_node()
    compared = compare(str(node.node), install_cline(node).parents[3])
    for name, published, *findings in compared:
        print(f"{name}: {len(published)} words in Cline's package")
        for title, words in zip(("found nothing", "missing", "left out for nothing"), findings, strict=True):
            if words:
                print(f"  {title}: {', '.join(words)}")
    return int(any(comparison.silent or comparison.missing or comparison.stale for comparison in compared))


if __name__ == "__main__":
    sys.exit(main())
