"""Refuses what must never be committed: package indexes, places of one machine, secrets, big files.

Reads every file that git tracks or would add. Prints one line a finding and ends with status 1 if
there is any. Needs nothing but Python 3.11 and git.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

LARGEST_BYTES = 512 * 1024

# Written in pieces, so that this file does not find itself.
PACKAGE_INDEXES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("proxy", "golang", "org"),
        ("sum", "golang", "org"),
        ("crates", "io"),
        ("repo1", "maven", "org"),
        ("repo", "maven", "apache", "org"),
        ("rubygems", "org"),
    )
)
INDEX_OPTION = re.compile("|".join(("--(?:extra-)?index-" + "url", "--find-" + "links", "--trusted-" + "host")))

SECRET = re.compile(
    r"\bsk-(?=[\w-]*\d)[A-Za-z0-9_-]{16,}"
    r"|\bgh[oprsu]_[A-Za-z0-9]{12,}"
    r"|\bgithub_pat_[A-Za-z0-9_]{20,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bAIza[A-Za-z0-9_-]{35}"
    r"|\bxox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\."
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----\s*[A-Za-z0-9+/]{20}"
)

CONSTRAINT_FILE = re.compile(r"constraints[a-z-]*\.txt")
CONSTRAINT = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*==[^\s;@/]+(?: ; [^\\@/]+)? \\|    --hash=sha256:[0-9a-f]{64}(?: \\)?"
)

# First parts of paths that every machine has, so that naming one tells nothing.
COMMON_ROOTS = frozenset({"tmp", "var", "usr", "opt", "etc", "home", "Users", "private", "mnt", "srv", "dev", "proc"})


def files(root: Path) -> list[Path]:
    """What git tracks or would add, relative to ``root``, in order."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=root, capture_output=True, check=True,
    )  # fmt: skip
    names = sorted(set(listed.stdout.decode().split("\0")) - {""})
    return [Path(name) for name in names if (root / name).is_file()]


def machine_paths(root: Path, home: Path) -> re.Pattern[str]:
    """Matches paths of this machine: its home directory, its checkout and the superuser's home."""
    prefixes = {"/root", str(home), str(root)}
    prefixes |= {
        f"/{path.parts[1]}" for path in (root, home) if len(path.parts) > 1 and path.parts[1] not in COMMON_ROOTS
    }
    longest_first = sorted((prefix for prefix in prefixes if prefix != "/"), key=len, reverse=True)
    return re.compile(r"(?<![\w.})/-])(?:" + "|".join(map(re.escape, longest_first)) + r")/[\w.]")


def findings(path: Path, content: bytes, paths: re.Pattern[str]) -> Iterator[str]:
    """What is wrong with one file, a line a finding; never the secret itself."""
    if len(content) > LARGEST_BYTES:
        yield f"{path}: {len(content)} bytes, more than {LARGEST_BYTES}; keep it out or make it smaller"
    if b"\0" in content:
        return
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        place = f"{path}:{number}"
        for host in PACKAGE_INDEXES:
            if host in line:
                yield f"{place}: names the package index {host}; leave the index to the machine's configuration"
        if INDEX_OPTION.search(line):
            yield f"{place}: sets a package index; leave it to the machine's configuration"
        if match := paths.search(line):
            yield f"{place}: names {match[0]}..., a path of this machine; make it relative or a setting"
        if SECRET.search(line):
            yield f"{place}: looks like a secret; generate it where it is needed"
        if CONSTRAINT_FILE.fullmatch(path.name) and not CONSTRAINT.fullmatch(line):
            yield f"{place}: is neither NAME==VERSION nor one of its hashes; run `make lock`"


def main() -> int:
    """Checks the repository around this file; returns the exit status."""
    root = Path(__file__).resolve().parents[1]
    paths = machine_paths(root, Path.home())
    found = [finding for path in files(root) for finding in findings(path, (root / path).read_bytes(), paths)]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
