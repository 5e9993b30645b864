"""That the plugin loads where Cline's core is built as for an editor, by what ``install`` writes, and else not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from surroundings import variables_as_found

from .cline_release import install_cline
from .namespace import NamespaceUnavailableError, namespace_command
from .node_runtime import NodeRuntime, find_node

HOST = Path(__file__).with_name("editor_host.mjs")
BOOTSTRAP = "plugin-sandbox-bootstrap.js"
TIMEOUT_SECONDS = 300
assert __package__
ROOT = Path(__file__).resolve().parents[__package__.count(".") + 1]
IN_NAMESPACE = (
    f"import os, sys; from {__package__}.namespace import enter_network; "
    "enter_network(); os.execvp(sys.argv[1], sys.argv[1:])"
)
"""Loopback is down in a network of its own until somebody brings it up."""


class Editor:
    """A home with the extension of an editor: its program is Cline's core without the file that runs plugins."""

    def __init__(self, home: Path, node: NodeRuntime, modules: Path) -> None:
        self.home = home
        self._node = node
        self.program = home / ".vscode" / "extensions" / "saoudrizwan.claude-dev-4.1.13" / "next" / "dist"
        shutil.copytree(
            modules / "@cline" / "core" / "dist", self.program, ignore=lambda _, names: {BOOTSTRAP} & set(names)
        )
        shutil.copy(modules / "@cline" / "core" / "package.json", self.program.parent)
        (self.program.parent / "node_modules").symlink_to(modules)
        (home / "work").mkdir()
        (home / "bin").mkdir()
        (home / "bin" / "cline").symlink_to(modules / "cline" / "bin" / "cline")

    def environment(self, *folders: Path) -> dict[str, str]:
        path = os.pathsep.join([*map(str, folders), str(self._node.node.parent), os.defpath])
        return {"HOME": str(self.home), "SHELL": "/bin/bash", "PATH": path, "CLINE_PLUGIN_IMPORT_TIMEOUT_MS": "60000"}

    def install(self, *options: str) -> None:
        subprocess.run(
            [Path(sys.executable).with_name("cline-otel"), "install", *options],
            env=self.environment(self.home / "bin"),
            check=True,
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
        )

    def run(self) -> list[dict[str, object]]:
        """A prompt, in the environment that the login shell makes; what the plugin wrote of it."""
        program = f'exec node "{HOST}" "{self.program / "index.js"}" "{self.home / "work"}"'
        answer = subprocess.run(
            [*namespace_command(), sys.executable, "-c", IN_NAMESPACE, "bash", "-l", "-c", program],
            env=self.environment() | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=TIMEOUT_SECONDS,
        )
        assert answer.stdout.strip().endswith("completed"), answer.stdout + answer.stderr
        files = sorted((self.home / ".local" / "state" / "cline-otel" / "spool").glob("*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


@pytest.fixture
def editor(tmp_path: Path) -> Editor:
    try:
        namespace_command()
    except NamespaceUnavailableError as error:
        pytest.skip(f"no real Cline was run, for want of a network namespace: {error}")
    with variables_as_found():
        node = find_node()
        modules = next(parent for parent in install_cline(node).parents if parent.name == "node_modules")
    return Editor(tmp_path / "home", node, modules)


def test_without_what_npms_cline_has_the_plugin_does_not_load(editor: Editor) -> None:
    editor.install()
    assert editor.run() == []


@pytest.mark.parametrize("option", ["--editors", "--editor-bootstrap"])
def test_the_plugin_reports_what_was_done_in_an_editor(editor: Editor, option: str) -> None:
    editor.install(option)
    records = editor.run()
    events = [record["event"] for record in records]
    assert events[:2] == ["session.claimed", "run.started"]
    assert events.count("model_call.finished") == 2
    assert [record["outcome"] for record in records if record["event"] == "tool_call.finished"] == ["error"]
    assert "run.finished" in events
