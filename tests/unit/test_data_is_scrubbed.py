"""The recordings that the tests bundle hold nothing of a person: no planted secret, nothing of the shape of one.

What was planted in the captures they were made from is known here by its hash only.
"""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUNDLED = [
    path
    for folder in ("tests/data", "tests/golden", "tests/plugin/fixtures", "examples")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.is_file() and "__pycache__" not in path.parts
]

PLANTED = {
    11: ("612b6fc44e3094a36043870b929ac5fb00daf8513229001e92a639fb827cac26",),
    12: ("2e15b40525c460e282cd07f31837a2dbf900fc53ddd43a8f4e84c0d4bb6c50c2",),
    16: ("6acbbe626dd505f428ffa13b8092e6183011e4cc05720943fdee0d364817ccaf",),
    17: ("94dd72171b9bdb5c2aa73f8323375d67686f477d8bc7e92a7ff4916f4d5b940d",),
    19: (
        "b2cddff64b027c6400b56d53e6e3dc8229f8f04f50aac4622b91bdc8420057fa",
        "87a1053e27ccee66a6dfcd97f317a5ac4fbffe36f5d07a07b4f8f62ebf6256d1",
    ),
    23: ("abe854fd64c1c8a69de49eded08c173d273729e10195dcfa6d750eda1a3327f0",),
    25: ("a31c646a3ee3877b5ec852b0bc2a9217224b700d78ba086290221dce5db47e9e",),
    26: ("2d8c5a64a9b482d96b29023b6ecc024373ad7c9335d12ab0b88270a17c9ea690",),
}
"""Length and SHA-256 of what was planted."""

SHAPES = re.compile(
    rb"""
    \bsk-[A-Za-z0-9_-]{8,} | \bgh[pousr]_[A-Za-z0-9]{6,} | \bAKIA[0-9A-Z]{12,} | \bxox[abp]-[A-Za-z0-9-]{6,}
    | [A-Za-z0-9._%+-]+@[A-Za-z0-9-]+\.[A-Za-z]{2,}
    | /(home|Users|root|opt|tmp|var)/
    | \b[a-z0-9][a-z0-9.-]*\.(example|internal|local|lan|corp)\b
    | \b[a-z]+-(laptop|desktop|macbook)\b
    | https?://
    | BEGIN [A-Z ]*PRIVATE KEY
    """,
    re.VERBOSE,
)
OURS = (b"https://opentelemetry.io/schemas/", b"http://127.0.0.1:")
"""Addresses that stand in a frozen journal, and say nothing of anybody."""

WORDS = re.compile(rb"[A-Za-z0-9._@/+-]{6,}")


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_holds_what_was_planted_or_its_shape(path: Path) -> None:
    text = path.read_bytes()
    for ours in OURS:
        text = text.replace(ours, b"")
    if path.suffix not in (".py", ".md", ".sh"):
        assert SHAPES.search(text) is None
    for word in {word.lower() for word in WORDS.findall(text) if not word.isdigit()}:
        for length, digest in PLANTED.items():
            for start in range(len(word) - length + 1):
                assert sha256(word[start : start + length]).hexdigest() not in digest


def test_what_is_looked_for_is_found() -> None:
    assert SHAPES.search(b'"cwd":"/home/somebody/x"')
    assert SHAPES.search(b"someone.else@a.org")
    assert SHAPES.search(b"the key " + b"sk-" + b"0" * 20)
    assert SHAPES.search(b"db7.internal.a.example")
    assert SHAPES.search(b'{"agent_id":"agent_1790000000000_ab12","run_id":"run_x"}') is None


def test_the_bundled_recordings_stay_small() -> None:
    sizes = [path.stat().st_size for path in (ROOT / "tests" / "data" / "captures").rglob("*") if path.is_file()]
    assert sum(sizes) < 1_200_000
