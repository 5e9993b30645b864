"""The jobs that docs/ci.md shows are jobs, and what they call is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from cline_otel.cli.main import main
from cline_otel.settings.reference import variables

PAGE = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
JOBS: list[dict[str, Any]] = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
GITHUB, GITLAB = JOBS


def commands() -> list[str]:
    """Every command of ours that the page shows, in jobs and beside them."""
    steps = [step["run"] for step in GITHUB["jobs"]["agent"]["steps"] if "run" in step]
    lines = [*steps, *GITLAB["agent"]["script"], *re.findall(r"^    (\S.*)$", PAGE, re.MULTILINE)]
    ours = [part.strip() for line in lines for part in line.split("|") if part.strip().startswith("cline-otel ")]
    return sorted(set(ours))


@pytest.mark.parametrize("line", commands())
def test_a_command_that_is_shown_can_be_given(line: str) -> None:
    _, name, *arguments = shlex.split(line)
    command = main.get_command(click.Context(main), name)
    assert command is not None
    command.make_context(name, arguments)


def test_both_jobs_run_cline_by_exec_after_the_plugin_is_installed() -> None:
    for lines in ([step.get("run", "") for step in GITHUB["jobs"]["agent"]["steps"]], GITLAB["agent"]["script"]):
        ours = [line for line in lines if line.startswith("cline-otel ")]
        assert ours[0] == "cline-otel install"
        assert ours[1].startswith("cline-otel exec -- cline ")


def test_a_secret_is_a_secret_of_the_ci_system() -> None:
    environment = GITHUB["jobs"]["agent"]["env"]
    secret = {name for name in environment if name.endswith("HEADERS")}
    assert secret
    for name in secret:
        assert environment[name].startswith("${{ secrets.")


def test_every_variable_that_the_page_names_is_one_that_something_reads() -> None:
    known = {variable.name for variable in variables()}
    named = set(re.findall(r"`?\b((?:CLINE|OTEL)_[A-Z_]*[A-Z])\b", PAGE))
    assert named <= known
    assert {"CLINE_OTEL_TRACE_URL", "CLINE_OTEL_TRACEPARENT_AS"} <= named
