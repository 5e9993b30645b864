"""``docs/settings.md``: current, and with every variable in it that something reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import cline_otel
from cline_otel.settings import load_settings
from cline_otel.settings.reference import Variable, settings_document, variables
from cline_otel.settings.variables import WITHOUT_EFFECT

ROOT = Path(__file__).parents[2]
SOURCES = Path(cline_otel.__file__).parent
PAGE = ROOT / "docs" / "settings.md"
EVERY = {variable.name: variable for variable in variables()}
NAME = re.compile(r"(?:CLINE|OTEL)_[A-Z0-9_]*[A-Z0-9]|DO_NOT_TRACK")
"""What a variable of ours, of Cline's or of OpenTelemetry's looks like."""

LITERAL = re.compile(r"`([^`]+)`")


def test_the_page_is_what_the_models_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_document(), (
        "docs/settings.md is not current: run `make docs` and commit it"
    )


@pytest.mark.parametrize("variable", EVERY.values(), ids=EVERY)
def test_every_variable_is_on_the_page_and_is_described_by_a_sentence(variable: Variable) -> None:
    assert f"`{variable.name}`" in settings_document()
    assert variable.takes
    assert re.fullmatch(r"[A-Z`].*\.", variable.description)


def test_no_variable_is_described_twice() -> None:
    assert len(EVERY) == len(list(variables()))


def named_in_python(path: Path) -> Iterator[str]:
    """Strings that are names of variables, and whatever is asked of something that is called an environment."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and NAME.fullmatch(node.value):
            yield node.value
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and "environ" in ast.unparse(node.func.value)
        ):
            yield from (name.value for name in node.args[:1] if isinstance(name, ast.Constant))
        if isinstance(node, ast.Subscript) and "environ" in ast.unparse(node.value):
            yield from (name.value for name in [node.slice] if isinstance(name, ast.Constant))
        if isinstance(node, ast.Compare) and "environ" in ast.unparse(node.comparators[0]):
            yield from (name.value for name in [node.left] if isinstance(name, ast.Constant))


def named_in_javascript(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    yield from re.findall(r"\benv(?:ironment)?\??\.([A-Z][A-Z_]+)\b", text)
    yield from (name for name in re.findall(r'"([^"\n]*)"', text) if NAME.fullmatch(name))


PYTHON = sorted(SOURCES.rglob("*.py"))
JAVASCRIPT = sorted([*SOURCES.rglob("*.js"), *SOURCES.rglob("*.mjs")])


def test_no_variable_that_the_bridge_or_the_plugin_reads_is_missing() -> None:
    read = {name for path in PYTHON for name in named_in_python(path)}
    read |= {name for path in JAVASCRIPT for name in named_in_javascript(path)}
    assert {"CLINE_DIR", "DO_NOT_TRACK", "GRPC_VERBOSITY", "COLUMNS", "PATH", "CLINE_HUB_DISCOVERY_PATH"} <= read
    # Only where the plugin expands "~".
    missing = read - set(EVERY) - {name for name, _ in WITHOUT_EFFECT} - {"HOME"}
    assert not missing, "make each a field in settings/variables.py, and run `make docs`"


@pytest.mark.parametrize("known", EVERY)
def test_a_default_that_is_shown_is_what_holds_while_the_variable_is_unset(
    known: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    variable = EVERY[known]
    default = LITERAL.fullmatch(variable.unset)
    if default is None:
        assert not re.fullmatch(r"[\w./:-]+", variable.unset), "a value as a default is marked as code"
        return
    for name in EVERY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLINE_OTEL_BRIDGE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")
    unset = load_settings()
    monkeypatch.setenv(variable.name, default[1])
    assert load_settings() == unset
