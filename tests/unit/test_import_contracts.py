"""The import contracts hold, and each of them fails on what it is there for."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

PLANTED = {
    "a module that stands in no layer": ("unheard_of.py", "", "not listed as layers"),
    "a package that stands in no layer": ("unheard_of/__init__.py", "", "not listed as layers"),
    "consent importing what it is part of": ("consent/planted.py", "import cline_otel.bridge", "flow one way"),
    "settings importing an exporter": ("settings/values.py", "import cline_otel.export.exporters", "flow one way"),
    "settings importing the plugin": ("settings/values.py", "import cline_otel.plugin.install", "flow one way"),
    "a circle within a package": ("privacy/pseudonyms.py", "import cline_otel.privacy.policy", "No circles"),
    "a command importing another": ("cli/off.py", "import cline_otel.cli.status", "Commands"),
    "a command that stands in no layer": ("cli/planted.py", "", "Commands"),
    "a view importing another": ("terminal/traces.py", "import cline_otel.terminal.metrics", "Views"),
    "an exporter importing a loop": ("export/otlp_file.py", "import cline_otel.export.delivery_loop", "Delivery"),
    "one variable's meaning importing the whole": ("settings/values.py", "import cline_otel.settings.load", "Settings"),
    "a table importing the journal": ("journal/schema.py", "import cline_otel.journal.store", "journal"),
    "the rule of consent importing the watch": ("consent/decision.py", "import cline_otel.consent.watch", "Consent"),
    "one signal's encoding importing another's": ("encode/logs.py", "import cline_otel.encode.traces", "encoded"),
    "the core importing a clock": ("translate/state.py", "import time", "The core"),
}
"""Where a line is added to a copy of the source, and what names the contract that it breaks."""


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name("lint-imports")
    # The copy stands before the installed package on the path.
    return subprocess.run(
        [command, "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=directory,
        env={"PYTHONPATH": str(directory), "PATH": "", "COLUMNS": "200"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "src" / "cline_otel", tmp_path / "cline_otel", ignore=ignored)
    return tmp_path


def test_the_source_as_it_is_keeps_every_contract(copy: Path) -> None:
    answer = lint(copy)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "0 broken" in answer.stdout


@pytest.mark.parametrize(("file", "line", "broken"), PLANTED.values(), ids=PLANTED)
def test_a_planted_import_breaks_its_contract(copy: Path, file: str, line: str, broken: str) -> None:
    path = copy / "cline_otel" / file
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")
    answer = lint(copy)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    contracts = answer.stdout.partition("Broken contracts")[2]
    assert broken in contracts, answer.stdout


def test_every_contract_has_an_import_here_that_breaks_it() -> None:
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    for contract in configuration["tool"]["importlinter"]["contracts"]:
        assert any(broken in contract["name"] for *_, broken in PLANTED.values()), contract["name"]
