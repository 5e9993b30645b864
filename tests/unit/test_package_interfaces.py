"""What a package offers has one meaning each."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import pytest

import cline_otel

SOURCES = Path(cline_otel.__file__).parent
PACKAGES = sorted(path.parent.relative_to(SOURCES).as_posix() for path in SOURCES.glob("*/__init__.py"))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_has_two_public_classes_of_one_name(package: str) -> None:
    names = Counter(
        node.name
        for path in (SOURCES / package).rglob("*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, times in names.items() if times > 1] == []
