"""Refuses a bill of materials that lacks a requirement or a hash, or has a tool of the development (`make bom`)."""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = frozenset({"pytest", "mypy", "ruff", "hypothesis"})


def names(requirements: list[str]) -> set[str]:
    """The projects that requirements name, as packages are compared: in lower case, with hyphens."""
    return {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", each, maxsplit=1)[0]).lower() for each in requirements}


def findings(bill: Path) -> Iterator[str]:
    """What is wrong with a bill, a line each."""
    components = {each["name"]: each for each in json.loads(bill.read_text(encoding="utf-8"))["components"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    yield from (
        f"{name} is required and not in it" for name in names(project["project"]["dependencies"]) - {*components}
    )
    yield from (f"{name} is a tool of the development" for name in TOOLS & components.keys())
    for name, each in components.items():
        hashes = [found for reference in each.get("externalReferences", ()) for found in reference.get("hashes", ())]
        if not any(found["alg"] == "SHA-256" for found in hashes):
            yield f"{name} has no SHA-256"


def main() -> int:
    """Checks the bill that is named; returns the exit status."""
    bill = Path(sys.argv[1])
    found = sorted(findings(bill))
    print(*([f"error: {bill}: {finding}" for finding in found] or [f"bom: wrote {bill}"]), sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
