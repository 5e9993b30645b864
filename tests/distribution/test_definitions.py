"""What continuous integration and pre-commit are told to run is there, and says what the package says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from source_tree import ROOT

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PRE_COMMIT = ROOT / ".pre-commit-config.yaml"


def loaded(path: Path) -> dict[Any, Any]:
    content = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def jobs() -> dict[str, Any]:
    found = loaded(WORKFLOW)["jobs"]
    assert isinstance(found, dict)
    return found


def steps() -> list[dict[str, Any]]:
    return [step for job in jobs().values() for step in job["steps"]]


def commands() -> list[str]:
    """Every line that is run."""
    of_jobs = [line for step in steps() if "run" in step for line in step["run"].splitlines()]
    return [*of_jobs, *(hook["entry"] for repository in loaded(PRE_COMMIT)["repos"] for hook in repository["hooks"])]


def targets() -> set[str]:
    """What make can be asked for."""
    return set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("command", commands())
def test_every_command_is_there(command: str) -> None:
    program, *arguments = shlex.split(command)
    if program == "make":
        assert set(arguments) <= targets()
    elif program == "python":
        done = subprocess.run(
            [sys.executable, ROOT / arguments[0], "--help"], capture_output=True, text=True, check=True
        )
        assert all(option in done.stdout for option in arguments[1:] if option.startswith("--"))
    else:
        assert command == "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"


def test_the_workflow_is_valid_by_the_schema_of_workflows() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", str(WORKFLOW)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_wheel_is_tested_on_every_python_that_the_classifiers_name() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    named = re.findall(r"Python :: (3\.\d+)$", "\n".join(project["classifiers"]), re.MULTILINE)
    assert jobs()["wheel"]["strategy"]["matrix"]["python"] == named
    assert project["requires-python"] == f">={named[0]}"


def test_no_job_may_do_more_than_read() -> None:
    assert loaded(WORKFLOW)["permissions"] == {"contents": "read"}
    assert [name for name, job in jobs().items() if "permissions" in job] == []
    checkouts = [step for step in steps() if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == len(jobs())
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_actions_are_those_of_the_platform_each_at_a_major_version() -> None:
    used = {step["uses"] for step in steps() if "uses" in step}
    assert used
    assert [action for action in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", action)] == []


def test_pre_commit_runs_what_is_here_alone() -> None:
    assert [repository["repo"] for repository in loaded(PRE_COMMIT)["repos"]] == ["local"]


@pytest.mark.parametrize("page", ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_a_page_for_contributors_asks_make_for_what_there_is(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert set(re.findall(r"(?:^ {4}|`)make ([a-z0-9-]+)", text, re.MULTILINE)) <= targets()


def test_every_run_of_the_tests_says_which_were_the_slowest(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getoption("durations") is not None
