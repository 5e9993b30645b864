"""Runs the tests against the wheel in ``dist`` instead of the source tree (`make test-wheel`, `make redteam`).

For each Python a fresh environment gets what constraints.txt names, checked against its hashes, and
the wheel. The tests run in the unpacked source distribution without the package, so that nothing but
the wheel's can be imported, and so that a file missing from either distribution is noticed. Tests that
need a collector are left out unless asked for. Needs Python 3.11 or newer and its standard library.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DISTRIBUTIONS = ROOT / "dist"
WORK = ROOT / ".out" / "wheel"
SCRIPTS = Path(sysconfig.get_path("scripts", "venv", vars={"base": "."}))
PACKAGE = "src/cline_otel"

TELL_VERSION = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
TELL_PACKAGE = "import cline_otel; print(cline_otel.__path__[0])"


class FailedError(Exception):
    """The wheel could not be tested; the message says why."""


def supported_versions() -> list[str]:
    """The Pythons that the classifiers of pyproject.toml name, for example ``3.11``, oldest first."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return re.findall(r"Python :: (3\.\d+)$", "\n".join(project["classifiers"]), re.MULTILINE)


def version_of(python: str) -> str | None:
    """The version of an interpreter that runs and can make environments, for example ``3.11``, or ``None``."""
    try:
        answer = subprocess.run([python, "-c", TELL_VERSION], capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()


def interpreters() -> Iterator[str]:
    """One interpreter for each supported version that this machine has: on PATH or, if it is not, in pyenv's folder."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    for version in supported_versions():
        candidates = [f"python{version}", *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))]
        found = next((candidate for candidate in candidates if version_of(candidate) == version), None)
        if found is None:
            print(f"test-wheel: no Python {version} here")
        else:
            yield found


def run(*command: str | Path, cwd: Path = ROOT) -> None:
    """Runs a command whose output goes to ours.

    Raises:
        FailedError: it ended with another status than 0.
    """
    status = subprocess.run(command, cwd=cwd, check=False).returncode  # noqa: S603
    if status:
        raise FailedError(f"{' '.join(map(str, command))}: status {status}")


def only(pattern: str) -> Path:
    """The one distribution that matches.

    Raises:
        FailedError: there is none, or there are several.
    """
    found = list(DISTRIBUTIONS.glob(pattern))
    if len(found) != 1:
        raise FailedError(f"{len(found)} files dist/{pattern}; build one with `make dist`")
    return found[0]


def unpack_without_package(tree: Path) -> None:
    """Lays the source distribution at ``tree``, but for the package's source.

    Raises:
        FailedError: there is not one source distribution.
    """
    archive = only("*.tar.gz")
    shutil.unpack_archive(archive, tree.parent)
    (tree.parent / archive.name.removesuffix(".tar.gz")).rename(tree)
    shutil.rmtree(tree / PACKAGE)


def prepare(python: str, place: Path) -> tuple[Path, Path]:
    """Makes an environment with the wheel and a tree with the tests in ``place``.

    Returns:
        The environment's folder of executables, and the tree.

    Raises:
        FailedError: something cannot be installed, does not fit the wheel, or shadows it.
    """
    shutil.rmtree(place, ignore_errors=True)
    environment, tree = place / "environment", place / "tree"
    run(python, "-m", "venv", environment)
    executables = environment / SCRIPTS
    pip = (executables / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "install", "--require-hashes", "-r", ROOT / "constraints.txt")
    run(*pip, "install", "--no-deps", only("*.whl"))
    run(*pip, "check")
    unpack_without_package(tree)
    answer = subprocess.run(  # noqa: S603
        [executables / "python", "-c", TELL_PACKAGE], cwd=tree, capture_output=True, text=True, check=True
    )
    installed = Path(answer.stdout.strip())
    if not installed.is_relative_to(environment):
        raise FailedError(f"{installed} is imported, which is not the wheel's")
    # The plugin's tests find the plugin by its path.
    shutil.copytree(
        installed / "plugin", tree / PACKAGE / "plugin", ignore=shutil.ignore_patterns("*.py", "__pycache__")
    )
    return executables, tree


def test(executables: Path, tree: Path, folder: str, arguments: list[str]) -> None:
    """Runs the plugin's tests and the others, or those of one folder alone.

    Raises:
        FailedError: a test failed, or none ran.
    """
    node = shutil.which("node")
    if folder:
        arguments = [folder, *arguments]
    elif node is None:
        print("test-wheel: no node on PATH, the plugin's own tests are left out")
    else:
        run(node, "--test", *sorted((tree / "tests" / "plugin").glob("*.test.mjs")), cwd=tree)
    run(executables / "pytest", *arguments, cwd=tree)


def main() -> int:
    """Tests with each interpreter; returns the exit status."""
    parser = argparse.ArgumentParser(description="Runs the tests against the wheel in dist.")
    parser.add_argument(
        "pythons", nargs="*", metavar="PYTHON", help="interpreters; all that are found if none is named"
    )
    parser.add_argument("--collector", action="store_true", help="with the tests that need a collector")
    parser.add_argument("--folder", default="", help="only the tests of this folder, for example tests/redteam")
    parser.add_argument("--pytest", default="", metavar="ARGUMENTS", help="further arguments of pytest, in one string")
    options = parser.parse_args()
    pytest_arguments = [*([] if options.collector else ["-m", "not collector"]), *shlex.split(options.pytest)]
    results = []
    for python in options.pythons or interpreters():
        started, version = time.monotonic(), version_of(python)
        try:
            if version not in supported_versions():
                raise FailedError(f"{python} is no Python that the classifiers name, or does not run")
            test(*prepare(python, WORK / version), options.folder, pytest_arguments)
            result = "passed"
        except FailedError as error:
            result = f"FAILED: {error}"
        results.append((f"{version or python}, {time.monotonic() - started:.0f} s: ", result))
    print(*(f"test-wheel: Python {place}{result}" for place, result in results), sep="\n")
    return int(not results or any(result != "passed" for _, result in results))


if __name__ == "__main__":
    sys.exit(main())
