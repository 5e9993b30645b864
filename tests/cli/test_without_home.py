"""A user without a home directory, as in many containers: what needs none works, the rest says what to set."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bridge.process import EXECUTABLE, is_one_clear_line
from bridge.workload import EXAMPLE
from waiting import PATIENCE_SECONDS

Run = Callable[..., subprocess.CompletedProcess[str]]

SETPRIV = shutil.which("setpriv")
_CAPABILITIES = "+dac_override,+dac_read_search"
_UNKNOWN_USER = "import pwd\n\ndef unknown(user_id):\n    raise KeyError(user_id)\n\npwd.getpwuid = unknown\n"


@pytest.fixture(params=["a user that the system does not know", "a system that knows no user"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """Runs a command in an empty folder, without variables but those that are given."""
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
    wrapper: list[str] = []
    if request.param == "a system that knows no user":
        pytest.importorskip("pwd", reason="Windows knows every user")
        folder = tmp_path / "python"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(_UNKNOWN_USER)
        environment["PYTHONPATH"] = str(folder)
    elif SETPRIV is None or os.geteuid() != 0:
        pytest.skip("takes root and setpriv")
    else:
        # The capabilities let it read an interpreter and write a folder that are root's; they make nobody known.
        wrapper = [SETPRIV, "--reuid=54321", "--regid=54321", "--clear-groups"]
        wrapper += [f"--inh-caps={_CAPABILITIES}", f"--ambient-caps={_CAPABILITIES}"]
    work = tmp_path / "work"
    work.mkdir()

    def run(*arguments: str | Path, **variables: str | Path) -> subprocess.CompletedProcess[str]:
        named: Mapping[str, str] = {name: str(value) for name, value in variables.items()}
        return subprocess.run(
            [*wrapper, EXECUTABLE, *arguments],
            env=environment | named,
            cwd=work,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    return run


def test_what_needs_no_home_directory_works_and_leaves_nothing_behind(run: Run, tmp_path: Path) -> None:
    for arguments in (["--help"], ["explain", "task.tokens"], ["preview", "--json", EXAMPLE / "cline.log"]):
        answer = run(*arguments)
        assert (answer.returncode, len(answer.stdout) > 100) == (0, True), answer.stderr
    assert list((tmp_path / "work").iterdir()) == []
    answer = run("replay", EXAMPLE, "--output", "out")
    assert answer.returncode == 0, answer.stderr
    assert {path.name for path in (tmp_path / "work").rglob("*")} == {
        "out",
        "traces.jsonl",
        "metrics.jsonl",
        "logs.jsonl",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--no-listen"],
        ["demo"],
        ["off"],
        ["on"],
        ["status"],
        ["preview", "--last", "3"],
        ["key", "rotate"],
        ["install"],
        ["replay", str(EXAMPLE), "--send"],
    ],
    ids=" ".join,
)
def test_what_keeps_files_of_its_own_names_the_variable_that_says_where(
    run: Run, tmp_path: Path, arguments: list[str]
) -> None:
    answer = run(*arguments, CLINE_DIR=tmp_path / "cline")
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, "CLINE_OTEL_BRIDGE_STATE_DIR", "no home directory", "name a directory")
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("arguments", [["run", "--no-listen"], ["install"], ["uninstall"]], ids=" ".join)
def test_what_has_to_know_where_cline_is_names_the_variable_that_says_so(
    run: Run, tmp_path: Path, arguments: list[str]
) -> None:
    answer = run(*arguments, CLINE_OTEL_BRIDGE_STATE_DIR=tmp_path / "state")
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, "CLINE_DIR", "no home directory", "name its directory"), answer.stderr
    assert not (tmp_path / "state").exists()


def test_where_every_place_is_named_all_works(run: Run, tmp_path: Path) -> None:
    named = {"CLINE_OTEL_BRIDGE_STATE_DIR": tmp_path / "state", "CLINE_DIR": tmp_path / "cline"}
    for arguments in (["install"], ["demo"], ["off"], ["on"], ["status"], ["key", "rotate"], ["uninstall"]):
        answer = run(*arguments, **named)
        assert answer.returncode == 0, (arguments, answer.stderr)
    answer = run("install", "--cline-dir", "~/cline", CLINE_OTEL_BRIDGE_STATE_DIR=tmp_path / "state")
    assert answer.returncode == 2
    assert is_one_clear_line(answer.stderr, "--cline-dir", "give the whole path"), answer.stderr
