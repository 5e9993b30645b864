"""The source distribution and the wheel hold what they should, and their page stands on its own."""

from __future__ import annotations

import email.message
import email.parser
import hashlib
import re
import subprocess
import sys
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from bench.picture import DOCS, draw
from markdown_it import MarkdownIt

from cline_otel import __version__
from source_tree import ROOT, SOURCE, needs_source

EXAMPLE = ROOT / "examples" / "delegated-run"
APACHE_2_SHA256 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


@dataclass(frozen=True)
class Built:
    """A source distribution and the wheel that was built from it, with the files of each by name."""

    folder: Path
    sdist: dict[str, bytes]
    wheel: dict[str, bytes]

    @property
    def metadata(self) -> email.message.Message:
        return email.parser.BytesParser().parsebytes(self.wheel[f"cline_otel-{__version__}.dist-info/METADATA"])


def build(source: Path, target: str, folder: Path) -> Path:
    """Builds in ``source`` without network, and returns the one file that it made in ``folder``."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(folder)]
    answer = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("distributions")
    with tarfile.open(build(ROOT, "sdist", folder / "sdist")) as archive:
        archive.extractall(folder)
        (root,) = {name.partition("/")[0] for name in archive.getnames()}
    files = (path for path in (folder / root).rglob("*") if path.is_file())
    sdist = {path.relative_to(folder / root).as_posix(): path.read_bytes() for path in files}
    with zipfile.ZipFile(build(folder / root, "wheel", folder / "wheel")) as archive:
        wheel = {name: archive.read(name) for name in archive.namelist()}
    return Built(folder, sdist, wheel)


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and not path.name.endswith(".d.ts")
    }


@needs_source
def test_the_wheel_holds_the_package_the_example_and_what_describes_them(built: Built) -> None:
    expected = {f"cline_otel/{name}": content for name, content in files_in(SOURCE).items()}
    expected |= {f"cline_otel/examples/{EXAMPLE.name}/{name}": content for name, content in files_in(EXAMPLE).items()}
    described = {name for name in built.wheel if name.startswith(f"cline_otel-{__version__}.dist-info/")}
    assert {name: content for name, content in built.wheel.items() if name not in described} == expected
    assert "cline_otel/py.typed" in expected
    assert "cline_otel/plugin/cline-otel.js" in expected
    assert {name.partition("/")[2] for name in described} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE",
    }  # fmt: skip


@needs_source
def test_a_wheel_built_from_the_source_distribution_is_the_one_built_from_the_repository(built: Built) -> None:
    made = build(ROOT, "wheel", built.folder / "direct")
    (from_sdist,) = (built.folder / "wheel").iterdir()
    assert (made.name, made.read_bytes()) == (from_sdist.name, from_sdist.read_bytes())


@needs_source
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="no repository")
def test_the_source_distribution_holds_every_file_of_the_repository(built: Built) -> None:
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    present = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    assert set(built.sdist) == present | {"PKG-INFO"}


@needs_source
def test_the_license_is_the_whole_apache_license_and_goes_with_both(built: Built) -> None:
    assert hashlib.sha256(built.sdist["LICENSE"]).hexdigest() == APACHE_2_SHA256
    assert built.wheel[f"cline_otel-{__version__}.dist-info/licenses/LICENSE"] == built.sdist["LICENSE"]
    assert built.metadata["License-Expression"] == "Apache-2.0"
    assert built.metadata.get_all("License-File") == ["LICENSE"]


@needs_source
def test_the_page_of_the_package_leads_nowhere_but_to_the_web_and_shows_the_trace(built: Built) -> None:
    assert built.metadata["Description-Content-Type"] == "text/markdown"
    page = built.metadata.get_payload(decode=True)
    assert isinstance(page, bytes)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(page.decode("utf-8"))
    inline = [child for token in tokens for child in token.children or []]
    targets = [str(token.attrs.get("href")) for token in inline if token.type == "link_open"]
    assert targets
    assert [target for target in targets if not target.startswith("https://")] == []
    assert [token.type for token in (*tokens, *inline) if token.type in {"image", "html_block", "html_inline"}] == []
    assert [token.content for token in inline if token.type == "text" and "](" in token.content] == []
    drawings = [token.content for token in tokens if token.type == "fence"]
    assert drawings == [(DOCS / "trace.md").read_text("utf-8").removeprefix("```text\n").removesuffix("```\n")]
    assert "table_open" in {token.type for token in tokens}


def test_both_drawings_of_the_trace_are_current(tmp_path: Path) -> None:
    for drawn in draw(tmp_path):
        assert drawn.read_bytes() == (DOCS / drawn.name).read_bytes(), f"{drawn.name}: run `make picture`"


def test_the_changelog_tells_of_this_version_and_of_what_comes_next() -> None:
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## \[(.+?)\]", text, re.MULTILINE)
    assert headings[0] == "Unreleased"
    unreleased = text.partition("## [Unreleased]")[2].partition("\n## ")[0]
    assert __version__ in headings or f"Becomes {__version__}" in unreleased
