"""A document that is written by hand names no file that is not there, and leads to none."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_tree import ROOT, needs_source

PAGES = sorted(path.relative_to(ROOT).as_posix() for pattern in ("*.md", "docs/**/*.md") for path in ROOT.glob(pattern))

MADE = frozenset({".git", ".out", ".venv", "build", "dist", "node_modules", "__pycache__"})

PATH = re.compile(r"[\w.*<>-]+(?:/[\w.*<>-]+)*(?:/|\.(?:py|toml|m?js|ts|md|ya?ml|txt))")
"""What names a file of the project or, with a slash at its end, a folder."""

ELSEWHERE = frozenset({"telemetry/"})
"""Names of what lies in the state directory."""

pytestmark = needs_source


@pytest.fixture(scope="module")
def present() -> str:
    """Every file and folder of the project, one a line, each behind a slash."""
    names = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = sorted(set(folders) - MADE)
        at = f"/{Path(folder).relative_to(ROOT).as_posix()}/"
        names += [at + name for name in files] + [f"{at}{name}/" for name in folders]
    return "\n".join(names)


def named(text: str) -> Iterator[str]:
    """What looks like a path, between backticks."""
    for code in re.findall(r"`([^`\n]+)`", text):
        yield from (word for word in code.split() if PATH.fullmatch(word) and word not in ELSEWHERE)


def is_there(name: str, present: str) -> bool:
    """Whether a file or folder has this path, or a path that ends with it; ``*`` and ``<name>`` are any name."""
    pattern = re.sub(r"\\\*|<\w+>", "[^/\n]*", re.escape(name))
    return re.search(f"/{pattern}$", present, re.MULTILINE) is not None


def anchors(page: Path) -> set[str]:
    """Where links into a page can lead."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page: str, present: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert [name for name in named(text) if not is_there(name, present)] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading_of_it(page: str) -> None:
    path = ROOT / page
    broken = []
    for link in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text("utf-8")):
        target, _, anchor = link.partition("#")
        there = path.parent / target if target else path
        if not there.exists() or (anchor and anchor not in anchors(there)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("translate/step.py", True),
        ("sources/<name>/catalogue.toml", True),
        ("sources/*/decode.py", True),
        ("translate/", True),
        ("translate/derive.py", False),
        ("ranslate/step.py", False),
        ("translate/step", False),
        ("step/", False),
    ],
)
def test_a_path_is_known_by_its_end_and_by_whole_names(name: str, found: bool, present: str) -> None:
    assert is_there(name, present) is found
