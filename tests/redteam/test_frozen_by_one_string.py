"""No string freezes anything: no pattern of the bridge or the plugin works on a text more than in proportion to it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import pytest

import cline_otel
from adversaries import PIECES
from backtracking import Counter, attacks
from cline_otel.catalogue.load import read_tables
from cline_otel.decode.json_text import cut_short, mended
from cline_otel.privacy import secret_detectors

CHARACTERS: Final = 400
MOST_STEPS: Final = 60 * CHARACTERS
"""For which a quadratic pattern is too dear: it takes 80,000 or 160,000."""

SEARCHED: Final = r"\b{}\)?\.(?:search|findall|finditer|subn?|split|scanner)\b"

FEW: Final = 50
BOUNDED: Final = frozenset({"_PATH", "_LAST_WORD", "_LONG_RUN", "_MIXED_RUN"})
"""They may be quadratic, for they are given 2,048 characters at most (tests/unit/test_bounded_patterns.py). So may the
detectors, classes of free text, and the plugin's shape of keys, which is asked of names that are short enough."""

QUADRATIC: Final = 45 * FEW * FEW


class Known(NamedTuple):
    """A pattern, where it stands, and whether it is looked for anywhere in a text or is to match it."""

    name: str
    pattern: str | bytes
    flags: int
    is_searched: bool
    is_bounded: bool = False


def modules() -> Iterator[object]:
    for found in pkgutil.walk_packages(cline_otel.__path__, "cline_otel."):
        if not found.name.endswith("__main__"):
            try:
                yield importlib.import_module(found.name)
            except ImportError:  # of another operating system
                continue


def sources() -> str:
    return "\n".join(inspect.getsource(module) for module in modules())  # type: ignore[arg-type]


@cache
def of_the_bridge() -> tuple[Known, ...]:
    text = sources()
    known = {}
    for module in modules():
        for name, value in vars(module).items():
            of_it = value.items() if isinstance(value, dict) else [(name, value)]
            for key, pattern in of_it:
                if isinstance(pattern, re.Pattern):
                    is_searched = key != name or re.search(SEARCHED.format(name), text) is not None
                    known[pattern.pattern, pattern.flags] = Known(
                        name, pattern.pattern, pattern.flags, is_searched, name in BOUNDED
                    )
    tables = read_tables().attributes
    classes = [pattern for of_name in tables.classes.values() for pattern in of_name.values()]
    made = [
        *(
            Known(kind, pattern.pattern, pattern.flags, True, True)
            for kind, pattern in {**secret_detectors._detectors(), "pieces": secret_detectors._pieces()}.items()
        ),
        *(Known(name, pattern, 0, False) for name, pattern in tables.patterns.items()),
        *(Known(pattern[:30], pattern, re.IGNORECASE, True, True) for pattern in classes),
    ]
    return (*known.values(), *made)


_BODY: Final = r"(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/(?=[a-z]*[\s.,;)])"
LITERAL: Final = re.compile(rf"(?<=[=(,:!&|?;] )/(?![/* ]){_BODY}|(?<=[(!])/(?![/*]){_BODY}")
AN_ID: Final = "(?:(?:agent|"
"""The plugin puts the beginning and the end of a text around this one."""

SHAPE: Final = re.compile(r'(?:new RegExp|anyOf)\(\s*((?:"(?:[^"\\]|\\.)*",?[ \n]*(?://[^\n]*\n)?\s*\+?\s*)+)\)')
TEXT: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')


@cache
def of_the_plugin() -> tuple[Known, ...]:
    """Those that are written as such, and those made of texts that stand together; the rest is made of these."""
    lines = files("cline_otel.plugin").joinpath("cline-otel.js").read_text(encoding="utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.lstrip().startswith(("//", "*", "/*")))
    literals = [found[0][1:-1] for found in LITERAL.finditer(text)]
    shapes = [
        "|".join(piece.replace("\\\\", "\\") for piece in TEXT.findall(re.sub(r"//[^\n]*", "", found[1])))
        for found in SHAPE.finditer(text)
    ]
    return tuple(
        Known(
            pattern[:40],
            re.sub(r"\(\?<(?=\w)", "(?P<", pattern),
            0,
            not pattern.startswith(("^", AN_ID)),
            "eyJ" in pattern,
        )
        for pattern in dict.fromkeys([*literals, *shapes])
    )


def dearest(known: Known, characters: int, limit: int) -> tuple[int, str, str]:
    """The most steps that it takes for an attack of about so many characters, and which that is."""
    counter = Counter(known.pattern, known.flags)
    costs = []
    for before, piece in attacks(counter.tree, PIECES):
        text = before + piece * (characters // len(piece)) + "\n!"
        costs.append((counter.steps(text, search=known.is_searched, limit=limit), before, piece))
    return max(costs)


def named(known: Known) -> str:
    return known.name


EVERY: Final = (*of_the_bridge(), *of_the_plugin())


@pytest.mark.parametrize("known", [each for each in EVERY if not each.is_bounded], ids=named)
def test_the_work_of_a_pattern_is_in_proportion_to_the_text(known: Known) -> None:
    steps, before, piece = dearest(known, CHARACTERS, MOST_STEPS)
    assert steps <= MOST_STEPS, f"{known.pattern!r} on {before!r} and then {piece!r} again and again"


@pytest.mark.parametrize("known", [each for each in EVERY if each.is_bounded], ids=named)
def test_the_work_of_a_pattern_that_sees_short_texts_alone_is_at_most_quadratic(known: Known) -> None:
    steps, before, piece = dearest(known, FEW, QUADRATIC)
    assert steps <= QUADRATIC, f"{known.pattern!r} on {before!r} and then {piece!r} again and again"


def test_patterns_are_found_wherever_they_are() -> None:
    assert len(of_the_bridge()) > 100
    assert len(of_the_plugin()) > 30


@pytest.mark.parametrize("pattern", [r"(?:a+)+b", r"[a-z]+\.[a-z.]+:", r"\s*x\s*y", r"(?:x|xx)*y", r"1[0-9]*e"])
def test_a_pattern_that_freezes_is_noticed(pattern: str) -> None:
    assert dearest(Known("", pattern, 0, True), CHARACTERS, MOST_STEPS)[0] > MOST_STEPS


def test_a_line_that_is_no_json_and_all_digits_or_quotation_marks_is_looked_at_once() -> None:
    for text in ('{"a": ' + "1" * 2_000_000, '{"a": "' + '\\"' * 1_000_000, '"' + "\\" * 1_999_999):
        assert mended(text) == text
        assert cut_short(text, 0)[1] == len(text)
