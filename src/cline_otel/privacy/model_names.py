"""Names of models that are public, told from names that somebody chose.

In the clear are names in Cline's own catalogue, and names made of known families with versions, sizes and other words
that models are named by, below known publishers. Everything else is a deployment, a fine-tuned model, an account, a
host or a path, and takes a pseudonym. The plugin decides by the same words (src/cline-plugin/mapping/model_names.js),
and tests/plugin/model_ids.json has the one result of both.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple

LONGEST_MODEL_NAME: Final = 160
"""Characters; what is longer is no public name, and no pattern sees it."""

_HOSTS: Final = ("hf.co/", "huggingface.co/", "registry.ollama.ai/", "modelscope.cn/", "www.modelscope.cn/")
_ARN_RESOURCES: Final = (":foundation-model/", ":inference-profile/")
_CHARACTERS: Final = re.compile(r"[a-z0-9 ._:/@+~()\[\]-]+")
_WORD: Final = re.compile(r"[a-z]+|[0-9]+")
_DATE: Final = re.compile(r"(?<![0-9])(?:20[0-9]{2}-?|2[0-9])(?:0[1-9]|1[0-2])-?(?:0[1-9]|[12][0-9]|3[01])(?![0-9])")
_ADDRESS: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|::|(?:[0-9a-f]{1,4}:){3}")
_SIZE: Final = re.compile(r"(?<![0-9])[0-9]{1,4}[bkm](?![a-z])")
_MOST_DIGITS: Final = 7
_LONGEST_NUMBER: Final = 4
_MOST_NUMBERS: Final = {1: 5, 2: 2, 3: 1}
"""By the digits that they have at least, beside one date and sizes. A telephone or card number has more digits, or is
in more groups; beside a date there is no number of three digits."""
_MOST_SIZES: Final = 3


class Vocabulary(NamedTuple):
    """What public names are made of, in lower case.

    Attributes:
        families: words of which a name has at least one.
        words: what else it may have.
        owners: what may stand before a slash.
        names: whole names that these do not make.
    """

    families: frozenset[str]
    words: frozenset[str]
    owners: frozenset[str]
    names: frozenset[str]


@lru_cache(1)
def vocabulary() -> Vocabulary:
    """The vocabulary in ``catalogue/model_names.json``."""
    table = json.loads(files("cline_otel.catalogue").joinpath("model_names.json").read_text(encoding="utf-8"))
    return Vocabulary(**{part: frozenset(table[part]) for part in Vocabulary._fields})


def public_model_name(value: str) -> str | None:
    """The public part of a model's name: all of it, or what a public ARN, path or registry names.

    Args:
        value: the name as a source says it, of any length.

    Returns:
        None where no part is public.
    """
    if len(value) > LONGEST_MODEL_NAME or not value.isascii():
        return None
    name = _public_part(value)
    return name if name and is_public(name.lower(), vocabulary()) else None


def _public_part(value: str) -> str:
    lower = value.lower()
    if "arn:" in lower:
        ends = [lower.index(mark) + len(mark) for mark in _ARN_RESOURCES if mark in lower]
        return value[ends[0] :] if ends else ""
    if "projects/" in lower:
        _, found, path = value.rpartition("/publishers/")
        publisher, _, name = path.partition("/models/")
        return name if found and publisher.lower() in vocabulary().owners else ""
    start = len("https://") if lower.startswith("https://") else 0
    for host in _HOSTS:
        if lower.startswith(host, start):
            name = value[start + len(host) :]
            return name[len("library/") :] if name.startswith("library/") else name
    return value


def is_public(lower: str, known: Vocabulary) -> bool:
    """Whether all of a name in lower case is public by a vocabulary."""
    if not _CHARACTERS.fullmatch(lower) or _ADDRESS.search(lower):
        return False
    return _is_known(lower, known)


def _is_known(name: str, known: Vocabulary) -> bool:
    if name in known.names:
        return True
    owner, slash, rest = name.partition("/")
    return owner in known.owners and _is_known(rest, known) if slash else _is_made_of_words(name, known)


def _is_made_of_words(name: str, known: Vocabulary) -> bool:
    undated, dates = _DATE.subn("", name)
    unsized, sizes = _SIZE.subn(" b ", undated)
    parts = _WORD.findall(unsized)
    words = [part for part in parts if not part.isdigit()]
    return (
        not known.families.isdisjoint(words)
        and all(word in known.families or word in known.words for word in words)
        and sizes <= _MOST_SIZES
        and _are_few([len(part) for part in parts if part.isdigit()], dates)
    )


def _are_few(lengths: list[int], dates: int) -> bool:
    most = {**_MOST_NUMBERS, 3: _MOST_NUMBERS[3] - dates}
    return (
        sum(lengths) <= _MOST_DIGITS
        and all(length <= _LONGEST_NUMBER for length in lengths)
        and all(sum(length >= digits for length in lengths) <= number for digits, number in most.items())
    )
