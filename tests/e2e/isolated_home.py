"""A home folder and a workspace for one scenario, with a word planted wherever a person's secrets lie."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .scenarios import Scenario

_README = "# The shop of {file_word}\n\nFor internal use by {file_word}.\n"
_SHOP = "TOKEN = '{file_word}'\n\n\ndef price(net):\n    return net\n\n\nprint(price(2))\n"
_SKILL = "---\nname: {skill_word}\ndescription: How the shop of {file_word} counts.\n---\nCount {file_word}.\n"
_AGENT = "---\nname: {agent_word}\ndescription: Knows the shop of {file_word}.\n---\nYou know {file_word}.\n"
_HOOK = '#!/bin/sh\ncat >"$(mktemp {folder}/XXXXXXXXXX)"\necho "{{}}"\n'


@dataclass(frozen=True)
class IsolatedHome:
    """The folders of one scenario: Cline's home, its workspace, and where the tool hook writes what it is told."""

    home: Path
    workspace: Path
    tool_witness: Path

    @property
    def cline_directory(self) -> Path:
        """Cline's own folder."""
        return self.home / ".cline"

    @property
    def hub_record(self) -> Path:
        """The file by which Cline's hub daemon says that it runs."""
        return self.cline_directory / "data" / "locks" / "hub" / "production.json"


def build_home(scenario: Scenario, folder: Path, words: Mapping[str, str], model_port: int) -> IsolatedHome:
    """Makes the home below ``folder``: provider settings, the tool hook, perhaps an MCP server, and a git workspace.

    The hook is Cline's own ``PostToolUse``, which is told when a tool started and ended: a witness that
    owes nothing to the plugin.
    """
    home = folder / f"home-{words['home_word']}"
    places = IsolatedHome(home, home / f"work-{words['path_word']}", folder / "tool_witness")
    for path in (places.workspace, places.tool_witness):
        path.mkdir(parents=True)
    settings = places.cline_directory / "data" / "settings"
    _write_json(settings / "providers.json", _providers(scenario, words, model_port))
    if scenario.mcp_server:
        arguments = ["-I", str(Path(__file__).with_name("mcp_server.py")), words["mcp_tool_word"]]
        server = {"command": sys.executable, "args": arguments}
        _write_json(settings / "cline_mcp_settings.json", {"mcpServers": {words["server_word"]: server}})
    hook = places.cline_directory / "hooks" / "PostToolUse"
    hook.parent.mkdir()
    hook.write_text(_HOOK.format(folder=places.tool_witness))
    hook.chmod(0o755)
    for name, text in ((f"skills/{words['skill_word']}/SKILL.md", _SKILL), ("agents/own.yml", _AGENT)):
        (places.cline_directory / name).parent.mkdir(parents=True)
        (places.cline_directory / name).write_text(text.format(**words))
    _fill_workspace(places.workspace, words)
    return places


def _providers(scenario: Scenario, words: Mapping[str, str], model_port: int) -> dict[str, object]:
    settings = {
        "provider": scenario.provider,
        "apiKey": words["key_word"],
        "model": scenario.model,
        "baseUrl": f"http://127.0.0.1:{model_port}/v1",
    }
    entry = {"settings": settings, "updatedAt": "2026-01-01T00:00:00.000Z", "tokenSource": "manual"}
    return {"version": 1, "lastUsedProvider": scenario.provider, "providers": {scenario.provider: entry}}


def _fill_workspace(workspace: Path, words: Mapping[str, str]) -> None:
    (workspace / "README.md").write_text(_README.format(**words))
    (workspace / "shop.py").write_text(_SHOP.format(**words))
    person = ["-c", f"user.name={words['person_word']}", "-c", f"user.email={words['person_word']}@example.com"]
    remote = f"https://someone:{words['git_word']}@git.example.com/{words['path_word']}.git"
    for arguments in (
        ["init", "-q"],
        ["checkout", "-q", "-b", f"topic/{words['branch_word']}"],
        ["add", "-A"],
        [*person, "commit", "-q", "-m", "first"],
        ["remote", "add", "origin", remote],
    ):
        subprocess.run(["git", "-C", str(workspace), *arguments], check=True, timeout=300)


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
