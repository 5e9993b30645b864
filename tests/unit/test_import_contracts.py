"""The import contracts hold, and each of them fails on what it is there for."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import cline_otel

ROOT = Path(__file__).parents[2]
PACKAGE = Path(cline_otel.__file__).parent
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]

FLOW = "Imports flow one way"
PLANTED = {
    "task files": ("Task files", "sources.task_files.dialect", "sources.task_files.story"),
    "consent importing what is put together of it": (FLOW, "consent.planted", "bridge"),
    "settings importing an exporter": (FLOW, "settings.values", "export.exporters"),
    "settings importing the plugin": (FLOW, "settings.values", "plugin.install"),
    "a circle within a package": ("No circles", "privacy.pseudonyms", "privacy.policy"),
    "a command importing another": ("Commands", "cli.off", "cli.status"),
    "a view importing another": ("Views", "terminal.traces", "terminal.metrics"),
    "an exporter importing a loop": ("Delivery", "export.otlp_file", "export.delivery_loop"),
    "the meaning of one value importing the whole": ("Settings", "settings.values", "settings.load"),
    "a table importing the journal": ("The journal", "journal.schema", "journal.store"),
    "the rule of consent importing who looks": ("Consent", "consent.decision", "consent.watch"),
    "one signal's encoding importing another's": ("Signals", "encode.logs", "encode.traces"),
    "a service manager importing another": ("Service managers", "service.systemd", "service.launchd"),
    "one source importing another": ("No source", "sources.plugin.spool", "sources.otlp.http_receiver"),
    "a decoder importing what receives": ("Within a source", "sources.otlp.decode", "sources.otlp.http_receiver"),
    "what is remembered importing a step": ("Translation", "translate.state", "translate.step"),
    "buckets importing totals": ("Aggregation", "aggregation.exponential", "aggregation.totals"),
    "a value importing the catalogue": ("The catalogue", "catalogue.values", "catalogue.load"),
    "the interface of processes importing one system's": (
        "The operating system",
        "operating_system.process_interface",
        "operating_system.linux_processes",
    ),
    "a name of a model importing a detector": ("Privacy", "privacy.model_names", "privacy.secret_detectors"),
    "an edit importing what was told": (
        "What conversations",
        "sources.conversations.edits",
        "sources.conversations.told",
    ),
    "a conversation importing who follows sessions": (
        "Session files",
        "sources.session_files.walk",
        "sources.session_files.input",
    ),
    "what is found importing what is put there": ("The plugin", "plugin.editors", "plugin.bootstrap"),
    "what was found importing who takes it": ("An import", "importing.found", "importing.taking"),
    "what leaves importing a preview": ("A preview", "preview.leaving", "preview.recording"),
}
"""How the name of a contract begins, and an import that breaks it."""


def copied(directory: Path) -> Path:
    shutil.copytree(PACKAGE, directory / "cline_otel", ignore=shutil.ignore_patterns("__pycache__"))
    return directory


def lint(directory: Path) -> subprocess.CompletedProcess[str]:
    """What is said of the copy, which stands before the installed package on the path."""
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [command, "--config", ROOT / "pyproject.toml", "--no-cache"],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(directory), "COLUMNS": "500"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def breaches(answer: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What is said of each contract that is broken."""
    text = answer.stdout.partition("\nBroken contracts\n")[2]
    names = [contract["name"] for contract in CONTRACTS]
    parts = re.split(rf"^({'|'.join(map(re.escape, names))})\n-+$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    directory = copied(tmp_path_factory.mktemp("planted"))
    for _, importer, imported in PLANTED.values():
        path = directory.joinpath("cline_otel", *importer.split(".")).with_suffix(".py")
        with path.open("a", encoding="utf-8") as source:
            source.write(f"\nimport cline_otel.{imported}\n")
    with (directory / "cline_otel" / "translate" / "state.py").open("a", encoding="utf-8") as source:
        source.write("\nimport time\n")
    return breaches(lint(directory))


def test_the_source_as_it_is_keeps_every_contract(tmp_path: Path) -> None:
    answer = lint(copied(tmp_path))
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert f"{len(CONTRACTS)} kept, 0 broken" in answer.stdout


@pytest.mark.parametrize(("contract", "importer", "imported"), PLANTED.values(), ids=PLANTED)
def test_an_import_that_is_planted_breaks_its_contract(
    contract: str, importer: str, imported: str, planted: dict[str, str]
) -> None:
    (said,) = [text for name, text in planted.items() if name.startswith(contract)]
    if contract == "No circles":
        assert imported.partition(".")[0] in said
    else:
        assert f"cline_otel.{importer} -> cline_otel.{imported} " in said


def test_every_contract_is_broken_by_some_import(planted: dict[str, str]) -> None:
    assert set(planted) == {contract["name"] for contract in CONTRACTS}


def test_every_package_of_more_than_four_modules_has_a_contract_of_its_own() -> None:
    contained = {container for contract in CONTRACTS for container in contract.get("containers", ())}
    for package in PACKAGE.rglob("__init__.py"):
        modules = [path for path in package.parent.glob("*.py") if path.name != "__init__.py"]
        if len(modules) > 4:
            assert ".".join(package.parent.relative_to(PACKAGE.parent).parts) in contained


def test_a_module_that_stands_in_no_layer_breaks_the_contract_of_where_it_is(tmp_path: Path) -> None:
    exhaustive = {contract["name"]: contract["containers"][0] for contract in CONTRACTS if contract.get("exhaustive")}
    assert FLOW in exhaustive
    directory = copied(tmp_path)
    for container in exhaustive.values():
        directory.joinpath(*container.split("."), "unheard_of.py").write_text("", encoding="utf-8")
    said = breaches(lint(directory))
    assert set(said) == set(exhaustive)
    for name, container in exhaustive.items():
        assert "not listed as layers" in said[name]
        assert "unheard_of" in said[name], container
