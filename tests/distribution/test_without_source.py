"""The tests hold of an installed package: those that read the source tree say that they need it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
READS_THE_SOURCE = re.compile(r"""src["'/ ]+cline_otel(?!["'/ ]+plugin)""")
"""A path to the package's source. The plugin is laid beside the tests by ``.ci/test_wheel.py``."""


def test_only_what_skips_without_the_source_reads_it() -> None:
    reading = {
        path.relative_to(TESTS).as_posix()
        for path in TESTS.rglob("*.py")
        if READS_THE_SOURCE.search(path.read_text(encoding="utf-8")) and "needs_source" not in path.read_text("utf-8")
    }
    assert reading == set(), "ask the imported package for its folder, or skip by source_tree.needs_source"


@pytest.mark.parametrize(
    ("code", "reads"),
    [
        ('ROOT / "src" / "cline_otel"', True),
        ("ROOT / 'src/cline_otel/__init__.py'", True),
        ('ROOT / "src" / "cline_otel" / "plugin"', False),
        ("Path(cline_otel.__file__).parent", False),
    ],
)
def test_a_path_to_the_source_is_known_by_its_parts(code: str, reads: bool) -> None:
    assert bool(READS_THE_SOURCE.search(code)) is reads
