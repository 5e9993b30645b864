"""Documents that are written by hand and comments in code name no file that is not there, and lead to none."""

from __future__ import annotations

import ast
import io
import os
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from source_tree import ROOT, needs_source

PAGES = sorted(path.relative_to(ROOT).as_posix() for pattern in ("*.md", "docs/**/*.md") for path in ROOT.glob(pattern))

MADE = frozenset({".git", ".out", ".venv", "build", "dist", "node_modules", "__pycache__"})

PATH = re.compile(r"[\w.*<>-]+(?:/[\w.*<>-]+)*(?:/|\.(?:py|toml|m?js|ts|md|ya?ml|txt))")
"""What names a file of the project or, with a slash at its end, a folder."""

IN_COMMENT = re.compile(r"(?<![\w/.<>*:-])[\w*<-][\w.*<>-]*(?:/[\w.*<>-]+)+\.(?:py|toml|m?js|ts|md|ya?ml|txt)\b")
"""What names a file of the project where no backticks say so: only what has a slash. Imports begin with a dot."""

ELSEWHERE = frozenset(
    {"telemetry/", "apps/cli/src/logging/adapter.ts", "directory>/plugins/*.js", "plugin-sandbox-bootstrap.js"}
)
"""Names of what lies in the state directory, files of Cline's own, and its folder of plugins."""

CODE = sorted(
    path
    for pattern in ("src/cline_otel/**/*.py", "src/cline-plugin/**/*.[jt]s", "bench/*.py", ".ci/*.py")
    for path in ROOT.glob(pattern)
    if "node_modules" not in path.parts
)

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


def comments_of(path: Path) -> Iterator[str]:
    """The comments of a program, and the docstrings of one in Python."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        yield from re.findall(r"/\*.*?\*/|//[^\n]*", text, re.DOTALL)
        return
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    yield from (token.string for token in tokens if token.type == tokenize.COMMENT)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


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


def test_every_file_that_a_comment_names_is_there(present: str) -> None:
    named_by: dict[str, Path] = {}
    for path in CODE:
        for text in comments_of(path):
            named_by |= dict.fromkeys(IN_COMMENT.findall(text), path.relative_to(ROOT))
    assert len(named_by) > 20
    assert {path.suffix for path in named_by.values()} == {".py", ".js"}
    missing = [name for name in named_by.keys() - ELSEWHERE if not is_there(name, present)]
    assert [f"{named_by[name]}: {name}" for name in missing] == []


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
