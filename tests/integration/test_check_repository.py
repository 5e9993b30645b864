"""What may not be committed is found, told by file and line, and not repeated if it is secret."""

from __future__ import annotations

import random
import shutil
import string
import subprocess
import sys
from pathlib import Path

import pytest

from waiting import PATIENCE_SECONDS

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "check_repository.py"

_random = random.Random(7)
HASH = f"    --hash=sha256:{'0a' * 32}"
TOKEN = "ghp_" + "".join(_random.choices(string.ascii_letters + string.digits, k=24))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / ".ci").mkdir(parents=True)
    shutil.copy(SCRIPT, root / ".ci")
    subprocess.run(["git", "init", "--quiet", root], check=True)
    return root


def check(root: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, root / ".ci" / SCRIPT.name],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def test_a_repository_with_nothing_wrong_passes_silently(repository: Path) -> None:
    (repository / "constraints.txt").write_text(
        f"aiohttp==3.14.5 \\\n{HASH} \\\n{HASH}\ncolorama==0.4.6 ; sys_platform == 'win32' \\\n{HASH}\n"
    )
    (repository / "notes.md").write_text(
        "Posts to /v1/traces; see https://example.org/root/page, ~/.cache and /tmp/x.\n"
    )
    answer = check(repository)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("setup.cfg", "first\nurl = https://" + "pypi" + ".org/simple\n", "setup.cfg:2: names the package index"),
        ("Makefile", "pip install --index-" + "url x\n", "Makefile:1: sets a package index"),
        ("package-lock.json", '"https://registry.npm' + 'js.org/a"\n', "package-lock.json:1: names the package index"),
        ("notes.md", f"see {Path.home()}/notes\n", "notes.md:1: names"),
        ("deep/notes.md", "at /ro" + "ot/.bashrc\n", "deep/notes.md:1: names"),
        ("key.txt", f"token={TOKEN}\n", "key.txt:1: looks like a secret"),
        (
            "constraints.txt",
            f"a==1 \\\n{HASH}\nb @ https://example.org/b.whl\n",
            "constraints.txt:3: is neither NAME==",
        ),
        ("constraints-node.txt", "-e .\n", "constraints-node.txt:1: is neither NAME=="),
        ("constraints.txt", "a==1\n", "constraints.txt:1: is neither NAME=="),
        ("big.bin", "\0" * 600_000, "big.bin: 600000 bytes"),
    ],
)
def test_what_may_not_be_committed_is_found(repository: Path, name: str, content: str, told: str) -> None:
    path = repository / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    answer = check(repository)
    assert answer.returncode == 1
    assert told in answer.stdout
    assert TOKEN not in answer.stdout


def test_a_path_of_the_checkout_itself_is_found(repository: Path) -> None:
    (repository / "script.sh").write_text(f"cd {repository}/src\n")
    assert "script.sh:1: names" in check(repository).stdout


def test_what_git_ignores_is_not_read(repository: Path) -> None:
    (repository / ".gitignore").write_text("ignored.txt\n")
    (repository / "ignored.txt").write_text(TOKEN)
    assert check(repository).returncode == 0
