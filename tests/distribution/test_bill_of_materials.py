"""The bill of materials has what an installation brings along, with hashes, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEVELOPMENT = {"pytest", "mypy", "ruff", "hypothesis"}


@pytest.mark.skipif(not (ROOT / ".venv").exists(), reason="no checkout that is set up")
def test_every_requirement_is_in_the_bill_with_its_hashes_and_no_tool_of_ours(tmp_path: Path) -> None:
    bill = tmp_path / "bill.cdx.json"
    subprocess.run(["make", "--no-print-directory", "bom", f"BOM={bill}"], cwd=ROOT, check=True, timeout=300)
    components = {each["name"]: each for each in json.loads(bill.read_text("utf-8"))["components"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    required = {re.split(r"[^\w.-]", each, maxsplit=1)[0].replace(".", "-") for each in project["dependencies"]}
    assert required <= components.keys()
    assert not DEVELOPMENT & components.keys()
    for each in components.values():
        hashes = [found for reference in each["externalReferences"] for found in reference["hashes"]]
        assert hashes, each["name"]
        assert all(found["alg"] == "SHA-256" for found in hashes)
